"""Confidence intervals of every kind, and the one recommended."""

import dataclasses
from typing import TYPE_CHECKING

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from spmlex._correction import Correction
from spmlex._inference import COVARIANCE_KINDS, covariance_matrix
from spmlex._likelihood_ratio import likelihood_ratio_interval
from spmlex._resample import (
    Resamples,
    jackknife,
    refits_centre,
    resampled_problem,
)
from spmlex._smoothing import correct_smoothed
from spmlex._student import student_quantile

if TYPE_CHECKING:
    from spmlex._result import Fit

INTERVAL_KINDS = (
    "corrected",
    "corrected_jackknife",
    *COVARIANCE_KINDS,
    "jackknife",
    "likelihood_ratio",
)

_TOL = 1e-7
"""As the default of `fit`."""


class Intervals(eqx.Module):
    """Confidence intervals for theta.

    Attributes:
        centre: The point they are built around: the estimate or its corrected centre.
        standard_error: What they are built from; `nan` for likelihood ratio intervals.
        lower: Lower limits.
        upper: Upper limits.
    """

    centre: Float[Array, " p"]
    standard_error: Float[Array, " p"]
    lower: Float[Array, " p"]
    upper: Float[Array, " p"]

    @classmethod
    def symmetric(
        cls,
        centre: Float[Array, " p"],
        standard_error: Float[Array, " p"],
        level: float | int,
        degrees_of_freedom: float | Float[Array, " p"] = float("inf"),
    ) -> "Intervals":
        """Return centre plus and minus a quantile of Student's t times the error."""
        critical = student_quantile(0.5 + 0.5 * level, degrees_of_freedom)
        margin = critical * standard_error
        return cls(centre, standard_error, centre - margin, centre + margin)


def make_intervals(
    estimate: "Fit",
    level: float | int,
    kind: str,
    clusters: Int[Array | np.ndarray, " _"] | None = None,
    resamples: Resamples | None = None,
) -> Intervals:
    """Return confidence intervals of one kind.

    - "corrected", the one recommended: the corrected centre, smoothed unless the fit
      made another, and the mean of two variances, of the sandwich (around the smoothed
      centre the observed one where it is larger) and of the jackknife, with the t
      quantile of the degrees of freedom of Satterthwaite (1946). In small samples the
      first of the two is too small and the second noisy.
    - "corrected_jackknife", the careful one: the corrected centre and the jackknife,
      with the t quantile.
    - "observed", "opg", "sandwich": the estimate, Wald.
    - "jackknife": the estimate and the jackknife with the t quantile.
    - "likelihood_ratio": the values that a likelihood ratio test does not reject.

    All are `nan` where the search for a corrected centre did not converge. Coverage and
    width of each kind are in `spmlex/README.md`.

    Args:
        estimate: A fit; all but "observed", "opg" and "sandwich" need one on a grid.
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
    if not (isinstance(level, float | int | np.number) and 0.0 < level < 1.0):
        raise ValueError(
            f"level={level!r} is not a confidence level; give one between 0 and 1, "
            "such as 0.95."
        )
    if kind not in INTERVAL_KINDS:
        raise ValueError(
            f"kind={kind!r} is not a kind of interval. Choose from "
            f"{', '.join(INTERVAL_KINDS)}."
        )
    if kind == "likelihood_ratio":
        if clusters is not None:
            raise ValueError(
                "kind='likelihood_ratio' takes no clusters: it rests on independence. "
                "Use 'corrected' or 'sandwich'."
            )
        lower, upper = likelihood_ratio_interval(estimate, level)
        missing = jnp.full_like(lower, jnp.nan)
        return Intervals(estimate.theta, missing, lower, upper)
    centre = estimate.theta
    if kind in COVARIANCE_KINDS:
        variance = jnp.diagonal(estimate.covariance(kind, clusters=clusters))
        return Intervals.symmetric(centre, jnp.sqrt(variance), level)
    if kind == "jackknife":
        estimate = dataclasses.replace(estimate, correction=None)
    else:
        correction = corrected_centre(estimate)
        estimate = dataclasses.replace(estimate, correction=correction)
        centre = jnp.where(correction.converged, correction.theta, jnp.nan)
    if resamples is None:
        resamples = jackknife(estimate, clusters=clusters)
    elif resamples.of_centre != refits_centre(estimate):
        wanted = "the estimate" if resamples.of_centre else "the corrected centre"
        raise ValueError(
            f"resamples: kind={kind!r} needs refits of {wanted}, and these are not. "
            "Make them from the fit with or without its correction, or leave them out."
        )
    variance = jnp.diagonal(resamples.covariance)
    freedom = resamples.degrees_of_freedom
    if kind == "corrected":
        known = _known_variance(estimate, clusters)
        freedom = freedom * ((known + variance) / variance) ** 2
        variance = 0.5 * (known + variance)
    return Intervals.symmetric(centre, jnp.sqrt(variance), level, freedom)


def corrected_centre(estimate: "Fit") -> Correction:
    """Return the fit's corrected centre; the smoothed one where the fit made none."""
    if estimate.correction is not None:
        return estimate.correction
    problem = resampled_problem(estimate)
    problem = dataclasses.replace(problem, drift=None, origin=None)
    assert estimate.theta0 is not None  # as every fit on a grid has one
    given = (estimate.theta0, estimate.probs.T, estimate.weights, _TOL)
    return eqx.filter_jit(correct_smoothed)(problem, *given)


def _known_variance(
    estimate: "Fit", clusters: Int[Array | np.ndarray, " _"] | None
) -> Float[Array, " p"]:
    """Return the variance that counts as known: the noise is all the jackknife's.

    That of the sandwich; around the smoothed centre not less than the observed one.
    """
    correction = estimate.correction
    if correction is None or correction.maximum is None:
        return jnp.diagonal(estimate.covariance("sandwich", clusters=clusters))
    there = correction.maximum
    evidence = (there.hessian, there.scores, estimate.weights)
    sandwich = jnp.diagonal(covariance_matrix(*evidence, "sandwich", clusters))
    if correction.kernel is None:
        return sandwich
    observed = jnp.diagonal(covariance_matrix(*evidence, "observed"))
    return jnp.maximum(sandwich, observed)
