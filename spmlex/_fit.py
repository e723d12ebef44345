"""Maximise the profile likelihood over theta."""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Bool, Float, Int

from spmlex._derivatives import profile_derivatives
from spmlex._inner import CERTIFICATE_TOL, InnerSolver, get_solver, solve_probs
from spmlex._likelihood import normalise_weights, scale_rows
from spmlex._profile import cast_to_float64, conditional_likelihoods
from spmlex._result import Fit, split_model
from spmlex._solution import RESULTS, raise_if_failed
from spmlex._trust_region import solve_trust_region
from spmlex._types import Data, Model, Scalar, Support, Weights

_DIVERGED = 1e4


class _Evaluation(NamedTuple):
    """Everything the outer problem knows at one theta."""

    value: Scalar
    gradient: Float[Array, " p"]
    hessian: Float[Array, "p p"]
    scores: Float[Array, "n_obs p"]
    probs: Float[Array, " n_supp"]
    probs_dot: Float[Array, "n_supp p"]
    gap: Scalar
    residual: Scalar
    inner_steps: Int[Array, ""]
    fell_back: Bool[Array, ""]
    zero_likelihood: Bool[Array, ""]


class _State(NamedTuple):
    theta: Float[Array, " p"]
    here: _Evaluation
    step: Float[Array, " p"]
    promised: Scalar
    radius: Scalar
    scale: Float[Array, " p"]
    num_steps: Int[Array, ""]
    inner_steps: Int[Array, ""]
    fallbacks: Int[Array, ""]
    converged: Bool[Array, ""]
    stalled: Bool[Array, ""]


def fit(
    model0: Model,
    data: Data,
    supp: Support,
    *,
    weights: Weights | None = None,
    fixed: Callable[[Any], Any] | None = None,
    solver: InnerSolver = "active_set",
    tol: float = 1e-7,
    max_steps: int = 100,
    throw: bool = True,
) -> Fit:
    """Estimate a model: maximise the profile likelihood over theta.

    Newton's method in a trust region with the exact profile Hessian. The mixing
    probabilities are solved to a certificate at every step, from where equation (5)
    predicts them. Works under `jit` and `vmap` with `throw=False`.

    Args:
        model0: The model at the starting values; its floating-point arrays are theta.
        data: A pytree of arrays with leading axis n_obs.
        supp: Support grid: `(n_supp,)`, `(n_supp, d)` or a pytree with leading axis
            n_supp.
        weights: Nonnegative observation weights; their scale does not matter.
        fixed: Picks the leaves that keep their starting values, for example
            `lambda model: model.coef`, or several in a tuple.
        solver: Inner solver: "active_set", "interior_point", "mixsqp", "em", or an
            object.
        tol: Largest entry of the gradient at which the fit has converged, in nats per
            observation and unit of the scaled parameter (scaled by the root of the
            diagonal of the Hessian).
        max_steps: Limit on the number of evaluations.
        throw: Raise where the fit is not successful; else only say so in `result`.

    Returns:
        The fit, with its result code.

    Raises:
        ValueError: The call is wrong: the message names the argument.
        RuntimeError: Under `throw`, with the sentence of the result code.
    """
    model0, data, supp = cast_to_float64((model0, data, supp))
    free = free_leaves(model0, fixed)
    if not any(free):
        raise ValueError(
            f"model0={type(model0).__name__} has no free floating-point array: there "
            "is nothing to estimate. Store parameters as jax arrays, or free some."
        )
    n_obs = eqx.filter_eval_shape(conditional_likelihoods, model0, data, supp).shape[0]
    estimate = _maximise(
        model0,
        data,
        supp,
        normalise_weights(weights, n_obs),
        free,
        get_solver(solver),
        tol,
        max_steps,
    )
    return raise_if_failed(estimate, estimate.result) if throw else estimate


