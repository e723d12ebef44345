"""A function of theta and F at the root of the efficient score. Equation (20)."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float

from spmlex._compile import compile_for_one_call
from spmlex._efficient_estimate import EfficientEstimate
from spmlex._projection import solve_faded, sum_moments
from spmlex._score_parts import find_seen, split_score, spread_out

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
        estimate: The root, without groups.
        function: Of the model, the support points and the mixing probabilities.
    """
    problem, here = estimate.equation.problem, estimate.root.here
    theta, weights = estimate.theta, estimate.equation.weights
    seen = find_seen(problem.lclk(theta), weights)
    plugged, _ = spread_out(estimate.probs, seen)

    def flat(theta: Array, probs: Array) -> Array:
        return ravel_pytree(function(problem.build(theta), problem.supp, probs))[0]

    value = flat(theta, plugged)
    by_theta: Float[Array, "k p"]
    by_probs: Float[Array, "k n_supp"]
    by_theta, by_probs = jax.jacrev(flat, argnums=(0, 1))(theta, plugged)
    wanted = by_probs - (by_probs @ plugged)[:, None]
    wanted = jnp.where(plugged > 0, wanted, 0.0)
    # With one group alone the leading axis has one entry.
    rows = jax.tree.map(lambda leaf: leaf[0], here.carried.rows)
    moments = sum_moments(problem, theta, plugged, rows)
    second = moments.second / moments.total
    # Flows come first, then columns, then scores.
    n_supp, n_params = plugged.size, theta.size
    columns, scores = slice(-n_supp - n_params, -n_params), slice(-n_params, None)
    among: Float[Array, "n_supp n_supp"] = second[columns, columns]
    unit: Float[Array, " n_supp"] = jnp.sqrt(jnp.diagonal(among))
    unit = jnp.where(unit > 0, unit, 1.0)
    scaled = solve_faded(among / (unit[:, None] * unit), (wanted / unit).T, _CUTOFF)
    alpha = scaled / unit[:, None]
    crossed = second[scores, columns] @ alpha
    gamma = here.directions.inverse @ (by_theta.T - crossed)
    there = split_score(problem, theta, plugged, problem.data)
    seen_columns = jnp.where(plugged > 0, there.columns, 0.0)
    influence = here.scores @ gamma + seen_columns @ alpha
    step = weights @ (seen_columns @ alpha)
    return value + step, influence
