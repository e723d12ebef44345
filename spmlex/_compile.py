"""How programs are compiled that a call outside `jit` needs: in little time.

Such a program mostly runs once, for milliseconds, after half a minute of compilation,
two thirds of which go into making it fast. Without that it runs at a third of the
speed. So it is left out where a call stands alone, its problem is small, and there have
been few of its shape. Inside `jit`, `vmap` or a study, where one program serves
thousands of samples, everything is optimised. The numbers are the same up to rounding.
"""

import functools
from collections import Counter
from collections.abc import Callable
from typing import Concatenate, Protocol, runtime_checkable

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.core import Tracer

from spmlex._interrupt import run_interruptibly
from spmlex._progress import announce

_MOST_ENTRIES = 500_000
"""Entries of `lclk` above which the time goes into running a program."""

_FEW_CALLS = 20
"""Calls of one shape after which it is compiled once more, to run fast: they then have
lost about as much time as that takes, so that no one waits twice as long as need be."""

_IN_LITTLE_TIME = {
    "xla_backend_optimization_level": 0,
    # The emitters of fused loops are most of what is left, and gain little here.
    "xla_cpu_use_fusion_emitters": False,
    "xla_disable_hlo_passes": "tree_reduction_rewriter",
}


@runtime_checkable
class HasEntries(Protocol):
    """What knows how large its matrix of likelihoods is, and whether to tell."""

    @property
    def n_entries(self) -> int:
        """Number of entries of `lclk`."""
        ...

    @property
    def verbose(self) -> bool:
        """Whether its searches print their progress."""
        ...


def compile_for_one_call[First: HasEntries, **P, R](
    function: Callable[Concatenate[First, P], R],
) -> Callable[Concatenate[First, P], R]:
    """Return `eqx.filter_jit(function)`, not optimised where that is better."""
    optimised = eqx.filter_jit(function)
    # Its overloads leave out what it passes on to `jax.jit`.
    in_little_time = eqx.filter_jit(  # pyright: ignore[reportCallIssue]
        function, compiler_options=_IN_LITTLE_TIME
    )
    calls: Counter[object] = Counter()

    @functools.wraps(function)
    def call(first: First, *args: P.args, **kwargs: P.kwargs) -> R:
        given = (first, args, kwargs)
        if is_traced(given):
            return optimised(first, *args, **kwargs)
        shape = _shape_of(given)
        calls[shape] += 1
        is_small = first.n_entries <= _MOST_ENTRIES
        few = is_small and calls[shape] <= _FEW_CALLS
        brief = few and jax.default_backend() == "cpu"
        program = in_little_time if brief else optimised
        if not first.verbose:
            return run_interruptibly(program, first, *args, **kwargs)
        again = is_small and calls[shape] == _FEW_CALLS + 1
        announce(function.__name__, calls[shape] == 1 or again)
        found = run_interruptibly(program, first, *args, **kwargs)
        jax.effects_barrier()
        return found

    return call


def compile_together[**P, R](function: Callable[P, R]) -> Callable[P, R]:
    """Return a function whose operations are one program where a call stands alone.

    For what is computed in passing, by a dozen operations. Outside `jit` each of them
    is a program of its own, which takes 50 ms to compile and microseconds to run.
    """
    optimised = eqx.filter_jit(function)
    in_little_time = eqx.filter_jit(  # pyright: ignore[reportCallIssue]
        function, compiler_options=_IN_LITTLE_TIME
    )

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        if is_traced((args, kwargs)):
            return function(*args, **kwargs)
        brief = jax.default_backend() == "cpu"
        return (in_little_time if brief else optimised)(*args, **kwargs)

    return call


def _shape_of(arguments: object) -> object:
    """Return what decides which program a call needs, but for its constants."""
    leaves, structure = jax.tree.flatten(arguments)
    return structure, tuple(getattr(leaf, "shape", None) for leaf in leaves)


def is_traced(arguments: object) -> bool:
    """Tell whether a call is part of a larger program."""
    if any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(arguments)):
        return True
    # Inside `jit` what is computed from constants is traced as well.
    return isinstance(jnp.zeros(()) + 0.0, Tracer)
