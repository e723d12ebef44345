"""The covariance of the root of the efficient score: a sandwich, with a floor."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from spmlex._efficient.score_at import ScoreAt
from spmlex._efficient.score_equation import ScoreEquation
from spmlex._evidence.covariance import sum_within
from spmlex._programs.compile import compile_together


@compile_together
def score_covariance(
    equation: ScoreEquation,
    here: ScoreAt,
    clusters: Int[Array | np.ndarray, " _"] | None = None,
) -> Float[Array, "p p"]:
    """Return the covariance of theta; `nan` where it is not identified.

    That of the sandwich `A^{-1} V A^{-1}' / n`, with A the mean product of the
    efficient scores and the scores and V that of the efficient scores; a standard error
    is not less than what the efficient information says. What shifts and stretches of F
    explain is taken out of the scores in A: they are uncorrelated with the efficient
    scores, but in a sample only nearly so, and large where a covariate has a large
    mean.

    Args:
        equation: The equation.
        here: Its evaluation at the root.
        clusters: Whole number for each observation; those with the same one may depend
            on each other.
    """
    weights, n_obs = equation.weights, equation.n_obs
    directions = here.directions
    kept = directions.identified
    counts = equation.problem.counts
    summed = sum_within(here.scores, weights, clusters, counts) @ directions.basis
    middle = summed.T @ summed / n_obs
    by_score = (weights[:, None] * here.raw) @ directions.basis
    bread = (here.scores @ directions.basis).T @ by_score
    both = kept[:, None] & kept
    # A unit block in place of what is not identified: the rest can be inverted.
    bread = jnp.where(both, bread, jnp.eye(kept.size))
    inverse: Float[Array, "p p"] = jnp.linalg.inv(bread)
    inverse = jnp.where(both, inverse, 0.0)
    turned = directions.basis @ inverse
    sandwich = turned @ middle @ turned.T / n_obs
    sample = jnp.diagonal(sandwich)
    model = jnp.diagonal(directions.inverse) / n_obs
    # Stretched, not replaced: correlations are the sandwich's.
    longer = jnp.sqrt(jnp.maximum(model, sample) / jnp.maximum(sample, 1e-300))
    longer = jnp.where(sample > 0, longer, 1.0)
    covariance = longer[:, None] * sandwich * longer
    known = ~directions.involved
    return jnp.where(known[:, None] & known, covariance, jnp.nan)
