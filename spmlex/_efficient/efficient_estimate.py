"""The estimate by the efficient score, and what its intervals need."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from spmlex._efficient.following_grid import find_near
from spmlex._efficient.score_covariance import score_covariance
from spmlex._efficient.score_equation import ScoreEquation
from spmlex._efficient.score_root import Root
from spmlex._efficient.score_search import invert_score
from spmlex._efficient.smooth_mixing import BANDWIDTHS, find_edge_mass
from spmlex._evidence.covariance import errors_of, sum_within
from spmlex._evidence.limits import HasIntervals, Intervals, tabulate
from spmlex._evidence.student import student_quantile
from spmlex._programs.compile import choose, on_host
from spmlex._support.continuum import coordinates, rows_of
from spmlex._words.arguments import check_choice, check_level, read_floats
from spmlex._words.codes import RESULTS, is_successful
from spmlex._words.inputs import number_clusters
from spmlex._words.table import Table
from spmlex._words.types import AnyArray, Model, Scalar, Support

Clusters = Int[Array | np.ndarray, " _"] | None

EFFICIENT_LABELS = {
    "efficient": "efficient score, inverted",
    "efficient_wald": "efficient score, Wald",
}
"""How tables call the kinds of interval around the root."""


@on_host
def _and_not(
    _: Any, near: Bool[AnyArray, "..."], involved: Bool[AnyArray, " p"]
) -> Any:
    return near & ~involved


_EDGE_MASS = 0.1
"""On an end of the grid: more is no thin end, nor three points of an even F."""


class EfficientEstimate(HasIntervals):
    """The root of the efficient score, with all that its intervals need.

    Attributes:
        model: The model at the estimate.
        theta: Its free parameters as one vector, in the order of `parameter_names`.
        probs: The smooth estimate of F on the grid; a column for each group.
        supp: The grid; where a parameter is `nearly_shifted`, as it lies at `theta`.
        equation: The efficient-score equation.
        root: Where the search for its root ended.
        result: Result code.
        free: Which leaves of the model are theta.
    """

    model: Model
    theta: Float[Array, " p"]
    probs: Float[Array, " n_supp *n_groups"]
    supp: Support
    equation: ScoreEquation
    root: Root
    result: RESULTS  # pyright: ignore[reportInvalidTypeForm]
    free: tuple[bool, ...] = eqx.field(static=True)

    @property
    def names(self) -> list[str]:
        """Names of the entries of `theta`: the user's, or those of the model."""
        return self.equation.problem.names

    @property
    def verbose(self) -> bool:
        """Whether what is computed from it prints its progress."""
        return self.equation.problem.verbose

    def cost(self, n_made: int) -> int:
        """Return what a search on the grid costs."""
        return self.equation.problem.cost(n_made)

    @property
    def identified(self) -> Bool[Array, " p"]:
        """Which parameters a movement of F can't take the place of.

        Where some are not, the others are estimated with these at their start.
        """
        return _and_not(True, self.root.here.directions.involved)

    @property
    def nearly_shifted(self) -> Bool[Array, " p"]:
        """Which parameters a shift or stretch of F all but takes the place of.

        As it does for the coefficient of a covariate whose mean is many times its
        standard deviation. The grid then moves along with these parameters.
        """
        here = self.root.here
        near = find_near(here.carried.remaining, here.parametric)
        return _and_not(near, here.directions.involved)

    @property
    def edge_mass(self) -> Float[Array, ""]:
        """Largest mass of F on an end of the grid, of any coordinate and group.

        Small, or F goes on where the grid does not: theta may then be off, wherever the
        score has its root. Whole numbers are labels, and have no ends.
        """
        numbers = np.array([is_number for _, is_number in coordinates(self.supp)])
        return find_edge_mass(rows_of(self.supp), self.probs, numbers)

    def describe_end(self) -> str:
        """Say why the search failed, and what to try; nothing where it did not.

        Of concrete arrays, not under `jit`.

        Examples:
            >>> efficient_estimate(model0, data, supp).describe_end()
            ''
        """
        if is_successful(self.result):
            return ""
        text = RESULTS[self.result]
        if self.result == RESULTS.max_steps_reached:
            here = self.root.here
            errors = np.asarray(here.errors(self.equation.n_obs))
            apart = np.abs(here.step) / np.where(errors > 0, errors, np.inf)
            last = int(np.argmax(np.nan_to_num(apart)))
            text = (
                "The search for the root of the efficient score did not settle: "
                f"{self.names[last]} would still move by {apart[last]:.2g} standard "
                "errors. Start closer, by a method `starting_values(data)` of the "
                "model, or give a finer grid that covers F. If it is the logarithm of "
                "a variance, the best one may be zero: hold it by `fixed=`."
            )
        if self.result == RESULTS.parameter_diverging:
            named = ", ".join(np.array(self.names)[np.asarray(self.root.runs_off)])
            return f"{text} Here: {named}."
        near = np.asarray(self.nearly_shifted)
        if not near.any():
            return text
        named = ", ".join(np.array(self.names)[near])
        return (
            f"{text} A shift of F all but takes the place of {named}: subtract the "
            "mean from its covariate, and move the grid along."
        )

    @property
    def information(self) -> Float[Array, "p p"]:
        """Efficient information, nats per observation."""
        return self.root.here.information

    @property
    def parametric_information(self) -> Float[Array, "p p"]:
        """Information with F known, nats per observation: how much F costs."""
        return self.root.here.parametric

    @property
    def bandwidth(self) -> Float[Array, "*n_groups"]:
        """Mean bandwidth of the estimate of F, in its standard deviations."""
        bandwidth = self.root.here.mixing.shares @ jnp.array(BANDWIDTHS)
        return bandwidth[0] if self.probs.ndim == 1 else bandwidth

    @property
    def scores(self) -> Float[Array, "n_obs p"]:
        """Efficient score of each observation, nats."""
        return self.root.here.scores

    def covariance(self, clusters: Clusters = None) -> Float[Array, "p p"]:
        """Return the covariance matrix of theta; `nan` where it is not identified.

        That of the sandwich, the mean product of the efficient scores and the scores on
        both sides of that of the efficient scores; a standard error is not less than
        what the efficient information says.

        Args:
            clusters: Whole number for each observation; those with the same one may
                depend on each other.
        """
        if clusters is not None:  # in words, before they are traced
            number_clusters(clusters, self.equation.weights.shape[0])
        return score_covariance(self.equation, self.root.here, clusters)

    def sum_scores(
        self, scores: Float[Array, "n_obs p"], clusters: Clusters = None
    ) -> Float[Array, "n_obs p"]:
        """Return scores weighted with mean one and summed within clusters.

        Raises:
            ValueError: `scores` has no row for each observation, or `clusters` is no
                whole number for each.
        """
        equation = self.equation
        scores = read_floats("scores", scores, "estimate.scores")
        shape = self.scores.shape
        if scores.shape != shape:
            raise ValueError(f"scores has shape {scores.shape}; give one of {shape}.")
        return sum_within(scores, equation.weights, clusters, equation.problem.counts)

    def standard_errors(self, clusters: Clusters = None) -> Float[Array, " p"]:
        """Return standard errors of theta; `nan` where it is not identified."""
        return errors_of(self.covariance(clusters))

    def wald_limits(
        self, level: float | Scalar, clusters: Clusters = None
    ) -> tuple[Float[Array, " p"], Float[Array, " p"]]:
        """Return the estimate plus and minus the normal quantile times its error.

        Raises:
            ValueError: `level` is not between 0 and 1, or `clusters` is no whole number
                for each observation.
        """
        check_level(level)
        critical = student_quantile(0.5 + 0.5 * level, float("inf"))
        margin = critical * self.standard_errors(clusters)
        margin = choose(self.identified, margin, jnp.inf)
        return self.theta - margin, self.theta + margin

    def score_limits(
        self, level: float | Scalar, clusters: Clusters = None
    ) -> tuple[Float[Array, " p"], Float[Array, " p"]]:
        """Return the least and the largest value that the score test does not reject.

        Infinite where the data set no limit, `nan` where the search for one did not
        end. Equation (13).

        Raises:
            ValueError: As `wald_limits`.
        """
        check_level(level)
        if clusters is not None:  # in words, before they are traced
            number_clusters(clusters, self.equation.weights.shape[0])
        known, errors = self.identified, self.standard_errors(clusters)
        errors = choose(known, errors, 1.0)
        critical = student_quantile(0.5 + 0.5 * level, float("inf"))
        given = (self.equation, self.root, errors, critical, clusters)
        lower, upper = invert_score(*given)
        return choose(known, lower, -jnp.inf), choose(known, upper, jnp.inf)

    def intervals(
        self,
        level: float | int = 0.95,
        kind: str | None = None,
        *,
        clusters: Clusters = None,
    ) -> Intervals:
        """Return confidence intervals with centre, standard error and names.

        Args:
            level: Confidence level, between 0 and 1.
            kind: "efficient": the values that the score test does not reject, the
                default; or "efficient_wald".
            clusters: Whole number for each observation; those with the same one may
                depend on each other.

        Raises:
            ValueError: The level or the kind do not exist, or `clusters` is no whole
                number for each observation.
        """
        kind = "efficient" if kind is None else kind
        what = "a kind of interval around an efficient-score estimate"
        check_choice("kind", kind, EFFICIENT_LABELS, what)
        limits = self.score_limits if kind == "efficient" else self.wald_limits
        lower, upper = limits(level, clusters)
        made = Intervals(self.theta, self.standard_errors(clusters), lower, upper)
        return made.named(self.names, level, EFFICIENT_LABELS[kind])

    def _tabulate(self) -> Table:
        """Return the estimate with Wald limits, which need no further search."""
        made = self.intervals(kind="efficient_wald")
        table = tabulate(made, f"{type(self.model).__name__}: efficient-score estimate")
        notes = [
            f"{float(self.equation.n_obs):.0f} observations; std. errors and intervals "
            "are Wald's: `intervals()` has the test's"
        ]
        if not is_successful(self.result):
            notes.append(f"Warning: {self.describe_end()}")
        mass, size = float(self.edge_mass), self.equation.problem.n_supp
        along = size ** (1 / len(coordinates(self.supp)))
        if mass > max(_EDGE_MASS, 3 / along):
            notes.append(
                f"Warning: {100 * mass:.2g}% of F lies on an end of the grid, beyond "
                "which it may go on: widen it"
            )
        return table._replace(notes=tuple(notes))
