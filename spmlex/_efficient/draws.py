"""Expectations under the model: rows of data that it generates.

Where a model lists its `outcomes`, they are all of them and the weights their
probabilities; where it can only `simulate`, they are draws with one fixed key.
"""

import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float, PRNGKeyArray

from spmlex._words.types import Data, Model, Probs, Support, Weights

_MOST_ROWS = 16
"""All outcomes are used where their rows number at most so many times the draws."""


def how_rows_are_made(model: Model, data: Data, n_draws: int) -> str | None:
    """Return "outcomes", "simulate", or `None` where the model offers neither."""
    can_simulate = hasattr(model, "simulate") and isinstance(data, dict)
    if hasattr(model, "outcomes"):
        shape = jax.eval_shape(model.outcomes, data)
        first = jax.tree.leaves(shape)[0].shape
        if first[0] * first[1] <= _MOST_ROWS * n_draws or not can_simulate:
            return "outcomes"
    return "simulate" if can_simulate else None


def list_outcomes(model: Model, data: Data) -> Data:
    """Return all the outcomes that each observation could have, row after row.

    Args:
        model: Its `outcomes(data)` returns them with a leading axis for the outcome.
        data: Gives the covariates.
    """
    cells = model.outcomes(data)
    return jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), cells)


def draw_rows(
    model: Model,
    data: dict[str, Array],
    supp: Support,
    proposal: Probs,
    weights: Weights,
    key: PRNGKeyArray,
    n_draws: int,
) -> dict[str, Array]:
    """Draw data from the model, with the covariates of the observations.

    Observations and support points are drawn systematically, in proportion to their
    weights, and paired at random.

    Args:
        model: The model at theta; its `simulate` gets the data with `latent` beside
            them and returns outcomes.
        data: Gives the covariates.
        supp: Support grid.
        proposal: The mixing distribution to draw from.
        weights: Of the observations; those without are left out.
        key: Of the draws.
        n_draws: Their number.
    """
    for_pairs, for_outcomes = jr.split(key)
    which = _draw_systematically(weights, n_draws)
    # Shuffled: both are in order, and observations may be ordered by a covariate.
    drawn = jr.permutation(for_pairs, _draw_systematically(proposal, n_draws))
    latent = jax.tree.map(lambda leaf: leaf[drawn], supp)
    given = jax.tree.map(lambda leaf: leaf[which], data)
    rows = given | model.simulate(given | {"latent": latent}, rng=for_outcomes)
    return {name: rows[name] for name in data}


def _draw_systematically(probs: Float[Array, " k"], count: int) -> Array:
    """Return `count` indices, each as often as its probability says, up to one."""
    levels = (jnp.arange(count) + 0.5) / count
    below = jnp.cumsum(probs / jnp.sum(probs))
    # The last one with positive mass catches what rounding leaves above the sum.
    last = jnp.max(jnp.where(probs > 0, jnp.arange(probs.size), 0))
    return jnp.minimum(jnp.searchsorted(below, levels, side="right"), last)
