"""The action `reproduce`: run every study whose results are kept.

Each runs in a process of its own, as `sweep` would run it, and may be stopped at any
time: the same command carries on. When, where and how long stands in `reproduce.yaml`
beside the studies. With `--quick` each study has a few replications of its first
process at its smallest sizes, with all estimators and grids, in a folder of its own.
"""

import dataclasses
import functools
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from experiments import provenance
from experiments.commands.kept import (
    Run,
    add_to_record,
    list_reproduced,
    read_record,
)
from experiments.commands.shared import make_console, split_arguments
from experiments.config import compose as cfg
from experiments.errors import InputError
from experiments.session.display import format_seconds
from experiments.session.loop import INTERRUPTED
from experiments.store.atomic import read_clock
from experiments.store.fingerprint import NUMBERS

_RSS_UNIT = 1 if sys.platform == "darwin" else 1024
"""Bytes in which a process's largest size is counted."""

QUICK = "--quick"
QUICK_REPLICATIONS = 10
QUICK_FOLDER = "results/reproduce-quick"


def main(arguments: list[str]) -> int:
    """Run what is missing of the kept studies; return the exit code."""
    quick = QUICK in arguments
    known = {"results_dir"}
    words, settings = split_arguments([x for x in arguments if x != QUICK], known)
    listed = list_reproduced()
    for name in words:
        if name not in listed:
            raise InputError(
                f"{name}: no kept study.{cfg.suggest(name, listed)} "
                f"They are: {', '.join(listed)}."
            )
    default = QUICK_FOLDER if quick else "results"
    results = Path(settings.get("results_dir", default))
    results.mkdir(parents=True, exist_ok=True)
    console = make_console()
    commit = provenance.name_code(provenance.describe_code())
    incomplete: list[str] = []
    for name in words or listed:
        before = read_record(results).get(name)
        # Of a folder that is gone the record says nothing any more.
        there = before if (results / name).exists() else None
        if there is not None and _is_part(there, quick=quick):
            if there.complete and there.commit == commit:
                console.print(f"{name}: there, by this commit.")
                continue
        marked = f", {QUICK_REPLICATIONS} replications at most" if quick else ""
        console.print(f"{name}{marked} ...")
        code, run = _run(name, listed[name], results, commit, quick=quick)
        gone = before if there is None else None
        add_to_record(results, name, functools.partial(_add_up, run, gone))
        if code == INTERRUPTED:
            return code
        if code:
            incomplete.append(name)
    total = sum(run.seconds for run in read_record(results).values())
    console.print(f"All of it took {format_seconds(total)}; see {results}.")
    if incomplete:
        console.print(
            f"Not complete: {', '.join(incomplete)}; the same command goes on."
        )
        return 1
    console.print("`python -m analysis.write` fills the documents with the numbers.")
    return 0


def _is_part(before: Run, *, quick: bool) -> bool:
    """Tell whether a study goes on with what a run before, or beside, computed.

    It takes up what any commit with its version of the numbers computed.
    """
    return before.quick == quick and before.numbers == NUMBERS


def _add_up(run: Run, gone: Run | None, other: Run | None) -> Run:
    """Return a run with what others took that it went on with.

    Args:
        run: The run.
        gone: One of which nothing was left when it began.
        other: What the record has at its end: also of a process that worked on the same
            study beside it.
    """
    if other is None or other == gone or not _is_part(other, quick=run.quick):
        return run
    return dataclasses.replace(
        run,
        seconds=round(run.seconds + other.seconds, 1),
        processor_seconds=round(run.processor_seconds + other.processor_seconds, 1),
        memory_bytes=max(run.memory_bytes, other.memory_bytes),
    )


def _run(
    name: str,
    settings: list[str],
    results: Path,
    commit: str,
    *,
    quick: bool,
) -> tuple[int, Run]:
    """Sweep one study in a process of its own; return its exit code and record."""
    command = [sys.executable, "-m", "experiments.run", "sweep"]
    command += [f"experiment={name}", f"results_dir={results}", *settings]
    if quick:
        command += _reduce(cfg.compose([f"experiment={name}", *settings]))
    start = time.monotonic()
    code, used = _call(command)
    seconds, processor = time.monotonic() - start, used.ru_utime + used.ru_stime
    files = (x for x in (results / name).rglob("*") if x.is_file())
    return code, Run(
        commit=commit,
        numbers=NUMBERS,
        quick=quick,
        seconds=round(seconds, 1),
        processor_seconds=round(processor, 1),
        memory_bytes=used.ru_maxrss * _RSS_UNIT,
        disk_bytes=sum(x.stat().st_size for x in files),
        machine=provenance.describe_machine(),
        ended=read_clock(),
        complete=code == 0,
    )


def _reduce(config: dict[str, Any]) -> list[str]:
    """Return the settings of a small part of a study: every cell has to be compiled."""
    count = min(QUICK_REPLICATIONS, config["n_replications"])
    return [
        f"dgp=[{next(iter(config['dgp']))}]",
        f"sample_size=[{min(config['sample_size'])}]",
        f"n_supp=[{min(config['n_supp'])}]",
        f"n_replications={count}",
    ]


def _call(command: list[str]) -> tuple[int, resource.struct_rusage]:
    """Run a command to its end; return its exit code, and what it used."""
    process = subprocess.Popen(command)
    # A scheduler tells this process alone that its time is over: the study keeps what
    # is done and ends, and how long it took is still written down here.
    before = signal.signal(
        signal.SIGTERM, lambda number, _: os.kill(process.pid, number)
    )
    try:
        while True:
            try:
                # What this child used: `getrusage` would have that of all children.
                _, status, used = os.wait4(process.pid, 0)
            except KeyboardInterrupt:
                continue  # the study heard it too
            # It was not `Popen` that waited, so it has to be told.
            process.returncode = os.waitstatus_to_exitcode(status)
            return process.returncode, used
    finally:
        signal.signal(signal.SIGTERM, before)
