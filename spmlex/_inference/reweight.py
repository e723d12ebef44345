"""What refits resample, observations or clusters, and the weights of rows then."""

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float, Int, PRNGKeyArray

from spmlex._evidence.evidence import Evidence
from spmlex._words.inputs import number_clusters


class Units(eqx.Module):
    """Which unit, a cluster or an observation, the rows of data belong to.

    Attributes:
        row: A row.
        unit: A unit that it belongs to: one for each observation that it stands for.
        share: The share of the row that is this unit's.
        n_rows: Number of rows.
    """

    row: Int[Array, " k"]
    unit: Int[Array, " k"]
    share: Float[Array, " k"]
    n_rows: int = eqx.field(static=True)

    @classmethod
    def of(
        cls, row: np.ndarray, unit: np.ndarray, share: np.ndarray, n_rows: int
    ) -> "Units":
        """Return units from NumPy arrays."""
        return cls(jnp.asarray(row), jnp.asarray(unit), jnp.asarray(share), n_rows)

    def spread(self, factors: Float[Array, " n_units"]) -> Float[Array, " n_rows"]:
        """Return for each row the mean factor of its units."""
        mine = self.share * factors[self.unit]
        return jnp.zeros(self.n_rows).at[self.row].add(mine)


class WithoutGroup(eqx.Module):
    """Weights of units: zero in one group, one in the others."""

    group: Int[Array, " n_units"]

    def __call__(self, number: Int[Array, ""]) -> Float[Array, " n_units"]:
        return (self.group != number).astype(float)


class RandomWeights(eqx.Module):
    """Weights of units for the bootstrap, a new draw for each number."""

    key: PRNGKeyArray
    n_units: int = eqx.field(static=True)
    kind: str = eqx.field(static=True)

    def __call__(self, number: Int[Array, ""]) -> Float[Array, " n_units"]:
        key = jr.fold_in(self.key, number)
        if self.kind == "exponential":
            return jr.exponential(key, (self.n_units,))
        drawn = jr.randint(key, (self.n_units,), 0, self.n_units)
        return jnp.zeros(self.n_units).at[drawn].add(1.0)


def number_units(
    clusters: Int[Array | np.ndarray, " n_obs"] | None, evidence: Evidence
) -> tuple[Units, int]:
    """Return what is resampled, clusters or observations, and how many there are.

    Observations of weight zero are none, nor is a cluster of them; where the weights
    are traced they can't be told apart.
    """
    weights, counts = evidence.weights, evidence.counts
    if isinstance(clusters, Tracer) or isinstance(counts, Tracer):
        name = "clusters" if isinstance(clusters, Tracer) else "counts"
        raise ValueError(f"{name} must be a known array, not one traced by jit.")
    n_rows = weights.shape[0]
    traced = isinstance(weights, Tracer)
    kept = np.ones(n_rows, bool) if traced else np.asarray(weights) > 0
    rows = np.flatnonzero(kept)
    ones = np.ones(rows.size)
    if clusters is not None:
        number_clusters(clusters, n_rows)  # refused in words where it is wrong
        # Numbered again: clusters whose rows all weigh nothing are not drawn.
        numbers, n_units = number_clusters(np.asarray(clusters)[kept], rows.size)
        return Units.of(rows, np.asarray(numbers), ones, n_rows), int(n_units)
    if counts is not None:
        seen = np.asarray(counts)[rows].astype(int)
        rows = np.repeat(rows, seen)
        # Of the observations in a row each has an even share of its weight.
        ones = 1.0 / np.repeat(seen, seen)
    return Units.of(rows, np.arange(rows.size), ones, n_rows), rows.size
