"""Sums of log-probabilities of binary choices, with one logarithm for all terms."""

import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

Index = Callable[[Any, Float[Array, "..."]], Float[Array, "..."]]
"""What is inside of a distribution function, of what there is of one period."""

_DENSITY_AT_ZERO = 1.0 / math.sqrt(2.0 * math.pi)
_CENTRE = 4.0


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def sum_log_logistic(
    index: Index, periods: Any, points: Float[Array, "..."]
) -> Float[Array, "..."]:
    """Add up `log(1 / (1 + exp(-z)))` over periods, where z is an index.

    Each is `min(z, 0) - log(1 + exp(-|z|))`, and a product of up to a thousand factors
    between 1 and 2 doesn't overflow.

    Args:
        index: Returns z given what there is of one period, and the points.
        periods: Floating-point arrays with leading axis n_periods.
        points: What `index` has in every period.
    """
    linear, product = jnp.zeros(()), jnp.ones(())
    # One fused loop over the entries: there is no array with all periods.
    for period in _each(periods):
        z = index(period, points)
        negative = z < 0
        linear = linear + jnp.where(negative, z, 0.0)
        product = product * (1.0 + jnp.exp(jnp.where(negative, z, -z)))
    return linear - jnp.log(product)


@sum_log_logistic.defjvp
def _sum_log_logistic_jvp(
    index: Index, primals: tuple[Any, Any], tangents: tuple[Any, Any]
) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    z, z_dot = _move(index, primals, tangents)
    moves = jax.nn.sigmoid(-z) * z_dot
    return sum_log_logistic(index, *primals), jnp.sum(moves, axis=0)


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def sum_log_normal(
    index: Index, periods: Any, points: Float[Array, "..."]
) -> Float[Array, "..."]:
    """Add up the log of the standard normal cdf over periods; see `sum_log_logistic`.

    With M the Mills ratio times the density at zero, the cdf is `1 - exp(-z²/2) M(z)`
    for z >= 0 and `exp(-z²/2) M(-z)` below, where the exponential is kept in logs. M
    falls like 1/z: the product of thirty factors doesn't underflow for |z| < 1e9.
    """
    quadratic, product = jnp.zeros(()), jnp.ones(())
    for period in _each(periods):
        z = index(period, points)
        square = -0.5 * z * z
        quadratic = quadratic + jnp.where(z < 0, square, 0.0)
        product = product * _normal_factor(z)
    return quadratic + jnp.log(product)


@sum_log_normal.defjvp
def _sum_log_normal_jvp(
    index: Index, primals: tuple[Any, Any], tangents: tuple[Any, Any]
) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    z, z_dot = _move(index, primals, tangents)
    # The density over the cdf, where the exponential cancels below zero.
    density = jnp.exp(jnp.where(z < 0, 0.0, -0.5 * z * z))
    moves = _DENSITY_AT_ZERO * density / _normal_factor(z) * z_dot
    return sum_log_normal(index, *primals), jnp.sum(moves, axis=0)


def _normal_factor(z: Float[Array, "..."]) -> Float[Array, "..."]:
    """Return the cdf for z >= 0, below that what is left of it without `exp(-z²/2)`.

    Both branches of `where` continue the same smooth function, so every derivative of
    the log of the cdf is right, at z = 0 too.
    """
    negative = z < 0
    mills = _scaled_mills(jnp.where(negative, -z, z))
    return jnp.where(negative, mills, 1.0 - jnp.exp(-0.5 * z * z) * mills)


def _each(periods: Any) -> list[Any]:
    """Return what there is of each period."""
    count = len(jax.tree.leaves(periods)[0])

    def take(t: int) -> Any:
        return jax.tree.map(lambda x: lax.index_in_dim(x, t, keepdims=False), periods)

    return [take(t) for t in range(count)]


def _move(
    index: Index, primals: tuple[Any, Any], tangents: tuple[Any, Any]
) -> tuple[Float[Array, "n_periods ..."], Float[Array, "n_periods ..."]]:
    """Return the indices of all periods at once, and how they move."""
    return jax.jvp(jax.vmap(index, in_axes=(0, None)), primals, tangents)


@functools.cache
def _fit_mills() -> tuple[float, ...]:
    """Return the coefficients of `(1 + z) M(z)` in `(z - c) / (z + c)`, z >= 0.

    Chebyshev interpolation of the smooth function that is left when M's decay and the
    range are mapped away (Shepherd and Laframboise 1981, Mathematics of Computation
    36); the relative error is below 1e-14.
    """
    import scipy.special  # not at the top: it would slow every start

    def smooth(t: np.ndarray) -> Any:  # NumPy annotates it as a number
        z = _CENTRE * (1.0 + t) / (1.0 - t)
        return 0.5 * scipy.special.erfcx(z / math.sqrt(2.0)) * (1.0 + z)

    series = np.polynomial.chebyshev.chebinterpolate(smooth, 22)
    return tuple(np.polynomial.chebyshev.cheb2poly(series).tolist())


@jax.custom_jvp
def _scaled_mills(z: Float[Array, "..."]) -> Float[Array, "..."]:
    """Return `exp(z²/2)` times the normal probability above z, for z >= 0."""
    t = (z - _CENTRE) / (z + _CENTRE)
    *lower, value = _fit_mills()
    for coefficient in reversed(lower):
        value = value * t + coefficient
    return value / (1.0 + z)


@_scaled_mills.defjvp
def _scaled_mills_jvp(
    primals: tuple[Float[Array, "..."]], tangents: tuple[Float[Array, "..."]]
) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    (z,), (z_dot,) = primals, tangents
    value = _scaled_mills(z)
    # M' = z M - phi(0), of M itself: as exact as M is, however often differentiated.
    return value, (z * value - _DENSITY_AT_ZERO) * z_dot
