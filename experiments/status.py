"""The action `status`: what a study has done, lacks and lost; works while it runs."""

from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from experiments import config as cfg
from experiments.build import build_design
from experiments.compute import count_cores
from experiments.errors import InputError
from experiments.progress import Tally, format_seconds
from experiments.store import Content, Store, UnusableBlockError, read_manifest
from experiments.study import Cell, Design


def main(arguments: list[str]) -> int:
    """Print a table of the study's cells; return the exit code."""
    console = make_console()
    names, settings = split_arguments(arguments, {"results_dir"})
    results = Path(settings.get("results_dir", "results"))
    if len(names) != 1:
        raise InputError(f"status: name one study. {_list_studies(results)}")
    config, design, files = open_study(results, names[0])

    table = Table("process", "grid", "estimator", box=None)
    for name in ("n", "points", "done", "missing", "failed", "coverage MCSE", "s each"):
        table.add_column(name, justify="right")
    left, unknown, unusable = 0.0, False, 0
    for cell in design.cells():
        missing = sum(
            last - first + 1
            for first, last in files.missing(cell, design.n_replications)
        )
        tally, seconds, bad = _read_cell(cell, design, files)
        unusable += bad
        if seconds is None:
            unknown |= missing > 0
        else:
            left += missing * seconds
        table.add_row(
            *(cell.dgp, cell.grid, cell.estimator),
            *(str(cell.sample_size), str(cell.n_supp)),
            str(design.n_replications - missing),
            str(missing),
            str(tally.failed),
            f"{tally.coverage_mcse():.3f}" if tally.attempted > tally.failed else "-",
            "-" if seconds is None else f"{seconds:.3f}",
        )
    console.print(f"{config['study']}: {config['question']}")
    console.print(table)
    if left or unknown:
        workers = config["compute"].get("n_workers") or count_cores()
        more = ", and cells not begun" if unknown else ""
        console.print(f"About {format_seconds(left / workers)} left{more}.")
    else:
        console.print("Complete.")
    if unusable:
        console.print(f"{unusable} block files are damaged; sweep sets them aside.")
    return 0


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
            f"{study}: no study in {results / study}. {_list_studies(results, study)}"
        )
    config = manifest["config"]
    files = Store(results / study, Content.from_config(config))
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


def _read_cell(
    cell: Cell, design: Design, files: Store
) -> tuple[Tally, float | None, int]:
    """Return counts, median seconds per replication, and damaged files of a cell."""
    estimator = design.estimators[cell.estimator]
    kind = estimator.kinds.index(estimator.default_kind)
    tally, seconds, bad = Tally(), [], 0
    for path in files.find(cell):
        try:
            arrays, attrs = files.read(path, cell)
        except UnusableBlockError:
            bad += 1
            continue
        tally.add(arrays, design.truth(cell.dgp)[1], kind)
        if not attrs["error"]:
            seconds.append(attrs["seconds"] / len(arrays["code"]))
    return tally, float(np.median(seconds)) if seconds else None, bad


def _list_studies(results: Path, near: str = "") -> str:
    studies = sorted(path.parent.name for path in results.glob("*/study.yaml"))
    if not studies:
        return f"There are none in {results}: run sweep, or give results_dir=FOLDER."
    return f"Studies there: {', '.join(studies)}.{cfg.suggest(near, studies)}"
