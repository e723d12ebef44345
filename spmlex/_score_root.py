"""The root of the mean efficient score: Newton's steps, none of them long."""

from dataclasses import replace
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from spmlex._score_equation import ScoreAt, ScoreEquation
from spmlex._types import Scalar

_MAX_STEPS = 30
_TOL = 0.02
"""Of the last step, in standard errors: the step itself is still taken."""

_LONGEST = 3.0
"""Longest step, in standard errors."""

_CHOOSING = 2
"""Evaluations in which the data choose the bandwidths."""


class Root(NamedTuple):
    """Where the search for a root ended.

    Attributes:
        here: The last evaluation, or the one with the shortest step where the search
            did not settle.
        theta: One step further: the estimate.
        converged: Whether that step was short.
        num_steps: Evaluations.
    """

    here: ScoreAt
    theta: Float[Array, " p"]
    converged: Bool[Array, ""]
    num_steps: Int[Array, ""]


class _State(NamedTuple):
    theta: Float[Array, " p"]
    best: ScoreAt
    shortest: Scalar
    last: Scalar
    taken: Scalar
    damping: Scalar
    num_steps: Int[Array, ""]
    running: Bool[Array, ""]


def solve_score(equation: ScoreEquation, theta0: Float[Array, " p"]) -> Root:
    """Find theta at which the mean efficient score is zero. Equation (12).

    Scoring: steps of `I^{-1}` times the mean, which is Newton's method but for the
    error of the information. F is estimated anew at each theta, its bandwidths
    chosen in the first two.
    """

    def advance(state: _State) -> _State:
        chooses = state.num_steps < _CHOOSING
        here = equation.at(state.theta, state.best.carried, chooses)
        length = here.step_length(equation.n_obs)
        finite = jnp.isfinite(length) & jnp.all(jnp.isfinite(here.step))
        # The bandwidths may change in the second evaluation: the first is no rival.
        better = finite & ((length < state.shortest) | chooses)
        best = jax.tree.map(lambda a, b: jnp.where(better, a, b), here, state.best)
        # Where a step left more than 0.7 of what it should have taken, the search goes
        # back and forth: take half of the steps.
        missed = length > state.last - 0.3 * state.taken
        damping = jnp.where(missed, 0.5 * state.damping, state.damping)
        damping = jnp.maximum(jnp.where(chooses, 1.0, damping), 0.1)
        taken = damping * jnp.minimum(length, _LONGEST)
        step = here.step * taken / jnp.maximum(length, 1e-300)
        settled = (length <= _TOL) & (state.num_steps > 0)
        return _State(
            jnp.where(finite, state.theta + step, state.theta),
            best,
            jnp.where(better, length, state.shortest),
            length,
            taken,
            damping,
            state.num_steps + 1,
            finite & ~settled,
        )

    carried = equation.nothing_carried(theta0)
    shape = jax.eval_shape(equation.at, theta0, carried)
    nothing = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shape)
    infinite = jnp.array(jnp.inf)
    start = _State(
        theta0,
        nothing._replace(theta=theta0, carried=carried),
        infinite,
        infinite,
        jnp.array(0.0),
        jnp.array(1.0),
        jnp.array(0),
        jnp.array(True),
    )
    end = jax.lax.while_loop(
        lambda state: state.running & (state.num_steps < _MAX_STEPS), advance, start
    )
    converged = end.shortest <= _TOL
    share = jnp.minimum(1.0, _LONGEST / jnp.maximum(end.shortest, 1e-300))
    theta = end.best.theta + jnp.where(converged, end.best.step, 0.0) * share
    return Root(end.best, theta, converged, end.num_steps)


def refine_root(equation: ScoreEquation, root: Root) -> tuple[ScoreEquation, Root]:
    """Evaluate the score once more with many draws, and step from there.

    The search does with few. What more of them change in the mean score is carried to
    wherever else the equation is evaluated, so that estimate and limits move together.

    Args:
        equation: The equation, without an offset.
        root: Where the search for its root ended.

    Returns:
        The equation with its offset, and the root of that.
    """
    if equation.is_exact:
        return equation, root
    coarse = root.here
    here = equation.at(coarse.theta, coarse.carried, refined=True)
    length = here.step_length(equation.n_obs)
    usable = root.converged & (length <= _LONGEST)
    offset = jnp.where(usable, here.mean - coarse.mean, 0.0)
    here: ScoreAt = jax.tree.map(lambda a, b: jnp.where(usable, a, b), here, coarse)
    theta = jnp.where(usable, here.theta + here.step, root.theta)
    # Where more draws say that the root is far off, none was found.
    refined = Root(here, theta, usable, root.num_steps + 1)
    return replace(equation, offset=offset), refined
