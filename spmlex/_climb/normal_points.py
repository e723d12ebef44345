"""Normal points around an estimate, spread evenly: for slopes and further starts."""

import math

import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float

# Fixed: the same call has the same starts, whatever was drawn before it.
_SEED = 20260101
_MAX_SPREAD = 1e3
"""A direction without curvature is taken to be this much wider than the narrowest."""


def normal_design(size: int, count: int) -> Float[Array, "n size"]:
    """Return at least `count` standard normal points, always the same.

    Random orthogonal bases with both signs, each vector's length drawn from the chi
    distribution: like independent draws, but their mean is zero and each basis spreads
    over all directions, so a slope estimated on them has less error.

    Args:
        size: Dimension.
        count: Least number of points; the next multiple of `2 size` is returned.
    """
    n_blocks = math.ceil(count / (2 * size))
    key = jr.key(_SEED)

    def block(number: Array) -> Array:
        basis_key, length_key = jr.split(jr.fold_in(key, number))
        basis, _ = jnp.linalg.qr(jr.normal(basis_key, (size, size)))
        length = jnp.sqrt(2.0 * jr.gamma(length_key, 0.5 * size, (size,)))
        half = basis.T * length[:, None]
        return jnp.concatenate([half, -half])

    return jax.vmap(block)(jnp.arange(n_blocks)).reshape(-1, size)


def covariance_root(
    hessian: Float[Array, "p p"], n_obs: int | Array
) -> Float[Array, "p p"]:
    """Return L with `L L'` the observed covariance, also where the Hessian has none.

    From the eigenvalues of the Hessian scaled to a unit diagonal, their signs dropped
    and bounded away from zero: next to a maximum it is the root of `(n H)^{-1}`.

    Args:
        hessian: Of the mean negative log-likelihood.
        n_obs: Number of observations.
    """
    if hessian.size == 0:
        return hessian
    scale = jnp.sqrt(jnp.maximum(jnp.abs(jnp.diagonal(hessian)), 1e-300))
    values, vectors = jnp.linalg.eigh(hessian / (scale[:, None] * scale))
    # At a saddle too there is a spread to draw starts with.
    values = jnp.abs(values)
    values = jnp.maximum(values, jnp.max(values) / _MAX_SPREAD)
    return vectors / jnp.sqrt(values) / scale[:, None] / jnp.sqrt(n_obs)
