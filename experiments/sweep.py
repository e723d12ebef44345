"""The action `sweep`: run a study, or what is missing of it, and report."""

import collections
import contextlib
import os
import signal
import threading
import time
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import xarray as xr
from rich.console import Console

from experiments import config as cfg
from experiments.build import build_design, check_design
from experiments.compute import Local
from experiments.merge import merge
from experiments.progress import Display, format_seconds
from experiments.store import Content, Store
from experiments.study import Design, Engine, order_blocks

INTERRUPTED = 130


def main(arguments: list[str]) -> int:
    """Run the study that the overrides describe; return the exit code."""
    console = Console(highlight=False, markup=False, soft_wrap=True)
    config = cfg.compose(arguments)
    design = build_design(config)
    compute = cfg.instantiate(config, "compute")
    engine = Engine(design)
    check_design(engine)
    content = Content.from_config(config)
    files = Store(Path(config["results_dir"]) / config["study"], content)
    files.open(config, overwrite=config["overwrite"])

    start = time.monotonic()
    console.print(_describe(design, config))
    interrupted = run_missing(engine, files, compute, config, console)
    path = merge(design, files, config)
    if interrupted:
        console.print(
            f"Stopped. What is done is kept in {files.folder}; the same command goes "
            "on from there."
        )
        return INTERRUPTED
    report(files.folder, path, console)
    elapsed = format_seconds(time.monotonic() - start)
    console.print(f"Done in {elapsed}.")
    return 0


def run_missing(
    engine: Engine,
    files: Store,
    compute: Local,
    config: dict[str, Any],
    console: Console,
) -> bool:
    """Run blocks until none is missing; return whether the user stopped it."""
    design = engine.design
    cells = design.cells()
    for cell in cells:
        for line in files.clean(cell, overwrite=config["overwrite"]):
            console.print(line)
    missing = {cell: files.missing(cell, design.n_replications) for cell in cells}
    blocks = order_blocks(missing, design.block_size)
    n_missing = sum(map(len, blocks))
    n_kept = len(cells) * design.n_replications - n_missing
    if n_kept:
        console.print(
            f"{n_kept} replications are there already, {n_missing} are left to run.",
        )
    raised = 0
    with stopping(console) as should_stop, Display(design, blocks, console) as display:
        todo = (block for block in blocks if not files.path(block).exists())
        for block, result in compute.map(engine.run, todo, should_stop):
            files.write(block, result)
            display.add(block, result)
            if result.error:
                raised += 1
                if raised <= 3:
                    display.print(f"{block.cell.name}: {result.error.splitlines()[0]}")
        stopped = should_stop()
    if raised:
        console.print(
            f"In {raised} blocks the estimator raised an error (kept in their files); "
            "the same command tries them again.",
        )
    return stopped


def report(folder: Path, replications: Path, console: Console) -> None:
    """Make summary, tables and figures; print the table and the paths."""
    from analysis.make import make
    from analysis.tables import render_console_table

    paths = [replications, *make(folder)]
    with xr.open_datatree(folder / "summary.nc") as summary:
        table = render_console_table(summary)
    console.print(table)
    console.print("Written:")
    counts = collections.Counter(path.parent for path in paths if path.parent != folder)
    for path in [path for path in paths if path.parent == folder]:
        console.print(f"  {path}")
    for subfolder, count in counts.items():
        console.print(f"  {subfolder}{os.sep} ({count} files)")


@contextlib.contextmanager
def stopping(console: Console) -> Iterator[Callable[[], bool]]:
    """Turn Ctrl-C and a request to terminate into a flag; a second one ends at once."""
    asked = threading.Event()

    def ask(number: int, frame: types.FrameType | None) -> None:
        if asked.is_set():
            os._exit(INTERRUPTED)  # block files are written whole or not at all
        asked.set()
        console.print("Stopping after the blocks that run; once more to end at once.")

    if threading.current_thread() is not threading.main_thread():
        yield asked.is_set
        return
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, ask) for number in numbers]
    try:
        yield asked.is_set
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def _describe(design: Design, config: dict[str, Any]) -> str:
    return (
        f"{config['study']}: {config['question']}\n"
        f"{len(design.cells())} cells of {design.n_replications} replications: "
        f"{len(design.processes)} processes x {len(design.sample_size)} sample sizes x "
        f"{len(design.grids)} grids x {len(design.n_supp)} grid sizes x "
        f"{len(design.estimators)} estimators."
    )
