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

from spmlex._inner.nonnegative_qp import solve_nonnegative_qp
from spmlex._inner.working_set import choose_working_set
from spmlex._mixture import scale_rows, support_residual, weight_per_density
from spmlex._rows import Blocks
from spmlex._types import Data, LogCondLik, Probs, Scalar, Weights

ATOL = 1e-10
"""Gap and support residual at which a solve stops, nats per observation."""

_SIZES = (24, 120)
"""Columns of the working set, and of a larger one where that is too small."""

_MOST_PASSES = 40
"""Passes over one working set."""

_MOST_ROUNDS = 12
"""Working sets of one size."""

_EM_STEPS = 100
_ARMIJO = 1e-4
_MOST_HALVINGS = 30

_LOST = 1e-100
"""Density of a row, over its largest, below which the row has as good as none."""


class Solution(NamedTuple):
    """Mixing probabilities with their certificate; see `MixingSolution`."""

    probs: Probs
    value: Scalar
    gap: Scalar
    residual: Scalar
    num_steps: Int[Array, ""]
    zero_likelihood: Bool[Array, ""]


class _Sums(NamedTuple):
    """What a pass over a working set adds up over the rows.

    Attributes:
        gradient: Equation (3).
        hessian: Of `phi`.
        gain: Mean of the logs of densities over those at the last point.
        lost: Rows without density, or with next to nothing of what they had.
    """

    gradient: Float[Array, " k"]
    hessian: Float[Array, "k k"]
    gain: Scalar
    lost: Int[Array, ""]


class _Newton(NamedTuple):
    """Where Newton's method is on a working set.

    The next trial is `length` times the way from `mass` to `target`; `slope` is that of
    the objective on the way. A length of zero says that there was no point before.
    """

    mass: Float[Array, " k"]
    target: Float[Array, " k"]
    slope: Scalar
    length: Scalar
    num_passes: Int[Array, ""]
    done: Bool[Array, ""]
    stuck: Bool[Array, ""]


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
    mass, num_steps = _climb(blocks, lclk, probs0)
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
        inside, steps = _climb(
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
        safe = jnp.where(density < _LOST, _LOST, density)
        terms = jnp.log(safe) + shift
        return (
            weight_per_density(safe, seen) @ scaled,
            -jnp.sum(jnp.where(seen > 0, seen * terms, 0.0)),
            jnp.sum(weights) - jnp.sum(seen),
            jnp.sum(seen),
        )

    gradient, value, zero, known = blocks.add_up(measure)
    return gradient / jnp.where(known > 0, known, 1.0), value, zero


def _climb(
    blocks: Blocks, lclk: Callable[[Data], LogCondLik], mass: Float[Array, " k"]
) -> tuple[Float[Array, " k"], Int[Array, ""]]:
    """Minimise `phi` over the masses of some columns.

    Returns:
        The masses, with sum one, and how many passes it took.
    """
    size = mass.size

    def is_running(state: _Newton) -> Bool[Array, ""]:
        return ~state.done & ~state.stuck & (state.num_passes < _MOST_PASSES)

    def advance(state: _Newton) -> _Newton:
        way = state.target - state.mass
        # Exactly the target after a full step, so that its zeros stay zeros.
        trial = jnp.where(
            state.length == 1.0, state.target, state.mass + state.length * way
        )
        sums = _measure(blocks, lclk, trial, state.mass)
        first = state.length == 0.0
        change = jnp.sum(trial) - jnp.sum(state.mass) - sums.gain
        enough = change <= _ARMIJO * state.length * state.slope + 1e-15
        accepted = first | (enough & (sums.lost == 0))

        total = jnp.sum(trial)
        gap = jnp.max(sums.gradient) * total - 1.0
        residual = support_residual(sums.gradient * total, trial)
        done = accepted & (gap <= ATOL) & (residual <= ATOL)
        # A start that leaves rows without density would have to climb out step by
        # step: a little mass everywhere, none without density then.
        lost = first & (sums.lost > 0)
        spread = 0.5 * trial + 0.5 / size
        descent = sums.gradient - 1.0
        start = jnp.where(jnp.any(trial <= 0), trial, 0.0)
        # Not of a trial that is thrown away, whose Hessian may be anything.
        target: Float[Array, " k"]
        target = jax.lax.cond(
            accepted & ~lost,
            lambda: solve_nonnegative_qp(
                sums.hessian, sums.hessian @ trial + descent, start
            )[0],
            lambda: state.target,
        )
        moved = _Newton(
            jnp.where(lost, spread, trial),
            jnp.where(lost, spread, target),
            -jnp.sum(descent * (target - trial)),
            jnp.where(lost, 0.0, 1.0),
            state.num_passes + 1,
            done & ~lost,
            ~jnp.isfinite(gap) & ~lost,
        )
        length = 0.5 * state.length
        shorter = state._replace(
            length=length,
            num_passes=state.num_passes + 1,
            stuck=length < 0.5**_MOST_HALVINGS,
        )
        return jax.tree.map(
            lambda new, old: jnp.where(accepted, new, old), moved, shorter
        )

    no, zero = jnp.array(False), jnp.array(0.0)
    start = _Newton(mass, mass, zero, zero, jnp.array(0), no, no)
    end = jax.lax.while_loop(is_running, advance, start)
    return end.mass / jnp.sum(end.mass), end.num_passes


def _measure(
    blocks: Blocks,
    lclk: Callable[[Data], LogCondLik],
    new: Float[Array, " k"],
    old: Float[Array, " k"],
) -> _Sums:
    def measure(data: Data, weights: Weights) -> _Sums:
        scaled, _ = scale_rows(lclk(data))
        density, before = scaled @ new, scaled @ old
        seen = (weights > 0) & jnp.any(scaled != 0.0, axis=1)
        lost = seen & ((density < _LOST) | (density < 0.01 * before))
        density = jnp.where(density < _LOST, _LOST, density)
        before = jnp.where(before < _LOST, _LOST, before)
        own = jnp.where(seen, weights, 0.0)
        relative = scaled / density[:, None]
        return _Sums(
            own @ relative,
            relative.T @ (own[:, None] * relative),
            own @ jnp.log(density / before),
            jnp.sum(lost),
        )

    return blocks.add_up(measure)
