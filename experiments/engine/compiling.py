"""Compile a function once for all threads; map it over the first rows of arrays."""

import collections
import ctypes
import dataclasses
import threading
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Int

from experiments.study import CELLS_AT_ONCE


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
    compiled: Callable[..., Any] | None = None


PROGRAMS_A_CELL = 2
"""What draws, and what estimates; of other cells the one or the other may be shared."""

COMPILATIONS_BETWEEN_SWEEPS = 32
"""After so many JAX's own memory of traces is emptied: of a fit it takes 8 MB."""

FOR_DRAWS: dict[str, str | bool] = {
    "xla_backend_optimization_level": "1",
    "xla_cpu_use_fusion_emitters": False,
}
"""Options of XLA on a CPU for draws: half of the time of compilation, the same bits and
no slower. What estimates would run up to a quarter slower."""

_programs: collections.OrderedDict[Any, _Program] = collections.OrderedDict()
_programs_lock = threading.Lock()


class _Gate:
    """Lets compilations through, and stops them to sweep up what they leave."""

    def __init__(self):
        self._changed = threading.Condition()
        self._running, self._done = 0, 0

    def __enter__(self) -> None:
        """Wait for a sweep that is due."""
        with self._changed:
            while self._done >= COMPILATIONS_BETWEEN_SWEEPS:
                if not self._running:
                    # Programs stay; only what was traced is traced again.
                    jax.clear_caches()
                    self._done = 0
                else:
                    self._changed.wait()
            self._running += 1
            self._done += 1

    def __exit__(self, *_: object) -> None:
        """Give back the memory of the compilation."""
        with self._changed:
            self._running -= 1
            self._changed.notify_all()
        trim_memory()


_gate = _Gate()


def compile_once(
    function: Callable[..., Any],
    args: tuple[Any, ...],
    *names: Any,
    cells: int = CELLS_AT_ONCE,
    options: dict[str, str | bool] | None = None,
) -> Callable[..., Any]:
    """Compile a function for arguments like these, once in this process.

    Unlike `jax.jit` alone, threads that want the same program wait for one compilation,
    and compiling is apart from running, so that blocks can be timed.

    Args:
        function: What to compile.
        args: Arguments of the types and shapes it will be called with.
        names: Identify the function beside its arguments: all that it closes over.
        cells: How many cells are worked on at once. The programs of so many are kept,
            those last used; the others are let go.
        options: Of XLA, used on a CPU.

    Raises:
        CompilationError: Tracing or compiling raised; no replication can be computed.
    """
    leaves, structure = jax.tree.flatten(args)
    types = tuple((jnp.shape(leaf), jnp.result_type(leaf)) for leaf in leaves)
    with _programs_lock:
        program = _programs.setdefault((names, structure, types), _Program())
        _programs.move_to_end((names, structure, types))
        while len(_programs) > PROGRAMS_A_CELL * cells:
            _programs.popitem(last=False)  # who runs it now holds it
    # The table is free again: other programs are compiled meanwhile.
    with program.lock:
        if program.compiled is None:
            # Only so are the rows of a draw the first rows of a longer one.
            try:
                with _gate, jax.threefry_partitionable(True):
                    lowered = jax.jit(function).lower(*args)
                    on_cpu = jax.default_backend() == "cpu"
                    program.compiled = lowered.compile(options if on_cpu else None)
            except Exception as error:
                raise CompilationError(describe_error(error)) from error
        return program.compiled


def trim_memory() -> None:
    """Return what was freed to the system: of a compilation a hundred megabytes.

    The GNU allocator keeps it, scattered among what is in use; others do not.
    """
    if _trim is not None:
        _trim(0)


def _find_trim() -> Callable[[int], int] | None:
    try:
        return ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):  # musl, macOS; Windows
        return None


_trim = _find_trim()


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
        # Without `vmap`, under which a `cond` of the fit would run both branches.
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

    # Filled in a loop, and not stacked by a scan, whose length would be fixed.
    shapes = jax.eval_shape(apply, jnp.arange(batch_size))
    ys = jax.tree.map(lambda y: jnp.zeros((size, *y.shape[1:]), y.dtype), shapes)
    return lax.fori_loop(0, -(-count // batch_size), body, ys)
