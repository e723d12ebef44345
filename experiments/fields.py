"""Converters and checks for the fields of models and distributions."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float


def as_float(value: object) -> Float[Array, "..."]:
    """Return a number, a list or an array as a floating-point array."""
    return jnp.asarray(value, dtype=float)


def check_positive(name: str, value: Float[Array, "..."]) -> None:
    """Refuse numbers that are not positive."""
    if not np.all(np.asarray(value) > 0):
        raise ValueError(f"{name}={value.tolist()}: give positive numbers.")


def check_weights(weights: Float[Array, " n"]) -> None:
    """Refuse weights that are no probabilities."""
    total = float(np.asarray(weights).sum())
    if np.any(np.asarray(weights) < 0) or not abs(total - 1) < 1e-9:
        raise ValueError(
            f"weights={weights.tolist()} add up to {total:g}: give nonnegative weights "
            "that add up to 1."
        )
