"""What the actions that run blocks share: set-up, the loop over blocks, stopping."""

import contextlib
import dataclasses
import os
import signal
import threading
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from rich.console import Console

from experiments import config as cfg
from experiments.build import build_design, check_design
from experiments.compute import Local
from experiments.content import Content
from experiments.engine import Engine
from experiments.precision import Tracker
from experiments.progress import Display
from experiments.store import Store, UnusableBlockError
from experiments.study import Block, Design

INTERRUPTED = 130
"""Exit code of a run that the user stopped."""


@dataclasses.dataclass
class Session:
    """A study that is being run."""

    config: dict[str, Any]
    design: Design
    engine: Engine
    compute: Local
    files: Store
    tracker: Tracker
    console: Console


def open_session(arguments: list[str], console: Console) -> Session:
    """Compose and check a study, open its folder, and read what is there.

    Raises:
        InputError: The overrides describe no study that can run.
        StoreError: The folder holds another study.
    """
    config = cfg.compose(arguments)
    design = build_design(config)
    compute = cfg.instantiate(config, "compute")
    engine = Engine(design)
    check_design(engine)
    files = Store(
        Path(config["results_dir"]) / config["study"], Content.from_config(config)
    )
    files.open(config, overwrite=config["overwrite"])
    for cell in design.cells():
        for line in files.clean(cell, overwrite=config["overwrite"]):
            console.print(line)
    tracker = Tracker(design)
    tracker.load(files)
    return Session(config, design, engine, compute, files, tracker, console)


def run_rounds(session: Session, plan: Callable[[], list[Block]]) -> bool:
    """Run blocks until none is left to run; return whether the user stopped it.

    Args:
        session: The study.
        plan: Lists the blocks to run next, from what is done so far.
    """
    console, tracker = session.console, session.tracker
    raised = 0
    with stopping(console) as should_stop, Display(tracker, console) as display:
        while not should_stop() and (blocks := plan()):
            display.expect(blocks)
            todo = _skip_done(session, blocks)
            for block, result in session.compute.map(
                session.engine.run, todo, should_stop
            ):
                session.files.write(block, result)
                tracker.add(block.cell, block.first, result.seconds, result.arrays)
                display.add(block)
                if result.error:
                    raised += 1
                    why = tracker.check_failures(
                        block, result.arrays["code"], result.error
                    )
                    if why or raised <= 3:
                        line = result.error.splitlines()[0]
                        display.print(why or f"{block.cell.name}: {line}")
        stopped = should_stop()
    if raised:
        console.print(
            f"In {raised} blocks the estimator raised an error (kept in their files); "
            "the same command tries them again.",
        )
    return stopped


def _skip_done(session: Session, blocks: list[Block]) -> Iterator[Block]:
    """Yield the blocks that are still of use; read those that another process wrote."""
    tracker = session.tracker
    for block in blocks:
        if not tracker.needs(block):
            continue
        path = session.files.path(block)
        if path.exists():
            with contextlib.suppress(UnusableBlockError):
                arrays, attrs = session.files.read(path, block.cell)
                tracker.add(block.cell, block.first, attrs["seconds"], arrays)
                continue
        yield block


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
