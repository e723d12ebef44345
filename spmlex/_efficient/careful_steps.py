"""Steps to the root of a score that is far from linear over its standard errors.

Where a noise has almost no variance the score says little of it, and changes its mind
within a tenth of a standard error: the information is not its slope, and Newton's steps
go back and forth. Here the slope is learned from the score itself.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from spmlex._efficient.score_at import ScoreAt
from spmlex._words.types import Scalar

_FIRST = 0.25
"""Share of the first step that is taken."""

_LEAST = 1e-3
"""Share below which no step from the best evaluation leads nearer to a root."""

_TOO_SMALL = 1e-6
"""Denominators of an update below this share of what they could be say nothing."""


class CarefulSteps(NamedTuple):
    """What is known of the steps from the best evaluation so far.

    Attributes:
        inverse: Of the slope of the mean score, with its sign changed.
        damping: Share of a step that is taken.
    """

    inverse: Float[Array, "p p"]
    damping: Scalar

    @property
    def is_stuck(self) -> Bool[Array, ""]:
        """Whether no step from there leads nearer to a root."""
        return self.damping < _LEAST

    def step(
        self, best: ScoreAt, errors: Float[Array, " p"], longest: float
    ) -> Float[Array, " p"]:
        """Return the whole step from the best evaluation to a root.

        Args:
            best: That evaluation.
            errors: Standard errors there.
            longest: Most standard errors that a parameter moves by.
        """
        step = self.inverse @ best.mean
        apart = jnp.abs(step) / jnp.where(errors > 0, errors, jnp.inf)
        length = jnp.max(apart, initial=0.0)
        return step * jnp.minimum(1.0, longest / jnp.maximum(length, 1e-300))


def begin_carefully(best: ScoreAt) -> CarefulSteps:
    """Begin with the information for the slope."""
    return CarefulSteps(best.directions.inverse, jnp.array(_FIRST))


def is_nearer(best: ScoreAt, here: ScoreAt) -> Bool[Array, ""]:
    """Return whether an evaluation is nearer to a root than the best one before.

    Both are measured by the information of the one before, so by the same (the natural
    test of monotonicity, Deuflhard 2004): standard errors change a hundredfold within
    a few steps.
    """
    metric = best.directions.inverse
    return here.mean @ metric @ here.mean < best.mean @ metric @ best.mean


def learn(
    steps: CarefulSteps, before: ScoreAt, here: ScoreAt, better: Bool[Array, ""]
) -> CarefulSteps:
    """Take in an evaluation that a step from the best one before led to.

    The symmetric update of rank one, which does not depend on the units of theta
    (Conn, Gould and Toint 1991). A step that led farther from the root counts too; the
    next is shorter.

    Args:
        steps: What was known.
        before: The best evaluation, from which the step was taken.
        here: The new one.
        better: Whether it is nearer to a root.
    """
    moved, fallen = here.theta - before.theta, before.mean - here.mean
    missed = moved - steps.inverse @ fallen
    scale = missed @ fallen
    usable = jnp.abs(scale) > _TOO_SMALL * jnp.abs(moved @ fallen)
    usable &= jnp.isfinite(scale)
    missed = jnp.where(usable, missed, 0.0)
    update = jnp.outer(missed, missed) / jnp.where(usable, scale, 1.0)
    longer = jnp.minimum(2.0 * steps.damping, 1.0)
    damping = jnp.where(better, longer, 0.25 * steps.damping)
    return CarefulSteps(steps.inverse + update, damping)
