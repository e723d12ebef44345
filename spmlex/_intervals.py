"""Confidence intervals of every kind, and the one recommended."""

from typing import TYPE_CHECKING

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from spmlex._arguments import check_choice, check_level
from spmlex._efficient_estimate import Clusters, EfficientEstimate
from spmlex._inference import COVARIANCE_KINDS
from spmlex._likelihood_ratio import likelihood_ratio_interval
from spmlex._resample import Resamples, jackknife
from spmlex._student import student_quantile

if TYPE_CHECKING:
    from spmlex._result import Fit

INTERVAL_KINDS = (
    "efficient",
    "efficient_wald",
    *COVARIANCE_KINDS,
    "jackknife",
    "likelihood_ratio",
)


class Intervals(eqx.Module):
    """Confidence intervals for theta.

    Attributes:
        centre: The estimate they belong to: the root of the efficient score or the
            maximum of the likelihood.
        standard_error: Of that estimate; `nan` for likelihood ratio intervals.
        lower: Lower limits.
        upper: Upper limits.
        degrees_of_freedom: Of Student's t distribution, to which the ratio of estimate
            and standard error is compared; infinite for the normal one.
    """

    centre: Float[Array, " p"]
    standard_error: Float[Array, " p"]
    lower: Float[Array, " p"]
    upper: Float[Array, " p"]
    degrees_of_freedom: float = eqx.field(static=True, default=float("inf"))

    @classmethod
    def symmetric(
        cls,
        centre: Float[Array, " p"],
        standard_error: Float[Array, " p"],
        level: float | int,
        degrees_of_freedom: float = float("inf"),
    ) -> "Intervals":
        """Return centre plus and minus a quantile of Student's t times the error."""
        critical = student_quantile(0.5 + 0.5 * level, degrees_of_freedom)
        margin = critical * standard_error
        limits = centre - margin, centre + margin
        return cls(centre, standard_error, *limits, degrees_of_freedom)


def make_intervals(
    estimate: "Fit",
    level: float | int,
    kind: str,
    clusters: Int[Array | np.ndarray, " _"] | None = None,
    resamples: Resamples | None = None,
) -> Intervals:
    """Return confidence intervals of one kind.

    - "efficient", the one recommended: the values that the efficient-score test does
      not reject, equation (13). Infinite where the data set no limit.
    - "efficient_wald", the cheap one: the root of the efficient score plus and minus
      the normal quantile times its standard error.
    - "observed", "opg", "sandwich": the estimate, Wald.
    - "jackknife": the estimate and the jackknife with the t quantile.
    - "likelihood_ratio": the values that a likelihood ratio test does not reject.

    Coverage and width of each kind are in `spmlex/README.md`.

    Args:
        estimate: A fit; "jackknife" needs one that is not `support="free"`.
        level: Confidence level, between 0 and 1.
        kind: One of `INTERVAL_KINDS`.
        clusters: Whole number for each observation; those with the same one may depend
            on each other.
        resamples: A jackknife of this fit; by default one of ten groups is made, or
            of as many as there are observations or clusters.

    Raises:
        ValueError: The level is not between 0 and 1, the kind is unknown, or the
            resamples are of something else.
    """
    check_level(level)
    check_choice("kind", kind, INTERVAL_KINDS, "a kind of interval")
    if resamples is not None and not isinstance(resamples, Resamples):
        raise ValueError(
            f"resamples={resamples!r}: give what `jackknife` returns for this fit."
        )
    if estimate.theta.size == 0:
        nothing = estimate.theta
        return Intervals(nothing, nothing, nothing, nothing)
    if kind == "likelihood_ratio":
        if clusters is not None:
            raise ValueError(
                "kind='likelihood_ratio' takes no clusters: it rests on independence. "
                "Use 'efficient' or 'sandwich'."
            )
        lower, upper = likelihood_ratio_interval(estimate, level)
        missing = jnp.full_like(lower, jnp.nan)
        return Intervals(estimate.theta, missing, lower, upper)
    if kind in COVARIANCE_KINDS:
        variance = jnp.diagonal(estimate.covariance(kind, clusters=clusters))
        return Intervals.symmetric(estimate.theta, jnp.sqrt(variance), level)
    if kind == "jackknife":
        if resamples is None:
            resamples = jackknife(estimate, clusters=clusters)
        errors, freedom = resamples.standard_errors, resamples.degrees_of_freedom
        return Intervals.symmetric(estimate.theta, errors, level, freedom)
    return efficient_intervals(estimate.efficient(), level, kind, clusters)


def efficient_intervals(
    found: EfficientEstimate,
    level: float | int,
    kind: str,
    clusters: Clusters = None,
) -> Intervals:
    """Return intervals of an efficient-score estimate; arguments as above."""
    make = found.wald_limits if kind == "efficient_wald" else found.score_limits
    lower, upper = make(level, clusters)
    return Intervals(found.theta, found.standard_errors(clusters), lower, upper)
