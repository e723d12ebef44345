"""What the actions that run blocks share: set-up, the loop over blocks, stopping."""

import contextlib
import dataclasses
import os
import signal
import threading
import time
import types
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

from rich.console import Console

from experiments.compute.local import Compute
from experiments.config import compose as cfg
from experiments.config.build import build_design
from experiments.config.overrides import check_once
from experiments.engine.block import Engine, lose
from experiments.engine.check import check_design
from experiments.engine.compiling import describe_error
from experiments.engine.watch import WATCH
from experiments.session.console import StudyConsole
from experiments.session.display import Display
from experiments.session.tracker import Tracker
from experiments.store.blocks import Store, UnusableBlockError, read_result
from experiments.store.claims import Claims
from experiments.store.fingerprint import Fingerprint
from experiments.study import CELLS_AT_ONCE, Block, Design, Result

SECONDS_BETWEEN_LOOKS = 0.5  # at blocks that another process has claimed
INTERRUPTED = 130
"""Exit code of a run that the user stopped."""


@dataclasses.dataclass
class Session:
    """A study that is being run."""

    config: dict[str, Any]
    design: Design
    engine: Engine
    compute: Compute
    files: Store
    tracker: Tracker
    console: Console

    def plan_blocks(self, pilot: bool = False) -> list[Block]:
        """List the blocks to run before looking again, see `Tracker.plan_blocks`."""
        return self.tracker.plan_blocks(pilot, self.engine.cells_at_once)


def open_session(arguments: list[str], console: StudyConsole) -> Session:
    """Compose and check a study, open its folder, and read what is there.

    Raises:
        InputError: The overrides describe no study that can run.
        StoreError: The folder holds another study.
    """
    check_once(arguments)
    config = cfg.compose(arguments)
    design = build_design(config)
    compute = cfg.instantiate(config, "compute")
    engine = Engine(design, max(CELLS_AT_ONCE, compute.count_threads()))
    check_design(engine)
    files = Store(
        Path(config["results_dir"]) / config["study"], Fingerprint.from_config(config)
    )
    # First: it refuses another study's folder, whose blocks `clean` would move.
    files.open(config, overwrite=config["overwrite"])
    # Only now is the folder known to be this study's.
    console.keep(files.folder, f"$ {' '.join(arguments)}")
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
    if not plan():
        return False
    raised, waited = 0, False
    WATCH.tell = console.print
    with (
        stopping(console) as should_stop,
        session.compute.start() as workers,
        Claims(session.files) as claims,
        Display(tracker, console, session.compute.count_workers()) as display,
    ):
        while not should_stop() and (blocks := plan()):
            display.expect(blocks)
            while blocks and not should_stop():
                elsewhere: list[Block] = []
                # A generator: a block is claimed when a worker gets to it, no earlier.
                todo = _claim(session, claims, display, blocks, elsewhere)
                for block, outcome in workers.map(
                    session.engine.run, todo, should_stop
                ):
                    result = _read_outcome(block, outcome)
                    # Before its claim is given up: else another process would begin it.
                    session.files.write(block, result)
                    claims.release(block)
                    tracker.add(block.cell, block.first, result)
                    display.add(block)
                    if result.error:
                        raised += 1
                        why = tracker.check_failures(
                            block, result.arrays["code"], result.error
                        )
                        if why or raised <= 3:
                            line = result.error.splitlines()[0]
                            display.print(why or f"{block.cell.name}: {line}")
                blocks = elsewhere
                if blocks and not should_stop():
                    if not waited:
                        display.print("Waiting for blocks of another process.")
                        waited = True
                    time.sleep(SECONDS_BETWEEN_LOOKS)
        stopped = should_stop()
    if raised:
        console.print(
            f"In {raised} blocks the estimator raised an error (kept in their files); "
            "the same command tries them again.",
        )
    return stopped


def _claim(
    session: Session,
    claims: Claims,
    display: Display,
    blocks: list[Block],
    elsewhere: list[Block],
) -> Iterator[Block]:
    """Yield the blocks that this process has to run.

    Args:
        session: The study.
        claims: The blocks that this process has claimed.
        display: Told of blocks that another process has written since; these are read.
        blocks: The blocks to run, as far as they are still of use.
        elsewhere: Gets the blocks that another process runs.
    """
    for block in blocks:
        if not session.tracker.needs(block):
            continue
        if _read_done(session, block):
            display.add(block)
        elif not claims.take(block):
            elsewhere.append(block)
        elif _read_done(session, block):  # written just before we claimed it
            claims.release(block)
            display.add(block)
        else:
            yield block


def _read_done(session: Session, block: Block) -> bool:
    """Count a block if its file is there; return whether it is."""
    path = session.files.path(block)
    if not path.exists():
        return False
    try:
        result = read_result(*session.files.read(path, block.cell))
    except UnusableBlockError:
        return False
    session.tracker.add(block.cell, block.first, result)
    return True


def _read_outcome(block: Block, outcome: Result | Exception) -> Result:
    """Make a result of what kept a block's worker from giving one."""
    if isinstance(outcome, Result):
        return outcome
    return lose(block, f"The block's worker was lost. {describe_error(outcome)}")


@contextlib.contextmanager
def stopping(console: Console) -> Generator[Callable[[], bool]]:
    """Turn Ctrl-C and a request to terminate into a flag; a second one ends at once."""
    asked = threading.Event()

    def ask(number: int, frame: types.FrameType | None) -> None:
        if asked.is_set():
            # `sys.exit` would wait for the threads that run blocks.
            os._exit(INTERRUPTED)  # block files are written whole or not at all
        asked.set()
        console.print("Stopping after the blocks that run; once more to end at once.")

    # Python lets the main thread alone set handlers.
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
