"""What every distribution of the unobservable can do."""

import abc
from collections.abc import Callable

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
import jax.scipy as jsp
from jax import lax
from jaxtyping import Array, Float, Int, PRNGKeyArray

Ranks = tuple[Int[Array, " n"], Int[Array, " n"]]
"""Places of floating-point numbers in their order, below and above what is sought."""


class AbstractMixing(eqx.Module):
    """A distribution of an unobservable in one or more dimensions d."""

    @abc.abstractmethod
    def list_margins(self) -> tuple["AbstractScalarMixing", ...]:
        """Return the distribution of each coordinate."""

    @abc.abstractmethod
    def simulate(
        self, *, rng: PRNGKeyArray, n: int
    ) -> dict[str, Float[Array, "n ..."]]:
        """Draw n independent values, (n,) or (n, d), under the name `latent`."""

    @abc.abstractmethod
    def mean(self) -> Float[Array, "..."]:
        """Return the expectation of each coordinate; NaN where there is none."""

    @abc.abstractmethod
    def variance(self) -> Float[Array, "..."]:
        """Return the variance of each coordinate, infinite or NaN where it is so."""


class AbstractScalarMixing(AbstractMixing):
    """A distribution of a scalar unobservable."""

    def list_margins(self):
        """Return the distribution itself."""
        return (self,)

    @abc.abstractmethod
    def cdf(self, x: Float[Array, " n"]) -> Float[Array, " n"]:
        """Evaluate Pr(X <= x)."""

    def quantile(self, level: Float[Array, " n"]) -> Float[Array, " n"]:
        """Return the least x with Pr(X <= x) >= level, for levels in (0, 1)."""
        return invert(self.cdf, level)

    def from_normal(self, z: Float[Array, " n"]) -> Float[Array, " n"]:
        """Map standard normal values to the distribution, increasingly."""
        return self.quantile(jsp.special.ndtr(z))

    def atoms(self) -> Float[Array, " n_atoms"]:
        """Return the support points with positive mass; by default none."""
        return jnp.zeros(0)


def invert(
    cdf: Callable[[Float[Array, " n"]], Float[Array, " n"]], level: Float[Array, " n"]
) -> Float[Array, " n"]:
    """Return the least float64 at which a distribution function reaches a level.

    Bisects the floating-point numbers in their order, which are 2^64: no bracket is
    needed and the result is exact.
    """

    def halve(_: Int[Array, ""], bounds: Ranks) -> Ranks:
        low, high = bounds
        # The mean of both, without the sum that would overflow.
        middle = (low >> 1) + (high >> 1) + (low & high & 1)
        reached = cdf(_to_float(middle)) >= level
        return jnp.where(reached, low, middle), jnp.where(reached, middle, high)

    ends = [jnp.full(level.shape, end, jnp.float64) for end in (-jnp.inf, jnp.inf)]
    bounds = (_to_rank(ends[0]), _to_rank(ends[1]))
    return _to_float(lax.fori_loop(0, 64, halve, bounds)[1])


def _to_rank(x: Float[Array, " n"]) -> Int[Array, " n"]:
    """Map floating-point numbers to integers in the same order."""
    # The integers of negative numbers run backwards: all but their sign is flipped.
    bits = lax.bitcast_convert_type(x, jnp.int64)
    return bits ^ ((bits >> 63) & jnp.iinfo(jnp.int64).max)


def _to_float(rank: Int[Array, " n"]) -> Float[Array, " n"]:
    bits = rank ^ ((rank >> 63) & jnp.iinfo(jnp.int64).max)
    return lax.bitcast_convert_type(bits, jnp.float64)


def draw_index(
    rng: PRNGKeyArray, weights: Float[Array, " n_points"], n: int
) -> Int[Array, " n"]:
    """Draw positions with the given probabilities, increasing in one uniform each."""
    uniform = jr.uniform(rng, (n,))
    index = jnp.searchsorted(jnp.cumsum(weights), uniform, side="right")
    # Rounding may leave the last sum below one, and a uniform above it.
    return jnp.minimum(index, weights.shape[0] - 1)
