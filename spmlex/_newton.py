"""Newton's method in a trust region, over theta."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from spmlex._evaluation import Evaluation, nowhere
from spmlex._inner import CERTIFICATE_TOL
from spmlex._solution import RESULTS
from spmlex._trust_region import solve_trust_region
from spmlex._types import Scalar

_DIVERGED = 1e4
"""A parameter larger than this has run off."""

_LONG_STEP = 1e-3
"""At a maximum the next step of Newton's method is shorter, relative to theta."""

_LEAST_SHARE = 0.02
"""A step is not shortened by more than this for a mass that it would lose."""

_ONE_POINT = 0.2821
"""Width of a kernel that sees one grid point, `1 / (2 sqrt(pi))` grid steps."""


class State(NamedTuple):
    """Where the method is, and how it came there.

    The scale is the unit of each parameter, the curvature the smallest eigenvalue of
    the Hessian in these units.
    """

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
        theta0: Starting values.
        probs0: The first start for the mixing probabilities.
        tol: Largest entry of the scaled gradient at which the method has converged.
        max_steps: Limit on the number of evaluations.
        keeps_masses: End a step where, by its derivatives, a mass would be lost: beyond
            that they say nothing about the value.
    """

    def is_running(state):
        return ~state.converged & ~state.stalled & (state.num_steps < max_steps)

    def advance(state: State) -> State:
        if keeps_masses:
            state = _shorten(state)
        theta = state.theta + state.step
        guess = jnp.maximum(state.here.probs + state.here.probs_dot @ state.step, 0.0)
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
        nowhere(n_obs, theta0, probs0),
        jnp.zeros(size),
        jnp.array(0.0),
        jnp.array(1.0),
        jnp.full(size, 1e-8),
        jnp.array(0.0),
        jnp.array(0),
        jnp.array(0),
        jnp.array(0),
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
    finite = (
        jnp.isfinite(there.value)
        & jnp.all(jnp.isfinite(there.gradient))
        & jnp.all(jnp.isfinite(there.hessian))
    )
    gained = here.value - there.value
    # Where the promise is below that, the gradient must judge.
    negligible = state.promised <= noise
    before: Scalar = jnp.linalg.norm(here.gradient / state.scale)
    after: Scalar = jnp.linalg.norm(there.gradient / state.scale)
    good = jnp.where(
        negligible,
        (after < before) & (gained >= -noise),
        gained >= 1e-4 * state.promised,
    )
    accepted = (finite & good) | first
    ratio = gained / jnp.maximum(state.promised, 1e-300)
    length: Scalar = jnp.linalg.norm(state.step * state.scale)
    radius = jnp.where(accepted, state.radius, 0.25 * length)
    radius = jnp.where(accepted & (ratio < 0.25) & ~negligible, 0.5 * length, radius)
    grow = accepted & (ratio > 0.75) & (length > 0.8 * radius)
    radius = jnp.where(grow, 3.0 * radius, radius)
    radius = jnp.where(first, 1.0, radius)

    theta = jnp.where(accepted, theta, state.theta)
    now = jax.lax.cond(accepted, lambda: there, lambda: here)
    # The unit of every parameter is the root of its largest curvature so far.
    scale = jnp.maximum(state.scale, jnp.sqrt(jnp.abs(jnp.diagonal(now.hessian))))
    step, promised, curvature = solve_trust_region(
        now.gradient / scale, now.hessian / (scale[:, None] * scale), radius
    )
    flat = jnp.max(jnp.abs(now.gradient / scale)) <= tol
    converged = finite & accepted & flat & ((curvature > 0) | (promised <= noise))
    return State(
        theta,
        now,
        step / scale,
        promised,
        radius,
        scale,
        curvature,
        state.num_steps + 1,
        state.inner_steps + there.inner_steps,
        state.fallbacks + there.fell_back,
        converged,
        (radius < 1e-10) | (first & ~finite) | (jnp.max(jnp.abs(theta)) > _DIVERGED),
    )


def judge(state: State, resolution: Scalar, tol: float):
    """Turn the last state into a result code.

    Args:
        state: Where the method ended.
        resolution: Width of the kernels there, in grid steps.
        tol: As in `climb`.
    """
    here, scale = state.here, state.scale
    uncertified = (here.gap > CERTIFICATE_TOL) | (here.residual > CERTIFICATE_TOL)
    result = RESULTS.where(
        state.converged, RESULTS.successful, RESULTS.max_steps_reached
    )
    flat = jnp.max(jnp.abs(here.gradient / scale)) <= 100 * tol
    result = RESULTS.where(state.stalled & ~flat, RESULTS.stalled, result)
    result = RESULTS.where(state.stalled & flat, RESULTS.successful, result)
    succeeded = result == RESULTS.successful
    # Flat only because the curvature vanished: the next step is still a long one.
    long = jnp.max(jnp.abs(state.step) / (1.0 + jnp.abs(state.theta))) > _LONG_STEP
    result = RESULTS.where(succeeded & long, RESULTS.parameter_diverging, result)
    result = RESULTS.where(
        succeeded & (state.curvature < 1e-10), RESULTS.singular_hessian, result
    )
    result = RESULTS.where(succeeded & uncertified, RESULTS.inner_not_certified, result)
    far = jnp.max(jnp.abs(state.theta)) > _DIVERGED
    result = RESULTS.where(far, RESULTS.parameter_diverging, result)
    finite = jnp.isfinite(here.value) & jnp.all(jnp.isfinite(here.gradient))
    result = RESULTS.where(finite, result, RESULTS.non_finite)
    result = RESULTS.where(here.zero_likelihood, RESULTS.zero_likelihood, result)
    # Only the end of a failed search: a maximum may be that narrow, and is flagged.
    collapsed = ~succeeded & (resolution < _ONE_POINT)
    return RESULTS.where(collapsed, RESULTS.variance_collapsed, result)
