"""Newton's method in a trust region, over theta.

Written here, since value, gradient and Hessian come from one evaluation, which starts
its inner problem from the mixing probabilities of the last and their derivative. The
minimisers of optimistix take no Hessian that is given and keep no state between
evaluations (its pull request 225 and issue 83).
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from spmlex._codes import RESULTS
from spmlex._evaluation import Evaluation, nowhere
from spmlex._inner import CERTIFICATE_TOL
from spmlex._trust_region import solve_trust_region
from spmlex._types import Scalar, Weights

_LONG_STEP = 1e-3
"""At a maximum the next step of Newton's method is shorter, relative to theta."""

_LEAST_SHARE = 0.02
"""A step is not shortened by more than this for a mass that it would lose."""

_NO_STEP = 1e-10
"""Steps this short, in units of the parameters, are rounding."""

_MUTE = 1e-2
"""Where a parameter runs off, scores have less than this share of the curvature."""

_FAR = 1e4
"""A search that has not ended moved a parameter further than it should, in its units,
where the curvature is less than the inverse of this share of the largest."""

_STEEP = 1e-3
"""Least unit of a parameter: what it changes the value by at this slope, in nats."""

_ONE_POINT = 0.2821
"""Width of a kernel that sees one grid point, `1 / (2 sqrt(pi))` grid steps."""


class State(NamedTuple):
    """Where the method is, and how it came there.

    The scale is the root of the largest curvature so far, the inverse unit of each
    parameter; the curvature the smallest eigenvalue of the Hessian in these units.
    `blocked` says that the last point tried was one without likelihood or derivatives.
    """

    start: Float[Array, " p"]
    theta: Float[Array, " p"]
    here: Evaluation
    step: Float[Array, " p"]
    promised: Scalar
    radius: Scalar
    scale: Float[Array, " p"]
    curvature: Scalar
    num_steps: Int[Array, ""]
    inner_steps: Int[Array, ""]
    fallbacks: Int[Array, ""]
    converged: Bool[Array, ""]
    stalled: Bool[Array, ""]
    blocked: Bool[Array, ""]


def climb(
    evaluate: Callable[..., Evaluation],
    n_obs: int,
    theta0: Float[Array, " p"],
    probs0: Float[Array, "*n_groups n_supp"],
    tol: float | Scalar,
    max_steps: int | Int[Array, ""],
    *,
    keeps_masses: bool = False,
) -> State:
    """Run Newton's method; every pass is one evaluation, then accept or shrink.

    Args:
        evaluate: Called with theta and a start for the mixing probabilities.
        n_obs: Number of observations, so that it need not be traced for its shapes.
        theta0: Starting values; there may be none, and then the method evaluates once.
        probs0: The first start for the mixing probabilities.
        tol: Largest entry of the scaled gradient at which the method has converged.
        max_steps: Limit on the number of evaluations.
        keeps_masses: End a step where, by its derivatives, a mass would be lost: beyond
            that they say nothing about the value.
    """

    def is_running(state: State) -> Bool[Array, ""]:
        return ~state.converged & ~state.stalled & (state.num_steps < max_steps)

    def advance(state: State) -> State:
        if keeps_masses:
            state = _shorten(state)
        theta = state.theta + state.step
        guess = jnp.maximum(state.here.probs + state.here.probs_dot @ state.step, 0.0)
        # Where the prediction has no mass left, those at hand are the better start.
        total = jnp.sum(guess, axis=-1, keepdims=True)
        probs0 = jnp.where(total > 0, guess / total, state.here.probs)
        there = evaluate(theta, probs0)
        return _accept_or_shrink(state, theta, there, tol)

    start = stand_at(n_obs, theta0, probs0)
    return jax.lax.while_loop(is_running, advance, start)


def stand_at(
    n_obs: int, theta0: Float[Array, " p"], probs0: Float[Array, "*n_groups n_supp"]
) -> State:
    """Return the state before the first pass.

    That evaluates theta0: a step of zero from a point of infinite value.
    """
    size = theta0.size
    return State(
        theta0,
        theta0,
        nowhere(n_obs, theta0, probs0),
        jnp.zeros(size),
        jnp.array(0.0),
        jnp.array(1.0),
        jnp.zeros(size),
        jnp.array(0.0),
        jnp.array(0),
        jnp.array(0),
        jnp.array(0),
        jnp.array(False),
        jnp.array(False),
        jnp.array(False),
    )


