"""A function of theta and F at the root of the efficient score. Equation (20)."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float

from spmlex._compile import compile_for_one_call
from spmlex._efficient import (
    Moments,
    Rows,
    find_seen,
    solve_faded,
    split_score,
    spread_out,
    sum_moments,
)
from spmlex._efficient_estimate import EfficientEstimate
from spmlex._outer import weights_by_group

_CUTOFF = 1e-3
"""Directions of F that vary by less than this share of the largest fade out. Looser
than for theta: what a share of F says along the rest is bias below a fifth of its
standard error, and noise of several times that at 1e-5."""


@compile_for_one_call
def influence_under_model(
    estimate: EfficientEstimate, function: Callable[..., Any]
) -> tuple[Float[Array, " k"], Float[Array, "n_obs k"]]:
    """Return the value, corrected in one step, and the influence of each observation.

    The influence is the combination of efficient scores and directions of F,
    `phi = gamma' psi + alpha' b`, whose products with the scores and the directions
    have the derivatives of the function as means under the model: `E[b b'] alpha =
    d kappa / d F`, solved where the directions vary as in equation (8), and
    `I gamma = d kappa / d theta - E[S b'] alpha`. The value is that at the smooth F
    plus the mean of phi: to first order it no longer depends on how F was smoothed.

    Args:
        estimate: The root.
        function: Of the model, the support points and the mixing probabilities; with
            groups b and alpha are those of the observation's group, over its share.
    """
    problem, here = estimate.equation.problem, estimate.root.here
    theta, weights = estimate.theta, estimate.equation.weights
    lclk = problem.lclk(theta)
    own = weights_by_group(problem, weights)
    shares: Float[Array, " n_groups"] = jnp.maximum(jnp.sum(own, axis=1), 1e-300)

    def plug_in(weights: Array, probs: Array) -> Array:
        return spread_out(probs, find_seen(lclk, weights))[0]

    # Without groups the axis of groups has one entry.
    smooth = estimate.probs.T.reshape(-1, problem.n_supp)
    plugged = jax.vmap(plug_in)(own, smooth)

    def flat(theta: Array, plugged: Array) -> Array:
        probs = plugged.reshape(estimate.probs.T.shape).T
        return ravel_pytree(function(problem.build(theta), problem.supp, probs))[0]

    value = flat(theta, plugged)
    by_theta: Float[Array, "k p"]
    by_probs: Float[Array, "k n_groups n_supp"]
    by_theta, by_probs = jax.jacrev(flat, argnums=(0, 1))(theta, plugged)

    def along_columns(
        item: tuple[Array, Array, Array, Rows],
    ) -> tuple[Array, Array]:
        weights, probs, slopes, rows = item
        wanted = slopes - (slopes @ probs)[:, None]
        wanted = jnp.where(probs > 0, wanted, 0.0)
        moments = sum_moments(problem, theta, probs, rows)
        alpha, crossed = _solve_columns(moments, wanted, theta.size)
        there = split_score(problem, theta, probs, problem.data)
        seen_columns = jnp.where(probs > 0, there.columns, 0.0)
        influence = seen_columns @ alpha / jnp.sum(weights)
        return crossed, jnp.where(weights[:, None] > 0, influence, 0.0)

    rows = here.carried.rows
    slopes = by_probs.transpose(1, 0, 2)
    crossed: Float[Array, "n_groups p k"]
    crossed, by_columns = jax.lax.map(along_columns, (own, plugged, slopes, rows))
    gamma = here.directions.inverse @ (by_theta.T - jnp.sum(crossed, axis=0))
    along = jnp.sum(by_columns, axis=0)
    return value + weights @ along, here.scores @ gamma + along


def _solve_columns(
    moments: Moments, wanted: Float[Array, "k n_supp"], n_params: int
) -> tuple[Float[Array, "n_supp k"], Float[Array, "p k"]]:
    """Return alpha, and the products of the score with what it makes of columns."""
    n_supp = wanted.shape[1]
    # Flows come first, then columns, then scores.
    columns, scores = slice(-n_supp - n_params, -n_params), slice(-n_params, None)
    second = moments.second / moments.total
    among: Float[Array, "n_supp n_supp"] = second[columns, columns]
    unit: Float[Array, " n_supp"] = jnp.sqrt(jnp.diagonal(among))
    unit = jnp.where(unit > 0, unit, 1.0)
    scaled = solve_faded(among / (unit[:, None] * unit), (wanted / unit).T, _CUTOFF)
    alpha = scaled / unit[:, None]
    return alpha, second[scores, columns] @ alpha
