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

from spmlex._climb.lost_masses import keep_masses
from spmlex._climb.trust_region import solve_trust_region
from spmlex._inner import CERTIFICATE_TOL
from spmlex._profile.evaluation import Evaluation, nowhere
from spmlex._words.progress import STEPS, report
from spmlex._words.types import Scalar

_STEEP = 1e-3
"""Least unit of a parameter: what it changes the value by at this slope, in nats."""


class State(NamedTuple):
    """Where the method is, and how it came there.

    The scale is the root of the largest curvature so far, the inverse unit of each
    parameter (of the place of an atom at a mass of one); the curvature the smallest
    eigenvalue of the Hessian in these units. `blocked` says that the last point tried
    was one without likelihood or derivatives.
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
    atoms_move: bool = False,
    watch: str = "",
) -> State:
    """Run Newton's method; every pass is one evaluation, then accept or shrink.

    Args:
        evaluate: Called with theta and a start for the mixing probabilities.
        n_obs: Number of observations, so that it need not be traced for its shapes.
        theta0: Starting values; there may be none, and then the method evaluates once.
        probs0: The first start for the mixing probabilities.
        tol: Largest entry of the scaled gradient at which the method has converged.
        max_steps: Limit on the number of evaluations.
        atoms_move: Whether theta has the places of atoms, which may lose their mass:
            evaluations then have a `response`, and no step makes a mass negative.
        watch: What the search is called, to print a line a step; empty: none.
    """

    def is_running(state: State) -> Bool[Array, ""]:
        return ~state.converged & ~state.stalled & (state.num_steps < max_steps)

    def advance(state: State) -> State:
        change = state.here.probs_dot @ state.step
        if atoms_move:
            scale = units_of(state.scale, state.here.gradient)
            given = (state.here, state.step, state.promised, scale, state.radius)
            step, promised, change = keep_masses(*given)
            state = state._replace(step=step, promised=promised)
        theta = state.theta + state.step
        guess = jnp.maximum(state.here.probs + change, 0.0)
        # Where the prediction has no mass left, those at hand are the better start.
        total = jnp.sum(guess, axis=-1, keepdims=True)
        probs0 = jnp.where(total > 0, guess / total, state.here.probs)
        there = evaluate(theta, probs0)
        after = _accept_or_shrink(state, theta, there, tol)
        if watch:
            _report_step(watch, after)
        return after

    # The start is evaluated by the first pass, not before the loop: the model and the
    # inner solver, most of what there is to compile, stand in the program once.
    start = stand_at(n_obs, theta0, probs0, atoms_move=atoms_move)
    return jax.lax.while_loop(is_running, advance, start)


def _report_step(watch: str, state: State) -> None:
    here = state.here
    slope = scaled_gradient(here, state.scale)
    atoms = jnp.sum(here.probs > 0)
    numbers = (state.num_steps, here.value, slope, state.radius, atoms)
    report(watch, STEPS, *numbers)


def stand_at(
    n_obs: int,
    theta0: Float[Array, " p"],
    probs0: Float[Array, "*n_groups n_supp"],
    *,
    atoms_move: bool = False,
) -> State:
    """Return the state before the first pass.

    That evaluates theta0: a step of zero from a point of infinite value.
    """
    size = theta0.size
    return State(
        theta0,
        theta0,
        nowhere(n_obs, theta0, probs0, atoms_move=atoms_move),
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


def _accept_or_shrink(
    state: State, theta: Float[Array, " p"], there: Evaluation, tol: float | Scalar
) -> State:
    here = state.here
    first = state.num_steps == 0
    # Values are known up to rounding and up to what the inner solve leaves.
    noise = 1e-13 * (1.0 + jnp.abs(there.value))
    noise = noise + jnp.clip(there.gap, 0.0, CERTIFICATE_TOL)
    finite = is_finite(there)
    gained = here.value - there.value
    # Where the promise is below that, the gradient must judge.
    negligible = state.promised <= noise
    scale = units_of(state.scale, here.gradient)
    before: Scalar = jnp.linalg.norm(here.gradient / scale)
    after: Scalar = jnp.linalg.norm(there.gradient / scale)
    # Within the noise values decide nothing: there the gradient has to shrink.
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
    # A larger radius is of use only where this one held the step back.
    grow = accepted & (ratio > 0.75) & (length > 0.8 * radius)
    radius = jnp.where(grow, 3.0 * radius, radius)
    # No step led to the first point: it says nothing of the radius.
    radius = jnp.where(first, 1.0, radius)

    theta = jnp.where(accepted, theta, state.theta)
    # `cond`, not `where`: one evaluation is kept, not two copied entry by entry.
    now = jax.lax.cond(accepted, lambda: there, lambda: here)
    roots = curvature_roots(now) if now.roots is None else now.roots
    largest = jnp.maximum(state.scale, roots)
    scale = units_of(largest, now.gradient)
    step, promised, curvature = solve_trust_region(
        now.gradient / scale, now.hessian / (scale[:, None] * scale), radius
    )
    flat = scaled_gradient(now, largest) <= tol
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


def is_finite(there: Evaluation) -> Bool[Array, ""]:
    """Tell whether value, gradient and Hessian are."""
    return (
        jnp.isfinite(there.value)
        & jnp.all(jnp.isfinite(there.gradient))
        & jnp.all(jnp.isfinite(there.hessian))
    )


def curvature_roots(here: Evaluation) -> Float[Array, " p"]:
    """Return the roots of the Hessian's diagonal, signs dropped."""
    return jnp.sqrt(jnp.abs(jnp.diagonal(here.hessian)))


def units_of(
    roots: Float[Array, " p"], gradient: Float[Array, " p"]
) -> Float[Array, " p"]:
    """Return what theta is multiplied by, so that its units do not matter.

    The roots of curvatures; where there is next to none, what the gradient is measured
    in, and one where there is no gradient either: nothing is known of its units.
    """
    units = jnp.maximum(roots, _STEEP * jnp.abs(gradient))
    return jnp.where(units > 0, units, 1.0)


def scaled_gradient(here: Evaluation, largest: Float[Array, " p"]) -> Scalar:
    """Return the largest entry of the gradient in units of the curvature there.

    Not of the largest curvature so far, which can be many times that at the maximum. It
    counts only where the curvature is rounding beside it.
    """
    roots = jnp.maximum(curvature_roots(here), 1e-8 * largest)
    units = jnp.where(roots > 0, roots, 1.0)
    return jnp.max(jnp.abs(here.gradient / units), initial=0.0)
