"""How results are printed: as a table of their numbers, else by their shapes."""

import dataclasses
import textwrap
from collections.abc import Callable
from typing import Any

import numpy as np
from jax.core import Tracer
from jaxtyping import Array

from spmlex._table import WIDTH, Table, to_html, to_text


def in_words[Result](result: Result, tabulate: Callable[[Result], Table]) -> str:
    """Return a result as text, whatever it holds: printing never raises.

    Args:
        result: A dataclass of arrays.
        tabulate: Makes a table of its numbers. What it can't, because arrays are
            traced or have a leading axis by `vmap`, is told by its shapes.
    """
    table = _try(result, tabulate)
    return _list_shapes(result) if table is None else to_text(table)


def in_html[Result](result: Result, tabulate: Callable[[Result], Table]) -> str:
    """Return a result in HTML, for notebooks; see `in_words`."""
    table = _try(result, tabulate)
    if table is None:
        table = Table(_list_shapes(result), ("",), ())
    return to_html(table)


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


def _try[Result](result: Result, tabulate: Callable[[Result], Table]) -> Table | None:
    try:
        return tabulate(result)
    except Exception:  # of tracers, batches, masks in the place of arrays
        return None


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
    return "\n".join(textwrap.wrap(text, WIDTH, subsequent_indent="  "))