def _shorten(state: State) -> State:
    """End the step where the first mass reaches zero, and promise what is left."""
    here = state.here
    change = here.probs_dot @ state.step
    lost = (here.probs > 0) & (here.probs + change < 0)
    shares = jnp.where(lost, here.probs / jnp.where(lost, -change, 1.0), 1.0)
    share = jnp.maximum(jnp.min(shares), _LEAST_SHARE)
    step = share * state.step
    promised = -(here.gradient @ step) - 0.5 * step @ here.hessian @ step
    # The whole step's promise, where that was rounded up to nothing, stays.
    promised = jnp.where(share < 1.0, jnp.maximum(promised, 0.0), state.promised)
    return state._replace(step=step, promised=promised)


def _accept_or_shrink(
    state: State, theta: Float[Array, " p"], there: Evaluation, tol: float | Scalar
) -> State:
    here = state.here
    first = state.num_steps == 0
    # Values are known up to rounding and up to what the inner solve leaves.
    noise = 1e-13 * (1.0 + jnp.abs(there.value))
    noise = noise + jnp.clip(there.gap, 0.0, CERTIFICATE_TOL)
    finite = _is_finite(there)
    gained = here.value - there.value
    # Where the promise is below that, the gradient must judge.
    negligible = state.promised <= noise
    scale = _units(state.scale, here.gradient)
    before: Scalar = jnp.linalg.norm(here.gradient / scale)
    after: Scalar = jnp.linalg.norm(there.gradient / scale)
    good = jnp.where(
        negligible,
        (after < before) & (gained >= -noise),
        gained >= 1e-4 * state.promised,
    )
    accepted = (finite & good) | first
    ratio = gained / jnp.maximum(state.promised, 1e-300)
    length: Scalar = jnp.linalg.norm(state.step * scale)
    radius = jnp.where(accepted, state.radius, 0.25 * length)
    radius = jnp.where(accepted & (ratio < 0.25) & ~negligible, 0.5 * length, radius)
    grow = accepted & (ratio > 0.75) & (length > 0.8 * radius)
    radius = jnp.where(grow, 3.0 * radius, radius)
    radius = jnp.where(first, 1.0, radius)

    theta = jnp.where(accepted, theta, state.theta)
    now = jax.lax.cond(accepted, lambda: there, lambda: here)
    largest = jnp.maximum(state.scale, _curvature_roots(now))
    scale = _units(largest, now.gradient)
    step, promised, curvature = solve_trust_region(
        now.gradient / scale, now.hessian / (scale[:, None] * scale), radius
    )
    flat = _scaled_gradient(now, largest) <= tol
    converged = finite & accepted & flat & ((curvature > 0) | (promised <= noise))
    return State(
        state.start,
        theta,
        now,
        step / scale,
        promised,
        radius,
        largest,
        curvature,
        state.num_steps + 1,
        state.inner_steps + there.inner_steps,
        state.fallbacks + there.fell_back,
        converged,
        (radius < 1e-10) | (first & ~finite),
        ~finite,
    )


def _is_finite(there: Evaluation) -> Bool[Array, ""]:
    return (
        jnp.isfinite(there.value)
        & jnp.all(jnp.isfinite(there.gradient))
        & jnp.all(jnp.isfinite(there.hessian))
    )


def _curvature_roots(here: Evaluation) -> Float[Array, " p"]:
    return jnp.sqrt(jnp.abs(jnp.diagonal(here.hessian)))


def _units(
    roots: Float[Array, " p"], gradient: Float[Array, " p"]
) -> Float[Array, " p"]:
    """Return what theta is multiplied by, so that its units do not matter.

    The roots of curvatures; where there is next to none, what the gradient is measured
    in, and one where there is no gradient either: nothing is known of its units.
    """
    units = jnp.maximum(roots, _STEEP * jnp.abs(gradient))
    return jnp.where(units > 0, units, 1.0)


