"""What every estimator of a study looks like: one call, an `Outcome` out."""

import dataclasses
from typing import Any, ClassVar, Literal, Protocol, runtime_checkable

import jax.numpy as jnp
from jaxtyping import Array, Float

import spmlex
from experiments.dgp import Data, Model
from experiments.estimands import Estimand
from experiments.estimators.outcome import Outcome
from spmlex._evidence.student import student_quantile

RAISED = 100
"""Result code of replications whose estimator raised an error instead of returning."""

LIKELIHOOD_KINDS = spmlex.COVARIANCE_KINDS
"""Kinds of standard error of every estimator that has a likelihood."""

GridUse = Literal["points", "range", "nothing"]
"""What an estimator uses of the support grid: its points; only the range of the latent
variable, to find starting values; or nothing."""


@runtime_checkable
class Estimator(Protocol):
    """An estimator of a study: hashable, and pure under `jax.jit`.

    Three attributes are optional: `grid_use`, a `GridUse` ("points" where absent),
    `needs_mixing`, true where `estimate` has to be given the true F as well, and a
    field `estimands`, which the study fills: `estimate` reports them behind theta.
    """

    @property
    def label(self) -> str:
        """How tables and figures call the estimator."""
        ...

    @property
    def kinds(self) -> tuple[str, ...]:
        """Kinds of standard error, in the order of the results."""
        ...

    @property
    def default_kind(self) -> str:
        """The kind that tables show."""
        ...

    def estimate(self, model: Model, data: Data, supp: Any) -> Outcome:
        """Estimate the model's parameters.

        Args:
            model: The model with NaN for parameters: only its structure may be used.
            data: The data of one replication.
            supp: Support grid, (n_supp,); a trial grid over its range, or None, for
                estimators that use no more of it.

        Returns:
            The estimate and its interval of every kind, and what else there is to
            report.
        """
        ...


def grid_use(estimator: Estimator) -> GridUse:
    """Return what an estimator uses of the support grid."""
    return getattr(estimator, "grid_use", "points")


@dataclasses.dataclass(frozen=True, kw_only=True)
class LikelihoodEstimator:
    """What estimators that search for a maximum of a likelihood share.

    Attributes:
        max_steps: Limit on the steps of the search.
        level: Confidence level of the Wald intervals.
        label: How tables and figures call the estimator.
        estimands: What to report behind theta; a study fills it in.
    """

    grid_use: ClassVar[GridUse] = "points"

    max_steps: int = 100
    level: float = 0.95
    label: str = ""
    estimands: tuple[Estimand, ...] = ()

    @property
    def kinds(self) -> tuple[str, ...]:
        """Kinds of standard error, in the order of the results."""
        return LIKELIHOOD_KINDS

    @property
    def default_kind(self) -> str:
        """The sandwich: right also where F is not what the estimator takes it for."""
        return "sandwich"


@dataclasses.dataclass(frozen=True, kw_only=True)
class ChosenIntervals:
    """What estimators share of which a study chooses the intervals.

    Attributes:
        solver: Solver of the inner problem, one of `spmlex.SOLVERS`.
        intervals: Kinds of interval, of those in `offered`. The first is the one that
            tables show.
    """

    offered: ClassVar[tuple[str, ...]] = ()

    solver: str = "active_set"
    intervals: tuple[str, ...] | list[str] = ()

    @property
    def kinds(self) -> tuple[str, ...]:
        """Kinds of interval, in the order of the results."""
        return tuple(self.intervals)

    @property
    def default_kind(self) -> str:
        """The first kind asked for."""
        return self.kinds[0]

    def check_choices(self) -> None:
        """Refuse unknown choices; make the intervals of a configuration hashable."""
        object.__setattr__(self, "intervals", tuple(self.intervals))
        if self.solver not in spmlex.SOLVERS:
            raise ValueError(
                f"solver={self.solver!r}: choose one of {', '.join(spmlex.SOLVERS)}."
            )
        if not self.intervals or set(self.intervals) - set(self.offered):
            raise ValueError(
                f"intervals={list(self.intervals)}: give at least one of "
                f"{', '.join(self.offered)}."
            )


def kinds_around(centre: str) -> tuple[str, ...]:
    """Return the kinds of interval of `spmlex` that have this centre."""
    rows = spmlex.INTERVAL_KINDS.items()
    return tuple(kind for kind, row in rows if row.centre == centre)


def check_counts(estimator: Any, **least: int) -> None:
    """Refuse settings below the least number that allows a fit, given by name."""
    for name, number in least.items():
        if getattr(estimator, name) < number:
            raise ValueError(
                f"{name}={getattr(estimator, name)}: give {number} or more."
            )


def wald_interval(
    estimate: Float[Array, " parameter"],
    standard_error: Float[Array, "*kind parameter"],
    level: float,
) -> tuple[Float[Array, "*kind parameter"], Float[Array, "*kind parameter"]]:
    """Return the limits of normal intervals, for every kind of standard error."""
    critical = student_quantile(0.5 + 0.5 * level, jnp.inf)
    return estimate - critical * standard_error, estimate + critical * standard_error
