"""Profile maximum likelihood, the estimator of `spmlex`."""

import dataclasses
from typing import Any, ClassVar

import jax.numpy as jnp
from jaxtyping import Array

import spmlex
from experiments.dgp import Data, Model
from experiments.estimators.base import (
    ChosenIntervals,
    LikelihoodEstimator,
    check_counts,
    kinds_around,
)
from experiments.estimators.functionals import Reported, append_estimands
from experiments.estimators.outcome import Outcome

_BOOTSTRAP_KINDS = tuple(f"bootstrap_{kind}" for kind in spmlex.BOOTSTRAP_WEIGHTS)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Profile(ChosenIntervals, LikelihoodEstimator):
    """Profile maximum likelihood from the model's own starting values.

    Attributes:
        solver: Solver of the inner problem, as in `spmlex.fit`.
        intervals: Kinds of interval around the estimate; `EfficientScore` has those
            around its own. "bootstrap_multinomial" and "bootstrap_exponential" are
            normal intervals. The first is the one that tables show.
        n_draws: Draws of each bootstrap.
        adequacy_on: Lower end, upper end and number of points of a range on which to
            look for what any distribution on it could still gain over the fitted one;
            None: not at all. A scalar latent variable only.
    """

    offered: ClassVar[tuple[str, ...]] = (*kinds_around("maximum"), *_BOOTSTRAP_KINDS)

    intervals: tuple[str, ...] | list[str] = ("sandwich", "observed", "opg")
    n_draws: int = 200
    adequacy_on: tuple[float | int, ...] | list[float | int] | None = None

    def __post_init__(self):
        """Refuse unknown choices and a number of steps that allows no fit."""
        self.check_choices()
        if self.adequacy_on is not None:
            object.__setattr__(self, "adequacy_on", tuple(self.adequacy_on))
        check_counts(self, max_steps=1, n_draws=2)

    def estimate(self, model: Model, data: Data, supp: Any) -> Outcome:
        """Fit once; failures are codes, never exceptions."""
        fit = spmlex.fit(
            model.starting_values(data),
            data,
            supp,
            starts=(),
            solver=self.solver,
            max_steps=self.max_steps,
            throw=False,
        )
        made = self._make_intervals(fit)
        theta = Reported(
            fit.theta,
            jnp.stack([each.lower for each in made]),
            jnp.stack([each.upper for each in made]),
            jnp.stack([each.standard_error for each in made]),
        )
        return Outcome(
            *append_estimands(theta, fit, self.estimands, self.level),
            code=spmlex.result_code(fit.result),
            flagged=fit.flagged,
            gap=fit.gap,
            gradient_norm=fit.gradient_norm,
            log_likelihood=fit.log_likelihood,
            grid_ripple=fit.grid_ripple,
            adequacy=self._judge(fit, data),
            num_steps=fit.num_steps,
            num_atoms=fit.num_atoms,
            probs=fit.probs,
            supp=fit.supp,
        )

    def _judge(self, fit: spmlex.Fit, data: Data) -> Array:
        """Return what a distribution on a range could gain, nats per observation.

        With theta held it is at most the log of the largest value of the gradient
        function. The largest at points much closer than kernels are wide is that value
        to several digits; `spmlex.adequacy` proves a bound at some seconds a fit.
        """
        if self.adequacy_on is None:
            return jnp.full((), jnp.nan)
        low, high, count = self.adequacy_on
        points = jnp.linspace(low, high, int(count))
        gained = spmlex.gradient_on(fit.model, data, fit.supp, fit.probs, points)
        return jnp.maximum(jnp.log(jnp.max(gained)), 0.0)

    def _make_intervals(self, fit: spmlex.Fit) -> list[spmlex.Intervals]:
        """Return intervals of every kind."""
        made = []
        for kind in self.kinds:
            if kind in _BOOTSTRAP_KINDS:
                weights = kind.removeprefix("bootstrap_")
                draws = spmlex.bootstrap(fit, n_draws=self.n_draws, weights=weights)
                errors = draws.standard_errors
                made.append(spmlex.Intervals.symmetric(fit.theta, errors, self.level))
            else:
                made.append(fit.intervals(self.level, kind))
        return made
