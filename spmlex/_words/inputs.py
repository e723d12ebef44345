"""What users pass in: cast to float64, and refused in words where it can't be used."""

import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Int

from spmlex._words.columns import describe_text, read_tables
from spmlex._words.types import Data, LogCondLik, Model, Support, Weights

_ARRAYS = (np.ndarray, np.generic, jax.Array)


def read_inputs(model: Model, data: Data, supp: Support) -> tuple[Model, Data, Support]:
    """Return model, data and support grid in float64.

    Raises:
        ValueError: One of them is not what a model, data or a support grid have to be.
    """
    if not jax.config.read("jax_enable_x64"):
        raise ValueError(
            "float64 was switched off after spmlex was imported; a likelihood needs "
            "it: jax.config.update('jax_enable_x64', True)."
        )
    check_model(model)
    data, supp = read_tables("data", data), read_tables("supp", supp)
    check_rows("data", data, "n_obs")
    check_rows("supp", supp, "n_supp")
    for name, leaf in _name_leaves("supp", supp):
        if _holds_nan(leaf):
            raise ValueError(f"{name} holds nan: give every support point a value.")
    return cast_to_float64((model, data, supp))


def cast_to_float64[Tree](tree: Tree) -> Tree:
    """Cast floating-point array leaves to float64; leave everything else alone."""

    def cast(leaf: Any) -> Any:
        if isinstance(leaf, _ARRAYS) and jnp.issubdtype(leaf.dtype, jnp.floating):
            return jnp.asarray(leaf, jnp.float64)
        return leaf

    return jax.tree.map(cast, tree)


def conditional_likelihoods(model: Model, data: Data, supp: Support) -> LogCondLik:
    """Call `model.lclk` and check what comes back.

    Raises:
        ValueError: The model has no `lclk`, or its value is not a matrix of floats.
    """
    check_model(model)
    try:
        lclk = model.lclk(data, supp)
    except Exception as error:
        if "custom_vjp" in str(error) or "custom_lin" in str(error):
            raise ValueError(
                f"{type(model).__name__}.lclk holds a jax.custom_vjp, which has no "
                "forward derivatives, and this needs them. Write its rule as a "
                "jax.custom_jvp: JAX turns that round by itself."
            ) from error
        error.add_note(
            f"Raised by {type(model).__name__}.lclk(data, supp), which has to be "
            f"written in jax.numpy, called with {_list_shapes('model', model)}; "
            f"{_list_shapes('data', data)}; {_list_shapes('supp', supp)}."
        )
        raise
    wanted = _count_rows(data), _count_rows(supp)
    asked = (
        f"it must return log-likelihoods of shape (n_obs, n_supp) = {wanted}, a row "
        "for each observation and a column for each support point."
    )
    if not isinstance(lclk, _ARRAYS):
        kind = "None" if lclk is None else f"a {type(lclk).__name__}"
        raise ValueError(f"{type(model).__name__}.lclk returned {kind}; {asked}")
    if lclk.shape != wanted:
        hint = " Transpose it." if lclk.shape == wanted[::-1] else ""
        raise ValueError(
            f"{type(model).__name__}.lclk returned shape {lclk.shape}; {asked}{hint}"
        )
    if jnp.issubdtype(lclk.dtype, jnp.complexfloating):
        raise ValueError(
            f"{type(model).__name__}.lclk returned complex numbers; {asked}"
        )
    return jnp.asarray(lclk, jnp.float64)


def read_count(name: str, value: Any, example: int) -> int:
    """Return a whole number, also one of NumPy or JAX, as Python's.

    Raises:
        ValueError: Not a whole number: of another type, or a truth value.
    """
    is_array = isinstance(value, _ARRAYS) and not isinstance(value, Tracer)
    if is_array and value.shape == () and value.dtype.kind in "iu":
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise ValueError(f"{name}={value!r}: give a whole number, such as {example}.")


