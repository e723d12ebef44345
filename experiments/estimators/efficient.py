"""The efficient score of theta, F unrestricted: an equation, not a maximum."""

import dataclasses
from typing import Any, ClassVar

import jax.numpy as jnp
import jax.scipy as jsp

import spmlex
from experiments.dgp import Data, Model
from experiments.estimands import Estimand
from experiments.estimators.base import (
    ChosenIntervals,
    GridUse,
    check_counts,
    kinds_around,
)
from experiments.estimators.functionals import Reported, append_estimands
from experiments.estimators.outcome import Outcome

_INTERVALS = kinds_around("efficient")


@dataclasses.dataclass(frozen=True, kw_only=True)
class EfficientScore(ChosenIntervals):
    """The root of the efficient score, from the model's own starting values.

    Intervals are reported as they come, whatever the result code: an infinite limit is
    one that the data do not set.

    Attributes:
        solver: Solver of the inner problem, as in `spmlex.efficient_estimate`.
        n_draws: Draws from the model for each group.
        intervals: "efficient", which inverts the score test, "efficient_wald", or both.
            The first is the one that tables show.
        level: Confidence level of the intervals.
        label: How tables and figures call the estimator.
        estimands: What to report behind theta; a study fills it in.
    """

    grid_use: ClassVar[GridUse] = "points"
    offered: ClassVar[tuple[str, ...]] = _INTERVALS

    n_draws: int = 2048
    intervals: tuple[str, ...] | list[str] = _INTERVALS
    level: float = 0.95
    label: str = ""
    estimands: tuple[Estimand, ...] = ()

    def __post_init__(self):
        """Refuse unknown choices and a number of draws that allows no projection."""
        self.check_choices()
        check_counts(self, n_draws=2)

    def estimate(self, model: Model, data: Data, supp: Any) -> Outcome:
        """Solve the equation once; failures are codes, never exceptions."""
        found = spmlex.efficient_estimate(
            model.starting_values(data),
            data,
            supp,
            solver=self.solver,  # pyright: ignore[reportArgumentType]
            n_draws=self.n_draws,
            throw=False,
        )
        rows = [spmlex.INTERVAL_KINDS[kind] for kind in self.kinds]
        made = [row.make(found, self.level, None, None) for row in rows]
        lclk = found.model.lclk(data, found.supp)
        mixture = jsp.special.logsumexp(lclk, axis=1, b=found.probs)
        theta = Reported(
            found.theta,
            jnp.stack([each.lower for each in made]),
            jnp.stack([each.upper for each in made]),
            jnp.stack([each.standard_error for each in made]),
        )
        return Outcome(
            *append_estimands(theta, found, self.estimands, self.level),
            code=spmlex.result_code(found.result),
            gradient_norm=jnp.max(jnp.abs(found.root.here.mean)),
            log_likelihood=jnp.sum(mixture),
            grid_ripple=jnp.nan,
            adequacy=jnp.nan,
            num_steps=found.root.num_steps,
            num_atoms=jnp.sum(found.probs > 0),
            probs=found.probs,
            supp=found.supp,
        )
