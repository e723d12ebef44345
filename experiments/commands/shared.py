"""What actions share: words of the command line, a stored study, tables of cells."""

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from experiments import provenance
from experiments.config import compose as cfg
from experiments.config.build import build_design
from experiments.config.schema import Study
from experiments.errors import InputError
from experiments.store.blocks import Store
from experiments.store.fingerprint import Fingerprint
from experiments.store.manifest import read_manifest
from experiments.study import Cell, Design


class CellColumns:
    """The columns of a table that tell cells apart; what all share is said once.

    Attributes:
        shared: What all cells share, in a line; "" if nothing.
    """

    def __init__(self, table: Table, cells: list[Cell]):
        rows = [_describe_cell(cell) for cell in cells]
        self._varying = [x for x in rows[0] if len({row[x] for row in rows}) > 1]
        same = [f"{x} {rows[0][x]}" for x in rows[0] if x not in self._varying]
        self.shared = ", ".join(same)
        for name in self._varying:
            numbers = name in ("n", "points")
            # A name too long for the terminal is cut: a row stays a row.
            table.add_column(
                name,
                justify="right" if numbers else "left",
                no_wrap=True,
                min_width=None if numbers else 6,
            )

    def describe(self, cell: Cell) -> tuple[str, ...]:
        """Return a cell's entries."""
        row = _describe_cell(cell)
        return tuple(row[x] for x in self._varying)


def _describe_cell(cell: Cell) -> dict[str, str]:
    return {
        "process": cell.dgp,
        "grid": cell.grid or "-",
        "estimator": cell.estimator,
        "n": str(cell.sample_size),
        "points": str(cell.n_supp or "-"),
    }


def describe_commits(commits: set[str]) -> str:
    """Say that blocks were computed by code of several states, or by this one; or "".

    Args:
        commits: What computed the blocks, as `provenance.name_code` names it.
    """
    here = provenance.name_code(provenance.describe_code())
    if not commits or commits == {here}:
        return ""
    names = ", ".join(sorted(_shorten(name) for name in commits))
    return (
        f"Its blocks were computed by code of commit {names}; this is {_shorten(here)}."
        if len(commits) == 1
        else f"Its blocks were computed by code of {len(commits)} commits: {names}. "
        f"This is {_shorten(here)}. If a number moved in between, run it anew."
    )


def _shorten(name: str) -> str:
    commit, plus, changes = name.partition("+")
    return f"{commit[:10]}{plus}{changes}"


def make_console() -> Console:
    """Return a console for tables: as wide as the terminal, wide without one."""
    console = Console(highlight=False, markup=False)
    if not console.is_terminal:
        console.width = 160
    return console


def open_study(results: Path, study: str) -> tuple[dict[str, Any], Design, Store]:
    """Return configuration, design and files of a study that was run before.

    Raises:
        InputError: There is no such study.
    """
    manifest = read_manifest(results / study)
    if manifest is None:
        raise InputError(
            f"{study}: no study in {results / study}. {list_studies(results, study)}"
        )
    config = manifest["config"]
    # What a study may do without was not there in older versions.
    optional = {"estimand": {}, "table": {}, "levels": [], "tests": {}}
    config = {**optional, **config}
    lacking = sorted(Study.__dataclass_fields__.keys() - config.keys())
    if lacking:
        raise InputError(
            f"{results / study} was written by another version of this code: its "
            f"study.yaml lacks {', '.join(lacking)}. Run sweep on it once more, with "
            "its own settings: that adds them, and keeps all results that still count."
        )
    config = cfg.read_stored(config)
    files = Store(results / study, Fingerprint.from_config(config))
    return config, build_design(config), files


def split_arguments(
    arguments: list[str], known: set[str]
) -> tuple[list[str], dict[str, str]]:
    """Split plain words from NAME=VALUE settings.

    Raises:
        InputError: A setting is not among the known ones.
    """
    names = [text for text in arguments if "=" not in text]
    settings = dict(text.split("=", 1) for text in arguments if "=" in text)
    for name in settings.keys() - known:
        raise InputError(
            f"{name}: no such setting here.{cfg.suggest(name, known)} "
            f"Settings: {', '.join(sorted(known))}."
        )
    return names, settings


def list_studies(results: Path, near: str = "") -> str:
    """Say which studies there are, and which one may be meant."""
    studies = sorted(path.parent.name for path in results.glob("*/study.yaml"))
    if not studies:
        return f"There are none in {results}: run sweep, or give results_dir=FOLDER."
    return f"Studies there: {', '.join(studies)}.{cfg.suggest(near, studies)}"
