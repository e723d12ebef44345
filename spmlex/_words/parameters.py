"""Which floating-point arrays of a model are theta, in which order, by which names."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from spmlex._words.arguments import show
from spmlex._words.types import Model

Names = Mapping[str, Any] | Sequence[str]
"""Of parameters: by field of the model, nested like its array, or all in a list."""


def free_leaves(model: Model, fixed: Callable[[Any], Any] | None) -> tuple[bool, ...]:
    """Return for each leaf of the model whether it belongs to theta.

    Warns of numbers that look like parameters and are none: integers, and those of
    Python. Without any parameter F alone is estimated; not by mistake, so numbers of
    that kind are then refused.

    Raises:
        ValueError: `fixed` picks no leaf, or the model is no pytree of real numbers, or
            its only numbers look like parameters and are none.
    """
    if jax.tree.leaves(model) == [model]:
        raise ValueError(
            f"model={type(model).__name__} is no pytree, so JAX can't see its "
            "parameters: derive the class from equinox.Module."
        )
    held = jax.tree.map(lambda _: False, model)
    if fixed is not None:
        held = _hold(model, fixed, held)
    named = jax.tree_util.tree_leaves_with_path(model)
    free, constants = [], []
    for (path, leaf), is_held in zip(named, jax.tree.leaves(held), strict=True):
        name = jax.tree_util.keystr(path, simple=True, separator=".")
        if eqx.is_array_like(leaf) and jnp.iscomplexobj(leaf):
            raise ValueError(f"model: {name} is complex; parameters are real numbers.")
        if not is_held and _is_like_parameter(leaf):
            constants.append(name)
        free.append(eqx.is_inexact_array(leaf) and not is_held)
    if constants and not any(free) and fixed is None:
        raise ValueError(
            f"model0={type(model).__name__} has no free floating-point array, and "
            f"{', '.join(constants)} can't be estimated. Give parameters as in "
            "jnp.array([1.0, 0.5]). To estimate F alone declare constants by "
            "equinox.field(static=True), or pick them by `fixed`."
        )
    if constants:
        warnings.warn(
            f"{type(model).__name__}: not estimated, being no array of floats: "
            f"{', '.join(constants)}. Give parameters as in jnp.array([1.0, 0.5]); "
            "declare constants by equinox.field(static=True) or pick them by `fixed`.",
            UserWarning,
            stacklevel=3,
        )
    return tuple(free)


def _hold(model: Model, fixed: Callable[[Any], Any], held: Any) -> Any:
    """Return `held` with True in the leaves that `fixed` picks."""
    names = [
        jax.tree_util.keystr(path, simple=True, separator=".")
        for path, _ in jax.tree_util.tree_leaves_with_path(model)
    ]
    listed = f"The leaves of {type(model).__name__}: {', '.join(names)}."
    if not callable(fixed):
        raise ValueError(
            f"fixed={fixed!r}: give a function of the model, such as `lambda model: "
            f"model.{names[0]}`. {listed}"
        )
    try:
        picked = fixed(model)
        off = jax.tree.map(lambda _: True, picked)
        several = isinstance(picked, tuple | list)
        held = eqx.tree_at(fixed, held, tuple(off) if several else off)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise ValueError(
            "fixed picks what is no leaf of the model; to hold one entry of an array, "
            f"make it a leaf of its own. {listed} ({error})"
        ) from error
    if not any(jax.tree.leaves(held)):
        raise ValueError(f"fixed picks nothing: leave it out, or pick leaves. {listed}")
    return held


def _is_like_parameter(leaf: Any) -> bool:
    """Tell whether a user may have meant a leaf that is no parameter to be one."""
    if isinstance(leaf, np.ndarray | np.generic | jax.Array):
        return jnp.issubdtype(leaf.dtype, jnp.integer)
    return isinstance(leaf, int | float) and not isinstance(leaf, bool)


def split_model(model: Model, free: tuple[bool, ...]) -> tuple[Model, Model]:
    """Return the model's free leaves and the rest, `None` taking the others' places.

    Args:
        model: The model.
        free: For each of its leaves, in pytree order, whether it belongs to theta.
    """
    return eqx.partition(model, jax.tree.unflatten(jax.tree.structure(model), free))


def parameter_names(
    model: Model, free: tuple[bool, ...] | None = None, names: Names | None = None
) -> list[str]:
    """Return a name for each entry of theta, such as "coef[0]", in pytree order.

    Args:
        model: The model.
        free: For each leaf whether it belongs to theta; by default every
            floating-point array does.
        names: Names of one's own, as in `fit`.

    Raises:
        ValueError: `free` is not a truth value for each leaf, or `names` does not fit
            the model.

    Examples:
        >>> parameter_names(model0)
        ['coef']
        >>> parameter_names(model0, names={"coef": "union"})
        ['union']
    """
    if free is None:
        kept = eqx.filter(model, eqx.is_inexact_array)
    else:
        number = len(jax.tree.leaves(model))
        wrong = not isinstance(free, tuple | list) or len(free) != number
        if wrong or not all(isinstance(x, bool | np.bool_) for x in free):
            raise ValueError(
                f"free={show(free)}: give True or False for each of the {number} "
                "leaves of the model, in a tuple."
            )
        kept, _ = split_model(model, free)
    shapes = _shapes_of(kept)
    if names is None:
        return [name for stem, shape in shapes.items() for name in _own(stem, shape)]
    if isinstance(names, Mapping):
        return _check_distinct(_read_by_field(names, shapes, _shapes_of(model)))
    total = sum(int(np.prod(shape)) for shape in shapes.values())
    given = _read_words("names", names, (total,))
    return _check_distinct(given)


def names_by_field(
    model: Model, free: tuple[bool, ...], names: Sequence[str]
) -> dict[str, list[str]]:
    """Return the names of the entries of each free leaf, by the path to it.

    Args:
        model: The model.
        free: For each of its leaves whether it belongs to theta.
        names: Of all entries of theta.
    """
    left = iter(names)
    return {
        stem: [next(left) for _ in range(int(np.prod(shape)))]
        for stem, shape in _shapes_of(split_model(model, free)[0]).items()
    }


def _shapes_of(tree: Any) -> dict[str, tuple[int, ...]]:
    """Return the shape of each leaf by the path to it."""
    return {
        jax.tree_util.keystr(path, simple=True, separator="."): np.shape(leaf)
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
    }


def _own(stem: str, shape: tuple[int, ...]) -> list[str]:
    """Return the names that a leaf's entries have by themselves."""
    if shape == ():
        return [stem]
    return [f"{stem}[{','.join(map(str, index))}]" for index in np.ndindex(*shape)]


