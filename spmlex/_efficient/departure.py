"""Where a search for a root began, and whether it ended where the data say nothing.

Towards infinity the likelihood of many models becomes flat, as that of a binary outcome
that is predicted without error. The score vanishes there, and any step is short beside
its standard error, so that infinity would count as a root.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

_FAR = 1e3
"""Standard errors at the beginning that a parameter moves by only if it runs off; and
how many times its standard error is then larger at the end."""


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
        self, theta: Float[Array, " p"], errors: Float[Array, " p"]
    ) -> Bool[Array, " p"]:
        """Return which parameters went where the data say nothing of them.

        Args:
            theta: Where the search ended.
            errors: Standard errors there.
        """
        moved = jnp.abs(theta - self.theta) > _FAR * self.errors
        grown = (self.errors > 0) & ~(errors <= _FAR * self.errors)
        return moved & grown


def before_departure(theta: Float[Array, " p"]) -> Departure:
    """Return what is known before the first evaluation: nothing."""
    return Departure(theta, jnp.zeros_like(theta))
