"""Newton's method for the masses of a few columns, in blocks of rows."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from spmlex._inner.mixture import scale_rows, support_residual
from spmlex._inner.nonnegative_qp import solve_nonnegative_qp
from spmlex._programs.rows import Blocks
from spmlex._words.types import Data, LogCondLik, Scalar, Weights

ATOL = 1e-10
"""Gap and support residual at which a solve stops, nats per observation."""

LOST = 1e-100
"""Density of a row, over its largest, below which the row has as good as none."""

_MOST_PASSES = 40
_ARMIJO = 1e-4
_MOST_HALVINGS = 30


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


def climb_on_columns(
    blocks: Blocks, lclk: Callable[[Data], LogCondLik], mass: Float[Array, " k"]
) -> tuple[Float[Array, " k"], Int[Array, ""]]:
    """Minimise `phi` over the masses of some columns.

    Returns:
        The masses, with sum one, and how many passes it took.
    """

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
        # Up to rounding of the sum, as in `active_set`.
        enough = change <= _ARMIJO * state.length * state.slope + 1e-15
        accepted = first | (enough & (sums.lost == 0))

        total = jnp.sum(trial)
        gap = jnp.max(sums.gradient) * total - 1.0
        residual = support_residual(sums.gradient * total, trial)
        done = accepted & (gap <= ATOL) & (residual <= ATOL)
        lost = first & (sums.lost > 0)
        moved = _go_on_from(trial, sums, state, accepted, lost)
        moved = moved._replace(done=done & ~lost, stuck=~jnp.isfinite(gap) & ~lost)
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


def _go_on_from(
    trial: Float[Array, " k"],
    sums: _Sums,
    state: _Newton,
    accepted: Bool[Array, ""],
    lost: Bool[Array, ""],
) -> _Newton:
    """Return the state at a trial, with the next one; `done` and `stuck` as before.

    Args:
        trial: The masses.
        sums: What was measured there.
        state: The one before.
        accepted: Whether the trial is taken at all.
        lost: Whether it is a start that leaves rows without density, which would have
            to climb out step by step: a little mass everywhere, none without density
            then.
    """
    spread = 0.5 * trial + 0.5 / trial.size
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
    return state._replace(
        mass=jnp.where(lost, spread, trial),
        target=jnp.where(lost, spread, target),
        slope=-jnp.sum(descent * (target - trial)),
        length=jnp.where(lost, 0.0, 1.0),
        num_passes=state.num_passes + 1,
    )


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
        # No density falls below a hundredth of what it was, as in `active_set`.
        lost = seen & ((density < LOST) | (density < 0.01 * before))
        density = jnp.where(density < LOST, LOST, density)
        before = jnp.where(before < LOST, LOST, before)
        own = jnp.where(seen, weights, 0.0)
        relative = scaled / density[:, None]
        return _Sums(
            own @ relative,
            relative.T @ (own[:, None] * relative),
            own @ jnp.log(density / before),
            jnp.sum(lost),
        )

    return blocks.add_up(measure)
