"""How programs are compiled that a call outside `jit` needs: in little time.

Such a program mostly runs once, for milliseconds, after seconds of compilation, a third
of which goes into making it fast. Without that it runs at a third of the speed. So it
is left out where a call stands alone and calls of its shape have not cost much yet.
Inside `jit` or `vmap`, where one program serves thousands of samples, all is compiled
as its caller says. The numbers are the same up to rounding.
"""

import functools
import gc
from collections import Counter
from collections.abc import Callable, Generator
from contextlib import contextmanager, nullcontext
from typing import Any, Concatenate, Protocol, overload, runtime_checkable

import equinox as eqx
import jax
import jax.core
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, ArrayLike

from spmlex._programs.in_turn import Programs, in_turn
from spmlex._programs.interrupt import run_interruptibly
from spmlex._programs.kept_programs import Program
from spmlex._words.progress import announce
from spmlex._words.types import AnyArray

_BUDGET = 500_000_000
"""Cost of all calls of one shape after which it is compiled once more, to run fast:
they then have lost about as much time as that takes, so that no one waits twice as long
as need be."""

_LARGE = 120_000_000
"""Cost of one call that loses as much as making it fast takes: there is but the one
program."""

_TO_RUN_FAST = {
    "xla_backend_optimization_level": 2,
    # The emitters of fused loops double the time, and gain nothing in these programs.
    "xla_cpu_use_fusion_emitters": False,
    "xla_disable_hlo_passes": "tree_reduction_rewriter",
}

_IN_LITTLE_TIME = _TO_RUN_FAST | {"xla_backend_optimization_level": 0}


@runtime_checkable
class HasCost(Protocol):
    """What knows what a call costs, and whether to tell."""

    def cost(self, n_made: int) -> int:
        """Return what a call costs, with so many rows beside the data's."""
        ...

    @property
    def verbose(self) -> bool:
        """Whether its searches print their progress."""
        ...


@overload
def compile_for_one_call[First: HasCost, **P, R](
    function: Callable[Concatenate[First, P], R], n_made: int = 0, calls: int = 1
) -> Callable[Concatenate[First, P], R]: ...


@overload
def compile_for_one_call[First: HasCost, **P, Found, R](
    function: Callable[Concatenate[First, P], Found],
    n_made: int = 0,
    calls: int = 1,
    *,
    then: Callable[Concatenate[Found, First, P], R],
) -> Callable[Concatenate[First, P], R]: ...


def compile_for_one_call(
    function: Callable[..., Any],
    n_made: int = 0,
    calls: int = 1,
    *,
    then: Callable[..., Any] | None = None,
) -> Callable[..., Any]:
    """Return `eqx.filter_jit(function)`, not optimised where that is better.

    Args:
        function: What is to be compiled.
        n_made: How many rows of data it makes and evaluates beside those it is given.
        calls: Of how many calls a user's one consists: they cost as one together.
        then: What is called with its result and the same arguments, and returns the
            result of the call. It is a program of its own, so that one can be traced
            while XLA compiles the other.
    """
    inside = eqx.filter_jit(in_turn(function, then))
    elsewhere, to_run_fast, in_little_time = (
        Programs(function, then, options)
        for options in (None, _TO_RUN_FAST, _IN_LITTLE_TIME)
    )
    spent: Counter[object] = Counter()

    @functools.wraps(function)
    def call(first: HasCost, *args: Any, **kwargs: Any) -> Any:
        given = (first, args, kwargs)
        if is_traced(given):
            return inside(first, *args, **kwargs)
        shape = _shape_of(given)
        cost, before = first.cost(n_made), spent[shape]
        after = before + cost // calls
        spent[shape] = after
        on_cpu = jax.default_backend() == "cpu"
        brief = cost <= _LARGE and after <= _BUDGET
        alone = in_little_time if brief else to_run_fast
        programs = alone if on_cpu else elsewhere
        again = on_cpu and cost <= _LARGE and before <= _BUDGET < after
        is_new = before == 0 or again
        program = programs.begin if is_new else programs.call
        with without_collector() if is_new else nullcontext():
            if first.verbose:
                announce(function.__name__, is_new)
            found = run_interruptibly(program, first, *args, **kwargs)
        if not first.verbose:
            return found
        # Prints are effects, which JAX may otherwise be late with.
        jax.effects_barrier()
        return found

    return call


def compile_together[**P, R](function: Callable[P, R]) -> Callable[P, R]:
    """Return a function whose operations are one program where a call stands alone.

    For what is computed in passing, by a dozen operations. Outside `jit` each of them
    is a program of its own, which takes 50 ms to compile and microseconds to run.
    """
    elsewhere = Program(function)
    in_little_time = Program(function, _IN_LITTLE_TIME)

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        if is_traced((args, kwargs)):
            return function(*args, **kwargs)
        on_cpu = jax.default_backend() == "cpu"
        return (in_little_time if on_cpu else elsewhere)(*args, **kwargs)

    return call


def on_host(function: Callable[..., Array]) -> Callable[..., Array]:
    """Return a function of arrays for which NumPy computes where a call stands alone.

    For an operation or two on numbers that are there: NumPy has no program to compile.

    Args:
        function: Takes the namespace that computes, `numpy` or `jax.numpy`, and arrays;
            returns an array.
    """

    @functools.wraps(function)
    def call(*arrays: ArrayLike) -> Array:
        if is_traced(arrays):
            return function(jnp, *map(jnp.asarray, arrays))
        with np.errstate(all="ignore"):  # as JAX does
            return jnp.asarray(np.asarray(function(np, *map(np.asarray, arrays))))

    return call


@on_host
def choose(xp: Any, condition: AnyArray, one: ArrayLike, other: ArrayLike) -> Any:
    """Return entries of one array where a condition holds, elsewhere of another."""
    return xp.where(condition, one, other)


@contextmanager
def without_collector() -> Generator[None]:
    """Collect no garbage meanwhile.

    What is traced makes a million objects that stay, and looking for garbage among them
    took a tenth of the time.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _shape_of(arguments: object) -> object:
    """Return what decides which program a call needs, but for its constants."""
    leaves, structure = jax.tree.flatten(arguments)
    return structure, tuple(getattr(leaf, "shape", None) for leaf in leaves)


def is_traced(arguments: object) -> bool:
    """Tell whether a call is part of a larger program."""
    if any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(arguments)):
        return True
    # Inside `jit` what is computed from constants is traced as well.
    return not jax.core.trace_ctx.is_top_level()