@eqx.filter_jit  # so that a call outside `jit` compiles once a shape, not each time
def _maximise(model0, data, supp, weights, free, solver, tol, max_steps) -> Fit:
    variable, constant = split_model(model0, free)
    theta0, unravel = ravel_pytree(variable)

    def build(theta):
        return eqx.combine(unravel(theta), constant)

    def evaluate(theta, probs0):
        return _evaluate(build, theta, data, supp, weights, probs0, solver)

    state = _iterate(evaluate, theta0, supp, tol, max_steps)
    here = state.here
    result = _judge(state, here, tol)
    model = build(state.theta)
    return Fit(
        model=model,
        probs=here.probs,
        supp=supp,
        theta=state.theta,
        log_likelihood=-here.value * weights.shape[0],
        gradient=here.gradient,
        hessian=here.hessian,
        scores=here.scores,
        weights=weights,
        gap=here.gap,
        residual=here.residual,
        num_steps=state.num_steps,
        inner_steps=state.inner_steps,
        fallbacks=state.fallbacks,
        num_atoms=jnp.sum(here.probs > 0),
        resolution=_grid_resolution(conditional_likelihoods(model, data, supp)),
        result=result,
        free=free,
    )


def free_leaves(model: Model, fixed: Callable[[Any], Any] | None) -> tuple[bool, ...]:
    """Return for each leaf of the model whether it belongs to theta."""
    free = jax.tree.map(eqx.is_inexact_array, model)
    if fixed is not None:
        held = fixed(model)
        several = isinstance(held, tuple | list)
        off = jax.tree.map(lambda _: False, held)
        free = eqx.tree_at(fixed, free, tuple(off) if several else off)
    return tuple(jax.tree.leaves(free))


def _evaluate(build, theta, data, supp, weights, probs0, solver) -> _Evaluation:
    lclk = conditional_likelihoods(build(theta), data, supp)
    solution = solve_probs(
        lclk, weights=weights, probs0=probs0, solver=solver, throw=False
    )

    def lclk_at(theta, columns):
        points = jax.tree.map(lambda leaf: leaf[columns], supp)
        return conditional_likelihoods(build(theta), data, points)

    slopes = profile_derivatives(lclk_at, theta, lclk, solution.probs, weights)
    return _Evaluation(
        solution.value,
        slopes.gradient,
        slopes.hessian,
        slopes.scores,
        solution.probs,
        slopes.probs_dot,
        solution.gap,
        solution.residual,
        solution.num_steps,
        solution.fell_back,
        solution.result == RESULTS.zero_likelihood,
    )


def _iterate(evaluate, theta0, supp, tol, max_steps) -> _State:
    """Run Newton's method; every pass is one evaluation, then accept or shrink."""
    n_supp = jax.tree.leaves(supp)[0].shape[0]
    size = theta0.size
    shapes = jax.eval_shape(evaluate, theta0, jnp.full(n_supp, 1.0 / n_supp))
    nowhere = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes)
    # The first pass evaluates theta0: a step of zero from a point of infinite value.
    start = _State(
        theta0,
        nowhere._replace(
            value=jnp.array(jnp.inf), probs=jnp.full(n_supp, 1.0 / n_supp)
        ),
        jnp.zeros(size),
        jnp.array(0.0),
        jnp.array(1.0),
        jnp.full(size, 1e-8),
        jnp.array(0),
        jnp.array(0),
        jnp.array(0),
        jnp.array(False),
        jnp.array(False),
    )

    def is_running(state):
        return ~state.converged & ~state.stalled & (state.num_steps < max_steps)

    def advance(state: _State) -> _State:
        theta = state.theta + state.step
        guess = jnp.maximum(state.here.probs + state.here.probs_dot @ state.step, 0.0)
        total = jnp.sum(guess)
        probs0 = jnp.where(total > 0, guess / total, state.here.probs)
        there = evaluate(theta, probs0)
        return _accept_or_shrink(state, theta, there, tol)

    return jax.lax.while_loop(is_running, advance, start)


