"""The action `status`: what a study has done, lacks and lost; works while it runs."""

from pathlib import Path

import numpy as np
from rich.table import Table

from experiments.commands.shared import (
    CellColumns,
    describe_commits,
    list_studies,
    make_console,
    open_study,
    split_arguments,
)
from experiments.compute.local import count_cores
from experiments.config.schema import Shard
from experiments.errors import InputError
from experiments.session.display import describe_target, format_seconds
from experiments.session.tracker import Tracker


def main(arguments: list[str]) -> int:
    """Print a table of the study's cells; return the exit code."""
    console = make_console()
    names, settings = split_arguments(arguments, {"results_dir"})
    results = Path(settings.get("results_dir", "results"))
    if len(names) != 1:
        raise InputError(f"status: name one study. {list_studies(results)}")
    config, design, files = open_study(results, names[0])
    tracker = Tracker(design)
    unusable = tracker.load(files)

    table = Table(box=None)
    place = CellColumns(table, list(tracker.records))
    counts = ("done", "missing", "failed")
    for name in (*counts, "cover. MCSE", "RMSE MCSE", "s each", "peak MB"):
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
        coverage, rmse = record.mcse()
        table.add_row(
            *place.describe(cell),
            *(str(record.attempted), str(missing), str(record.failed)),
            f"{coverage:.3f}" if np.isfinite(coverage) else "-",
            f"{rmse:.1%}" if np.isfinite(rmse) else "-",
            "-" if seconds is None else f"{seconds:.3f}",
            f"{record.peak_memory / 1e6:.0f}" if record.peak_memory > 0 else "-",
        )
    console.print(f"{config['study']}: {config['question']}")
    console.print(f"Every cell gets {describe_target(design)}.")
    if place.shared:
        console.print(place.shared)
    console.print(table)
    if line := describe_commits(tracker.commits):
        console.print(line)
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
        console.print(
            f"{unusable} block files are damaged, or of another design or other code; "
            "sweep sets them aside."
        )
    return 0


def _describe_shards(tracker: Tracker, count: int) -> str:
    numbers = {tracker.design.shard_of(b, count) for b in tracker.plan_blocks()}
    if not numbers:
        return f"All {count} shards are done; sweep without shard makes the tables."
    return (
        f"Blocks are missing from shards {', '.join(map(str, sorted(numbers)))} "
        f"of {count}."
    )
