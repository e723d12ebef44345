"""Where the search from each start led."""

from typing import Any

from jaxtyping import Array, Bool, Float, Int

from spmlex._programs.compile import on_host
from spmlex._words.codes import RESULT_CODES
from spmlex._words.printing import Printed
from spmlex._words.table import Table
from spmlex._words.types import AnyArray


@on_host
def _count_first(xp: Any, optimum: Int[AnyArray, " n_starts"]) -> Any:
    return xp.sum(optimum == xp.arange(optimum.size))


@on_host
def _subtract(xp: Any, heights: AnyArray, atoms: AnyArray) -> Any:
    return xp.subtract(heights, atoms)


class Optima(Printed):
    """Where each start led: `model0`, then the model's own start, then the others.

    Attributes:
        theta: Where the search from each start ended.
        log_likelihood: There, nats.
        num_atoms: Support points with positive mass there, all groups together.
        flagged: Whether it looks like a degenerate maximum.
        code: Integer of the result code, as in `RESULT_CODES`.
        num_steps: Evaluations of the profile likelihood.
        optimum: Number of the local optimum: that of the first start that reached it;
            -1 where the search was not successful.
        chosen: The start whose end is the fit.
    """

    theta: Float[Array, "n_starts p"]
    log_likelihood: Float[Array, " n_starts"]
    num_atoms: Int[Array, " n_starts"]
    flagged: Bool[Array, " n_starts"]
    code: Int[Array, " n_starts"]
    num_steps: Int[Array, " n_starts"]
    optimum: Int[Array, " n_starts"]
    chosen: Int[Array, ""]

    @property
    def criterion(self) -> Float[Array, " n_starts"]:
        """Log-likelihood minus `num_atoms`, the larger the better."""
        return _subtract(self.log_likelihood, self.num_atoms)

    @property
    def num_optima(self) -> Int[Array, ""]:
        """How many distinct local optima the starts led to."""
        return _count_first(self.optimum)

    def _tabulate(self) -> Table:
        chosen = int(self.chosen)
        rows = tuple(
            (
                f"start {k}{' (chosen)' if k == chosen else ''}",
                f"{float(self.log_likelihood[k]):.4f}",
                f"{int(self.num_atoms[k])}",
                f"{int(self.num_steps[k])}",
                "" if self.optimum[k] < 0 else f"{int(self.optimum[k])}",
                RESULT_CODES[int(self.code[k])][1],
                "yes" if self.flagged[k] else "no",
            )
            for k in range(self.code.shape[0])
        )
        title = f"{len(rows)} starts, {int(self.num_optima)} local self"
        head = ("", "log-likelihood", "points", "steps", "optimum", "end", "degenerate")
        return Table(title, head, rows)