def _scaled_gradient(here: Evaluation, largest: Float[Array, " p"]) -> Scalar:
    """Return the largest entry of the gradient in units of the curvature there.

    Not of the largest curvature so far, which can be many times that at the maximum. It
    counts only where the curvature is rounding beside it.
    """
    roots = jnp.maximum(_curvature_roots(here), 1e-8 * largest)
    units = jnp.where(roots > 0, roots, 1.0)
    return jnp.max(jnp.abs(here.gradient / units), initial=0.0)


def judge(state: State, weights: Weights, resolution: Scalar, tol: float):
    """Turn the last state into a result code.

    Args:
        state: Where the method ended.
        weights: Observation weights with sum one.
        resolution: Width of the kernels there, in grid steps.
        tol: As in `climb`.
    """
    here = state.here
    uncertified = (here.gap > CERTIFICATE_TOL) | (here.residual > CERTIFICATE_TOL)
    result = RESULTS.where(
        state.converged, RESULTS.successful, RESULTS.max_steps_reached
    )
    flat = _scaled_gradient(here, state.scale) <= 100 * tol
    stuck = RESULTS.where(state.blocked, RESULTS.non_finite, RESULTS.stalled)
    result = RESULTS.where(state.stalled & ~flat, stuck, result)
    result = RESULTS.where(state.stalled & flat, RESULTS.successful, result)
    succeeded = result == RESULTS.successful
    diverging = jnp.where(succeeded, _runs_off(state, weights), _went_far(state))
    result = RESULTS.where(diverging, RESULTS.parameter_diverging, result)
    # Where a single parameter runs off, the Hessian need not be singular, nor the
    # other way round; where both is the case, what was flat from the start decides.
    singular = succeeded & _is_singular(here) & ~(diverging & jnp.any(_is_flat(state)))
    result = RESULTS.where(singular, RESULTS.singular_hessian, result)
    result = RESULTS.where(succeeded & uncertified, RESULTS.inner_not_certified, result)
    result = RESULTS.where(_is_finite(here), result, RESULTS.non_finite)
    result = RESULTS.where(here.zero_likelihood, RESULTS.zero_likelihood, result)
    # Only the end of a failed search: a maximum may be that narrow, and is flagged.
    collapsed = ~succeeded & (resolution < _ONE_POINT)
    return RESULTS.where(collapsed, RESULTS.variance_collapsed, result)


def _is_singular(here: Evaluation) -> Bool[Array, ""]:
    """Tell whether the Hessian, scaled to a unit diagonal, is not positive definite."""
    if here.gradient.size == 0:
        return jnp.array(False)
    roots = _curvature_roots(here)
    units = jnp.where(roots > 0, roots, 1.0)
    values = jnp.linalg.eigvalsh(here.hessian / (units[:, None] * units))
    return values[0] < 1e-10


def _runs_off(state: State, weights: Weights) -> Bool[Array, ""]:
    """Tell whether the gradient vanished only because the likelihood became flat.

    As where a binary outcome is predicted without error. Then the next step is still a
    long one, and the scores say why: at a maximum they add up to zero, and their
    variance is about the curvature (the information equality); on the way to infinity
    each of them vanishes, and its square before the curvature does. Both are free of
    units.
    """
    step = state.step
    shortest = _LONG_STEP * jnp.abs(state.theta) + _NO_STEP / _units(
        state.scale, state.here.gradient
    )
    is_long = jnp.any(jnp.abs(step) > shortest)
    variance = weights @ (state.here.scores @ step) ** 2
    return is_long & (variance < _MUTE * (step @ state.here.hessian @ step))


def _went_far(state: State) -> Bool[Array, ""]:
    """Tell whether a search without end led far away, to where it is flat."""
    moved = jnp.abs(state.theta - state.start) * state.scale
    return jnp.any((moved > _FAR) & _is_flat(state))


def _is_flat(state: State) -> Bool[Array, " p"]:
    """Tell in which parameters next to nothing is left of the curvature."""
    return jnp.abs(jnp.diagonal(state.here.hessian)) * _FAR < state.scale**2