def _read_by_field(
    names: Mapping[str, Any],
    shapes: dict[str, tuple[int, ...]],
    leaves: dict[str, tuple[int, ...]],
) -> list[str]:
    """Return the name of each entry of theta from names by field."""
    for stem in names:
        if stem not in leaves:
            raise ValueError(
                f"names={show(names)}: the model has no parameter {show(stem)}. Give "
                f"names by field, of {', '.join(shapes) or 'which it has none'}."
            )
    return [
        name
        for stem, shape in shapes.items()
        for name in (
            _read_words(f"names[{stem!r}]", names[stem], shape)
            if stem in names
            else _own(stem, shape)
        )
    ]


def _read_words(name: str, value: Any, shape: tuple[int, ...]) -> list[str]:
    """Return the names of the entries of an array, in the order of its memory."""
    example = "['union', 'experience']" if shape else "'union'"
    wrong = f"{name}={show(value)}: give text, such as {example}"
    is_list = not isinstance(value, str | bytes | Mapping) and hasattr(value, "__len__")
    if not isinstance(value, str) and not is_list:
        raise ValueError(f"{wrong}.")
    try:
        # As objects: numbers among names would become text, and pass for names.
        array = np.asarray(value, dtype=object)
    except ValueError as error:  # of uneven lengths
        raise ValueError(f"{wrong}, nested like the array of shape {shape}.") from error
    if array.shape != shape:
        raise ValueError(
            f"{name}={show(value)} has shape {array.shape}, and the parameters have "
            f"{shape}: give a name for each, such as {example}."
        )
    words = [each for each in array.ravel()]
    for word in words:
        if not isinstance(word, str) or not word.strip() or len(word.splitlines()) > 1:
            raise ValueError(f"{wrong}; {show(word)} is no name on one line.")
    return [str(word) for word in words]


def _check_distinct(names: list[str]) -> list[str]:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(
            f"names: {', '.join(map(repr, twice))} stands for more than one parameter; "
            "give each a name of its own."
        )
    return names
