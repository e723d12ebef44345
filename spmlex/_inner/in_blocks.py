"""The inner problem where the matrix of likelihoods is too large to be held.

A pass computes likelihoods again, a block of rows at a time. One over the whole grid is
the certificate of equation (3), and costs most. So between two of them Newton's method
runs on a working set of columns: a pass over these few gives the gradient and the
Hessian of the objective `phi` of equation (5) at a trial point, and how much was gained
on the last one, as a sum of logs of ratios: a difference of two values would lose the
last digits.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from spmlex._inner.mixture import scale_rows, support_residual, weight_per_density
from spmlex._inner.newton_in_blocks import ATOL, LOST, climb_on_columns
from spmlex._inner.working_set import choose_working_set
from spmlex._programs.rows import Blocks
from spmlex._words.types import Data, LogCondLik, Probs, Scalar, Weights

_SIZES = (24, 120)
"""Columns of the working set, and of a larger one where that is too small."""

_MOST_ROUNDS = 12
"""Working sets of one size."""

_EM_STEPS = 100


class Solution(NamedTuple):
    """Mixing probabilities with their certificate; see `MixingSolution`."""

    probs: Probs
    value: Scalar
    gap: Scalar
    residual: Scalar
    num_steps: Int[Array, ""]
    zero_likelihood: Bool[Array, ""]


class _State(NamedTuple):
    mass: Probs
    gradient: Probs
    value: Scalar
    zero: Scalar
    num_steps: Int[Array, ""]
    rounds: Int[Array, ""]
    done: Bool[Array, ""]
    stuck: Bool[Array, ""]


def sizes_for(n_supp: int) -> list[int]:
    """Return the sizes of the working set for so many support points."""
    return sorted({min(size, n_supp) for size in _SIZES})


def solve_in_blocks(
    blocks: Blocks,
    lclk: Callable[[Data, Int[Array, " k"] | None], LogCondLik],
    probs0: Probs,
) -> Solution:
    """Maximise the likelihood over the mixing probabilities. Equations (2) and (3).

    Args:
        blocks: The rows.
        lclk: Log conditional likelihoods of some data at some columns, or at all.
        probs0: A start. One with more atoms than a small working set has columns is
            only a guess, and a few steps of EM on some of the rows replace it.
    """
    n_supp = probs0.size
    sizes = sizes_for(n_supp)
    mass = jax.lax.cond(
        jnp.sum(probs0 > 0) <= sizes[0],
        lambda: probs0,
        lambda: _start_cold(blocks, lclk, n_supp, sizes[0]),
    )
    # No pass over the whole grid yet: support points and their neighbours come first.
    padded = jnp.pad(mass, 1)
    zero = jnp.array(0)
    state = _State(
        mass,
        padded[:-2] + padded[2:],
        jnp.array(jnp.inf),
        jnp.array(0.0),
        zero,
        zero,
        jnp.array(False),
        jnp.array(False),
    )
    for size in sizes:
        state = jax.lax.cond(
            state.done,
            lambda state: state,
            lambda state, size=size: _search(blocks, lclk, state, size),
            state,
        )
    zero_likelihood = state.zero > 0
    return Solution(
        state.mass,
        jnp.where(zero_likelihood, jnp.inf, state.value),
        jnp.log(jnp.max(state.gradient)),
        support_residual(state.gradient, state.mass),
        state.num_steps,
        zero_likelihood,
    )


def solve_on_columns(
    blocks: Blocks,
    lclk: Callable[[Data], LogCondLik],
    probs0: Float[Array, " k"],
) -> Solution:
    """Do the same where all columns are in the working set."""
    mass, num_steps = climb_on_columns(blocks, lclk, probs0)
    gradient, value, zero = _look_everywhere(blocks, lclk, mass)
    return Solution(
        mass,
        jnp.where(zero > 0, jnp.inf, value),
        jnp.log(jnp.max(gradient)),
        support_residual(gradient, mass),
        num_steps,
        zero > 0,
    )


def _start_cold(
    blocks: Blocks,
    lclk: Callable[[Data, Int[Array, " k"] | None], LogCondLik],
    n_supp: int,
    size: int,
) -> Probs:
    """Return the columns in front after steps of EM on a few grains."""
    data, weights = blocks.first_grains
    scaled, _ = scale_rows(lclk(data, None))
    weights = weights / jnp.maximum(jnp.sum(weights), 1e-300)
    equal: Probs = jnp.full(n_supp, 1.0 / n_supp)

    def gradient_at(probs: Probs) -> Probs:
        density = scaled @ probs
        seen = jnp.where(density > 0, weights, 0.0)
        return weight_per_density(density, seen) @ scaled

    probs: Probs = jax.lax.fori_loop(
        0, _EM_STEPS, lambda _, probs: probs * gradient_at(probs), equal
    )
    columns = choose_working_set(probs, gradient_at(probs), size)
    kept = jnp.zeros(n_supp).at[columns].set(probs[columns])
    total = jnp.sum(kept)
    return jnp.where(total > 0, kept / jnp.where(total > 0, total, 1.0), equal)


def _search(
    blocks: Blocks,
    lclk: Callable[[Data, Int[Array, " k"] | None], LogCondLik],
    state: _State,
    size: int,
) -> _State:
    """Change the working set until nothing outside it gains anything."""

    def is_running(state: _State) -> Bool[Array, ""]:
        return ~state.done & ~state.stuck & (state.rounds < _MOST_ROUNDS)

    def advance(state: _State) -> _State:
        columns = choose_working_set(state.mass, state.gradient, size)
        inside, steps = climb_on_columns(
            blocks, lambda data: lclk(data, columns), state.mass[columns]
        )
        mass = jnp.zeros_like(state.mass).at[columns].set(inside)
        gradient, value, zero = _look_everywhere(
            blocks, lambda data: lclk(data, None), mass
        )
        gap = jnp.max(gradient) - 1.0
        residual = support_residual(gradient, mass)
        done = (gap <= ATOL) & (residual <= ATOL)
        # A support that fills all places leaves none for the columns that would gain.
        full = (jnp.sum(mass > 0) >= size) & (size < mass.size)
        stuck = ~jnp.isfinite(gap) | (full & ~done)
        return _State(
            mass,
            gradient,
            value,
            zero,
            state.num_steps + steps,
            state.rounds + 1,
            done,
            stuck,
        )

    state = state._replace(rounds=jnp.array(0), stuck=jnp.array(False))
    return jax.lax.while_loop(is_running, advance, state)


def _look_everywhere(
    blocks: Blocks, lclk: Callable[[Data], LogCondLik], mass: Probs
) -> tuple[Probs, Scalar, Scalar]:
    """Return the gradient function, the value and the weight without likelihood."""

    def measure(data: Data, weights: Weights) -> tuple[Array, Array, Array, Array]:
        scaled, shift = scale_rows(lclk(data))
        density = scaled @ mass
        # The largest entry is one, but in rows of zeros; `nan` goes on.
        nothing = jnp.all(scaled == 0.0, axis=1)
        seen = jnp.where(nothing, 0.0, weights)
        # As good as lost: the gradient must point at what would give it density.
        safe = jnp.where(density < LOST, LOST, density)
        terms = jnp.log(safe) + shift
        return (
            weight_per_density(safe, seen) @ scaled,
            -jnp.sum(jnp.where(seen > 0, seen * terms, 0.0)),
            jnp.sum(weights) - jnp.sum(seen),
            jnp.sum(seen),
        )

    gradient, value, zero, known = blocks.add_up(measure)
    return gradient / jnp.where(known > 0, known, 1.0), value, zero
