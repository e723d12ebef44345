"""Two kinds of weights: how much an observation counts, and how often it was seen.

`weights` say how much each observation counts in the mean, as sampling or importance
weights do; their scale says nothing, and the sample is as large as it has rows.
`counts` say how many equal observations a row stands for, and make the sample larger.
A row without weight, or seen never, is as good as absent.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float

from spmlex._inner.mixture import normalise_weights
from spmlex._words.inputs import read_weights
from spmlex._words.types import Data, Scalar, Weights

_HALF = 1e-9
"""Sums of weights this close to one half are one half."""


def read_sample(
    weights: Any, counts: Any, n_obs: int
) -> tuple[Weights, Float[Array, " n_obs"] | None]:
    """Return the shares of the rows in the sample, sum one, and how often each is seen.

    Args:
        weights: Nonnegative observation weights, or `None`.
        counts: Whole numbers, or `None`: each row is one observation.
        n_obs: Number of rows.

    Raises:
        ValueError: Not one nonnegative number for each row, counts that are no whole
            numbers, or nothing left.
    """
    if counts is None:
        return normalise_weights(weights, n_obs), None
    read = read_weights(counts, n_obs, "counts")
    if not isinstance(read, Tracer):
        broken = np.asarray(read) != np.rint(np.asarray(read))
        if broken.any():
            raise ValueError(
                f"counts holds {np.asarray(read)[broken][0]} at position "
                f"{np.argmax(broken)}; give whole numbers: how many observations each "
                "row stands for. Sampling weights go into `weights`."
            )
    read = jnp.asarray(read, jnp.float64)
    if weights is None:
        return read / jnp.sum(read), read
    both = read * read_weights(weights, n_obs)
    if not isinstance(both, Tracer) and not bool(jnp.any(both > 0)):
        raise ValueError("weights and counts leave no observation: one is always zero.")
    return both / jnp.sum(both), read


def fill_rows_without_weight(data: Data, weights: Weights) -> Data:
    """Return data in which rows without weight repeat the first row with some.

    So that whatever stands in them, missing values too, reaches no derivative: zero
    times nan is nan.
    """
    if not isinstance(weights, Tracer) and bool(jnp.all(weights > 0)):
        return data
    rows = jnp.arange(weights.size)
    rows = jnp.where(weights > 0, rows, jnp.argmax(weights > 0))
    return jax.tree.map(lambda leaf: jnp.asarray(leaf)[rows], data)


def share_of_square(
    weights: Weights, counts: Float[Array, " n_obs"] | None
) -> Float[Array, " n_obs"]:
    """Return the root of the sum of squared shares of the observations of each row.

    A row with share w that stands for c observations has c squares of w / c.
    """
    if counts is None:
        return weights
    return weights / jnp.sqrt(jnp.maximum(counts, 1.0))


def weighted_median(values: Float[Array, " n_obs"], weights: Weights) -> Scalar:
    """Return the median: with equal weights the one of `jnp.median`."""
    order = jnp.argsort(values)
    below = jnp.cumsum(weights[order]) / jnp.sum(weights)
    # Where one half falls between two values their mean.
    first = jnp.argmax(below >= 0.5 - _HALF)
    last = jnp.argmax(below > 0.5 + _HALF)
    return 0.5 * (values[order[first]] + values[order[last]])
