"""The Bellman equation of optimal replacement: solved and differentiated.

The equations (1) to (3) are those of `experiments.models.replacement.Replacement`.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

_MAX_NEWTON_STEPS = 100
"""Limit on the steps of the fixed point, which needs about ten."""

_TOL = 1e-14
"""Largest residual of the fixed point, as a share of the largest value: rounding."""


_Row = Float[Array, " n_costs"]
_Values = Float[Array, "n_states n_costs"]
_Band = Float[Array, "n_increments n_costs"]
_State = tuple[_Values, _Values, Int[Array, ""]]


class Problem(NamedTuple):
    """Parameters of the Bellman equation.

    Attributes:
        cost: `c`, per bin of mileage and period.
        increment_probs: `q_j`, for increments of 0, 1, ... bins; they sum to 1.
        replacement_cost: The costs v for which the equation is solved together.
    """

    cost: Float[Array, ""]
    increment_probs: Float[Array, " n_increments"]
    replacement_cost: Float[Array, " n_costs"]


def choice_values(
    discount: float, problem: Problem, values: Float[Array, "n_states n_costs"]
) -> tuple[Float[Array, "n_states n_costs"], Float[Array, " n_costs"]]:
    """Return the values K of keeping and R of replacing, equation (1)."""
    n_states, n_costs = values.shape
    probs = problem.increment_probs
    above = jnp.broadcast_to(values[-1], (probs.shape[0] - 1, n_costs))
    reached = jnp.concatenate([values, above])
    windows = [reached[j : j + n_states] for j in range(probs.shape[0])]
    expected = jnp.tensordot(probs, jnp.stack(windows), 1)
    flow = -problem.cost * jnp.arange(n_states)
    keep = flow[:, None] + discount * expected
    return keep, discount * expected[0] - problem.replacement_cost


def apply_bellman(
    discount: float, problem: Problem, values: Float[Array, "n_states n_costs"]
) -> Float[Array, "n_states n_costs"]:
    """Return the right side of equation (1)."""
    return jnp.logaddexp(*choice_values(discount, problem, values))


def _solve_band(
    discount: float,
    probs: Float[Array, " n_increments"],
    keeps: Float[Array, "n_states n_costs"],
    right: Float[Array, "n_states n_costs"],
) -> Float[Array, "n_states n_costs"]:
    """Solve `(I - b diag(k) P) z = right`, from the last bin backwards."""
    pivot = 1 - discount * keeps * probs[0]
    last = right[-1] / (1 - discount * keeps[-1])

    def step_back(above: _Band, row: tuple[_Row, _Row]) -> tuple[_Band, _Row]:
        first, factor = row
        z = first + factor * (probs[1:] @ above)
        return jnp.concatenate([z[None], above[:-1]]), z

    above = jnp.broadcast_to(last, (probs.shape[0] - 1, last.shape[0]))
    rows = (right / pivot)[:-1], (discount * keeps / pivot)[:-1]
    _, earlier = jax.lax.scan(step_back, above, rows, reverse=True)
    return jnp.concatenate([earlier, last[None]])


def _solve_transposed_band(
    discount: float,
    probs: Float[Array, " n_increments"],
    keeps: Float[Array, "n_states n_costs"],
    right: Float[Array, "n_states n_costs"],
) -> Float[Array, "n_states n_costs"]:
    """Solve `(I - b P' diag(k)) z = right`, from bin zero upwards."""
    pivot = 1 - discount * keeps * probs[0]

    def step_up(below: _Band, row: tuple[_Row, _Row, _Row]) -> tuple[_Band, _Row]:
        first, divisor, factor = row
        z = (first + probs[1:] @ below) / divisor
        return jnp.concatenate([(factor * z)[None], below[:-1]]), z

    below = jnp.zeros((probs.shape[0] - 1, right.shape[1]))
    rows = right[:-1], pivot[:-1], (discount * keeps)[:-1]
    below, earlier = jax.lax.scan(step_up, below, rows)
    # From i bins below, the last bin is reached by every increment of i or more.
    tails = jnp.cumsum(probs[::-1])[::-1][1:]
    last = (right[-1] + tails @ below) / (1 - discount * keeps[-1])
    return jnp.concatenate([earlier, last[None]])


def _solve_step(
    discount: float,
    problem: Problem,
    values: Float[Array, "n_states n_costs"],
    right: Float[Array, "n_states n_costs"],
    transposed: bool = False,
) -> Float[Array, "n_states n_costs"]:
    """Solve equation (3), or its transpose, for a right side.

    Sherman and Morrison (1950); discounting keeps the denominator at 1 - b or more.
    """
    probs = problem.increment_probs
    keep, replace = choice_values(discount, problem, values)
    keeps, replaces = jax.nn.sigmoid(keep - replace), jax.nn.sigmoid(replace - keep)
    n_reached = probs.shape[0]
    renewed = _solve_band(discount, probs, keeps, replaces)
    denominator = 1 - discount * (probs @ renewed[:n_reached])
    if not transposed:
        plain = _solve_band(discount, probs, keeps, right)
        share = discount * (probs @ plain[:n_reached]) / denominator
        return plain + renewed * share
    share = discount * (renewed * right).sum(axis=0) / denominator
    raised = right.at[:n_reached].add(probs[:, None] * share)
    return _solve_transposed_band(discount, probs, keeps, raised)


@functools.partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def solve_bellman(
    n_states: int, discount: float, problem: Problem
) -> Float[Array, "n_states n_costs"]:
    """Solve (1) by policy iteration; NaN where it does not converge."""

    def converges(values: _Values, residual: _Values) -> Bool[Array, " n_costs"]:
        return jnp.abs(residual).max(axis=0) <= _TOL * (1 + jnp.abs(values).max(axis=0))

    def advance(state: _State) -> _State:
        values, residual, n_steps = state
        values = values + _solve_step(discount, problem, values, residual)
        return values, apply_bellman(discount, problem, values) - values, n_steps + 1

    start = jnp.zeros((n_states, problem.replacement_cost.shape[0]))
    values, residual, _ = jax.lax.while_loop(
        lambda state: ~converges(*state[:2]).all() & (state[2] < _MAX_NEWTON_STEPS),
        advance,
        (start, apply_bellman(discount, problem, start) - start, jnp.array(0)),
    )
    return jnp.where(converges(values, residual), values, jnp.nan)


@solve_bellman.defjvp
def _differentiate_bellman(
    n_states: int,
    discount: float,
    primals: tuple[Problem],
    tangents: tuple[Problem],
) -> tuple[_Values, _Values]:
    # The implicit function theorem: (I - dB/dW) dW = dB/dtheta. The values enter as a
    # solution, so that second derivatives follow from this rule as well.
    (problem,) = primals
    values = solve_bellman(n_states, discount, problem)
    _, moved = jax.jvp(
        lambda problem: apply_bellman(discount, problem, values), primals, tangents
    )

    def multiply(step: _Values) -> _Values:
        bellman = functools.partial(apply_bellman, discount, problem)
        return step - jax.jvp(bellman, (values,), (step,))[1]

    def solve(
        transposed: bool, _: Callable[[_Values], _Values], right: _Values
    ) -> _Values:
        return _solve_step(discount, problem, values, right, transposed)

    # With the transpose, so that derivatives can be taken backwards as well.
    tangent = jax.lax.custom_linear_solve(
        multiply,
        moved,
        functools.partial(solve, False),
        functools.partial(solve, True),
    )
    return values, tangent
