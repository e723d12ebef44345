"""Where a search for a root began, and whether it ended where the data say nothing.

Towards infinity the likelihood of many models becomes flat, as that of a binary outcome
that is predicted without error. The score vanishes there, and any step is short beside
its standard error, so that infinity would count as a root.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from spmlex._efficient.score_at import ScoreAt
from spmlex._words.types import Weights

_FAR = 1e3
"""Standard errors at the beginning that a parameter moves by only if it runs off; and
how many times its standard error is then larger at the end."""


_MUTE = 1e-2
"""Where a parameter runs off, its score has less than this share of the variance that
it has under the model: each score vanishes, and its square before its expectation."""


class Departure(NamedTuple):
    """The first place at which the standard errors of a search are known.

    Attributes:
        theta: Where that is.
        errors: Standard errors of theta there; zero: not yet known.
    """

    theta: Float[Array, " p"]
    errors: Float[Array, " p"]

    def take_in(
        self, theta: Float[Array, " p"], errors: Float[Array, " p"]
    ) -> "Departure":
        """Return the same, or what is known now of parameters not known before."""
        known = self.errors > 0
        usable = jnp.where(jnp.isfinite(errors), errors, 0.0)
        return Departure(
            jnp.where(known, self.theta, theta), jnp.where(known, self.errors, usable)
        )

    def find_runaways(
        self, here: ScoreAt, errors: Float[Array, " p"], weights: Weights
    ) -> Bool[Array, " p"]:
        """Return which parameters went where the data say nothing of them.

        Args:
            here: Where the search ended.
            errors: Standard errors there. All zero: nothing is identified.
            weights: Observation weights with sum one.
        """
        moved = jnp.abs(here.theta - self.theta) > _FAR * self.errors
        grown = (self.errors > 0) & ~(errors <= _FAR * self.errors)
        inverse = here.directions.inverse
        variance = weights @ ((here.scores - here.mean) @ inverse) ** 2
        mute = variance < _MUTE * jnp.diagonal(inverse)
        return (moved & grown) | mute | jnp.all(errors == 0.0)


def before_departure(theta: Float[Array, " p"]) -> Departure:
    """Return what is known before the first evaluation: nothing."""
    return Departure(theta, jnp.zeros_like(theta))
