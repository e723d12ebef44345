"""Steps of a search in which masses may be lost: these never get negative.

The masses are profiled out, and by their derivatives some would be negative after a
step: beyond that the derivatives say nothing about the value. So these masses are held
at zero, and the step is taken that is best then (an active-set method for the quadratic
model; Nocedal and Wright 2006, chapter 16).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from spmlex._climb.trust_region import solve_trust_region
from spmlex._profile.evaluation import Evaluation
from spmlex._words.types import Scalar

_LEAST_SHARE = 0.02
"""A step is not shortened by more than this for a mass that it would lose."""

_MOST_ROUNDS = 8
"""Times that more masses may turn out to be lost in a step."""

_NEGATIVE = -1e-12
"""Below this a mass is negative: those held at zero are so but for rounding."""


class Step(NamedTuple):
    """A step of theta, with what the quadratic model says of it.

    Attributes:
        step: In theta.
        promised: Decrease of the value.
        change: Of the masses.
    """

    step: Float[Array, " p"]
    promised: Scalar
    change: Float[Array, " k"]


class _Holding(NamedTuple):
    """The search for the masses that are held at zero.

    Attributes:
        held: They.
        found: The step that is best then.
        lost: What it loses of the others.
        num_rounds: Steps found.
    """

    held: Bool[Array, " k"]
    found: Step
    lost: Bool[Array, " k"]
    num_rounds: Int[Array, ""]


def keep_masses(
    here: Evaluation,
    step: Float[Array, " p"],
    promised: Scalar,
    scale: Float[Array, " p"],
    radius: Scalar,
) -> Step:
    """Return a step after which, by the quadratic model, no mass is negative.

    Args:
        here: The evaluation that it starts from.
        step: The best one if masses could be negative.
        promised: What that promises.
        scale: Inverse units of theta.
        radius: Of the trust region, in these units.
    """
    free = Step(step, promised, here.probs_dot @ step)
    begun = _Holding(
        jnp.zeros(here.probs.size, bool), free, _find_lost(here, free), jnp.array(0)
    )

    def hold_more(state: _Holding) -> _Holding:
        held = state.held | state.lost
        found = _hold(here, held, scale, radius)
        lost = _find_lost(here, found) & ~held
        return _Holding(held, found, lost, state.num_rounds + 1)

    ended = jax.lax.while_loop(
        lambda state: jnp.any(state.lost) & (state.num_rounds < _MOST_ROUNDS),
        hold_more,
        begun,
    )
    # Where too much is lost at once the first step, as far as it is good, may promise
    # more.
    short, held = _shorten(here, free), _shorten(here, ended.found)
    better = held.promised > short.promised
    return jax.tree.map(lambda a, b: jnp.where(better, a, b), held, short)


def _find_lost(here: Evaluation, found: Step) -> Bool[Array, " k"]:
    return (here.probs > 0) & (here.probs + found.change < _NEGATIVE)


def _hold(
    here: Evaluation,
    held: Bool[Array, " k"],
    scale: Float[Array, " p"],
    radius: Scalar,
) -> Step:
    """Return the best step with some masses at zero after it.

    With D their derivative in theta and R the inverse of the system of equation (5),
    masses that differ by u from `p + D step` cost `u' R^{-1} u / 2`. Those held differ
    by `u_J = -(p + D step)_J`, the others give way: `u_J' C u_J / 2`, C the inverse of
    `R_JJ`, is what it costs.
    """
    assert here.response is not None
    both = held[:, None] & held
    cost: Float[Array, "k k"] = jnp.linalg.inv(
        jnp.where(both, here.response, jnp.eye(held.size))
    )
    cost = jnp.where(both, cost, 0.0)
    along = cost @ here.probs_dot
    gradient = here.gradient + along.T @ here.probs
    hessian = here.hessian + here.probs_dot.T @ along
    scaled = hessian / (scale[:, None] * scale)
    step, promised, _ = solve_trust_region(gradient / scale, scaled, radius)
    step = step / scale
    change = here.probs_dot @ step
    moved = jnp.where(held, -(here.probs + change), 0.0)
    # What the masses cost where theta stays.
    promised = promised - 0.5 * here.probs @ cost @ here.probs
    return Step(step, promised, change + here.response @ (cost @ moved))


def _shorten(here: Evaluation, found: Step) -> Step:
    """End a step where the first mass gets negative, and promise what is left."""
    lost = _find_lost(here, found)
    ratio = here.probs / jnp.where(lost, -found.change, 1.0)
    share = jnp.maximum(jnp.min(jnp.where(lost, ratio, 1.0)), _LEAST_SHARE)
    step = share * found.step
    promised = -(here.gradient @ step) - 0.5 * step @ here.hessian @ step
    # The whole step's promise, where that was rounded up to nothing, stays.
    promised = jnp.where(share < 1.0, jnp.maximum(promised, 0.0), found.promised)
    return Step(step, promised, share * found.change)
