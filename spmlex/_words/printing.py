"""How results are printed: as a table of their numbers, else by their shapes."""

import abc
import dataclasses
import textwrap
from typing import Any

import equinox as eqx
import jax
import numpy as np
from jax.core import Tracer
from jaxtyping import AbstractArray, Array

from spmlex._words.table import WIDTH, Table, to_html, to_text


class Printed(eqx.Module):
    """A result that is printed as a table of its numbers, and so in notebooks.

    What has no table, because arrays are traced, have a leading axis by `vmap` or are
    no arrays at all, is told by its shapes.
    """

    @abc.abstractmethod
    def _tabulate(self) -> Table:
        """Return the table; called only where every array is what its field says."""

    def __repr__(self) -> str:
        return to_text(self._tabulate()) if _is_plain(self) else _list_shapes(self)

    def _repr_html_(self) -> str:
        if _is_plain(self):
            return to_html(self._tabulate())
        return to_html(Table(_list_shapes(self), ("",), ()))


def write(value: Any, digits: int | None = None) -> str:
    """Return a number as text; nothing for what is not a number.

    Args:
        value: A number, of Python or an array.
        digits: Digits behind the point; by default as many as its size asks for.
    """
    number = float(value)
    if np.isnan(number):
        return ""
    if digits is not None and (np.isinf(number) or abs(number) < 1e9):
        return f"{number:.{digits}f}"
    plain = number == 0 or np.isinf(number) or 1e-3 <= abs(number) < 1e4
    return f"{number:.5f}" if plain else f"{number:.3e}"


def write_p_value(value: Any, digits: int = 3) -> str:
    """Return a probability as text; one below the last digit as that."""
    least = 10.0**-digits
    return f"<{least:.{digits}f}" if float(value) < least else write(value, digits)


def _is_plain(result: Any) -> bool:
    """Tell whether a result holds its numbers, of the shapes that its class declares.

    Looked at beforehand, in place of catching what a table raises: an error in a table
    is then an error, and not a listing of shapes.
    """
    if any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(result)):
        return False
    for field in dataclasses.fields(result):
        kind = field.type
        if not isinstance(kind, type) or not issubclass(kind, AbstractArray):
            continue
        if not isinstance(getattr(result, field.name), kind):
            return False
    return True


def _list_shapes(result: Any) -> str:
    """Return the arrays of a dataclass by their types and shapes."""
    parts: list[str] = []
    traced = ""
    for field in dataclasses.fields(result):
        value = getattr(result, field.name, None)
        if isinstance(value, Array | np.ndarray):
            shape = ",".join(map(str, value.shape))
            parts.append(f"{field.name}={value.dtype}[{shape}]")
            traced = ", traced by JAX" if isinstance(value, Tracer) else traced
    text = f"{type(result).__name__}{traced}: {', '.join(parts) or 'no arrays'}"
    return wrap(text)


def wrap(text: str) -> str:
    """Break text into lines of 80 columns, those after the first set in."""
    return "\n".join(textwrap.wrap(text, WIDTH, subsequent_indent="  "))
