"""What a running study shows: a bar on a terminal, plain lines elsewhere."""

import collections
import dataclasses
import time

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from experiments.study import Block, Cell, Design, Result

SECONDS_BETWEEN_LINES = 10.0


@dataclasses.dataclass
class Tally:
    """Counts of one cell.

    Attributes:
        attempted: Replications done.
        failed: Those with a code other than 0.
        covered: By parameter, intervals of the default kind that hold the truth.
    """

    attempted: int = 0
    failed: int = 0
    covered: np.ndarray | float = 0.0

    def add(self, arrays: dict[str, np.ndarray], truth: np.ndarray, kind: int) -> None:
        """Count the replications of a block."""
        used = arrays["code"] == 0
        self.attempted += used.size
        self.failed += int((~used).sum())
        if used.any():
            lower, upper = arrays["lower"][used, kind], arrays["upper"][used, kind]
            self.covered += ((lower <= truth) & (truth <= upper)).sum(axis=0)

    def coverage_mcse(self) -> float:
        """Return the largest Monte Carlo standard error of coverage so far.

        Agresti and Coull's (1998) shrunken share keeps it above zero where every
        interval has covered so far.
        """
        used = self.attempted - self.failed
        if not used:
            return np.inf
        share = (np.asarray(self.covered) + 2) / (used + 4)
        return float(np.sqrt(share * (1 - share) / (used + 4)).max())


class Display:
    """Shows how far a study is; a context manager.

    Args:
        design: The study.
        blocks: The blocks that will be run.
        console: Where to print.
    """

    def __init__(self, design: Design, blocks: list[Block], console: Console):
        self._design = design
        self._console = console
        self._tallies: dict[Cell, Tally] = collections.defaultdict(Tally)
        self._cost = sum(map(_cost, blocks))
        self._n_blocks = len(blocks)
        self._done_cost, self._n_done = 0, 0
        self._start = self._last_line = time.monotonic()
        self._bar = Progress(
            BarColumn(bar_width=24),
            TextColumn("{task.description}"),
            console=console,
            disable=not console.is_terminal,
            transient=True,
        )
        self._task = self._bar.add_task("compiling ...", total=self._cost or 1)

    def __enter__(self) -> "Display":
        """Start the bar."""
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the bar."""
        self._bar.stop()

    def add(self, block: Block, result: Result) -> None:
        """Count a block and show where the study stands."""
        cell = block.cell
        estimator = self._design.estimators[cell.estimator]
        _, truth = self._design.truth(cell.dgp)
        kind = estimator.kinds.index(estimator.default_kind)
        self._tallies[cell].add(result.arrays, truth, kind)
        self._done_cost += _cost(block)
        self._n_done += 1
        text = self.describe()
        self._bar.update(self._task, completed=self._done_cost, description=text)
        now = time.monotonic()
        if self._bar.disable and now - self._last_line >= SECONDS_BETWEEN_LINES:
            self._last_line = now
            self._console.print(text)

    def print(self, text: str) -> None:
        """Print a line beside the bar."""
        self._bar.console.print(text)

    def describe(self) -> str:
        """Say in a line how far the study is."""
        elapsed = time.monotonic() - self._start
        left = elapsed * (self._cost / self._done_cost - 1) if self._done_cost else 0.0
        tallies = self._tallies.values()
        failed = sum(tally.failed for tally in tallies)
        attempted = sum(tally.attempted for tally in tallies)
        mcse = max((tally.coverage_mcse() for tally in tallies), default=np.inf)
        parts = [f"{self._n_done}/{self._n_blocks} blocks"]
        parts.append(f"{failed} of {attempted} replications failed")
        if np.isfinite(mcse):
            parts.append(f"coverage MCSE <= {mcse:.3f}")
        parts.append(f"{format_seconds(left)} left")
        return ", ".join(parts)


def format_seconds(seconds: float) -> str:
    """Write a time as people do: 45 s, 3 min 20 s, 2 h 5 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def _cost(block: Block) -> int:
    return len(block) * block.cell.sample_size * block.cell.n_supp
