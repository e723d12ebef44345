"""The action `status`: what a study has done, lacks and lost; works while it runs."""

from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from experiments.compute.local import count_cores
from experiments.config import compose as cfg
from experiments.config.build import build_design
from experiments.config.schema import Shard, Study
from experiments.errors import InputError
from experiments.session.display import describe_target, format_seconds
from experiments.session.tracker import Tracker
from experiments.store.blocks import Store, read_manifest
from experiments.store.fingerprint import Content
from experiments.study import Cell, Design


def main(arguments: list[str]) -> int:
    """Print a table of the study's cells; return the exit code."""
    console = make_console()
    names, settings = split_arguments(arguments, {"results_dir"})
    results = Path(settings.get("results_dir", "results"))
    if len(names) != 1:
        raise InputError(f"status: name one study. {_list_studies(results)}")
    config, design, files = open_study(results, names[0])
    tracker = Tracker(design)
    unusable = tracker.load(files)

    table = Table(box=None)
    add_cell_columns(table)
    counts = ("done", "missing", "failed")
    for name in (*counts, "coverage MCSE", "RMSE MCSE", "s each", "peak MB"):
        table.add_column(name, justify="right")
    left, unknown = 0.0, False
    for cell, record in tracker.records.items():
        spans = record.missing(record.predict())
        missing = sum(last - first + 1 for first, last in spans)
        seconds = np.mean(record.seconds) if record.seconds else None
        if seconds is None:
            unknown |= missing > 0
        else:
            left += missing * seconds
        coverage, rmse = record.precision()
        table.add_row(
            *describe_cell(cell),
            *(str(record.attempted), str(missing), str(record.failed)),
            f"{coverage:.3f}" if np.isfinite(coverage) else "-",
            f"{rmse:.1%}" if np.isfinite(rmse) else "-",
            "-" if seconds is None else f"{seconds:.3f}",
            f"{record.peak_memory / 1e6:.0f}" if record.peak_memory > 0 else "-",
        )
    console.print(f"{config['study']}: {config['question']}")
    console.print(f"Every cell gets {describe_target(design)}.")
    console.print(table)
    if config["shard"] is not None:
        console.print(_describe_shards(tracker, Shard.parse(config["shard"]).count))
    if left or unknown:
        workers = config["compute"].get("n_workers") or count_cores()
        more = ", and cells not begun" if unknown else ""
        console.print(
            f"About {format_seconds(left / workers)} left with {workers} workers{more}."
        )
    else:
        console.print("Complete.")
    held = len(list(files.blocks.glob("*/*.claim")))
    if held:
        console.print(f"{held} blocks are in work, unless their process was killed.")
    if unusable:
        console.print(f"{unusable} block files are damaged; sweep sets them aside.")
    return 0


def add_cell_columns(table: Table) -> None:
    """Add the columns that `describe_cell` fills."""
    for name in ("process", "grid", "estimator"):
        table.add_column(name)
    for name in ("n", "points"):
        table.add_column(name, justify="right")


def describe_cell(cell: Cell) -> tuple[str, ...]:
    """Return a cell's place in the study, for a table."""
    grid, points = cell.grid or "-", str(cell.n_supp or "-")
    return (cell.dgp, grid, cell.estimator, str(cell.sample_size), points)


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
    lacking = sorted(Study.__dataclass_fields__.keys() - config.keys())
    if lacking:
        raise InputError(
            f"{results / study} was written by another version of this code: its "
            f"study.yaml lacks {', '.join(lacking)}. Run sweep on it once more, with "
            "its own settings: that adds them, and keeps all results that still count."
        )
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


def _describe_shards(tracker: Tracker, count: int) -> str:
    numbers = {tracker.design.shard_of(b, count) for b in tracker.plan_blocks()}
    if not numbers:
        return f"All {count} shards are done; sweep without shard makes the tables."
    return (
        f"Blocks are missing from shards {', '.join(map(str, sorted(numbers)))} "
        f"of {count}."
    )


def _list_studies(results: Path, near: str = "") -> str:
    studies = sorted(path.parent.name for path in results.glob("*/study.yaml"))
    if not studies:
        return f"There are none in {results}: run sweep, or give results_dir=FOLDER."
    return f"Studies there: {', '.join(studies)}.{cfg.suggest(near, studies)}"
