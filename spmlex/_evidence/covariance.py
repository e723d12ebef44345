"""Covariances of the estimator of theta from its scores and its Hessian."""

from typing import Any

import jax.numpy as jnp
import jax.scipy as jsp
import numpy as np
from jaxtyping import Array, Float, Int

from spmlex._inner.mixture import count_observations
from spmlex._inner.weights import share_of_square
from spmlex._programs.compile import compile_together, on_host
from spmlex._words.inputs import number_clusters
from spmlex._words.types import AnyArray, Weights

COVARIANCE_KINDS = ("observed", "opg", "sandwich")


def covariance_matrix(
    hessian: Float[Array, "p p"],
    scores: Float[Array, "n_obs p"],
    weights: Weights,
    kind: str,
    clusters: Int[Array | np.ndarray, " _"] | None = None,
    counts: Float[Array, " n_obs"] | None = None,
) -> Float[Array, "p p"]:
    """Return a covariance matrix of the estimator of theta.

    With the Hessian H of the mean profile likelihood and the profile scores s_i, whose
    derivative includes that of `probs`: "observed" is `(n H)^{-1}`, "opg" `(n J)^{-1}`
    with `J = (1/n) sum w_i² s_i s_i'`, "sandwich" `H^{-1} J H^{-1} / n` (Huber 1967;
    White 1982). Here n is the number of observations with weight, and their weights
    have mean one. With clusters the weighted scores are summed within each of the C
    clusters with weight first and J is multiplied by `C / (C - 1)` (Liang and Zeger
    1986).

    Args:
        hessian: Of the negative mean log-likelihood, nats per observation.
        scores: Per observation, nats, unweighted.
        weights: Observation weights with sum one.
        kind: One of `COVARIANCE_KINDS`.
        clusters: Whole number for each observation; those with the same one may depend
            on each other.
        counts: How many observations each row stands for; `None`: one.

    Returns:
        In squared units of theta; `nan` where the Hessian (or J) is singular.
    """
    if clusters is not None:  # in words, before they are traced
        number_clusters(clusters, scores.shape[0])
    return _covariance(hessian, scores, weights, kind, clusters, counts)


@compile_together
def _covariance(
    hessian: Float[Array, "p p"],
    scores: Float[Array, "n_obs p"],
    weights: Weights,
    kind: str,
    clusters: Int[Array | np.ndarray, " _"] | None,
    counts: Float[Array, " n_obs"] | None,
) -> Float[Array, "p p"]:
    n_obs = count_observations(weights, counts)
    weighted = sum_within(scores, weights, clusters, counts)
    outer = weighted.T @ weighted / n_obs
    if kind == "opg":
        return _inverse(outer) / n_obs
    inverse = _inverse(hessian)
    if kind == "observed":
        return inverse / n_obs
    return inverse @ outer @ inverse / n_obs


def errors_of(covariance: Float[Array, "p p"]) -> Float[Array, " p"]:
    """Return standard errors: roots of the variances."""
    return _root_of_diagonal(covariance)


@on_host
def _root_of_diagonal(xp: Any, covariance: Float[AnyArray, "p p"]) -> Any:
    return xp.sqrt(xp.diagonal(covariance))


def sum_within(
    scores: Float[Array, "n_obs p"],
    weights: Weights,
    clusters: Int[Array | np.ndarray, " _"] | None,
    counts: Float[Array, " n_obs"] | None = None,
) -> Float[Array, "n_obs p"]:
    """Return scores times their weights, with mean one, summed within clusters.

    Args:
        scores: Of each observation.
        weights: With sum one.
        clusters: Whole number for each observation; `None`: each is one by itself.
        counts: How many observations each row stands for; `None`: one. Without
            clusters a row is the root of the sum of their squares.

    Returns:
        A row for each cluster, in the scale that makes up for their number; the other
        rows are zero.
    """
    n_obs, total = scores.shape[0], count_observations(weights, counts)
    if clusters is None:
        return total * share_of_square(weights, counts)[:, None] * scores
    weighted = total * weights[:, None] * scores
    numbers, _ = number_clusters(clusters, n_obs)
    # Clusters without any weight are none.
    count = jnp.sum(jnp.zeros(n_obs, bool).at[numbers].max(weights > 0))
    summed = jnp.zeros_like(weighted).at[numbers].add(weighted)
    return summed * jnp.sqrt(count / (count - 1.0))


def _inverse(matrix: Float[Array, "p p"]) -> Float[Array, "p p"]:
    """Invert a positive definite matrix; `nan` throughout where it is not."""
    if matrix.size == 0:
        return matrix
    # To a unit diagonal: units of parameters may differ by many orders.
    scale = jnp.sqrt(jnp.maximum(jnp.diagonal(matrix), 1e-300))
    factor = jnp.linalg.cholesky(matrix / (scale[:, None] * scale))
    inverse = jsp.linalg.cho_solve((factor, True), jnp.eye(matrix.shape[0]))
    return inverse / (scale[:, None] * scale)
