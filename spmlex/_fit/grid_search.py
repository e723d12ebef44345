"""Maximise on a grid from every start, and choose among the local optima."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from spmlex._atoms.joint import make_joint
from spmlex._climb.newton import State, climb
from spmlex._climb.normal_points import covariance_root, normal_design
from spmlex._climb.optima import Optima
from spmlex._climb.row_profile import climb_in_blocks, resolution_in_blocks
from spmlex._climb.starts import choose_start, number_optima
from spmlex._climb.verdict import judge
from spmlex._fit.polish import polish, take_polished
from spmlex._inner import CERTIFICATE_TOL
from spmlex._inner.mixture import count_observations
from spmlex._profile.evaluation import Evaluation
from spmlex._profile.outer import OuterProblem
from spmlex._programs.compile import compile_for_one_call
from spmlex._programs.rows import Blocks, RowPlan, put_in_blocks
from spmlex._result.result import Fit
from spmlex._support.degenerate import is_crowded, is_degenerate
from spmlex._words.codes import RESULTS, result_code
from spmlex._words.types import Scalar, Weights

REACH = 2.0
"""Standard deviation of random starts around an end, in observed standard errors."""

_ROUNDING = 1e-9
"""Starts no further apart, relative to their size, are one computed in two ways."""


class _End(NamedTuple):
    """Where a search ended; with a leading axis for starts where there are several."""

    state: State
    resolution: Scalar
    result: RESULTS  # pyright: ignore[reportInvalidTypeForm]


def maximise_on_grid(
    problem: OuterProblem,
    thetas: Float[Array, "n_given p"],
    n_random: int,
    weights: Weights,
    tol: float,
    max_steps: int | Int[Array, ""],
    is_free: bool = False,
    plan: RowPlan | None = None,
) -> tuple[Fit, Float[Array, "n_supp d p"] | None]:
    """Search from every start, and return the end that `choose_start` prefers.

    Args:
        problem: The outer problem, with its grid.
        thetas: Starts.
        n_random: Further starts to be drawn around the last end.
        weights: Observation weights with sum one.
        tol: As in `fit`.
        max_steps: As in `fit`.
        is_free: Free the support at that end.
        plan: How rows are put in blocks; `None`: matrices have all.

    Returns:
        The fit, and how its support points move with theta where they do.
    """
    args = (problem, thetas, n_random, weights, tol, max_steps, is_free, plan)
    if is_free:
        return _search_and_move(*args)
    return _search(*args).fit, None


class _OnGrid(NamedTuple):
    """The maximum on a grid.

    Attributes:
        fit: The fit there.
        value: The profile value.
        blocks: The rows, where they are in blocks and needed further.
    """

    fit: Fit
    value: Scalar
    blocks: Blocks | None


def search_grid(
    problem: OuterProblem,
    thetas: Float[Array, "n_given p"],
    n_random: int,
    weights: Weights,
    tol: float,
    max_steps: int | Int[Array, ""],
    is_free: bool,
    plan: RowPlan | None,
) -> _OnGrid:
    """Search on the grid; arguments as of `maximise_on_grid`."""
    probs0 = problem.uniform_probs()
    blocks = None if plan is None else put_in_blocks(plan, problem.data, weights)
    watch = "on the grid" if problem.verbose else ""

    def search(theta0: Array, limit: int | Array) -> _End:
        def at(theta: Array, probs0: Array) -> Evaluation:
            return problem.evaluate(theta, probs0, weights)

        if blocks is None:
            state = climb(at, weights.size, theta0, probs0, tol, limit, watch=watch)
        else:
            state = climb_in_blocks(problem, blocks, theta0, probs0, tol, limit, watch)
        # A start that is not searched, being another's, needs no likelihoods.
        resolution = jax.lax.cond(
            jnp.asarray(limit > 0),
            lambda: (
                problem.resolution(state.theta, weights)
                if blocks is None
                else resolution_in_blocks(problem, blocks, state.theta, weights)
            ),
            lambda: jnp.array(jnp.inf),
        )
        return _End(state, resolution, judge(state, weights, resolution, tol))

    optima, n_obs = None, count_observations(weights, problem.counts)
    if thetas.shape[0] + n_random == 1:
        end = search(thetas[0], max_steps)
    else:
        ends, source = _search_all(search, thetas, n_random, n_obs, max_steps)
        optima = _report(ends, source, n_obs)
        end = jax.tree.map(lambda leaf: leaf[optima.chosen], ends)
    found = _make_fit(problem, weights, n_obs, end, optima)
    return _OnGrid(found, end.state.here.value, blocks if is_free else None)


def move_support(
    on_grid: _OnGrid,
    problem: OuterProblem,
    thetas: Float[Array, "n_given p"],
    n_random: int,
    weights: Weights,
    tol: float,
    max_steps: int | Int[Array, ""],
    is_free: bool,
    plan: RowPlan | None,
) -> tuple[Fit, Float[Array, "n_supp d p"]]:
    """Free the support at a maximum on the grid; its other arguments found that."""
    del thetas, n_random, is_free, plan
    found = on_grid.fit
    # A grid can stall a climb that moving atoms would not; what else failed stays.
    tries = (found.result == RESULTS.successful) | (found.result == RESULTS.stalled)
    tries &= ~is_crowded(found.probs, found.resolution) & (found.gap <= CERTIFICATE_TOL)
    joint = make_joint(problem, weights, on_grid.blocks)
    start = (found.theta, found.probs, on_grid.value)
    polished = polish(joint, *start, tries, tol, max_steps)
    return take_polished(found, joint, polished)


_search = compile_for_one_call(search_grid)
_search_and_move = compile_for_one_call(search_grid, then=move_support)


def _make_fit(
    problem: OuterProblem,
    weights: Weights,
    n_obs: Array,
    end: _End,
    optima: Optima | None,
) -> Fit:
    """Return the end of one search as a fit on the grid."""
    state, resolution, result = end
    here = state.here
    return Fit(
        model=problem.build(state.theta),
        probs=here.probs.T,
        supp=problem.supp,
        theta=state.theta,
        log_likelihood=-here.value * n_obs,
        gradient=here.gradient,
        hessian=here.hessian,
        scores=here.scores,
        weights=weights,
        counts=problem.counts,
        gap=here.gap,
        residual=here.residual,
        num_steps=state.num_steps,
        inner_steps=state.inner_steps,
        fallbacks=state.fallbacks,
        num_atoms=jnp.sum(here.probs > 0),
        resolution=resolution,
        result=result,
        free=problem.free,
        optima=optima,
    )


def _search_all(
    search: Callable[..., _End],
    thetas: Float[Array, "n_given p"],
    n_random: int,
    n_obs: Array,
    max_steps: int | Int[Array, ""],
) -> tuple[_End, Int[Array, " n_starts"]]:
    """Search from every start given, then from random ones around the last end.

    A start that was there before is not searched again.

    Returns:
        The ends, and for each start the number of that whose end it has.
    """
    n_given, size = thetas.shape
    apart = jnp.abs(thetas[:, None] - thetas)
    size_of = jnp.maximum(jnp.abs(thetas[:, None]), jnp.abs(thetas))
    same = jnp.all(apart <= _ROUNDING * size_of, axis=2)
    source = jnp.argmax(same | jnp.eye(n_given, dtype=bool), axis=1)
    source = jnp.concatenate([source, jnp.arange(n_given, n_given + n_random)])
    limits = jnp.where(source == jnp.arange(source.size), max_steps, 0)
    around = jnp.zeros((source.size, size))
    if n_random:
        design = normal_design(size, n_random)[:n_random]
        around = around.at[n_given:].set(REACH * design)

    def step(
        carry: tuple[Array, Array], item: tuple[Array, Array, Array, Array]
    ) -> tuple[tuple[Array, Array], _End]:
        theta0, offset, limit, is_given = item
        end, root = carry
        if n_random:
            # Drawn starts spread around the last end that was found, in its errors.
            theta0 = jnp.where(is_given, theta0, end + root @ offset)
        found = search(theta0, limit)
        if n_random:
            here = found.state.here
            spread = covariance_root(here.hessian, n_obs)
            fresh = is_given & (limit > 0)
            end = jnp.where(fresh, found.state.theta, end)
            root = jnp.where(fresh, spread, root)
        return (end, root), found

    padded = jnp.concatenate([thetas, jnp.zeros((n_random, size))])
    items = (padded, around, limits, jnp.arange(source.size) < n_given)
    first = (thetas[0], jnp.zeros((size, size)))
    # One start after the other: mapped together all would take the steps of the
    # slowest.
    _, found = jax.lax.scan(step, first, items)
    return found, source


def _report(ends: _End, source: Int[Array, " n_starts"], n_obs: Array) -> Optima:
    """Describe the end of every search and choose among them."""
    state = ends.state
    heights = -state.here.value * n_obs
    atoms = jnp.sum(state.here.probs > 0, axis=tuple(range(1, state.here.probs.ndim)))
    flagged = jax.vmap(is_degenerate)(
        jnp.swapaxes(state.here.probs, 1, -1), ends.resolution
    )
    code = result_code(ends.result)
    return Optima(
        theta=state.theta[source],
        log_likelihood=heights[source],
        num_atoms=atoms[source],
        flagged=flagged[source],
        code=code[source],
        num_steps=state.num_steps[source],
        optimum=number_optima(state.theta, state.scale, code)[source],
        chosen=choose_start(heights, atoms, flagged, code),
    )
