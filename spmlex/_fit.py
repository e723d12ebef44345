"""Maximise the profile likelihood over theta."""

import dataclasses
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.core import Tracer
from jaxtyping import Array, Float, Int

from spmlex._correction import CORRECTIONS, correct_iterated, correct_once
from spmlex._degenerate import grid_resolution, is_degenerate
from spmlex._design import covariance_root, normal_design
from spmlex._explain import explain_failure
from spmlex._inner import InnerSolver, get_solver
from spmlex._inputs import (
    cast_to_float64,
    conditional_likelihoods,
    read_groups,
    read_inputs,
)
from spmlex._likelihood import normalise_weights
from spmlex._newton import State, climb, judge
from spmlex._outer import OuterProblem
from spmlex._parameters import free_leaves
from spmlex._result import Fit, Optima
from spmlex._solution import raise_if_failed, result_code
from spmlex._starts import choose_start, gather_starts, number_optima
from spmlex._summary import describe_degeneracy
from spmlex._types import Data, Model, Scalar, Support, Weights

_REACH = 2.0
"""Standard deviation of random starts around an end, in observed standard errors."""


def fit(
    model0: Model,
    data: Data,
    supp: Support,
    *,
    groups: Int[Array, " n_obs"] | None = None,
    n_groups: int | None = None,
    weights: Weights | None = None,
    fixed: Callable[[Any], Any] | None = None,
    starts: Sequence[Model] | Model | int | None = None,
    correction: str | None = None,
    solver: InnerSolver = "active_set",
    tol: float = 1e-7,
    max_steps: int | Int[Array, ""] = 100,
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
        starts: Further starting values. By default what `model0.starting_values(data)`
            returns, where the model has that method. A list of models, or one whose
            parameters have a leading axis; `()` for none; or a number of starts to be
            drawn around the end of the first search, as a look for other local optima.
            The fit is the end, over `model0` and all of them, with the largest
            log-likelihood minus support points with mass, unflagged ends before
            degenerate ones; `Fit.optima` reports every end.
        correction: Also compute the corrected centre: "one_step" or "iterated", see
            `spmlex/README.md`. It stands beside the estimate, in `Fit.correction` and
            in `summary`. The iterated one starts at the last of the starts given: by
            default at the model's own, where it has one.
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
    model0, data, supp = read_inputs(model0, data, supp)
    starts = cast_to_float64(starts)
    free = free_leaves(model0, fixed)
    if not any(free):
        raise ValueError(
            f"model0={type(model0).__name__} has no free floating-point array: there "
            "is nothing to estimate. Give parameters as in jnp.array([1.0, 0.5]), or "
            "free some."
        )
    n_obs = eqx.filter_eval_shape(conditional_likelihoods, model0, data, supp).shape[0]
    if groups is not None:
        groups, n_groups = read_groups(groups, n_groups, n_obs)
    if correction not in (None, *CORRECTIONS):
        raise ValueError(
            f"correction={correction!r}: choose from {', '.join(CORRECTIONS)}, or None."
        )
    if not tol > 0:
        raise ValueError(f"tol={tol}: give a positive number, such as 1e-7.")
    if not isinstance(max_steps, Tracer) and max_steps < 1:
        raise ValueError(f"max_steps={max_steps}: give 1 or more, such as 100.")
    thetas, n_random = gather_starts(model0, starts, data, free)
    problem = OuterProblem(
        model0, data, supp, groups, n_groups, free, get_solver(solver)
    )
    weights = normalise_weights(weights, n_obs)
    estimate = maximise(problem, thetas, n_random, weights, correction, tol, max_steps)
    estimate = dataclasses.replace(estimate, problem=problem)
    if throw:
        estimate = raise_if_failed(
            estimate, estimate.result, lambda: explain_failure(estimate, data)
        )
        _warn_if_degenerate(estimate)
    return estimate


@eqx.filter_jit  # so that a call outside `jit` compiles once a shape, not each time
def maximise(
    problem: OuterProblem,
    thetas: Float[Array, "n_given p"],
    n_random: int,
    weights: Weights,
    correction: str | None,
    tol: float,
    max_steps: int | Int[Array, ""],
) -> Fit:
    """Search from every start and describe the end chosen; `fit` without its checks.

    Args:
        problem: What to maximise.
        thetas: The starts given.
        n_random: Number of starts to be drawn around the end of the first search.
        weights: Observation weights with sum one.
        correction: As in `fit`.
        tol: As in `fit`.
        max_steps: As in `fit`.
    """
    probs0 = problem.uniform_probs()

    def search(theta0, limit) -> tuple[State, Scalar]:
        def at(theta, probs0):
            return problem.evaluate(theta, probs0, weights)

        state = climb(at, theta0, probs0, tol, limit)
        return state, grid_resolution(problem.lclk(state.theta))

    optima = None
    if thetas.shape[0] + n_random == 1:
        state, resolution = search(thetas[0], max_steps)
    else:
        states, resolutions = _search_all(search, thetas, n_random, max_steps)
        optima = _report(states, resolutions, weights.shape[0], tol)
        state, resolution = jax.tree.map(
            lambda leaf: leaf[optima.chosen], (states, resolutions)
        )
    here = state.here
    corrected = None
    if correction == "one_step":
        corrected = correct_once(
            problem, state.theta, here.hessian, here.probs, weights
        )
    if correction == "iterated":
        corrected = correct_iterated(problem, thetas[-1], weights, tol)
    return Fit(
        model=problem.build(state.theta),
        probs=here.probs.T,
        supp=problem.supp,
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
        free=problem.free,
        optima=optima,
        correction=corrected,
    )


def _search_all(
    search: Callable[..., tuple[State, Scalar]],
    thetas: Float[Array, "n_given p"],
    n_random: int,
    max_steps: int | Int[Array, ""],
) -> tuple[State, Float[Array, " n_starts"]]:
    """Search from every start given, then from random ones around the last end.

    A start that was there before is not searched again: it gets a copy of the end.
    """
    n_given, size = thetas.shape
    same = jnp.all(thetas[:, None] == thetas, axis=2) | jnp.eye(n_given, dtype=bool)
    source = jnp.concatenate(
        [jnp.argmax(same, axis=1), jnp.arange(n_given, n_given + n_random)]
    )
    around = jnp.zeros((n_given + n_random, size))
    if n_random:
        design = normal_design(size, n_random)[:n_random]
        around = around.at[n_given:].set(_REACH * design)

    def step(carry, item):
        number, theta0, offset = item
        end, root = carry
        theta0 = jnp.where(number < n_given, theta0, end + root @ offset)
        limit = jnp.where(source[number] == number, max_steps, 0)
        state, resolution = search(theta0, limit)
        spread = covariance_root(state.here.hessian, state.here.scores.shape[0])
        fresh = (number < n_given) & (limit > 0)
        carry = (
            jnp.where(fresh, state.theta, end),
            jnp.where(fresh, spread, root),
        )
        return carry, (state, resolution)

    padded = jnp.concatenate([thetas, jnp.zeros((n_random, size))])
    items = (jnp.arange(n_given + n_random), padded, around)
    first = (thetas[0], jnp.zeros((size, size)))
    _, found = jax.lax.scan(step, first, items)
    return jax.tree.map(lambda leaf: leaf[source], found)


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
        warnings.warn(describe_degeneracy(estimate), RuntimeWarning, stacklevel=3)
