"""The action `sweep`: run a study, or what is missing of it, and report."""

import time
from typing import TYPE_CHECKING, Any

from experiments.commands.shared import describe_commits
from experiments.config.schema import Shard
from experiments.session.console import StudyConsole
from experiments.session.display import describe_target, format_seconds
from experiments.session.loop import INTERRUPTED, Session, open_session, run_rounds
from experiments.study import Block, Design

if TYPE_CHECKING:
    from experiments.store.merged import Merged


def main(arguments: list[str]) -> int:
    """Run the study that the overrides describe; return the exit code."""
    console = StudyConsole()
    session = open_session(arguments, console)
    start = time.monotonic()
    console.print(_describe(session.design, session.config))
    interrupted = run_missing(session)
    # Not before the first block: xarray takes half a second to import.
    from experiments.commands.report import has_results, report
    from experiments.store.merged import merge

    shard = session.config["shard"]
    merged = None
    if not shard:
        console.print("Merging the blocks ...")
        merged = merge(
            session.design,
            session.files,
            session.config,
            session.tracker.counts(),
            complete=session.tracker.is_complete(),
        )
    if interrupted:
        console.print(
            f"Stopped. What is done is kept in {session.files.folder}; the same "
            "command goes on from there."
        )
        return INTERRUPTED
    if merged is not None and not has_results(session.tracker):
        console.print("Every replication raised an error: there is nothing to report.")
        return 1
    if merged is not None:
        console.print("Drawing tables and figures ...")
        report(session.files.folder, merged.path, console)
    elapsed = format_seconds(time.monotonic() - start)
    if merged is None:
        study = session.config["study"]
        console.print(
            f"Shard {shard} done in {elapsed}. `status {study}` lists what is missing; "
            "sweep without shard runs that and makes the tables."
        )
        return 0
    if merged.complete:
        console.print(f"Done in {elapsed}.")
        return 0
    console.print(_describe_gaps(session, merged))
    return 1


def _describe_gaps(session: Session, merged: "Merged") -> str:
    """Say why a study that ran to its end is not complete."""
    records = session.tracker.records
    lost = {
        cell: count
        for cell, n in session.tracker.counts().items()
        if (count := int(records[cell].done[:n].sum()) - merged.held[cell]) > 0
    }
    lines = ["The study is not complete."]
    if lost:
        lines.append(
            f"{sum(lost.values())} replications of {_count(len(lost), 'cell')}, "
            f"{next(iter(lost)).name} for one, were there while it ran and are gone "
            f"from {session.files.blocks}. The same command runs them again."
        )
    halted = sum(bool(record.halted) for record in records.values())
    if halted:
        lines.append(f"{_count(halted, 'cell')} stopped early, as said above.")
    return "\n".join(lines)


def run_missing(session: Session) -> bool:
    """Run blocks until none is missing; return whether the user stopped it."""
    tracker = session.tracker
    text = session.config["shard"]
    shard = Shard.parse(text) if text else None

    def plan() -> list[Block]:
        blocks = session.plan_blocks()
        if shard is None:
            return blocks
        number_of = session.design.shard_of
        return [b for b in blocks if number_of(b, shard.count) == shard.index]

    line = describe_commits(tracker.commits)
    if line:
        session.console.print(line)
    n_kept = sum(record.attempted for record in tracker.records.values())
    if n_kept:
        n_missing = sum(map(len, plan()))
        session.console.print(
            f"{n_kept} replications are there already, {n_missing} are left to run.",
        )
    return run_rounds(session, plan)


def _describe(design: Design, config: dict[str, Any]) -> str:
    axes = {
        "process": design.processes,
        "sample size": design.sample_size,
        "estimator": design.estimators,
        "grid": design.grids,
        "grid size": design.n_supp,
    }
    sizes = [_count(len(values), name) for name, values in axes.items()]
    return (
        f"{config['study']}: {config['question']}\n"
        f"{_count(len(design.cells()), 'cell')} of {describe_target(design)}: "
        f"{' x '.join(sizes)}; one grid size where an estimator uses no grid."
    )


def _count(number: int, name: str) -> str:
    if number == 1:
        return f"1 {name}"
    return f"{number} {name}{'es' if name.endswith('s') else 's'}"
