"""Intervals of the values that a likelihood ratio test does not reject."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from spmlex._evidence.covariance import covariance_matrix
from spmlex._evidence.evidence import Estimated, Evidence, evidence_of
from spmlex._evidence.student import student_quantile
from spmlex._inference.likelihood_ratio import likelihood_ratio
from spmlex._programs.compile import compile_for_one_call
from spmlex._words.arguments import check_level
from spmlex._words.progress import list_limits, report_part
from spmlex._words.types import Scalar

_ROOT_STEPS = 12
_ROOT_TOL = 1e-4
"""On the root of the statistic, a standard normal deviate."""


def likelihood_ratio_interval(
    estimate: Estimated, level: float | int, *, verbose: bool | None = None
) -> tuple[Float[Array, " p"], Float[Array, " p"]]:
    """Return for each parameter the values that the test does not reject.

    The signed root of the statistic is nearly linear in the value, so the secant
    method needs two or three constrained fits for each limit. A limit is `nan` where
    it finds none.

    Args:
        estimate: A fit.
        level: Confidence level.
        verbose: Print a line a limit; by default where the fit was made so.

    Examples:
        >>> lower, upper = likelihood_ratio_interval(estimate, 0.95)
        >>> bool(lower[0] < estimate.theta[0] < upper[0])
        True
    """
    evidence = evidence_of("estimate", estimate).watched(verbose)
    check_level(level)
    size = evidence.theta.size
    if size == 0:
        return evidence.theta, evidence.theta
    if evidence.problem is not None:
        return _interval(evidence, jnp.asarray(level, float))
    errors = _observed_errors(evidence)
    critical = student_quantile(0.5 + 0.5 * jnp.asarray(level, float), jnp.inf)

    def limit(k: int, side: float) -> Scalar:
        wanted = _Limit(jnp.array(k), jnp.array(side), errors[k], critical)
        state = _begin(evidence, wanted)
        while _is_running(state, critical):
            state = _advance(state, evidence, wanted)
        found = _conclude(state, critical)
        if evidence.verbose:
            number = k + size * (side > 0)
            report_part(list_limits(evidence.names), number, found)
        return found

    lower, upper = (
        jnp.stack([limit(k, side) for k in range(size)]) for side in (-1.0, 1.0)
    )
    return lower, upper


def _observed_errors(evidence: Evidence) -> Float[Array, " p"]:
    given = (evidence.hessian, evidence.scores, evidence.weights)
    covariance = covariance_matrix(*given, "observed", counts=evidence.counts)
    return jnp.sqrt(jnp.diagonal(covariance))


class _Secant(NamedTuple):
    """The last two values that were tested, and the roots of their statistics."""

    before: Scalar
    at_before: Scalar
    now: Scalar
    at_now: Scalar
    num_tried: int | Int[Array, ""]


def _root(evidence: Evidence, k: Int[Array, ""], value: Scalar) -> Scalar:
    # Without a maximum there the statistic is too large: no value to go by.
    statistic, _, done = likelihood_ratio(evidence, k[None], value[None])
    return jnp.where(done, jnp.sqrt(jnp.maximum(statistic, 0.0)), jnp.nan)


class _Limit(NamedTuple):
    """Which limit is looked for: of parameter k, on a side, with its critical value."""

    k: Int[Array, ""]
    side: Scalar
    error: Scalar
    critical: Scalar


def _begin(evidence: Evidence, limit: _Limit) -> _Secant:
    k, side, error, critical = limit
    centre = evidence.theta[k]
    first = centre + side * critical * error
    return _Secant(centre, jnp.array(0.0), first, _root(evidence, k, first), 0)


def _advance(state: _Secant, evidence: Evidence, limit: _Limit) -> _Secant:
    k, side, error, critical = limit
    centre = evidence.theta[k]
    slope = (state.at_now - state.at_before) / (state.now - state.before)
    # The statistic rises away from the estimate: no step back past it.
    further = state.now + (critical - state.at_now) / slope
    # Nor so far out at once that the fit there fails.
    length = jnp.clip(side * (further - centre), 0.1 * error, 20.0 * error)
    following = centre + side * length
    at_following = _root(evidence, k, following)
    return _Secant(
        state.now, state.at_now, following, at_following, state.num_tried + 1
    )


def _is_running(state: _Secant, critical: Scalar) -> Bool[Array, ""]:
    far = jnp.abs(state.at_now - critical) > _ROOT_TOL
    return far & (state.num_tried < _ROOT_STEPS)


def _conclude(state: _Secant, critical: Scalar) -> Scalar:
    # Out of steps, but a thousandth of a standard deviate away: no reader could tell.
    close = jnp.abs(state.at_now - critical) <= 10 * _ROOT_TOL
    return jnp.where(close, state.now, jnp.nan)


@compile_for_one_call
def _interval(
    evidence: Evidence, level: Scalar
) -> tuple[Float[Array, " p"], Float[Array, " p"]]:
    critical = student_quantile(0.5 + 0.5 * level, jnp.inf)
    errors = _observed_errors(evidence)

    def limit(item: tuple[Array, Array]) -> Scalar:
        k, side = item
        given = evidence, _Limit(k, side, errors[k], critical)
        start = _begin(*given)._replace(num_tried=jnp.array(0))
        end = jax.lax.while_loop(
            lambda state: _is_running(state, critical),
            lambda state: _advance(state, *given),
            start,
        )
        found = _conclude(end, critical)
        if evidence.verbose:
            number = k + errors.size * (side > 0)
            report_part(list_limits(evidence.names), number, found)
        return found

    size = evidence.theta.size
    index = jnp.tile(jnp.arange(size), 2)
    side = jnp.repeat(jnp.array([-1.0, 1.0]), size)
    # One limit after the other: each ends after its own number of fits.
    limits: Float[Array, " k"] = jax.lax.map(limit, (index, side))
    return limits[:size], limits[size:]
