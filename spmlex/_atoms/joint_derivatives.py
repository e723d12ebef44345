"""Derivatives of the mixture likelihood in theta and the places of atoms.

A column of `lclk` depends on its own atom only. So one forward pass with a tangent of
ones in a coordinate differentiates at all atoms in it, and all the second derivatives
cost p + d passes, not p + K d.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from spmlex._profile.derivatives import has_reverse
from spmlex._words.types import LogCondLik, Weights

CHUNK = 8
"""Atoms that are differentiated together."""


class _Sums(NamedTuple):
    """What the chunks of atoms so far add up to; rows of atoms to come are zero.

    Attributes:
        num_done: Atoms in them.
        expected: First derivatives in theta.
        moved: Those in places.
        square: Second derivatives in theta.
        mixed: In theta and a place.
        alone: In the coordinates of a place.
        per_mass: In theta and a place, and in the mass there.
    """

    num_done: int | Int[Array, ""]
    expected: Float[Array, "p n_obs"]
    moved: Float[Array, "k d n_obs"]
    square: Float[Array, "p p"]
    mixed: Float[Array, "p k d"]
    alone: Float[Array, "k d d"]
    per_mass: Float[Array, "k p+d"]


def differentiate_atoms(
    lclk: Callable[[Array, Array], LogCondLik],
    theta: Float[Array, " p"],
    places: Float[Array, "k d"],
    relative: LogCondLik,
    mass: Float[Array, " k"],
    weights: Weights,
    together: int = CHUNK,
) -> tuple[Float[Array, "q n_obs"], Float[Array, "q q"], Float[Array, "q k"]]:
    """Return the derivatives of `l_i` over `l_i`, a few atoms at a time.

    Args:
        lclk: Log conditional likelihoods of theta at some places.
        theta: The parameters.
        places: The atoms.
        relative: Their densities over that of the mixture.
        mass: Their masses; those without are left out.
        weights: Observation weights with sum one.
        together: How many are differentiated at a time.

    Returns:
        First derivatives in theta and places, and in mean over the sample the
        second ones among these and with the masses.
    """
    size, (count, dimension) = theta.size, places.shape
    chunk = min(together, count)
    n_obs, flat = weights.size, count * dimension
    order = jnp.argsort(-mass)
    num_atoms = jnp.sum(mass > 0)
    tangents = _list_tangents(size, chunk, dimension)

    def add_chunk(sums: _Sums) -> _Sums:
        first = jnp.minimum(sums.num_done, count - chunk)
        columns = jax.lax.dynamic_slice(order, (first,), (chunk,))
        fresh = first + jnp.arange(chunk) >= sums.num_done
        held = jnp.where(fresh, mass[columns], 0.0)
        ratio = relative[:, columns]
        posterior = ratio * held
        frozen = weights[:, None] * posterior

        # A tangent of ones moves every atom, and each column only by its own.
        slopes, (bends, turns) = _differentiate_twice(
            lclk, theta, places[columns], frozen, tangents
        )
        slopes = jnp.where(ratio > 0, slopes, 0.0)
        moment = frozen * slopes
        by_theta, by_place = slopes[:size], slopes[size:]
        across = jnp.einsum("pik,cik->pkc", by_theta, moment[size:])
        curved = jnp.einsum("cik,eik->kce", by_place, moment[size:])
        flat_theta = by_theta.reshape(size, n_obs * chunk)
        outer = moment[:size].reshape(flat_theta.shape) @ flat_theta.T
        per_mass = jnp.einsum("i,ik,qik->kq", weights, ratio, slopes)
        moved = (by_place * posterior).transpose(2, 0, 1)
        # Repeated columns have been there before, with their mass.
        slots = jnp.where(fresh, columns, count)
        return _Sums(
            sums.num_done + chunk,
            sums.expected + jnp.sum(by_theta * posterior, axis=2),
            sums.moved.at[slots].set(moved, mode="drop"),
            sums.square + outer + bends[:size],
            sums.mixed.at[:, slots].set(across + turns[:size], mode="drop"),
            sums.alone.at[slots].set(
                curved + turns[size:].transpose(1, 0, 2), mode="drop"
            ),
            sums.per_mass.at[slots].set(per_mass, mode="drop"),
        )

    sums: _Sums = jax.lax.while_loop(
        lambda sums: sums.num_done < num_atoms,
        add_chunk,
        _start_sums(size, count, dimension, n_obs),
    )
    second, to_mass = _assemble(sums.square, sums.mixed, sums.alone, sums.per_mass)
    first = jnp.concatenate([sums.expected, sums.moved.reshape(flat, n_obs)])
    return first, second, to_mass


def _list_tangents(
    size: int, chunk: int, dimension: int
) -> tuple[Float[Array, "q p"], Float[Array, "q k d"]]:
    """Return a unit of every parameter, then one of every coordinate of all atoms."""
    units = jnp.broadcast_to(jnp.eye(dimension)[:, None], (dimension, chunk, dimension))
    return (
        jnp.concatenate([jnp.eye(size), jnp.zeros((dimension, size))]),
        jnp.concatenate([jnp.zeros((size, chunk, dimension)), units]),
    )


def _start_sums(size: int, count: int, dimension: int, n_obs: int) -> _Sums:
    """Return what is known before the first chunk: nothing."""
    return _Sums(
        0,
        jnp.zeros((size, n_obs)),
        jnp.zeros((count, dimension, n_obs)),
        jnp.zeros((size, size)),
        jnp.zeros((size, count, dimension)),
        jnp.zeros((count, dimension, dimension)),
        jnp.zeros((count, size + dimension)),
    )


def _differentiate_twice(
    lclk: Callable[[Array, Array], LogCondLik],
    theta: Float[Array, " p"],
    places: Float[Array, "k d"],
    frozen: Float[Array, "n_obs k"],
    tangents: tuple[Float[Array, "q p"], Float[Array, "q k d"]],
) -> tuple[Float[Array, "q n_obs k"], Any]:
    """Return slopes along tangents, and second derivatives weighed.

    Those of `lclk` at some atoms; the second ones by `frozen`, in theta and in each
    place. Backwards over forwards where the model has a reverse mode: one pass for
    all parameters; else forwards twice.
    """
    size = theta.size

    def backwards(theta: Array, places: Array) -> tuple[Array, Any]:
        """Return `lclk` and the gradient of its mean, weights frozen."""
        values, pull_back = jax.vjp(lclk, theta, places)
        return values, pull_back(frozen)

    def forwards(theta: Array, places: Array) -> tuple[Array, Any]:
        """Return the same by forward passes alone."""

        def move(*tangent: Array) -> Array:
            slope = jax.jvp(lclk, (theta, places), tangent)[1]
            return jnp.sum(frozen * slope, axis=0, where=frozen > 0)

        each = jax.vmap(move)(*tangents)
        return lclk(theta, places), (
            jnp.sum(each[:size], axis=1),
            each[size:].T,
        )

    two_way = has_reverse(lambda joint: lclk(*joint), (theta, places))
    differentiate = backwards if two_way else forwards
    slopes: Float[Array, "q n_obs k"]
    slopes, second = jax.vmap(
        lambda t, v: jax.jvp(differentiate, (theta, places), (t, v))[1]
    )(*tangents)
    return slopes, second


def _assemble(
    square: Float[Array, "p p"],
    mixed: Float[Array, "p k d"],
    alone: Float[Array, "k d d"],
    per_mass: Float[Array, "k p+d"],
) -> tuple[Float[Array, "q q"], Float[Array, "q k"]]:
    """Put derivatives in theta and in every place by itself together, as in `evaluate`.

    Two places have none in common: but for its own block an atom's are zero.
    """
    size, count, dimension = mixed.shape
    flat = count * dimension
    mixed = mixed.reshape(size, flat)
    second = jnp.zeros((size + flat, size + flat)).at[:size, :size].set(square)
    second = second.at[:size, size:].set(mixed).at[size:, :size].set(mixed.T)
    index = size + jnp.arange(flat).reshape(count, dimension)
    second = second.at[index[:, :, None], index[:, None]].set(alone)
    to_mass = jnp.zeros((size + flat, count)).at[:size].set(per_mass[:, :size].T)
    to_mass = to_mass.at[index, jnp.arange(count)[:, None]].set(per_mass[:, size:])
    return second, to_mass
