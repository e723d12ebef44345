"""A small dense quadratic program over the nonnegative orthant."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

_PIVOT_RTOL = 1e-11
"""A column whose residual norm given the passive set is below this share of its own
norm is a duplicate of what is in already; it stays out."""

# Below that a gain is rounding of the tableau, not a reason to let a variable in.
_SLACK_TOL = 1e-13


class _State(NamedTuple):
    tableau: Float[Array, "k k+1"]
    solution: Float[Array, " k"]
    passive: Bool[Array, " k"]
    barred: Bool[Array, " k"]
    pivots: Int[Array, ""]
    optimal: Bool[Array, ""]


def solve_nonnegative_qp(
    hessian: Float[Array, "k k"], linear: Float[Array, " k"], start: Float[Array, " k"]
) -> tuple[Float[Array, " k"], Int[Array, ""]]:
    """Minimise `y'Hy/2 - c'y` over `y >= 0` by the active-set method.

    Lawson and Hanson (1974, "Solving Least Squares Problems", chapter 23) on a
    principal pivot tableau `[H | c]`: a variable enters or leaves the passive set by
    one rank-one update, so no system is ever factorised. After pivoting in the set P
    the last column holds the solution on P and, off P, minus the gradient.

    Args:
        hessian: Positive semidefinite; exact duplicates among its columns are fine.
        linear: The vector c.
        start: Nonnegative; its positive entries are the first passive set.

    Returns:
        The minimiser and the number of pivots.
    """
    size = hessian.shape[0]
    index = jnp.arange(size)
    pivot_tol = _PIVOT_RTOL * jnp.diagonal(hessian)
    state = _State(
        jnp.concatenate([hessian, linear[:, None]], axis=1),
        start,
        jnp.zeros(size, bool),
        start > 0,
        jnp.array(0),
        jnp.array(False),
    )
    # The starting set by its largest pivots first; columns that others reproduce stay
    # out, or a pivot would be rounding.
    state = jax.lax.while_loop(
        lambda state: jnp.any(state.barred),
        lambda state: _enter(state, index, pivot_tol),
        state,
    )
    state = state._replace(solution=jnp.where(state.passive, start, 0.0))
    state = jax.lax.while_loop(
        # Each pass exchanges one variable: many more than there are would be a cycle
        # that rounding keeps up.
        lambda state: ~state.optimal & (state.pivots < 8 * size + 8),
        lambda state: _exchange(state, index, pivot_tol),
        state,
    )
    return state.solution, state.pivots


def _pivot(
    tableau: Float[Array, "k k+1"], index: Int[Array, " k"], k: Int[Array, ""]
) -> Float[Array, "k k+1"]:
    """Exchange variable k, by masks and not by slices at k.

    Under `vmap` these would become gathers and scatters, and the matrix is small.
    """
    size = tableau.shape[0]
    in_column = jnp.arange(size + 1) == k
    row = jnp.where(in_column, 1.0, tableau[k]) / tableau[k, k]
    swept = jnp.where(in_column, 0.0, tableau) - tableau[:, k][:, None] * row
    return jnp.where((index == k)[:, None], row, swept)


def _enter(
    state: _State, index: Int[Array, " k"], pivot_tol: Float[Array, " k"]
) -> _State:
    """Let one of the starting variables, those barred so far, into the set."""
    tableau, size = state.tableau, index.size
    diagonal: Float[Array, " k"] = jnp.diagonal(tableau[:, :size])
    k = jnp.argmax(jnp.where(state.barred, diagonal, -jnp.inf))
    independent = tableau[k, k] > pivot_tol[k]
    return state._replace(
        tableau=jnp.where(independent, _pivot(tableau, index, k), tableau),
        passive=state.passive | ((index == k) & independent),
        barred=state.barred & (index != k),
        pivots=state.pivots + 1,
    )


def _exchange(
    state: _State, index: Int[Array, " k"], pivot_tol: Float[Array, " k"]
) -> _State:
    """Move to the solution on the passive set, or let one variable out or in."""
    tableau, y, passive = state.tableau, state.solution, state.passive
    size = index.size
    target = jnp.where(passive, tableau[:, size], 0.0)
    blocking = passive & (target <= 0.0)
    # Towards the solution on the passive set, up to the first bound.
    ratio = jnp.where(blocking, y / jnp.maximum(y - target, 1e-300), jnp.inf)
    step = jnp.minimum(jnp.min(ratio), 1.0)
    leaving = jnp.argmin(ratio)
    must_leave = jnp.any(blocking)
    y = jnp.where(passive, y + step * (target - y), 0.0)
    y = jnp.where(must_leave & (index == leaving), 0.0, y)
    # At that solution: let in the variable that gains most.
    independent = jnp.diagonal(tableau[:, :size]) > pivot_tol
    may_enter = ~passive & ~state.barred & independent
    gain = jnp.where(may_enter, tableau[:, size], -jnp.inf)
    entering = jnp.argmax(gain)
    optimal = ~must_leave & (gain[entering] <= _SLACK_TOL)
    k = jnp.where(must_leave, leaving, entering)
    return _State(
        jnp.where(optimal, tableau, _pivot(tableau, index, k)),
        y,
        jnp.where(optimal, passive, passive ^ (index == k)),
        # What has just left must not come back before another has entered.
        must_leave & (state.barred | (index == k)),
        state.pivots + 1,
        optimal,
    )
