"""Which floating-point arrays of a model are theta, in which order, by which names."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import numpy as np

from spmlex._types import Model


def free_leaves(model: Model, fixed: Callable[[Any], Any] | None) -> tuple[bool, ...]:
    """Return for each leaf of the model whether it belongs to theta."""
    free = jax.tree.map(eqx.is_inexact_array, model)
    if fixed is not None:
        held = fixed(model)
        several = isinstance(held, tuple | list)
        off = jax.tree.map(lambda _: False, held)
        free = eqx.tree_at(fixed, free, tuple(off) if several else off)
    return tuple(jax.tree.leaves(free))


def split_model(model: Model, free: tuple[bool, ...]) -> tuple[Model, Model]:
    """Return the model's free leaves and the rest, `None` taking the others' places.

    Args:
        model: The model.
        free: For each of its leaves, in pytree order, whether it belongs to theta.
    """
    return eqx.partition(model, jax.tree.unflatten(jax.tree.structure(model), free))


def parameter_names(model: Model, free: tuple[bool, ...] | None = None) -> list[str]:
    """Return a name for each entry of theta, such as "coef[0]", in pytree order.

    Args:
        model: The model.
        free: For each leaf whether it belongs to theta; by default every
            floating-point array does.
    """
    if free is None:
        kept = eqx.filter(model, eqx.is_inexact_array)
    else:
        kept, _ = split_model(model, free)
    names = []
    for path, leaf in jax.tree_util.tree_leaves_with_path(kept):
        stem = jax.tree_util.keystr(path, simple=True, separator=".")
        shape = np.shape(leaf)
        if shape == ():
            names.append(stem)
            continue
        for index in np.ndindex(*shape):
            names.append(f"{stem}[{','.join(map(str, index))}]")
    return names
