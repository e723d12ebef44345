"""Maximise on a grid from every start, and choose among the local optima."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from spmlex._correction import correct_iterated, correct_once
from spmlex._degenerate import grid_resolution, is_degenerate
from spmlex._design import covariance_root, normal_design
from spmlex._newton import State, climb, judge
from spmlex._outer import OuterProblem
from spmlex._result import Fit, Optima
from spmlex._solution import result_code
from spmlex._starts import choose_start, number_optima
from spmlex._types import Scalar, Weights

REACH = 2.0
"""Standard deviation of random starts around an end, in observed standard errors."""

_ROUNDING = 1e-9
"""Starts no further apart, relative to their size, are one computed in two ways."""


@eqx.filter_jit  # so that a call outside `jit` compiles once a shape, not each time
def maximise_on_grid(
    problem: OuterProblem,
    thetas: Float[Array, "n_given p"],
    n_random: int,
    weights: Weights,
    correction: str | None,
    tol: float,
    max_steps: int | Int[Array, ""],
) -> Fit:
    """Search from every start, and return the end that `choose_start` prefers.

    Args:
        problem: The outer problem, with its grid.
        thetas: Starts, the last one consistent where any is.
        n_random: Further starts to be drawn around the last end.
        weights: Observation weights with sum one.
        correction: "one_step", "iterated" or `None`, as in `fit`.
        tol: As in `fit`.
        max_steps: As in `fit`.
    """
    probs0 = problem.uniform_probs()

    def search(theta0, limit) -> tuple[State, Scalar]:
        def at(theta, probs0):
            return problem.evaluate(theta, probs0, weights)

        state = climb(at, weights.size, theta0, probs0, tol, limit)
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
    apart = jnp.abs(thetas[:, None] - thetas)
    same = jnp.all(apart <= _ROUNDING * (1.0 + jnp.abs(thetas)), axis=2)
    same = same | jnp.eye(n_given, dtype=bool)
    source = jnp.concatenate(
        [jnp.argmax(same, axis=1), jnp.arange(n_given, n_given + n_random)]
    )
    around = jnp.zeros((n_given + n_random, size))
    if n_random:
        design = normal_design(size, n_random)[:n_random]
        around = around.at[n_given:].set(REACH * design)

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
