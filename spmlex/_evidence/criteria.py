"""Information criteria: what a log-likelihood is worth beside what it took to reach."""

import jax.numpy as jnp
from jaxtyping import Array, Int

from spmlex._evidence.evidence import Evidence
from spmlex._support.continuum import rows_of
from spmlex._words.types import Scalar


def count_parameters(evidence: Evidence) -> Int[Array, ""]:
    """Return what a maximum has spent: theta, and places and masses of F.

    K points in d dimensions count `K (d + 1) - 1` in each group, wherever a grid has
    them: it offered more places than that to choose from.
    """
    dimension = rows_of(evidence.supp).shape[1]
    n_groups = 1 if evidence.probs.ndim == 1 else evidence.probs.shape[1]
    points = jnp.sum(evidence.probs > 0)
    return evidence.theta.size + points * (dimension + 1) - n_groups


def akaike(evidence: Evidence) -> Scalar:
    """Return `2 k - 2 log L` (Akaike 1973), the smaller the better."""
    return 2.0 * count_parameters(evidence) - 2.0 * evidence.log_likelihood


def schwarz(evidence: Evidence) -> Scalar:
    """Return `k log n - 2 log L` (Schwarz 1978), the smaller the better."""
    price = jnp.log(evidence.n_obs) * count_parameters(evidence)
    return price - 2.0 * evidence.log_likelihood
