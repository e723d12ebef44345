"""Two programs that one call runs in turn: one is traced while XLA compiles the other.

Tracing is Python and compilation is not, so that they take a processor each. Split in
two of equal size, a program is ready after three quarters of the time.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from spmlex._programs.interrupt import read_setting, run_beside
from spmlex._programs.kept_programs import Program, keeps_programs


def in_turn(
    function: Callable[..., Any], then: Callable[..., Any] | None
) -> Callable[..., Any]:
    """Return the one followed by the other, which gets its result and all arguments."""
    if then is None:
        return function

    def both(*args: Any, **kwargs: Any) -> Any:
        return then(function(*args, **kwargs), *args, **kwargs)

    return both


class Programs:
    """A function and what follows it, if anything: a program each."""

    def __init__(
        self,
        function: Callable[..., Any],
        then: Callable[..., Any] | None,
        options: dict[str, Any] | None,
    ) -> None:
        self.form: Any = None

        @functools.wraps(function)
        def noted(*args: Any, **kwargs: Any) -> Any:
            found = jax.tree.map(_of_definite_type, function(*args, **kwargs))
            self.form = jax.tree.map(_shape_of, found)
            return found

        self.one = Program(function if then is None else noted, options)
        self.other = None if then is None else Program(then, options)
        self.call = in_turn(self.one, self.other)

    def begin(self, *args: Any, **kwargs: Any) -> Any:
        """Call them where they are not compiled yet."""
        as_usual = keeps_programs() or read_setting("jax_disable_jit")
        if self.other is None or as_usual or not _on_one_device(args, kwargs):
            return self.call(*args, **kwargs)
        self.form = None
        # What is lowered JAX remembers, and compiles when it is called with the like.
        self.one.jitted.lower(*args, **kwargs)
        wait = run_beside(self.one, *args, **kwargs)
        if self.form is not None:
            zeros = jax.tree.map(_make_zeros, self.form)
            self.other.jitted.lower(zeros, *args, **kwargs)
        return self.other(wait(), *args, **kwargs)


def _of_definite_type(leaf: Any) -> Any:
    """Return a number that is of the type that it has, as zeros are."""
    return jnp.asarray(leaf, leaf.dtype) if isinstance(leaf, jax.Array) else leaf


def _shape_of(leaf: Any) -> Any:
    is_array = isinstance(leaf, jax.Array)
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) if is_array else leaf


def _make_zeros(leaf: Any) -> Any:
    """Return zeros in place of a shape; made by NumPy, which compiles nothing."""
    is_shape = isinstance(leaf, jax.ShapeDtypeStruct)
    return jax.device_put(np.zeros(leaf.shape, leaf.dtype)) if is_shape else leaf


def _on_one_device(args: Any, kwargs: Any) -> bool:
    leaves = jax.tree.leaves((args, kwargs))
    return all(len(x.devices()) == 1 for x in leaves if isinstance(x, jax.Array))
