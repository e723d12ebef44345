"""The efficient score of theta, F unrestricted: an equation, not a maximum."""

import dataclasses
from typing import Any, ClassVar

import jax.numpy as jnp
import jax.scipy as jsp
from jaxtyping import Array

import spmlex
from experiments.dgp import Data, Model
from experiments.estimators.base import GridUse, check_counts

KINDS = ("efficient", "efficient_wald")


@dataclasses.dataclass(frozen=True, kw_only=True)
class EfficientScore:
    """The root of the efficient score, from the model's own starting values.

    Intervals are reported as they come, whatever the result code: an infinite limit is
    one that the data do not set.

    Attributes:
        solver: Solver of the inner problem, as in `spmlex.efficient_estimate`.
        n_draws: Draws from the model for each group.
        intervals: "efficient", which inverts the score test, or "efficient_wald". The
            first is the one that tables show.
        level: Confidence level of the intervals.
        label: How tables and figures call the estimator.
    """

    grid_use: ClassVar[GridUse] = "points"

    solver: str = "active_set"
    n_draws: int = 2048
    intervals: tuple[str, ...] | list[str] = KINDS
    level: float = 0.95
    label: str = ""

    def __post_init__(self):
        """Refuse unknown choices and a number of draws that allows no projection."""
        object.__setattr__(self, "intervals", tuple(self.intervals))
        if self.solver not in spmlex.SOLVERS:
            raise ValueError(
                f"solver={self.solver!r}: choose one of {', '.join(spmlex.SOLVERS)}."
            )
        if not self.intervals or set(self.intervals) - set(KINDS):
            raise ValueError(
                f"intervals={list(self.intervals)}: give at least one of "
                f"{', '.join(KINDS)}."
            )
        check_counts(self, n_draws=2)

    @property
    def kinds(self) -> tuple[str, ...]:
        """Kinds of interval, in the order of the results."""
        return tuple(self.intervals)

    @property
    def default_kind(self) -> str:
        """The first kind asked for."""
        return self.kinds[0]

    def estimate(self, model: Model, data: Data, supp: Any) -> dict[str, Array]:
        """Solve the equation once; failures are codes, never exceptions."""
        found = spmlex.efficient_estimate(
            model.starting_values(data),
            data,
            supp,
            solver=self.solver,  # pyright: ignore[reportArgumentType]
            n_draws=self.n_draws,
            throw=False,
        )
        limits = {"efficient": found.score_limits, "efficient_wald": found.wald_limits}
        made = [limits[kind](self.level) for kind in self.kinds]
        errors = found.standard_errors()
        lclk = found.model.lclk(data, supp)
        mixture = jsp.special.logsumexp(lclk, axis=1, b=found.probs)
        missing = jnp.full((), jnp.nan)
        return {
            "estimate": found.theta,
            "standard_error": jnp.stack([errors for _ in made]),
            "lower": jnp.stack([lower for lower, _ in made]),
            "upper": jnp.stack([upper for _, upper in made]),
            "code": spmlex.result_code(found.result).astype(jnp.int8),
            "flagged": jnp.zeros((), jnp.int8),
            "gap": missing,
            "gradient_norm": jnp.max(jnp.abs(found.root.here.mean)),
            "log_likelihood": jnp.sum(mixture),
            "num_steps": found.root.num_steps.astype(jnp.int32),
            "num_atoms": jnp.sum(found.probs > 0).astype(jnp.int32),
            "probs": found.probs,
            "supp": supp,
            "grid_ripple": missing,
            "adequacy": missing,
        }
