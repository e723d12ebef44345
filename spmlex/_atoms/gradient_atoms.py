"""Atoms from the gradient function over the continuum, at F on a grid or in atoms."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from spmlex._atoms.grid_atoms import fill_slots, grid_step, merge_neighbours
from spmlex._atoms.joint import Atoms, JointProblem
from spmlex._inner import ActiveSet
from spmlex._inner.mixture import log_mixture
from spmlex._support.continuum import FINE, log_ratios, maximise_gradient
from spmlex._words.inputs import conditional_likelihoods
from spmlex._words.types import Data, Probs

SAME = 1e-6
"""Atoms closer than this share of the range are one."""

_TOGETHER = 4
"""Points that climb at the same time in more than `FINE` dimensions."""

_SEEDS = 64
"""Points of a grid with mass that climb at first; where there are more, they stay."""


class _Climbed(NamedTuple):
    """Where points are, and how high `log g` is there."""

    points: Float[Array, "k d"]
    heights: Float[Array, " k"]


def merge_and_climb(
    problem: JointProblem, theta: Float[Array, " p"], probs: Probs, n_slots: int
) -> tuple[Atoms, Bool[Array, ""]]:
    """Return the best of the atoms that a distribution on a coarse grid may stand for.

    Where several atoms lie between neighbouring points, `merge_neighbours` makes one of
    them; and of points that climb to a maximum of the gradient function each, those
    around one atom may go to different ones. Now the one and now the other is far below
    the maximum on the grid. The best distribution on both is below neither.

    Args:
        problem: The problem, with the grid.
        theta: The maximum on the grid.
        probs: Mixing probabilities there.
        n_slots: Slots for atoms.

    Returns:
        The atoms, and whether there was a slot for each.
    """
    merged, few = merge_neighbours(problem, probs, _SEEDS)
    climbed = _climb_from_grid(problem, theta, probs)
    both = jax.tree.map(lambda *parts: jnp.concatenate(parts), merged, climbed)
    both = dataclasses.replace(both, probs=both.probs / 2)
    solver = ActiveSet(working_sizes=(both.probs.size,), has_net=False)
    masses = dataclasses.replace(problem, solver=solver).solve_masses(theta, both)
    atoms, fits = fill_slots(both.places, masses, n_slots)
    return atoms, few & fits & jnp.any(atoms.present)


def _climb_from_grid(
    problem: JointProblem, theta: Float[Array, " p"], probs: Probs
) -> Atoms:
    """Return the maxima of the gradient function that points with mass climb to."""
    mass, columns = jax.lax.top_k(probs, min(probs.size, _SEEDS))
    # Those without mass are behind those that climb; a place is needed all the same.
    seeds = problem.trial[jnp.where(mass > 0, columns, columns[0])]
    log_ratio = measure_densities(problem, theta, problem.to_places(seeds), mass)
    count = jnp.sum(mass > 0)
    places, _ = climb_gradient(problem, theta, log_ratio, seeds, count)
    same = jnp.max(jnp.abs(places[:, None] - places[None]), axis=2) <= SAME
    # Of truth values `argmax` is the first that is true.
    total = jnp.zeros(mass.size).at[jnp.argmax(same, axis=1)].add(mass)
    return fill_slots(places, total, _SEEDS)[0]


def climb_gradient(
    problem: JointProblem,
    theta: Float[Array, " p"],
    log_ratio: Array,
    seeds: Float[Array, "k d"],
    count: Int[Array, ""],
) -> tuple[Float[Array, "k d"], Float[Array, " k"]]:
    """Return the maxima of `log g` that seeds climb to, as places, and their heights.

    In more than `FINE` dimensions a few at a time: the slowest of a batch, the longer
    the more there are, decides how often all of them are evaluated.

    Args:
        problem: Gives model and rows.
        theta: The parameters.
        log_ratio: `log_ratios` at F; in blocks with their axes.
        seeds: Where to start, as rows.
        count: How many of them count; those behind need not climb, and then have the
            height minus infinity.
    """
    reach = problem.span * grid_step(*problem.trial.shape)
    model, blocks = problem.outer.build(theta), problem.blocks
    if blocks is None:
        rows = (problem.outer.data, problem.box, log_ratio)
    else:
        rows = (blocks.joined(log_ratio), problem.box, None)
    if seeds.shape[1] <= FINE:
        found, heights = maximise_gradient(model, *rows, seeds, reach)
        return problem.to_places(found), heights

    def climb_few(number: Int[Array, ""], found: _Climbed) -> _Climbed:
        # The last few may overlap with those before: they climb once more.
        first = jnp.minimum(number * few, len(seeds) - few)
        some = jax.lax.dynamic_slice_in_dim(seeds, first, few)
        update = jax.lax.dynamic_update_slice_in_dim
        return jax.tree.map(
            lambda all_, new: update(all_, new, first, 0),
            found,
            _Climbed(*maximise_gradient(model, *rows, some, reach)),
        )

    few = min(_TOGETHER, len(seeds))
    none = _Climbed(seeds, jnp.full(len(seeds), -jnp.inf))
    climbed = jax.lax.fori_loop(0, -(-count // few), climb_few, none)
    return problem.to_places(climbed.points), climbed.heights


def measure_densities(
    problem: JointProblem,
    theta: Float[Array, " p"],
    places: Float[Array, "k d"],
    probs: Float[Array, " k"],
) -> Array:
    """Return `log_ratios` at these atoms; in blocks with their axes."""
    model, blocks = problem.outer.build(theta), problem.blocks
    supp = problem.box.to_supp(problem.to_rows(places))
    if blocks is None:
        return log_ratios(model, problem.outer.data, supp, probs, problem.weights)

    def ratios_of(data: Data) -> Float[Array, " n"]:
        return -log_mixture(conditional_likelihoods(model, data, supp), probs)

    return blocks.for_each(ratios_of) + jnp.log(blocks.weights)
