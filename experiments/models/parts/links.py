"""Sums of log-probabilities of binary choices, with one logarithm for all terms."""

import functools
import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

_DENSITY_AT_ZERO = 1.0 / math.sqrt(2.0 * math.pi)
_CENTRE = 4.0


def sum_log_logistic(indices: Sequence[Float[Array, "..."]]) -> Float[Array, "..."]:
    """Add up `log(1 / (1 + exp(-z)))` over z in a sequence of arrays.

    Each is `min(z, 0) - log(1 + exp(-|z|))`, and a product of up to a thousand factors
    between 1 and 2 doesn't overflow. Both branches of `where` continue the same smooth
    function, so every derivative is right, at z = 0 too.
    """
    linear, product = jnp.zeros(()), jnp.ones(())
    for z in indices:
        negative = z < 0
        linear = linear + jnp.where(negative, z, 0.0)
        product = product * (1.0 + jnp.exp(jnp.where(negative, z, -z)))
    return linear - jnp.log(product)


def sum_log_normal(indices: Sequence[Float[Array, "..."]]) -> Float[Array, "..."]:
    """Add up the log of the standard normal cdf over z in a sequence of arrays.

    With M the Mills ratio times the density at zero, the cdf is `1 - exp(-z²/2) M(z)`
    for z >= 0 and `exp(-z²/2) M(-z)` below, where the exponential is kept in logs. M
    falls like 1/z: the product of thirty factors doesn't underflow for |z| < 1e9.
    """
    quadratic, product = jnp.zeros(()), jnp.ones(())
    for z in indices:
        negative = z < 0
        mills = _scaled_mills(jnp.where(negative, -z, z))
        square = -0.5 * z * z
        quadratic = quadratic + jnp.where(negative, square, 0.0)
        product = product * jnp.where(negative, mills, 1.0 - jnp.exp(square) * mills)
    return quadratic + jnp.log(product)


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