def _accept_or_shrink(
    state: _State, theta: Float[Array, " p"], there: _Evaluation, tol: float
) -> _State:
    here = state.here
    first = state.num_steps == 0
    rounding = 1e-13 * (1.0 + jnp.abs(there.value))
    finite = (
        jnp.isfinite(there.value)
        & jnp.all(jnp.isfinite(there.gradient))
        & jnp.all(jnp.isfinite(there.hessian))
    )
    gained = here.value - there.value
    # Where the promise is below rounding, the gradient must judge.
    negligible = state.promised <= rounding
    before: Scalar = jnp.linalg.norm(here.gradient / state.scale)
    after: Scalar = jnp.linalg.norm(there.gradient / state.scale)
    good = jnp.where(
        negligible,
        (after < before) & (gained >= -rounding),
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
    now = jax.tree.map(lambda new, old: jnp.where(accepted, new, old), there, here)
    # The unit of every parameter is the root of its largest curvature so far.
    curvature = jnp.sqrt(jnp.abs(jnp.diagonal(now.hessian)))
    scale = jnp.maximum(state.scale, curvature)
    step, promised = solve_trust_region(
        now.gradient / scale, now.hessian / (scale[:, None] * scale), radius
    )
    flat = jnp.max(jnp.abs(now.gradient / scale)) <= tol
    positive = jnp.linalg.eigvalsh(now.hessian / (scale[:, None] * scale))[0] > 0
    converged = finite & accepted & flat & (positive | (promised <= rounding))
    return _State(
        theta,
        now,
        step / scale,
        promised,
        radius,
        scale,
        state.num_steps + 1,
        state.inner_steps + there.inner_steps,
        state.fallbacks + there.fell_back,
        converged,
        (radius < 1e-10) | (first & ~finite) | (jnp.max(jnp.abs(theta)) > _DIVERGED),
    )


def _judge(state: _State, here: _Evaluation, tol: float):
    """Turn the last state into a result code."""
    scale = state.scale
    values = jnp.linalg.eigvalsh(here.hessian / (scale[:, None] * scale))
    uncertified = (here.gap > CERTIFICATE_TOL) | (here.residual > CERTIFICATE_TOL)
    result = RESULTS.where(
        state.converged, RESULTS.successful, RESULTS.max_steps_reached
    )
    flat = jnp.max(jnp.abs(here.gradient / scale)) <= 100 * tol
    result = RESULTS.where(state.stalled & ~flat, RESULTS.stalled, result)
    result = RESULTS.where(state.stalled & flat, RESULTS.successful, result)
    succeeded = result == RESULTS.successful
    result = RESULTS.where(
        succeeded & (values[0] < 1e-10), RESULTS.singular_hessian, result
    )
    result = RESULTS.where(succeeded & uncertified, RESULTS.inner_not_certified, result)
    far = jnp.max(jnp.abs(state.theta)) > _DIVERGED
    result = RESULTS.where(far, RESULTS.parameter_diverging, result)
    finite = jnp.isfinite(here.value) & jnp.all(jnp.isfinite(here.gradient))
    result = RESULTS.where(finite, result, RESULTS.non_finite)
    return RESULTS.where(here.zero_likelihood, RESULTS.zero_likelihood, result)


def _grid_resolution(lclk: Float[Array, "n_obs n_supp"]) -> Scalar:
    """Return the median width of `v -> G(w_i, v)` in grid steps.

    For a normal kernel of standard deviation s on a uniform grid with spacing h the
    effective number of points `(sum_j A_ij)² / sum_j A_ij²` is `2 sqrt(pi) s / h`; the
    width returned is s / h.
    """
    scaled, _ = scale_rows(lclk)
    effective = jnp.sum(scaled, axis=1) ** 2 / jnp.sum(scaled**2, axis=1)
    return jnp.median(effective) / (2.0 * jnp.sqrt(jnp.pi))
