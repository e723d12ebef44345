"""Recognise models whose likelihood has no maximum over free support points.

With one support point for each observation the likelihood of a model with a free noise
scale grows without bound as that scale goes to zero (Anderson and Rubin 1956; Solari
1969). On a grid the spacing keeps the scale from zero; without a grid nothing does.
"""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float

from spmlex._profile.derivatives import has_reverse
from spmlex._support.continuum import Box, maximise_gradient
from spmlex._words.inputs import conditional_likelihoods
from spmlex._words.parameters import parameter_names, split_model
from spmlex._words.types import Data, Model, Weights

# A median: more observations would say the same.
_SUBSAMPLE = 200
# Nats and factor between the two moves: a noise scale that goes to zero rises by 8 and
# narrows by e^8 when moved by 8 in logarithms, a bounded likelihood by neither.
_RISE = 4.0
_NARROWING = 1e3


def unbounded_parameters(
    model: Model,
    free: tuple[bool, ...],
    data: Data,
    box: Box,
    trial: Float[Array, "n_supp d"],
    weights: Weights,
) -> list[str]:
    """Return the parameters along which the likelihood appears to be unbounded.

    Each parameter is moved far away: by 8 and 16 up and down, and by factors of 2^12
    and 2^24 up and down (a scale in logarithms and a scale in levels). It is named if
    between the two the median over i of `max_v lclk_i(v)` rises by more than four nats
    while the kernels become narrower by orders of magnitude: what a bounded likelihood
    cannot do for long. A numerical probe on at most 200 observations, not a proof.
    """
    kept = np.flatnonzero(np.asarray(weights) > 0)
    rows = kept[np.unique(np.linspace(0, kept.size - 1, _SUBSAMPLE).astype(int))]
    data = jax.tree.map(lambda leaf: leaf[rows], data)
    variable, constant = split_model(model, free)
    theta, unravel = ravel_pytree(variable)
    if theta.size == 0:
        return []
    unit = jnp.eye(theta.size)
    near = jnp.concatenate([theta + 8.0 * unit, theta - 8.0 * unit])
    far = jnp.concatenate([theta + 16.0 * unit, theta - 16.0 * unit])
    for factor in (2.0**12, 2.0**-12):
        near = jnp.concatenate([near, theta * (1.0 + (factor - 1.0) * unit)])
        far = jnp.concatenate([far, theta * (1.0 + (factor**2 - 1.0) * unit)])
    height, width = _saturate(unravel, constant, data, box, trial, near, theta)
    height2, width2 = _saturate(unravel, constant, data, box, trial, far, theta)
    runs = (height2 - height > _RISE) & (width > _NARROWING * width2)
    found = np.any(np.asarray(runs).reshape(4, -1), axis=0)
    names = parameter_names(model, free)
    return [name for name, runs in zip(names, found, strict=True) if runs]


@eqx.filter_jit
def _saturate(
    unravel: Callable[[Array], Model],
    constant: Model,
    data: Data,
    box: Box,
    trial: Float[Array, "n_supp d"],
    thetas: Float[Array, "k p"],
    theta0: Float[Array, " p"],
) -> tuple[Float[Array, " k"], Float[Array, " k"]]:
    """Return medians of `max_v lclk_i(v)` and of the kernel width at each theta."""

    def build(theta: Array) -> Model:
        return eqx.combine(unravel(theta), constant)

    start = jnp.argmax(
        conditional_likelihoods(build(theta0), data, box.to_supp(trial)), axis=1
    )
    reach = (box.high - box.low) / 16.0

    def at_theta(theta: Array) -> tuple[Array, Array]:
        def one(row: Data, seed: Array) -> tuple[Array, Array]:
            alone = jax.tree.map(lambda leaf: leaf[None], row)

            def lclk(point: Array) -> Array:
                supp = box.to_supp(point[None])
                return conditional_likelihoods(build(theta), alone, supp)[0, 0]

            peak, height = maximise_gradient(
                build(theta), alone, box, jnp.zeros(1), seed[None], reach
            )
            inner = jax.jacrev if has_reverse(lclk, peak[0]) else jax.jacfwd
            curvature = jnp.trace(jax.jacfwd(inner(lclk))(peak[0]))
            return height[0], 1.0 / jnp.sqrt(jnp.maximum(-curvature, 1e-300))

        heights, widths = jax.vmap(one)(data, trial[start])
        return jnp.median(heights), jnp.median(widths)

    # One theta after the other: memory for the subsample at one of them.
    return jax.lax.map(at_theta, thetas)
