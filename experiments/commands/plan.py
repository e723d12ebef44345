"""The action `plan`: a pilot, then how many replications and hours a study takes."""

import numpy as np
from rich.table import Table

from experiments.commands.shared import CellColumns, make_console
from experiments.session.console import StudyConsole
from experiments.session.display import describe_target, format_seconds
from experiments.session.loop import INTERRUPTED, open_session, run_rounds


def main(arguments: list[str]) -> int:
    """Run one block of every cell, kept for the study; print what the rest takes."""
    console = make_console()
    session = open_session(arguments, StudyConsole())
    tracker = session.tracker
    if run_rounds(session, lambda: session.plan_blocks(pilot=True)):
        console.print("Stopped; the same command goes on from there.")
        return INTERRUPTED

    table = Table(box=None)
    place = CellColumns(table, list(tracker.records))
    columns = ("pilot", "failed", "cover. MCSE", "RMSE MCSE", "s each")
    for name in (*columns, "wanted", "one core"):
        table.add_column(name, justify="right")
    total, left = 0.0, 0.0
    for cell, record in tracker.records.items():
        coverage, rmse = record.mcse()
        seconds = float(np.mean(record.seconds)) if record.seconds else np.nan
        wanted = record.predict()
        table.add_row(
            *place.describe(cell),
            *(str(record.attempted), str(record.failed)),
            *(f"{coverage:.4f}", f"{rmse:.1%}", f"{seconds:.4f}"),
            *(str(wanted), _format_time(seconds * wanted)),
        )
        total += seconds * wanted
        left += seconds * max(wanted - record.attempted, 0)
    workers = session.compute.count_workers()
    console.print(f"{session.config['study']}: {describe_target(session.design)}")
    if place.shared:
        console.print(place.shared)
    console.print(table)
    console.print(
        f"All in all {_format_time(total)} on one core; {_format_time(left / workers)} "
        f"from here on with {workers} workers, compilation aside. The pilot is kept: "
        "sweep, with the same settings, goes on from there."
    )
    return 0


def _format_time(seconds: float) -> str:
    return format_seconds(seconds) if np.isfinite(seconds) else "unknown"
