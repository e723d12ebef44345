"""What a running study shows: a bar on a terminal, plain lines elsewhere."""

import collections
import statistics
import time

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from experiments.session.record import MIN_REPLICATIONS, Record
from experiments.session.tracker import Tracker
from experiments.study import Block, Cell, Design

_NODES = 100  # about as many as estimators have that bring nodes of their own

SECONDS_BETWEEN_LINES = 10.0
SECONDS_BETWEEN_UPDATES = 0.2  # of the bar: looking at every cell takes a while


class Display:
    """Shows how far a study is; a context manager.

    Args:
        tracker: What is done.
        console: Where to print.
        n_workers: How many blocks run at the same time, as far as it is known.
    """

    def __init__(self, tracker: Tracker, console: Console, n_workers: int):
        self._tracker = tracker
        self._console = console
        self._n_workers = n_workers
        self._n_blocks, self._n_done = 0, 0
        # By estimator: seconds in blocks, and entries of lclk worked on.
        self._spent: dict[str, float] = collections.defaultdict(float)
        self._worked: collections.Counter[str] = collections.Counter()
        self._begun: set[Cell] = set()
        self._cells: set[Cell] = set()
        self._queued: set[Block] = set()
        self._start = self._last_update = time.monotonic()
        self._bar = Progress(
            BarColumn(bar_width=24),
            TextColumn("{task.description}"),
            console=console,
            disable=not console.is_terminal,
            transient=True,
        )
        self._task = self._bar.add_task("compiling ...", total=1)

    def __enter__(self) -> "Display":
        """Start the bar."""
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the bar."""
        self._bar.stop()

    def expect(self, blocks: list[Block]) -> None:
        """Note the blocks that are run next; those before are done or of no use."""
        target = self._tracker.design.target
        if target is not None and self._n_done:
            self.print(self.describe_cells())
        self._queued = set(blocks)
        self._n_blocks = self._n_done + len(blocks)
        self._cells.update(block.cell for block in blocks)

    def add(self, block: Block) -> None:
        """Count a block and show where the study stands."""
        self._queued.remove(block)
        self._n_done += 1
        self._begun.add(block.cell)
        name = block.cell.estimator
        # By the mean of its cell: a block that raised has no time of its own.
        self._spent[name] += self._foresee(block.cell, len(block))
        self._worked[name] += len(block) * _count_entries(block.cell)
        now = time.monotonic()
        if self._bar.disable:
            if now - self._last_update >= SECONDS_BETWEEN_LINES:
                self._last_update = now
                self._console.print(self.describe())
        elif now - self._last_update >= SECONDS_BETWEEN_UPDATES:
            self._last_update = now
            self._bar.update(
                self._task,
                completed=sum(self._spent.values()),
                total=sum(self._spent.values()) + self._foresee_blocks(),
                description=self.describe(),
            )

    def print(self, text: str) -> None:
        """Print a line beside the bar."""
        self._bar.console.print(text)

    def describe(self) -> str:
        """Say in a line how far the study is."""
        records = self._tracker.records
        failed = sum(record.failed for record in records.values())
        attempted = sum(record.attempted for record in records.values())
        ended = sum(_is_ended(record) for record in records.values())
        mcse = [r.mcse()[0] for r in records.values() if r.attempted > r.failed]
        parts = [f"{format_seconds(self._left())} left"]
        parts.append(f"{self._n_done}/{self._n_blocks} blocks")
        parts.append(f"{ended}/{len(records)} cells")
        parts.append(f"{failed} of {attempted} failed")
        if mcse:
            parts.append(f"coverage MCSE <= {max(mcse):.3f}")
        return ", ".join(parts)

    def describe_cells(self) -> str:
        """Say, a line for each cell that goes on, how far from its target it is."""
        lines = ["Cells that are not precise enough yet:"]
        for cell, record in self._tracker.records.items():
            if not _is_ended(record):
                coverage, rmse = record.mcse()
                lines.append(
                    f"  {cell.name}: {record.attempted} of about {record.predict()} "
                    f"replications, coverage MCSE {coverage:.4f}, RMSE MCSE {rmse:.1%}"
                )
        return "\n".join(lines)

    def _left(self) -> float:
        """Return the seconds until the study is done.

        What workers did beside running blocks was to compile, a share for each cell
        begun; every other cell will take as much.
        """
        elapsed = max(1e-3, time.monotonic() - self._start)
        spent = sum(self._spent.values())
        # A cluster's size need not be given: blocks tell how many ran at once.
        n_workers = max(self._n_workers, spent / elapsed)
        compiling = max(0.0, n_workers * elapsed - spent) / max(1, len(self._begun))
        n_new = len({block.cell for block in self._queued} - self._begun)
        return (self._foresee_blocks() + n_new * compiling) / n_workers

    def _foresee_blocks(self) -> float:
        """Return the seconds of the blocks in the queue and of those foreseen."""
        needed = filter(self._tracker.needs, self._queued)
        left = sum((self._foresee(b.cell, len(b)) for b in needed), start=0.0)
        if self._tracker.design.target is not None:
            for cell in self._cells:
                record = self._tracker.records[cell]
                left += self._foresee(cell, max(0, record.predict() - record.next()))
        return left

    def _foresee(self, cell: Cell, replications: int) -> float:
        """Return the seconds that replications of a cell take, compilation aside.

        Those that its blocks took; or in proportion to the size of `lclk`, at the rate
        of its estimator's other cells, or of all.
        """
        known = self._tracker.records[cell].seconds
        if known:
            return replications * statistics.fmean(known)
        own = self._worked[cell.estimator] > 0
        spent = self._spent[cell.estimator] if own else sum(self._spent.values())
        worked = self._worked[cell.estimator] if own else self._worked.total()
        return replications * _count_entries(cell) * spent / max(1, worked)


def describe_target(design: Design) -> str:
    """Say how many replications a cell gets, or how precise it has to be."""
    target = design.target
    if target is None:
        return f"{design.n_replications} replications"
    aims = []
    if target.coverage_mcse is not None:
        aims.append(f"coverage MCSE <= {target.coverage_mcse:g}")
    if target.rmse_rel_mcse is not None:
        aims.append(f"RMSE MCSE <= {target.rmse_rel_mcse:.3g} of the RMSE")
    fewest = max(MIN_REPLICATIONS, design.n_replications)
    return f"{fewest} to {target.max_replications} replications, until " + " and ".join(
        aims
    )


def format_seconds(seconds: float) -> str:
    """Write a time as people do: 45 s, 3 min 20 s, 2 h 5 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def _is_ended(record: Record) -> bool:
    final = record.final()
    return final is not None and record.attempted >= final


def _count_entries(cell: Cell) -> int:
    return cell.sample_size * (cell.n_supp or _NODES)
