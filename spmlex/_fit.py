"""Maximise the profile likelihood over theta."""

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.core import Tracer
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, Int

from spmlex._evaluation import evaluate, evaluate_groups, grid_resolution
from spmlex._inner import InnerSolver, get_solver
from spmlex._likelihood import normalise_weights
from spmlex._newton import State, climb, judge
from spmlex._profile import cast_to_float64, conditional_likelihoods, count_groups
from spmlex._result import Fit, Optima, is_degenerate, split_model
from spmlex._solution import raise_if_failed, result_code
from spmlex._starts import choose_start, number_optima, stack_starts
from spmlex._types import Data, Model, Scalar, Support, Weights


def fit(
    model0: Model,
    data: Data,
    supp: Support,
    *,
    groups: Int[Array, " n_obs"] | None = None,
    n_groups: int | None = None,
    weights: Weights | None = None,
    fixed: Callable[[Any], Any] | None = None,
    starts: Sequence[Model] | Model = (),
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
            A consistent start, such as `model.starting_values(data)` where the model
            has one, matters more than many starts.
        data: A pytree of arrays with leading axis n_obs.
        supp: Support grid: `(n_supp,)`, `(n_supp, d)` or a pytree with leading axis
            n_supp.
        groups: Group of each observation, `0 .. n_groups - 1`: each group has a mixing
            distribution of its own on the common grid.
        n_groups: Number of groups; needed only where `groups` is traced.
        weights: Nonnegative observation weights; their scale does not matter.
        fixed: Picks the leaves that keep their values in `model0`, for example
            `lambda model: model.coef`, or several in a tuple.
        starts: Further starting values: a list of models, or one whose parameters have
            a leading axis. The fit is the end, over `model0` and all of them, with the
            largest log-likelihood minus support points with mass, unflagged ends before
            degenerate ones; `Fit.optima` reports every end.
        solver: Inner solver: "active_set", "interior_point", "mixsqp", "em", or an
            object.
        tol: Largest entry of the gradient at which the fit has converged, in nats per
            observation and unit of the scaled parameter (scaled by the root of the
            diagonal of the Hessian).
        max_steps: Limit on the number of evaluations from each start.
        throw: Raise where the fit is not successful, and warn of a degenerate maximum;
            else only say so in `result` and `flagged`.

    Returns:
        The fit, with its result code.

    Raises:
        ValueError: The call is wrong: the message names the argument.
        RuntimeError: Under `throw`, with the sentence of the result code.
    """
    model0, data, supp, starts = cast_to_float64((model0, data, supp, starts))
    free = free_leaves(model0, fixed)
    if not any(free):
        raise ValueError(
            f"model0={type(model0).__name__} has no free floating-point array: there "
            "is nothing to estimate. Store parameters as jax arrays, or free some."
        )
    n_obs = eqx.filter_eval_shape(conditional_likelihoods, model0, data, supp).shape[0]
    if groups is not None:
        n_groups = count_groups(groups, n_groups, n_obs)
    estimate = _maximise(
        model0,
        stack_starts(model0, starts, free),
        data,
        supp,
        normalise_weights(weights, n_obs),
        groups,
        n_groups,
        free,
        get_solver(solver),
        tol,
        max_steps,
    )
    if throw:
        estimate = raise_if_failed(estimate, estimate.result)
        _warn_if_degenerate(estimate)
    return estimate


@eqx.filter_jit  # so that a call outside `jit` compiles once a shape, not each time
def _maximise(
    model0, thetas, data, supp, weights, groups, n_groups, free, solver, tol, max_steps
) -> Fit:
    variable, constant = split_model(model0, free)
    _, unravel = ravel_pytree(variable)
    n_supp = jax.tree.leaves(supp)[0].shape[0]

    def build(theta):
        return eqx.combine(unravel(theta), constant)

    def lclk_at(theta, columns):
        points = jax.tree.map(lambda leaf: leaf[columns], supp)
        return conditional_likelihoods(build(theta), data, points)

    def at(theta, probs0):
        lclk = conditional_likelihoods(build(theta), data, supp)
        if groups is None:
            return evaluate(lclk_at, theta, lclk, weights, probs0, solver)
        return evaluate_groups(lclk_at, theta, lclk, weights, groups, probs0, solver)

    def search(theta0) -> tuple[State, Scalar]:
        shape = (n_supp,) if groups is None else (n_groups, n_supp)
        state = climb(at, theta0, jnp.full(shape, 1.0 / n_supp), tol, max_steps)
        lclk = conditional_likelihoods(build(state.theta), data, supp)
        return state, grid_resolution(lclk)

    optima = None
    if thetas.shape[0] == 1:
        state, resolution = search(thetas[0])
    else:
        states, resolutions = jax.lax.map(search, thetas)
        optima = _report(states, resolutions, weights.shape[0], tol)
        state, resolution = jax.tree.map(
            lambda leaf: leaf[optima.chosen], (states, resolutions)
        )
    here = state.here
    return Fit(
        model=build(state.theta),
        probs=here.probs.T,
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
        resolution=resolution,
        result=judge(state, resolution, tol),
        free=free,
        optima=optima,
    )


def _report(
    states: State, resolution: Float[Array, " n_starts"], n_obs: int, tol: float
) -> Optima:
    """Describe the end of every search and choose among them."""
    heights = -states.here.value * n_obs
    atoms = jnp.sum(states.here.probs > 0, axis=tuple(range(1, states.here.probs.ndim)))
    flagged = jax.vmap(is_degenerate)(
        jnp.swapaxes(states.here.probs, 1, -1), resolution
    )
    code = jax.vmap(lambda state, width: result_code(judge(state, width, tol)))(
        states, resolution
    )
    return Optima(
        theta=states.theta,
        log_likelihood=heights,
        num_atoms=atoms,
        flagged=flagged,
        code=code,
        num_steps=states.num_steps,
        optimum=number_optima(states.theta, states.scale, code),
        chosen=choose_start(heights, atoms, flagged, code),
    )


def _warn_if_degenerate(estimate: Fit) -> None:
    flagged = estimate.flagged
    if not isinstance(flagged, Tracer) and bool(flagged):
        from spmlex._summary import describe_degeneracy

        warnings.warn(describe_degeneracy(estimate), RuntimeWarning, stacklevel=3)


def free_leaves(model: Model, fixed: Callable[[Any], Any] | None) -> tuple[bool, ...]:
    """Return for each leaf of the model whether it belongs to theta."""
    free = jax.tree.map(eqx.is_inexact_array, model)
    if fixed is not None:
        held = fixed(model)
        several = isinstance(held, tuple | list)
        off = jax.tree.map(lambda _: False, held)
        free = eqx.tree_at(fixed, free, tuple(off) if several else off)
    return tuple(jax.tree.leaves(free))
