"""Student's t distribution: quantiles and two-sided P-values, under `jit` and `vmap`.

With `v` degrees of freedom `P(|T| > t) = I_x(v/2, 1/2)` at `x = v / (v + t²)`, the
regularised incomplete beta function. JAX has that function and neither its inverse nor
its limit as v goes to infinity.
"""

import math
from statistics import NormalDist
from typing import Any

import jax
import jax.numpy as jnp
import jax.scipy as jsp
import numpy as np
from jaxtyping import Array, Float

from spmlex._programs.compile import on_host
from spmlex._words.types import AnyArray

_MANY = 3e3
"""Degrees of freedom from which an expansion in their inverse is exact to rounding."""

_VERY_MANY = 1e7
"""Where it is so in the far tails too."""

# More than any level that a float can hold asks for; a fixed number needs no test.
_NEWTON_STEPS = 12

_Value = float | Float[Array | np.ndarray, "..."]


def student_quantile(level: _Value, degrees_of_freedom: _Value) -> Float[Array, "..."]:
    """Return quantiles of Student's t distribution; the arguments broadcast.

    Newton's method for the logarithm of the tail in the logarithm of t, in which it is
    concave: after one step it comes to the root from one side. From 3000 degrees of
    freedom on the expansion around the normal quantile (Abramowitz and Stegun 1964,
    26.7.5).

    Args:
        level: Between 0 and 1.
        degrees_of_freedom: Positive, whole or not; infinite for the normal quantile.
    """
    if _is_normal(degrees_of_freedom):
        return _normal_quantile(level)
    level, freedom = _broadcast(level, degrees_of_freedom)
    tail = jnp.minimum(level, 1.0 - level)
    normal = -jsp.special.ndtri(tail)
    few = jnp.minimum(freedom, _MANY)
    # Both lie below the root: the density falls from the centre, the tails are fatter.
    first = jnp.maximum(normal, (0.5 - tail) / _density(jnp.zeros(()), few))
    off_centre = ~(first <= 0)  # also for nan, which goes through
    target = jnp.log(2.0 * tail)

    def step(_: Array, log_t: Array) -> Array:
        t = jnp.exp(log_t)
        both = _tails(t, few)
        slope = -2.0 * t * _density(t, few) / both
        return log_t - (jnp.log(both) - target) / slope

    start = jnp.log(jnp.where(off_centre, first, 1.0))
    found = jnp.exp(jax.lax.fori_loop(0, _NEWTON_STEPS, step, start))
    found = jnp.where(off_centre, found, 0.0)
    size = jnp.where(freedom >= _MANY, _expand(normal, freedom), found)
    size = jnp.where(tail == 0, jnp.inf, size)
    return jnp.where(level < 0.5, -size, size)


def student_p_value(
    statistic: _Value, degrees_of_freedom: _Value
) -> Float[Array, "..."]:
    """Return `P(|T| > |statistic|)`, the two-sided P-value; the arguments broadcast.

    Args:
        statistic: An estimate over its standard error.
        degrees_of_freedom: Positive, whole or not; infinite for the normal
            distribution.
    """
    if _is_normal(degrees_of_freedom):
        return _outside(statistic)
    statistic, freedom = _broadcast(statistic, degrees_of_freedom)
    size = jnp.abs(statistic)
    exact = _tails(size, jnp.minimum(freedom, _VERY_MANY))
    # The normal quantile of the same level, to the order that is left.
    normal = size - (size**3 + size) / (4.0 * freedom)
    limit = 2.0 * jsp.stats.norm.sf(jnp.where(jnp.isfinite(size), normal, size))
    return jnp.where(freedom >= _VERY_MANY, limit, exact)


@on_host
def _normal_quantile(xp: Any, level: AnyArray) -> Any:
    if xp is jnp:
        return jsp.special.ndtri(jnp.asarray(level, jnp.float64))
    return np.vectorize(_quantile_of_normal, otypes=[float])(level)


def _quantile_of_normal(level: float) -> float:
    if 0.0 < level < 1.0:
        return NormalDist().inv_cdf(level)
    return {0.0: -math.inf, 1.0: math.inf}.get(level, math.nan)


@on_host
def _outside(xp: Any, statistic: AnyArray) -> Any:
    """Return how likely a standard normal variable is larger in size."""
    argument = xp.abs(xp.asarray(statistic, float)) / math.sqrt(2.0)
    if xp is jnp:
        return jsp.special.erfc(argument)
    return np.vectorize(math.erfc, otypes=[float])(argument)


def _is_normal(degrees_of_freedom: _Value) -> bool:
    """Tell whether they are known to be infinite: all else need not be compiled."""
    return isinstance(degrees_of_freedom, float) and math.isinf(degrees_of_freedom)


def _broadcast(value: _Value, freedom: _Value):
    return jnp.broadcast_arrays(
        jnp.asarray(value, jnp.float64), jnp.asarray(freedom, jnp.float64)
    )


def _tails(t: Float[Array, "..."], freedom: Float[Array, "..."]):
    """Return `P(|T| > t)`; below one from the centre, where the tails cancel."""
    # Of the two tails of the beta function the one that is not rounded off.
    inner = t < 1.0
    # Infinite over infinite would be nan where the answer is zero.
    square = jnp.minimum(t * t, 1e300)
    total = freedom + square
    outer = jsp.special.betainc(
        jnp.where(inner, 0.5, 0.5 * freedom),
        jnp.where(inner, 0.5 * freedom, 0.5),
        jnp.where(inner, square, freedom) / total,
    )
    return jnp.where(inner, 1.0 - outer, outer)


def _density(t: Float[Array, "..."], freedom: Float[Array, "..."]):
    height = jsp.special.betaln(0.5 * freedom, 0.5) + 0.5 * jnp.log(freedom)
    return jnp.exp(-height - 0.5 * (freedom + 1.0) * jnp.log1p(t * t / freedom))


def _expand(x: Float[Array, "..."], freedom: Float[Array, "..."]):
    """Return the t quantile for a normal quantile, many degrees of freedom."""
    inverse = 1.0 / freedom
    terms = (
        (x**3 + x) / 4,
        (5 * x**5 + 16 * x**3 + 3 * x) / 96,
        (3 * x**7 + 19 * x**5 + 17 * x**3 - 15 * x) / 384,
        (79 * x**9 + 776 * x**7 + 1482 * x**5 - 1920 * x**3 - 945 * x) / 92160,
    )
    return x + sum(term * inverse**k for k, term in enumerate(terms, 1))
