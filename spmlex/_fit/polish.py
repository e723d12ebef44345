"""From the maximum on a grid to the one with the support points free to move."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from spmlex._atoms.atom_search import Search, search_atoms
from spmlex._atoms.gradient_atoms import merge_and_climb
from spmlex._atoms.grid_atoms import count_slots, merge_neighbours
from spmlex._atoms.joint import JointProblem
from spmlex._atoms.profile_atoms import Moved, is_singular, profile_atoms
from spmlex._climb.row_profile import resolution_in_blocks
from spmlex._inner import ActiveSet
from spmlex._inner.mixture import count_observations
from spmlex._programs.rows import Blocks
from spmlex._result.result import Fit
from spmlex._support.continuum import FINE
from spmlex._support.degenerate import is_crowded
from spmlex._words.codes import RESULTS
from spmlex._words.types import Probs, Scalar

_MAX_ROUNDS = 6

_MAX_STEPS = 15
"""Evaluations of one climb; what that leaves the next round takes up."""

_MOST_GAIN = 0.05
"""Bound in nats on what other distributions may still gain in the whole sample. What
they do gain is a hundredth of it: theta is within 0.03 standard errors of its place."""


class Polished(NamedTuple):
    """A maximum with free support, on the rows of the grid.

    Attributes:
        found: Whether it is one; else the rest means nothing.
        search: How it was found.
        moved: Its derivatives.
        rows: The grid, with the support points with positive mass where the atoms are.
        probs: Mixing probabilities on it.
        drift: How the points move with theta.
        singular: Whether theta is not identified there.
    """

    found: Bool[Array, ""]
    search: Search
    moved: Moved
    rows: Float[Array, "n_supp d"]
    probs: Probs
    drift: Float[Array, "n_supp d p"]
    singular: Bool[Array, ""]


def polish(
    problem: JointProblem,
    theta0: Float[Array, " p"],
    probs0: Probs,
    value: Scalar,
    allowed: Bool[Array, ""],
    tol: float | Scalar,
    max_steps: int | Int[Array, ""],
) -> Polished:
    """Free the support from a maximum on the grid.

    Args:
        problem: What to maximise.
        theta0: The maximum on the grid.
        probs0: The mixing probabilities there.
        value: The profile value there, not to be exceeded.
        allowed: Whether to try.
        tol: As in `climb`.
        max_steps: Limit on the evaluations of one climb.
    """
    size, n_supp = theta0.size, probs0.size
    dimension = problem.trial.shape[1]
    n_slots = count_slots(n_supp, dimension)
    # All atoms at once. No net: what fails stays on the grid.
    solver = ActiveSet(working_sizes=(n_slots,), has_net=False)
    problem = dataclasses.replace(problem, solver=solver)
    if dimension <= FINE:
        atoms, fits = merge_neighbours(problem, probs0, n_slots)
    else:
        atoms, fits = merge_and_climb(problem, theta0, probs0, n_slots)
    steps = jnp.minimum(max_steps, _MAX_STEPS)
    gap_tol = _MOST_GAIN / count_observations(problem.weights, problem.outer.counts)
    start = (theta0, atoms, fits & allowed)
    search = search_atoms(problem, *start, tol, steps, _MAX_ROUNDS, gap_tol)
    moved = profile_atoms(search, size)
    if problem.blocks is not None:
        search, moved = _complete(problem, problem.blocks, search, moved)
    rows, probs, drift = _place(problem, search, moved.response)
    here = search.state.here
    found = search.settled & moved.is_maximum
    # The grid is among what the atoms can do: a worse end is of another maximum.
    found &= here.value <= value + 1e-9 * (1.0 + jnp.abs(value))
    found &= ~is_crowded(probs, search.resolution)
    singular = is_singular(search, moved)
    return Polished(found, search, moved, rows, probs, drift, singular)


def _complete(
    problem: JointProblem, blocks: Blocks, search: Search, moved: Moved
) -> tuple[Search, Moved]:
    """Return the same with what is computed in blocks at the end alone."""
    size, dimension = moved.gradient.size, problem.trial.shape[1]
    here, theta = search.state.here, search.state.theta[:size]
    places = jnp.clip(search.state.theta[size:], 0.0, 1.0).reshape(-1, dimension)
    response = jnp.concatenate([jnp.eye(size), moved.response.reshape(-1, size)])
    end = (theta, places, search.present, here.probs)
    scores = problem.scores_in_blocks(blocks, end, here.probs_dot, response)
    given = (problem.outer, blocks, theta, problem.weights)
    width = resolution_in_blocks(*given)
    return search._replace(resolution=width), moved._replace(scores=scores)


def take_polished(
    on_grid: Fit, joint: JointProblem, polished: Polished
) -> tuple[Fit, Float[Array, "n_supp d p"]]:
    """Return the fit with free support where that was found, else the one on the grid.

    Args:
        on_grid: The fit on the grid.
        joint: What was maximised.
        polished: Where that ended.
    """
    found, search, moved = polished.found, polished.search, polished.moved
    here, size = search.state.here, on_grid.theta.size
    theta = search.state.theta[:size]
    successful = RESULTS.where(
        polished.singular, RESULTS.singular_hessian, RESULTS.successful
    )
    free = dataclasses.replace(
        on_grid,
        model=joint.outer.build(theta),
        probs=polished.probs,
        supp=joint.box.to_supp(polished.rows),
        theta=theta,
        log_likelihood=-here.value
        * count_observations(joint.weights, joint.outer.counts),
        gradient=moved.gradient,
        hessian=moved.hessian,
        scores=moved.scores,
        gap=search.gap,
        residual=here.residual,
        num_atoms=jnp.sum(polished.probs > 0),
        resolution=search.resolution,
        result=successful,
    )
    chosen = jax.tree.map(lambda new, old: jnp.where(found, new, old), free, on_grid)
    drift = jnp.where(found, polished.drift, 0.0)
    return dataclasses.replace(
        chosen,
        num_steps=on_grid.num_steps + search.num_steps,
        inner_steps=on_grid.inner_steps + search.inner_steps,
        fallbacks=on_grid.fallbacks + search.fallbacks,
        moved=found,
    ), drift


def _place(
    problem: JointProblem, search: Search, response: Float[Array, "k d p"]
) -> tuple[Float[Array, "n_supp d"], Probs, Float[Array, "n_supp d p"]]:
    """Put each atom in the row of the grid point nearest to it, no two in one.

    The other points stay, without mass; with theta they move like the nearest atom.
    """
    n_supp, dimension = problem.trial.shape
    count, probs = search.present.size, search.state.here.probs
    places = search.state.theta[-count * dimension :].reshape(count, dimension)
    places = jnp.clip(places, 0.0, 1.0)
    grid = problem.to_places(problem.trial)
    distance = jnp.max(jnp.abs(places[:, None] - grid[None]), axis=2)
    has_mass = probs > 0

    def assign(k: Array, state: tuple[Array, Array]) -> tuple[Array, Array]:
        taken, row_of = state
        row = jnp.argmin(jnp.where(taken, jnp.inf, distance[k]))
        return (
            taken.at[row].set(taken[row] | has_mass[k]),
            row_of.at[k].set(jnp.where(has_mass[k], row, n_supp)),
        )

    none = jnp.zeros(n_supp, bool), jnp.full(count, n_supp)
    _, row_of = jax.lax.fori_loop(0, count, assign, none)
    # Atoms without mass have the row n_supp, which is none: they are dropped.
    rows = problem.trial.at[row_of].set(problem.to_rows(places), mode="drop")
    masses = jnp.zeros(n_supp).at[row_of].set(probs, mode="drop")
    nearest = jnp.argmin(jnp.where(has_mass[:, None], distance, jnp.inf), axis=0)
    drift = problem.span[:, None] * response
    moving = drift[nearest].at[row_of].set(drift, mode="drop")
    return rows, masses, moving
