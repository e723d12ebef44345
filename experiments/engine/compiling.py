# pyright: basic
"""Compile a function once for all threads; map it over the first rows of arrays."""

import collections
import dataclasses
import threading
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Int


class CompilationError(Exception):
    """A function can't be traced or compiled."""


def describe_error(error: BaseException) -> str:
    """Return an error's type and message; of a compilation's, the cause's."""
    if isinstance(error, CompilationError):
        return str(error)
    return f"{type(error).__name__}: {error}"


@dataclasses.dataclass
class _Program:
    lock: threading.Lock = dataclasses.field(default_factory=threading.Lock)
    compiled: Callable | None = None


MOST_PROGRAMS = 96
"""Of these the programs last used are kept; a study of many cells needs few at once."""

_programs: collections.OrderedDict[Any, _Program] = collections.OrderedDict()
_programs_lock = threading.Lock()


def compile_once(function: Callable, args: tuple, *names: Any) -> Callable:
    """Compile a function for arguments like these, once in this process.

    Unlike `jax.jit` alone, threads that want the same program wait for one compilation,
    and compiling is apart from running, so that blocks can be timed.

    Args:
        function: What to compile.
        args: Arguments of the types and shapes it will be called with.
        names: Identify the function beside its arguments: all that it closes over.

    Raises:
        CompilationError: Tracing or compiling raised; no replication can be computed.
    """
    leaves, structure = jax.tree.flatten(args)
    types = tuple((jnp.shape(leaf), jnp.result_type(leaf)) for leaf in leaves)
    with _programs_lock:
        program = _programs.setdefault((names, structure, types), _Program())
        _programs.move_to_end((names, structure, types))
        while len(_programs) > MOST_PROGRAMS:
            _programs.popitem(last=False)  # who runs it now holds it
    with program.lock:
        if program.compiled is None:
            # Only so are the rows of a draw the first rows of a longer one.
            try:
                with jax.threefry_partitionable(True):
                    program.compiled = jax.jit(function).lower(*args).compile()
            except Exception as error:
                raise CompilationError(describe_error(error)) from error
        return program.compiled


def map_first(
    function: Callable[[Any], Any],
    count: Int[Array, ""],
    xs: Any,
    batch_size: int = 1,
) -> Any:
    """Apply a function to the first `count` entries of xs; the rest is arbitrary.

    Like `jax.lax.map`, but `count` is known only at run time: a short block needs
    neither another compilation nor wasted work.
    """
    size = jax.tree.leaves(xs)[0].shape[0]
    batch_size = min(batch_size, size)

    def apply(rows: Int[Array, " batch"]) -> Any:
        if batch_size == 1:
            y = function(jax.tree.map(lambda x: x[rows[0]], xs))
            return jax.tree.map(lambda leaf: leaf[None], y)
        return jax.vmap(function)(jax.tree.map(lambda x: x[rows], xs))

    def body(number: Int[Array, ""], ys: Any) -> Any:
        # A last batch that doesn't fit overlaps the one before, or repeats an entry.
        start = jnp.minimum(number * batch_size, size - batch_size)
        y = apply(jnp.minimum(start + jnp.arange(batch_size), count - 1))
        return jax.tree.map(
            lambda all_, new: lax.dynamic_update_slice_in_dim(all_, new, start, 0),
            ys,
            y,
        )

    shapes = jax.eval_shape(apply, jnp.arange(batch_size))
    ys = jax.tree.map(lambda y: jnp.zeros((size, *y.shape[1:]), y.dtype), shapes)
    return lax.fori_loop(0, -(-count // batch_size), body, ys)
