"""How observations move theta and F under the model. Equation (20)."""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from spmlex._efficient.efficient_estimate import EfficientEstimate
from spmlex._efficient.expansion import Expansion, OnGrid
from spmlex._efficient.projection import Moments, solve_faded, sum_moments
from spmlex._efficient.score_parts import (
    N_DRAWS,
    Rows,
    find_seen,
    split_score,
    spread_out,
)
from spmlex._profile.outer import weights_by_group
from spmlex._programs.compile import compile_for_one_call
from spmlex._words.types import Probs, Weights

_CUTOFF = 1e-3
"""Directions of F that vary by less than this share of the largest fade out. Looser
than for theta: what a share of F says along the rest is bias below a fifth of its
standard error, and noise of several times that at 1e-5."""


@functools.partial(compile_for_one_call, n_made=2 * N_DRAWS)
def expand_under_model(estimate: EfficientEstimate) -> Expansion:
    """Return theta and F, to be corrected in one step, and how observations move them.

    The influence on a function kappa is the combination of efficient scores and
    directions of F, `phi = gamma' psi + alpha' b`, whose products with the scores and
    the directions have the derivatives of the function as means under the model:
    `E[b b'] alpha = d kappa / d F`, solved where the directions vary as in equation
    (8), and `I gamma = d kappa / d theta - E[S b'] alpha`. The value is that at the
    smooth F plus the mean of phi: to first order it no longer depends on how F was
    smoothed. All of it is linear in the derivatives of kappa, whose factors are
    returned. With groups b and alpha are those of the observation's group, over its
    share.

    Args:
        estimate: The root.
    """
    equation, here = estimate.equation, estimate.root.here
    theta, weights = estimate.theta, equation.weights
    problem = equation.problem_at(theta, here.carried)
    lclk = problem.lclk(theta)
    on_theta: Float[Array, "n_obs p"] = here.scores @ here.directions.inverse

    def move_masses(item: tuple[Weights, Probs, Rows]) -> tuple[Array, Array, Array]:
        own, smooth, rows = item
        probs, _ = spread_out(smooth, find_seen(lclk, own))
        moments = sum_moments(problem, theta, probs, rows)
        inverse, crossed = _invert_columns(moments, probs.size, theta.size)
        columns = split_score(problem, theta, probs, problem.data).columns
        columns = jnp.where(probs > 0, columns, 0.0)
        along = columns @ inverse / jnp.maximum(jnp.sum(own), 1e-300)
        along = jnp.where(own[:, None] > 0, along, 0.0)

        def keep_total(moves: Array) -> Array:
            """Measure the derivatives with the masses from their mean."""
            moves = jnp.where(probs > 0, moves, 0.0)
            return moves - jnp.sum(moves, axis=-1, keepdims=True) * probs

        moves = keep_total(along - on_theta @ crossed @ inverse)
        return probs, moves, keep_total(weights @ along)

    # Without groups the axis of groups has one entry.
    smooth = estimate.probs.T.reshape(-1, problem.n_supp)
    each = weights_by_group(problem, weights), smooth, here.carried.rows
    plugged: Float[Array, "n_groups n_supp"]
    moves: Float[Array, "n_groups n_obs n_supp"]
    shift: Float[Array, "n_groups n_supp"]
    plugged, moves, shift = jax.lax.map(move_masses, each)
    return Expansion(
        jnp.concatenate([theta, plugged.ravel()]),
        jnp.concatenate([on_theta, *moves], axis=1),
        jnp.concatenate([jnp.zeros_like(theta), shift.ravel()]),
        OnGrid(problem, problem.supp, estimate.probs.T.shape),
        weights,
        problem.counts,
    )


def _invert_columns(
    moments: Moments, n_supp: int, n_params: int
) -> tuple[Float[Array, "n_supp n_supp"], Float[Array, "p n_supp"]]:
    """Return the faded inverse of `E[b b']`, and `E[S b']`."""
    # Flows come first, then columns, then scores.
    columns, scores = slice(-n_supp - n_params, -n_params), slice(-n_params, None)
    second = moments.second / moments.total
    among: Float[Array, "n_supp n_supp"] = second[columns, columns]
    # On a unit diagonal: the cutoff is then a share, whatever the points' masses.
    unit: Float[Array, " n_supp"] = jnp.sqrt(jnp.diagonal(among))
    unit = jnp.where(unit > 0, unit, 1.0)
    scaled = solve_faded(among / (unit[:, None] * unit), jnp.diag(1 / unit), _CUTOFF)
    return scaled / unit[:, None], second[scores, columns]
