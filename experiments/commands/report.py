"""The action `report`: merge what is done of a study, make its tables and figures."""

import collections
import os
from pathlib import Path

from rich.console import Console

from experiments.commands.shared import (
    describe_commits,
    make_console,
    open_study,
    split_arguments,
)
from experiments.errors import InputError
from experiments.session.tracker import Tracker
from experiments.store.merged import Merged, merge


def main(arguments: list[str]) -> int:
    """Report on a study that may still be running; return the exit code."""
    names, settings = split_arguments(arguments, {"results_dir"})
    if len(names) != 1:
        raise InputError("report: name one study, such as `report default`.")
    console = make_console()
    results = Path(settings.get("results_dir", "results"))
    merged, tracker = merge_done(results, names[0])
    report(merged.path.parent, merged.path, console)
    if line := describe_commits(tracker.commits):
        console.print(line)
    if not merged.complete:
        console.print(
            f"The study is not complete: `status {names[0]}` lists what is missing."
        )
    return 0


def merge_done(results: Path, name: str) -> tuple[Merged, Tracker]:
    """Merge what is done of a study; return that, and the state of its cells.

    Raises:
        InputError: Nothing is done.
    """
    config, design, files = open_study(results, name)
    tracker = Tracker(design)
    tracker.load(files)
    if not has_results(tracker):
        raise InputError(f"{name}: nothing is done yet; see `status {name}`.")
    complete = tracker.is_complete()
    merged = merge(design, files, config, tracker.counts(), complete=complete)
    return merged, tracker


def has_results(tracker: Tracker) -> bool:
    """Return whether any block gave a result, be it a failure, and not an error."""
    return any(record.seconds for record in tracker.records.values())


def report(folder: Path, replications: Path, console: Console) -> None:
    """Make summary, tables and figures; print the table and the paths."""
    # Imported here: plotting takes long to import, and shards don't need it.
    from analysis.make import make
    from analysis.stored import load_summary
    from analysis.tables.console import render_console_table

    paths = [replications, *make(folder)]
    console.print(render_console_table(load_summary(folder)))
    console.print("Written:")
    counts = collections.Counter(path.parent for path in paths if path.parent != folder)
    for path in [path for path in paths if path.parent == folder]:
        console.print(f"  {path}")
    for subfolder, count in counts.items():
        console.print(f"  {subfolder}{os.sep} ({count} files)")
