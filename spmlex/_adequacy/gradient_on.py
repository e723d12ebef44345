"""The gradient function at points of a user's choice. Equation (3)."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from spmlex._inner.mixture import normalise_weights
from spmlex._support.continuum import log_ratios
from spmlex._words.arguments import read_masses
from spmlex._words.inputs import (
    cast_to_float64,
    check_rows,
    conditional_likelihoods,
    read_inputs,
)
from spmlex._words.types import (
    Data,
    GivenProbs,
    GivenWeights,
    Model,
    Probs,
    Support,
    Weights,
)


def gradient_on(
    model: Model,
    data: Data,
    supp: Support,
    probs: GivenProbs,
    points: Support,
    *,
    weights: GivenWeights | None = None,
) -> Float[Array, " n_points"]:
    """Return the gradient function at any points of the continuum. Equation (3).

    `g(v) = (1/n) sum_i w_i G(w_i, v) / l_i`: adding mass at v raises the likelihood
    where `g(v) > 1`, by at most `log g(v)` nats per observation.

    Args:
        model: The model at theta.
        data: A pytree of arrays with leading axis n_obs.
        supp: Support of the mixing distribution.
        probs: Its probabilities.
        points: Where to evaluate, in the form of `supp`.
        weights: Nonnegative observation weights; their scale does not matter.

    Examples:
        >>> model, at, probs = estimate.model, estimate.supp, estimate.probs
        >>> gradient_on(model, data, at, probs, supp).shape
        (25,)
    """
    model, data, supp = read_inputs(model, data, supp)
    check_rows("points", points, "n_points")
    points = cast_to_float64(points)
    shapes = [
        jax.tree.map(lambda leaf: jnp.shape(leaf)[1:], tree) for tree in (points, supp)
    ]
    if shapes[0] != shapes[1]:
        raise ValueError("points: give them in the form of supp, which they are not.")
    probs = read_masses("probs", probs, jax.tree.leaves(supp)[0].shape[0])
    if weights is not None:
        weights = normalise_weights(weights, jax.tree.leaves(data)[0].shape[0])
    return _gradient_on(model, data, supp, probs, points, weights)


@eqx.filter_jit
def _gradient_on(
    model: Model,
    data: Data,
    supp: Support,
    probs: Probs,
    points: Support,
    weights: Weights | None,
) -> Float[Array, " n_points"]:
    lclk = conditional_likelihoods(model, data, points)
    weights = normalise_weights(weights, lclk.shape[0])
    log_ratio = log_ratios(model, data, supp, probs, weights)
    return jnp.exp(jax.nn.logsumexp(log_ratio[:, None] + lclk, axis=0))
