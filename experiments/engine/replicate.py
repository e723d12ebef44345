"""One replication, pure: an address gives a key, that the data, these a result."""

import zlib
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jax import lax
from jaxtyping import Array, Int, PRNGKeyArray

from experiments.dgp import Data, Model, Process
from experiments.estimators import Estimator, as_arrays
from experiments.grids import DataRange
from experiments.mixing import AbstractMixing


def make_stream(
    seed: int, streams: str, process_name: str, sample_size: int
) -> PRNGKeyArray:
    """Return the key that the keys of all replications of a cell are folded from.

    Args:
        seed: The study's seed.
        streams: "common": the same for every process and sample size, so that these
            share their random numbers; "independent": one for each.
        process_name: Name of the process in the study.
        sample_size: Number of observations.
    """
    # By name: the default implementation is a setting, and draws must not be.
    stream = jr.key(seed, impl="threefry2x32")
    if streams == "independent":
        # A hash that is the same in every process: Python's own of text is not.
        stream = jr.fold_in(stream, zlib.crc32(process_name.encode()))
        stream = jr.fold_in(stream, sample_size)
    return stream


def draw(
    stream: PRNGKeyArray,
    replication: Int[Array, ""],
    process: Process,
    sample_size: int,
) -> tuple[Data, Int[Array, ""]]:
    """Draw the data of one replication; return them with their hash."""
    data = process.simulate(jr.fold_in(stream, replication), sample_size)
    return data, hash_data(data)


def needs_mixing(estimator: Estimator) -> bool:
    """Return whether an estimator declares that it has to know the true F."""
    return getattr(estimator, "needs_mixing", False)


def estimate(
    estimator: Any,
    model: Model,
    data: Data,
    supp: Any,
    mixing: AbstractMixing | None = None,
    grid: DataRange | None = None,
    n_parameters: int | None = None,
) -> dict[str, Array]:
    """Run one estimator on the data of one replication; return it as it is stored.

    Args:
        estimator: The estimator.
        model: The process's model. Its values are erased before the estimator sees it.
        data: The data.
        supp: The support grid, or None for an estimator without one.
        mixing: The true mixing distribution; only an estimator that needs it sees it.
        grid: Puts the support grid where the data are.
        n_parameters: Entries of theta and estimands together; what an estimator does
            not report of them is missing. None: as many as it reports.
    """
    model = erase(model)
    if grid is not None:
        supp = grid.adapt(model.starting_values(data), data, supp)
    known = (mixing,) if needs_mixing(estimator) else ()
    return as_arrays(estimator.estimate(model, data, supp, *known), n_parameters)


def erase(model: Any) -> Any:
    """Replace every parameter by NaN: an estimator knows the model, not the truth."""
    # NaN, not zero: it spreads, and shows that an estimator has read the truth.
    return jax.tree.map(
        lambda leaf: (
            jnp.full_like(leaf, jnp.nan)
            if jnp.issubdtype(jnp.result_type(leaf), jnp.floating)
            else leaf
        ),
        model,
    )


def hash_data(data: Data) -> Int[Array, ""]:
    """Hash the bits of the data to 64 bits, integer arithmetic only.

    Every array entry is mixed with its position (the finaliser of splitmix64; Steele,
    Lea and Flood 2014) and the results are added modulo 2^64, so the order in which a
    device adds doesn't matter.
    """
    total = jnp.zeros((), jnp.uint64)
    for number, leaf in enumerate(jax.tree.leaves(data)):
        bits = _as_bits(jnp.asarray(leaf)).ravel()
        # Above every position: equal leaves in other places differ.
        salt = np.uint64((number + 1) << 48)
        place = _mix(jnp.arange(bits.size, dtype=jnp.uint64) + salt)
        total = total + _mix(bits ^ place).sum(dtype=jnp.uint64)
    return lax.bitcast_convert_type(total, jnp.int64)


def _as_bits(leaf: Array) -> Array:
    if leaf.dtype == jnp.bool_:
        return leaf.astype(jnp.uint64)
    width = leaf.dtype.itemsize * 8
    return lax.bitcast_convert_type(leaf, f"uint{width}").astype(jnp.uint64)


def _mix(word: Array) -> Array:
    word = (word ^ (word >> 30)) * np.uint64(0xBF58476D1CE4E5B9)
    word = (word ^ (word >> 27)) * np.uint64(0x94D049BB133111EB)
    return word ^ (word >> 31)
