"""Tables of pandas where arrays are expected: columns are read, or refused in words."""

import re
import sys
from typing import Any

import jax
import numpy as np

from spmlex._words.arguments import show


def read_tables(name: str, tree: Any) -> Any:
    """Return a pytree whose frames and columns of pandas are arrays of numbers.

    A frame in the place of the whole tree is a dictionary of its columns; one inside is
    a matrix with a column for each of its own. Missing numbers are `nan`.

    Args:
        name: What the tree is called in messages.
        tree: What a user passes as data or support.

    Raises:
        ValueError: A column does not hold numbers.
    """
    pandas = sys.modules.get("pandas")
    if pandas is None:  # so nothing is of its classes
        return tree
    frame = pandas.DataFrame
    columns = (pandas.Series, pandas.Index, pandas.api.extensions.ExtensionArray)

    def read(path: Any, leaf: Any) -> Any:
        full_name = name + jax.tree_util.keystr(path)
        if isinstance(leaf, frame):
            return np.stack(list(_columns(full_name, leaf).values()), axis=1)
        if isinstance(leaf, columns):
            return _read_column(full_name, pandas.Series(leaf))
        return leaf

    if isinstance(tree, frame):
        return _columns(name, tree)
    return jax.tree_util.tree_map_with_path(read, tree)


def describe_text(values: Any) -> str:
    """Say what to do about values that are no numbers, by the first that is text."""
    words = [
        x for x in np.ravel(np.asarray(values, dtype=object)) if isinstance(x, str)
    ]
    if not words:
        return "give numbers, for example by astype(float)"
    if any(re.fullmatch(r"\s*[-+]?[\d.]*,\d+\s*", word) for word in words):
        return (
            f"such as {show(words[0])}, with decimal commas: read them as numbers by "
            "pandas.read_csv(..., decimal=','), or replace ',' by '.' and use "
            "astype(float)"
        )
    try:
        [float(word) for word in words]
    except ValueError:
        return (
            f"such as {show(words[0])}; give numbers: number its categories, as "
            "np.unique(..., return_inverse=True)[1] does, or leave it out"
        )
    return f"such as {show(words[0])}; give numbers, for example by astype(float)"


def _columns(name: str, frame: Any) -> dict[str, np.ndarray]:
    """Return the columns of a frame by name."""
    names = list(frame.columns)
    wrong = [each for each in names if not isinstance(each, str)]
    if wrong:
        raise ValueError(
            f"{name} has a column called {show(wrong[0])}; call columns by text, for "
            "example by frame.rename(columns=str)."
        )
    twice = sorted({each for each in names if names.count(each) > 1})
    if twice:
        raise ValueError(f"{name} has more than one column {twice[0]!r}.")
    if not names:
        raise ValueError(f"{name} is a table without columns.")
    return {each: _read_column(f"{name}[{each!r}]", frame[each]) for each in names}


def _read_column(name: str, column: Any) -> np.ndarray:
    """Return a column of pandas as an array of numbers."""
    kind = column.dtype
    numeric = getattr(kind, "_is_numeric", None)
    plain = isinstance(kind, np.dtype)
    if plain and kind.kind in "biufc":
        return column.to_numpy()
    if not plain and (numeric or str(kind) == "boolean"):
        # The types of pandas that know missing values.
        if not column.isna().any():
            return np.asarray(column.to_numpy(dtype=kind.numpy_dtype))
        return column.to_numpy(dtype=float, na_value=np.nan)
    if str(kind) == "category":
        raise ValueError(
            f"{name} holds categories: give their numbers, by .cat.codes, or "
            "indicators of them, by pandas.get_dummies."
        )
    if getattr(kind, "kind", "") in "mM":
        raise ValueError(
            f"{name} holds dates or times ({kind}): give numbers, such as .dt.year, or "
            "leave it out."
        )
    raise ValueError(f"{name} has dtype {kind}, {describe_text(column.to_numpy())}.")