def check_model(model: Model) -> None:
    """Refuse what has no method `lclk`, and a class in place of its instance."""
    if isinstance(model, type):
        raise ValueError(
            f"model={model.__name__} is a class: make an instance of it, with values "
            "for its parameters."
        )
    if not hasattr(model, "lclk"):
        raise ValueError(
            f"model={type(model).__name__} has no method `lclk`. Give it "
            "`lclk(data, supp)` returning log-likelihoods of shape (n_obs, n_supp)."
        )


def read_weights(weights: Any, n_obs: int, name: str = "weights") -> Weights:
    """Return observation weights as an array; traced ones are checked in shape only.

    Args:
        weights: What was given.
        n_obs: Number of observations.
        name: Of the argument.

    Raises:
        ValueError: Not one nonnegative number for each observation, or all zero.
    """
    weights = weights if isinstance(weights, Tracer) else np.asarray(weights)
    _check_length(name, weights, n_obs)
    if isinstance(weights, Tracer):
        return weights
    if weights.dtype.kind not in "biuf":
        raise ValueError(f"{name} has dtype {weights.dtype}, {describe_text(weights)}.")
    wrong = ~(np.isfinite(weights) & (weights >= 0))
    if wrong.any():
        raise ValueError(
            f"{name} holds {weights[wrong][0]} at position {np.argmax(wrong)}; give "
            "nonnegative numbers, 0 to leave an observation out."
        )
    if not weights.any():
        raise ValueError(f"{name} are all zero: that leaves no observation.")
    return jnp.asarray(weights, jnp.float64)


def read_groups(
    groups: Any, n_groups: int | None, n_obs: int
) -> tuple[Int[Array, " n_obs"], int]:
    """Check `groups` and return them as an array, with their number.

    Raises:
        ValueError: Wrong shape, empty groups, or a traced array without `n_groups`.
    """
    groups = groups if isinstance(groups, Tracer) else np.asarray(groups)
    _check_length("groups", groups, n_obs)
    if isinstance(groups, Tracer):
        if n_groups is None:
            raise ValueError(
                "n_groups is needed where groups is traced by jit or vmap: pass the "
                "number of groups."
            )
        return groups, n_groups
    # Whole numbers without a gap: each group is an axis of what is computed.
    found = np.unique(groups)
    size = len(found) if n_groups is None else n_groups
    if groups.dtype.kind not in "iu" or not np.array_equal(found, np.arange(size)):
        raise ValueError(
            f"groups holds {found.tolist()[:10]}; they must be whole numbers "
            f"from 0 to {size - 1}, with at least one observation each. Renumber them, "
            "for example with np.unique(groups, return_inverse=True)[1]."
        )
    return jnp.asarray(groups), size


def number_clusters(
    clusters: Any, n_obs: int
) -> tuple[Int[Array, " n_obs"], int | Int[Array, ""]]:
    """Return the number 0, 1, ... of each observation's cluster, and how many.

    Raises:
        ValueError: Wrong shape, a single cluster, or missing values.
    """
    clusters = clusters if isinstance(clusters, Tracer) else np.asarray(clusters)
    _check_length("clusters", clusters, n_obs)
    if isinstance(clusters, Tracer):
        numbers: Int[Array, " n_obs"]
        _, numbers = jnp.unique(
            clusters, return_inverse=True, size=n_obs, fill_value=-1
        )
        return numbers, jnp.max(numbers) + 1
    if clusters.dtype.kind == "f" and np.isnan(clusters).any():
        raise ValueError("clusters holds nan: give every observation a cluster.")
    labels, inverse = np.unique(clusters, return_inverse=True)
    if len(labels) < 2:
        raise ValueError("clusters holds a single cluster: two or more are needed.")
    return jnp.asarray(inverse), len(labels)


