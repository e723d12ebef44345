"""Atoms and maxima on a grid: its support points and their neighbours."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from spmlex._atoms.joint import Atoms, JointProblem
from spmlex._support.continuum import FINE
from spmlex._words.types import Probs

_SLOTS, _MORE_SLOTS = 24, 40
"""Most atoms that a fit moves in up to `FINE` dimensions, and in more."""

_BESIDE = 1.5
"""Points of a grid closer than this many steps are neighbours."""

_MOST_POINTS = 64
"""A grid with more support points with positive mass is not searched."""


def count_slots(n_supp: int, dimension: int) -> int:
    """Return how many atoms a fit on such a grid moves at most."""
    return min(_SLOTS if dimension <= FINE else _MORE_SLOTS, n_supp)


def merge_neighbours(
    problem: JointProblem, probs: Probs, n_slots: int
) -> tuple[Atoms, Bool[Array, ""]]:
    """Return the atoms that a distribution on the grid stands for.

    A grid represents an atom between its points by the points around it. So every local
    maximum of the mass is an atom; support points with positive mass beside it join it,
    at the mean place.

    Args:
        problem: The problem, with the grid.
        probs: Mixing probabilities on the grid.
        n_slots: Slots for atoms.

    Returns:
        The atoms, and whether there was a slot for each.
    """
    n_supp, dimension = problem.trial.shape
    mass, columns = jax.lax.top_k(probs, min(n_supp, _MOST_POINTS))
    places = problem.to_places(problem.trial)
    if dimension == 1:
        # The rank, whatever the spacing.
        order = jnp.argsort(problem.trial[:, 0])
        steps = jnp.zeros((n_supp, 1)).at[order, 0].set(jnp.arange(n_supp) * 1.0)
    else:
        steps = places / grid_step(n_supp, dimension)
    places, steps = places[columns], steps[columns]
    apart = jnp.max(jnp.abs(steps[:, None] - steps[None]), axis=2)
    beside = (apart < _BESIDE) & (mass > 0)
    heaviest = jnp.argmax(jnp.where(beside, mass, -1.0), axis=1)
    # Follow heavier neighbours to the top, twice as far each time.
    heaviest = jax.lax.fori_loop(
        0, mass.size.bit_length(), lambda _, of: of[of], heaviest
    )
    joins = (heaviest[:, None] == jnp.arange(mass.size)) * mass[:, None]
    total = jnp.sum(joins, axis=0)
    means = (joins.T @ places) / jnp.where(total > 0, total, 1.0)[:, None]
    atoms, fits = fill_slots(means, total, n_slots)
    return atoms, fits & (jnp.sum(probs > 0) <= mass.size)


def fill_slots(
    places: Float[Array, "k d"], mass: Float[Array, " k"], n_slots: int
) -> tuple[Atoms, Bool[Array, ""]]:
    """Return the places with mass as atoms, and whether there was a slot for each."""
    found, chosen = jax.lax.top_k(mass, min(n_slots, mass.size))
    blank = n_slots - found.size
    found = jnp.pad(found, (0, blank))
    places = jnp.pad(places[chosen], ((0, blank), (0, 0)))
    # Empty slots have a place too, since the model is asked about all of them.
    places = jnp.where((found > 0)[:, None], places, places[0])
    return Atoms(places, found > 0, found), jnp.sum(mass > 0) <= n_slots


def are_peaks(
    rows: Float[Array, "n_supp d"], places: Float[Array, "n_supp d"], values: Probs
) -> Bool[Array, " n_supp"]:
    """Return the points of a grid that are not below their nearest neighbours."""
    n_supp, dimension = rows.shape
    if dimension == 1:
        order = jnp.argsort(rows[:, 0])
        padded = jnp.pad(values[order], 1, constant_values=-jnp.inf)
        peaks = (padded[1:-1] >= padded[:-2]) & (padded[1:-1] >= padded[2:])
        return jnp.zeros(n_supp, bool).at[order].set(peaks)
    # A point and what surrounds it on a lattice; of a scattered grid as many.
    count = min(3**dimension, n_supp)
    distance = jnp.sum((places[:, None] - places[None]) ** 2, axis=2)
    # In single precision XLA looks for the first few; in double it would sort them all.
    _, near = jax.lax.top_k(-distance.astype(jnp.float32), count)
    return values >= jnp.max(values[near], axis=1)


def grid_step(n_supp: int, dimension: int) -> float:
    """Return the spacing of an even grid, as a share of its range."""
    return 1.0 / max(n_supp ** (1.0 / dimension) - 1.0, 1.0)
