"""One cell: what is done, how precise it is, and what it still needs.

With a target, a cell ends at the first multiple of the block size, 200 at least, at
which its first replications meet it. That depends on the absolute replication numbers
only, not on the order in which blocks get done, so a resumed or parallel run ends
where any other does.
"""

import math
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from analysis.measures.formulas import Z, covers, error_of_root, wilson_interval
from experiments.study import Cell, Design

MIN_REPLICATIONS = 200
"""The fewest with a target: below, the precision itself is too uncertain."""

Errors = Float[np.ndarray, "replication parameter"]


class Record:
    """One cell's replications, as far as precision needs them.

    Attributes:
        done: By replication, whether it was attempted.
        failed: How many of these have a code other than 0.
        seconds: Time per replication of each block.
        peak_memory: Most bytes that a process held that ran a block; NaN if not known.
        halted: Why the cell was stopped early, or "".
    """

    def __init__(self, design: Design, cell: Cell):
        self._design = design
        self._truth = design.theta(cell.dgp)[1]
        estimator = design.estimators[cell.estimator]
        self._kind = estimator.kinds.index(estimator.default_kind)
        target = design.target
        self._limit = target.max_replications if target else design.n_replications
        # Only as long as what was done reaches.
        self.done = np.zeros(0, bool)
        self._errors = np.full((0, self._truth.size), np.nan)
        self._inside = np.full((0, self._truth.size), np.nan)
        self.failed = 0
        self.seconds: list[float] = []
        self.peak_memory = math.nan
        self.halted = ""
        self._known: dict[str, Any] = {}  # what follows from the counts so far

    def add(self, first: int, seconds: float, arrays: dict[str, np.ndarray]) -> None:
        """Count a block; replications beyond the study's are left out."""
        rows = slice(first, min(first + len(arrays["code"]), self._limit))
        count = rows.stop - rows.start
        if count < 1:
            return
        self._known.clear()
        self._reach(rows.stop)
        used = arrays["code"][:count] == 0
        # Each once: processes with other block sizes may have blocks that overlap.
        self.failed += int((~used & ~self.done[rows]).sum())
        self.done[rows] = True
        if np.isfinite(seconds):
            self.seconds.append(seconds / len(arrays["code"]))
        if not used.any():
            return
        theta = self._truth.size  # estimands behind it are as precise as they get
        chosen = {
            name: np.where(used[:, None], value[:count, ..., :theta], np.nan)
            for name, value in (
                ("estimate", arrays["estimate"]),
                ("lower", arrays["lower"][:, self._kind]),
                ("upper", arrays["upper"][:, self._kind]),
            )
        }
        lower, upper = chosen["lower"], chosen["upper"]
        inside = covers(lower, upper, self._truth)
        known = np.isfinite(lower) & np.isfinite(upper)
        self._errors[rows] = chosen["estimate"] - self._truth
        self._inside[rows] = np.where(known, inside, np.nan)

    def _reach(self, stop: int) -> None:
        """Make room for replications below `stop`."""
        more = stop - len(self.done)
        if more <= 0:
            return
        # A little ahead: blocks come one by one.
        more = min(max(more, len(self.done) // 2), self._limit - len(self.done))
        self.done = np.append(self.done, np.zeros(more, bool))
        lines = np.full((more, self._truth.size), np.nan)
        self._errors = np.concatenate([self._errors, lines])
        self._inside = np.concatenate([self._inside, lines])

    @property
    def attempted(self) -> int:
        """Replications done."""
        return int(self.done.sum())

    def mcse(self) -> tuple[float, float]:
        """Return both Monte Carlo standard errors over all that is done."""
        if not self.done.any():
            return math.inf, math.inf
        if "mcse" not in self._known:
            coverage, rmse = self._measure(np.array([len(self.done)]))
            self._known["mcse"] = float(coverage[0]), float(rmse[0])
        return self._known["mcse"]

    def final(self) -> int | None:
        """Return how many replications the cell gets; None if not known yet."""
        if self.halted:
            return self._prefix()
        if self._design.target is None:
            return self._limit
        if "final" not in self._known:
            self._known["final"] = self._find_end()
        return self._known["final"]

    def predict(self) -> int:
        """Return how many replications the cell will get, as far as one can tell.

        Errors shrink with the root of the number of replications; coverage with the
        share covered (Agresti and Coull's, which is never 0 or 1) over its target.
        """
        final = self.final()
        target = self._design.target
        if final is not None or target is None:
            return self._limit if final is None else final
        needed = float(self._minimum())
        if target.coverage_mcse is not None:
            n = np.isfinite(self._inside).sum(axis=0)
            share = (np.nansum(self._inside, axis=0) + 2) / (n + 4)
            variance = (share * (1 - share)).max()
            needed = max(needed, variance / target.coverage_mcse**2)
        if target.rmse_rel_mcse is not None and self.attempted > self.failed + 1:
            ratio = self.mcse()[1] / target.rmse_rel_mcse
            needed = max(needed, self.attempted * ratio**2)
        return self._round_up(min(needed, self._limit))

    def count(self) -> int:
        """Return how many replications the merged file holds, done or not."""
        final = self.final()
        if self._design.target is None:
            return self._limit
        return self._prefix() if final is None else final

    def next(self) -> int:
        """Return up to which replication blocks can be run before looking again."""
        if self.final() is not None:
            return self.predict()
        prefix = self._prefix()
        if prefix < self._minimum():
            return self._minimum()
        more = prefix + self._design.block_size
        # A prediction may be far off: never more than double what there is.
        return self._round_up(min(max(self.predict(), more), 2 * prefix))

    def missing(self, n_replications: int) -> list[tuple[int, int]]:
        """Return the ranges below `n_replications` that are not done."""
        known = self.done[:n_replications]
        if len(known) < n_replications:  # nothing beyond is done
            known = np.append(known, False)
        # Between done ones at either end every gap has two edges.
        done = np.concatenate([[True], known, [True]])
        edges = np.flatnonzero(np.diff(done.astype(int)))
        spans = [
            (int(a), int(b) - 1) for a, b in zip(edges[::2], edges[1::2], strict=True)
        ]
        # The one appended stands for all that are beyond.
        if len(known) > len(self.done):
            spans[-1] = spans[-1][0], n_replications - 1
        return spans

    def _find_end(self) -> int | None:
        prefix = self._prefix()
        size = self._design.block_size
        ends = np.arange(self._minimum(), min(prefix, self._limit - 1) + 1, size)
        if ends.size:
            met = np.flatnonzero(self._meets(*self._measure(ends)))
            if met.size:
                return int(ends[met[0]])
        return self._limit if prefix == self._limit else None

    def _prefix(self) -> int:
        # The first False; one is appended, since of True alone `argmin` is 0.
        return int(np.argmin(np.append(self.done, False)))

    def _minimum(self) -> int:
        return self._round_up(max(MIN_REPLICATIONS, self._design.n_replications))

    def _round_up(self, n: int | float) -> int:
        size = self._design.block_size
        return min(self._limit, math.ceil(n / size) * size)

    def _meets(self, coverage: np.ndarray, rmse: np.ndarray) -> np.ndarray:
        target = self._design.target
        met = np.ones(coverage.shape, bool)
        if target and target.coverage_mcse is not None:
            met &= coverage <= target.coverage_mcse
        if target and target.rmse_rel_mcse is not None:
            met &= rmse <= target.rmse_rel_mcse
        return met

    def _measure(
        self, ends: Int[np.ndarray, " end"]
    ) -> tuple[Float[np.ndarray, " end"], Float[np.ndarray, " end"]]:
        """Measure the first replications, up to each of `ends`; the worst parameter.

        Coverage: half of the Wilson interval's width over its normal quantile, which
        is above 0 also where every interval covered. RMSE: its error over itself.
        """
        stop = int(ends[-1])
        n, covered = _running(self._inside[:stop], ends)
        n_errors, squares = _running(self._errors[:stop] ** 2, ends)
        _, fourths = _running(self._errors[:stop] ** 4, ends)
        with np.errstate(divide="ignore", invalid="ignore"):
            share = covered / n
            _, half = wilson_interval(share, n)
            coverage = np.where(n > 0, half / Z, np.inf)
            mse = squares / n_errors
            # Of the mean square, with divisor n - 1; rounding may leave it negative.
            variance = np.maximum(fourths / n_errors - mse**2, 0) / (n_errors - 1)
            relative = error_of_root(np.sqrt(mse), np.sqrt(variance)) / np.sqrt(mse)
            # Where every error is zero the RMSE is known exactly, and not 0/0.
            rmse = np.where(squares > 0, relative, 0.0)
            rmse = np.where(n_errors > 1, rmse, np.inf)
        return coverage.max(axis=1), rmse.max(axis=1)


def _running(
    values: Errors, ends: Int[np.ndarray, " end"]
) -> tuple[Float[np.ndarray, "end parameter"], Float[np.ndarray, "end parameter"]]:
    """Return number and sum of the values present among the first, for each end."""
    known = np.isfinite(values)
    count = np.cumsum(known, axis=0, dtype=float)
    total = np.cumsum(np.where(known, values, 0.0), axis=0)
    return count[ends - 1], total[ends - 1]
