"""Single arguments of a call: returned as they are used, or refused in words."""

from collections.abc import Callable, Collection
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float


def read_floats(name: str, value: Any, example: str) -> Float[Array, "..."]:
    """Return real numbers in any arrangement as an array of float64.

    Raises:
        ValueError: They are none.
    """
    if isinstance(value, Tracer):
        return value.astype(jnp.float64)
    wrong = f"{name}={show(value)}: give real numbers, such as {example}."
    if isinstance(value, jax.Array):
        if not jnp.issubdtype(value.dtype, np.number) or jnp.iscomplexobj(value):
            raise ValueError(wrong)
        return value.astype(jnp.float64)
    try:
        array = np.asarray(value)
    except (TypeError, ValueError) as error:
        raise ValueError(wrong) from error
    if array.dtype.kind not in "iuf" and not jnp.issubdtype(array.dtype, np.floating):
        raise ValueError(wrong)
    return jnp.asarray(array, jnp.float64)


def read_number(name: str, value: Any, example: str, *, least: float = -np.inf) -> Any:
    """Return one real number as it is, also a traced one.

    Raises:
        ValueError: It is none, or not above `least`.
    """
    if isinstance(value, Tracer):
        return value
    number = None if isinstance(value, bool) else value
    read_floats(name, number, example)
    # In NumPy, as arrays of JAX have no value where `jit` traces.
    array = np.asarray(value)
    if array.shape != () or not float(array) > least:
        above = "" if least == -np.inf else f" above {least:g}"
        raise ValueError(f"{name}={show(value)}: give a number{above}, as {example}.")
    return value


def read_masses(name: str, value: Any, n_supp: int) -> Float[Array, " n_supp"]:
    """Return mixing probabilities, one for each support point.

    Raises:
        ValueError: They are not as many numbers.
    """
    array = read_floats(name, value, "np.full(5, 0.2)")
    if array.shape != (n_supp,):
        raise ValueError(
            f"{name} has shape {array.shape}; give one mass for each of the {n_supp} "
            "support points: of a fit with groups the column of one group, and the "
            "data of that group."
        )
    return array


def check_choice(name: str, value: Any, choices: Collection[str], what: str) -> None:
    """Refuse what is not one of some words.

    Raises:
        ValueError: Naming them.
    """
    if not isinstance(value, str) or value not in choices:
        raise ValueError(
            f"{name}={show(value)} is not {what}. Choose from {', '.join(choices)}."
        )


def check_level(level: Any) -> None:
    """Refuse what is not a confidence level.

    Raises:
        ValueError: It is not between 0 and 1.
    """
    if isinstance(level, jax.Array) and not isinstance(level, Tracer):
        level = np.asarray(level)[()]
    number = isinstance(level, float | int | np.number) and not np.iscomplexobj(level)
    if not isinstance(level, Tracer) and not (number and 0.0 < level < 1.0):
        raise ValueError(
            f"level={show(level)} is not a confidence level; give one between 0 and "
            "1, such as 0.95."
        )


def check_function(name: str, value: Callable[..., Any], example: str) -> None:
    """Refuse what can't be called.

    Raises:
        ValueError: It can't.
    """
    if not callable(value) or isinstance(value, type):
        raise ValueError(f"{name}={show(value)}: give a function, such as {example}.")


def check_text(name: str, value: Any) -> None:
    """Refuse what is neither text nor left out.

    Raises:
        ValueError: It is something else.
    """
    if value is not None and not isinstance(value, str):
        raise ValueError(f"{name}={show(value)}: give text, or leave it out.")


def check_truth(name: str, value: Any) -> None:
    """Refuse what is neither true nor false.

    Raises:
        ValueError: It is something else.
    """
    if not isinstance(value, bool | np.bool_):
        raise ValueError(f"{name}={show(value)}: give True or False.")


def show(value: Any) -> str:
    """Return a value as it is written in a message, cut where it is long."""
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else f"{text[:57]}..."
