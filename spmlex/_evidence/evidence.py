"""What inference needs of a maximum, supplied by whatever was estimated.

Intervals, refits, tests and the delta method ask an `Evidence`, never the class of the
estimate: a fit has one, and so may any other maximum of a profile likelihood.
"""

import dataclasses
from typing import Any, Protocol, runtime_checkable

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from spmlex._inner.mixture import count_observations
from spmlex._profile.outer import OuterProblem
from spmlex._programs.compile import compile_together
from spmlex._support.degenerate import is_crowded, is_degenerate
from spmlex._words.arguments import show
from spmlex._words.codes import RESULTS
from spmlex._words.printing import Printed, write
from spmlex._words.progress import read_verbose
from spmlex._words.table import Table
from spmlex._words.types import Model, Scalar, Support, Weights


class Evidence(Printed):
    """A maximum of the profile likelihood: where it is, its height and its curvature.

    Attributes:
        model: The model there.
        theta: Its free parameters as one vector.
        probs: Mixing probabilities on `supp`; a column for each group where there are.
        supp: The support points.
        log_likelihood: Of the sample, nats.
        hessian: Of the profile value, nats per observation.
        scores: Profile score of each observation, nats.
        weights: Share of each row in the sample, sum one.
        resolution: Width of the kernels in grid steps; infinite without a grid.
        result: How the search ended.
        free: Which leaves of the model are theta.
        given: The problem on the grid that was given.
        problem: What was maximised: the same, or with points that move with theta;
            `None` where the support was free, and refits have no grid.
        moved: Whether support points with positive mass were moved off the grid;
            `None`: not tried.
        counts: How many observations each row of data stands for; `None`: one.
    """

    model: Model
    theta: Float[Array, " p"]
    probs: Float[Array, " n_supp *n_groups"]
    supp: Support
    log_likelihood: Scalar
    hessian: Float[Array, "p p"]
    scores: Float[Array, "n_obs p"]
    weights: Weights
    resolution: Scalar
    result: RESULTS  # pyright: ignore[reportInvalidTypeForm]
    free: tuple[bool, ...] = eqx.field(static=True)
    given: OuterProblem
    problem: OuterProblem | None
    moved: Bool[Array, ""] | None = None
    counts: Float[Array, " n_obs"] | None = None

    def cost(self, n_made: int) -> int:
        """Return what a search on the grid that was given costs."""
        return self.given.cost(n_made)

    @property
    def verbose(self) -> bool:
        """Whether what is computed from it prints its progress."""
        return self.given.verbose

    def watched(self, verbose: bool | None) -> "Evidence":
        """Return the same, printing the progress of what is asked of it, or not.

        Args:
            verbose: Whether; `None` leaves it as it is.

        Raises:
            ValueError: It is neither.
        """
        chosen = read_verbose(verbose, self.verbose)
        if chosen == self.verbose:
            return self
        given, problem = (
            None if each is None else dataclasses.replace(each, verbose=chosen)
            for each in (self.given, self.problem)
        )
        return dataclasses.replace(self, given=given, problem=problem)

    @property
    def evidence(self) -> "Evidence":
        """Itself, so that it can be asked for wherever an estimate can."""
        return self

    @property
    def n_obs(self) -> Array:
        """Number of observations: those of weight zero are none."""
        return count_observations(self.weights, self.counts)

    @property
    def names(self) -> list[str]:
        """Names of the entries of theta."""
        return self.given.names

    @property
    def flagged(self) -> Bool[Array, ""]:
        """Whether this looks like a degenerate maximum; see `Fit.flagged`."""
        if self.theta.size == 0:
            return jnp.array(False)
        return _is_flagged(self.probs, self.resolution, self.moved)

    def _tabulate(self) -> Table:
        pairs = zip(self.names, self.theta.tolist(), strict=True)
        rows = tuple((name, write(value)) for name, value in pairs)
        title = f"{type(self.model).__name__}: a maximum of the profile likelihood"
        return Table(title, ("", "estimate"), rows)

    def on_grid(self) -> OuterProblem:
        """Return what was maximised, which can be maximised again from here.

        Raises:
            ValueError: The support was free.
        """
        if self.problem is None:
            raise ValueError(
                "estimate: the fit is not one on a grid (its support was free to "
                "move): refit with `fit` on a grid around its atoms, or use "
                "kind='observed' or 'sandwich'."
            )
        return self.problem


@compile_together
def _is_flagged(
    probs: Float[Array, " n_supp *n_groups"],
    resolution: Scalar,
    moved: Bool[Array, ""] | None,
) -> Bool[Array, ""]:
    flagged = is_degenerate(probs, resolution)
    if moved is None:
        return flagged
    # Narrow kernels are no mark once points have moved to where they belong.
    return jnp.where(moved, is_crowded(probs, resolution), flagged)


@runtime_checkable
class Estimated(Protocol):
    """An estimate that inference can be asked for, such as a `Fit`."""

    @property
    def evidence(self) -> Evidence:
        """What inference needs of it."""
        ...


def evidence_of(name: str, estimate: Any) -> Evidence:
    """Return what inference needs of an estimate.

    Args:
        name: Of the argument that it is.
        estimate: The estimate.

    Raises:
        ValueError: It is none that a likelihood was maximised for.
    """
    if not isinstance(estimate, Estimated):
        raise ValueError(f"{name}={show(estimate)}: give what `spmlex.fit` returns.")
    return estimate.evidence