def describe_non_finite(name: str, tree: Any) -> list[str]:
    """Return a sentence for each leaf that holds nan or infinite values."""
    sentences = []
    for full_name, leaf in _name_leaves(name, tree):
        if not isinstance(leaf, _ARRAYS):
            continue
        values = np.asarray(leaf)
        wrong = ~np.isfinite(values)
        if wrong.any():
            first = [int(i) for i in np.argwhere(wrong)[0]]
            where = f", the first at {first}" if first else ""
            sentences.append(
                f"{full_name} holds {wrong.sum()} nan or infinite "
                f"value{'s' if wrong.sum() > 1 else ''}{where}."
            )
    return sentences


def _check_length(name: str, values: Any, n_obs: int) -> None:
    """Refuse what does not have one entry for each observation."""
    if values.shape != (n_obs,):
        raise ValueError(
            f"{name} has shape {values.shape}; it must give one "
            f"{name.removesuffix('s')} for each of the {n_obs} observations."
        )


def check_rows(name: str, tree: Any, axis: str) -> None:
    """Refuse leaves that are no arrays of numbers with one common leading axis."""
    leaves = _name_leaves(name, tree)
    if not leaves:
        raise ValueError(f"{name} holds no array; give some, with leading axis {axis}.")
    for full_name, leaf in leaves:
        listed = re.sub(r"(\[\d+\])+$", "", full_name)
        if listed != full_name and isinstance(leaf, int | float | np.generic):
            raise ValueError(
                f"{listed} is a list of numbers: make it an array by np.asarray."
            )
        if not isinstance(leaf, _ARRAYS):
            raise ValueError(
                f"{full_name} is of type {type(leaf).__name__}; give a NumPy or JAX "
                f"array with leading axis {axis}, such as np.asarray makes. Constants "
                "belong in the model."
            )
        if isinstance(leaf, np.ma.MaskedArray):
            raise ValueError(
                f"{full_name} is a masked array, whose mask would be lost: fill it, "
                "and pass the mask as an array of its own."
            )
        if getattr(leaf.dtype, "names", None):
            raise ValueError(
                f"{full_name} is a structured array with the fields "
                f"{', '.join(leaf.dtype.names or ())}: make a dictionary of arrays, "
                "one for each field."
            )
        is_key = jnp.issubdtype(leaf.dtype, jax.dtypes.extended)
        if not is_key and np.dtype(leaf.dtype).kind not in "biufcV":  # V: small floats
            raise ValueError(
                f"{full_name} has dtype {leaf.dtype}, {describe_text(leaf)}."
            )
    sizes = {full_name: jnp.shape(leaf)[:1] for full_name, leaf in leaves}
    if () in sizes.values() or len(set(sizes.values())) > 1:
        shapes = ", ".join(f"{n} {jnp.shape(leaf)}" for n, leaf in leaves)
        raise ValueError(
            f"{name} has arrays of different lengths: {shapes}. The first axis of all "
            f"must be the same, {axis}."
        )
    if (0,) in sizes.values():
        raise ValueError(f"{name} is empty: {axis} is 0.")


def _name_leaves(name: str, tree: Any) -> list[tuple[str, Any]]:
    """Return each leaf with the expression that a user would write for it."""
    return [
        (name + jax.tree_util.keystr(path), leaf)
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
    ]


def _count_rows(tree: Any) -> int:
    return jax.tree.leaves(tree)[0].shape[0]


def _holds_nan(leaf: Any) -> bool:
    if isinstance(leaf, Tracer) or not jnp.issubdtype(leaf.dtype, jnp.floating):
        return False
    return bool(np.isnan(np.asarray(leaf)).any())


def _list_shapes(name: str, tree: Any) -> str:
    leaves = [
        f"{full_name} {jnp.shape(leaf)}"
        for full_name, leaf in _name_leaves(name, tree)
        if isinstance(leaf, _ARRAYS)
    ]
    return ", ".join(leaves) or f"{name} without arrays"
