"""One coordinate of a mixing distribution, and functions of it to differentiate.

Each function is one of (model, supp, probs) as the delta method takes them.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from spmlex._programs.compile import compile_together
from spmlex._support.continuum import rows_of
from spmlex._words.types import Support

_ROUNDING = 1e-12
"""Masses that sum to a level up to this reach it."""

_Probs = Float[Array, "n_supp *n_groups"]


def mean_of(model: Any, supp: Support, probs: _Probs) -> Array:
    """Return the mean of every coordinate, by group."""
    return probs.T @ rows_of(supp)


def variance_of(model: Any, supp: Support, probs: _Probs) -> Array:
    """Return the variance of every coordinate, by group."""
    rows = rows_of(supp)

    def variance(probs: Array) -> Array:
        return probs @ (rows - probs @ rows) ** 2

    return jax.vmap(variance)(_by_group(probs))


class Marginal(eqx.Module):
    """Which coordinate, and whether its distribution is taken for smooth.

    Attributes:
        values: Where the distribution is smooth, the values that the coordinate has on
            the grid, increasing: each stands for the line half-way to its neighbours.
        coordinate: Which one, from 0.
    """

    values: Float[Array, " n_values"] | None
    coordinate: int = eqx.field(static=True)

    @property
    def is_smooth(self) -> bool:
        """Whether the distribution is taken for smooth."""
        return self.values is not None

    def edges(self, values: Float[Array, " n_values"]) -> Float[Array, " k"]:
        """Return the ends of the lines that the values stand for."""
        if values.size == 1:
            return values[0] + jnp.array([-0.5, 0.5])
        middle = 0.5 * (values[1:] + values[:-1])
        first, last = values[:1] - middle[0], values[-1:] - middle[-1]
        return jnp.concatenate([values[:1] + first, middle, values[-1:] + last])

    def steps(
        self, supp: Support, probs: _Probs
    ) -> tuple[Float[Array, " k"], Float[Array, "n_groups k"]]:
        """Return points in order and the distribution function at them.

        It rises in between where it is smooth, and jumps there where it is not.
        """
        return _steps(self, supp, probs)


@compile_together
def _steps(
    marginal: Marginal, supp: Support, probs: _Probs
) -> tuple[Float[Array, " k"], Float[Array, "n_groups k"]]:
    values, each = marginal.values, _by_group(probs)
    at = rows_of(supp)[:, marginal.coordinate]
    if values is None:
        order = jnp.argsort(at)
        return at[order], jnp.cumsum(each[:, order], axis=1)
    which = jnp.searchsorted(values, at)
    masses = jnp.zeros((each.shape[0], values.size)).at[:, which].add(each)
    total = jnp.cumsum(masses, axis=1)
    return marginal.edges(values), jnp.pad(total, ((0, 0), (1, 0)))


class Cdf(eqx.Module):
    """The distribution function at some points, by group."""

    points: Float[Array, " k"]
    marginal: Marginal

    def __call__(self, model: Any, supp: Support, probs: _Probs) -> Array:
        """Return it."""
        at, total = self.marginal.steps(supp, probs)
        if self.marginal.is_smooth:
            return jax.vmap(lambda f: jnp.interp(self.points, at, f))(total)
        # The masses of the points at or below; which these are has no derivative.
        reached = jnp.searchsorted(at, self.points, side="right")
        return jnp.pad(total, ((0, 0), (1, 0)))[:, reached]


class Quantile(eqx.Module):
    """Quantiles by group; then the distribution function at them, and below them."""

    levels: Float[Array, " k"]
    marginal: Marginal

    def __call__(self, model: Any, supp: Support, probs: _Probs) -> Array:
        """Return all three, one after the other."""
        at, total = self.marginal.steps(supp, probs)
        find = self._between if self.marginal.is_smooth else self._among
        found = [find(at, row) for row in total]
        return jnp.stack([jnp.concatenate(list(x)) for x in zip(*found, strict=True)])

    def _between(self, at: Array, total: Array) -> tuple[Array, Array, Array]:
        value = jnp.interp(self.levels, total, at)
        # Held: what has a standard error is the distribution function at a fixed point.
        reached = jnp.interp(jax.lax.stop_gradient(value), at, total)
        return value, reached, reached

    def _among(self, at: Array, total: Array) -> tuple[Array, Array, Array]:
        # As if compared at every point; ties of rounding reach the level.
        which = jnp.argmax(total >= self.levels[:, None] - _ROUNDING, axis=1)
        before = jnp.pad(total, (1, 0))[which]
        return at[which], total[which], before


def _by_group(probs: _Probs) -> Float[Array, "n_groups n_supp"]:
    """Return the masses of each group in a row, also where there is one."""
    return probs.T.reshape(-1, probs.shape[0])
