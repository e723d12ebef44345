"""How much memory a fit may take, and what follows for the rows it holds at once."""

import numbers
import os
import re
from typing import Any

import jax
from jax.core import Tracer
from jax.sharding import AxisType, Mesh, NamedSharding

from spmlex._inner import ActiveSet
from spmlex._profile.outer import OuterProblem
from spmlex._programs.rows import GRAIN, RowPlan
from spmlex._words.arguments import show

DEFAULT = 10**9
"""Bytes that a fit takes where nothing is said."""

_PER_ENTRY = 56
"""Bytes for each entry of `lclk` that a fit has at its peak: seven numbers."""

_ENOUGH = 2**18
"""Entries of a block beyond which it leaves the cache, and is slower."""

_UNITS = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}


def read_memory(memory: Any) -> float | None:
    """Return bytes, of a number or of words such as "2 GB"; `None` as it is.

    Raises:
        ValueError: It is neither.
    """
    if memory is None:
        return None
    wrong = f"memory={show(memory)}: give bytes, such as 2e9, or words, such as '2 GB'."
    if isinstance(memory, str):
        found = re.fullmatch(r"\s*([0-9]*\.?[0-9]+)\s*([a-zA-Z]+)\s*", memory)
        if found is None or found[2].upper() not in _UNITS:
            raise ValueError(wrong)
        size = float(found[1]) * _UNITS[found[2].upper()]
    elif isinstance(memory, bool) or not isinstance(memory, numbers.Real):
        raise ValueError(wrong)
    else:
        size = float(memory)
    if not 0 < size < float("inf"):
        raise ValueError(wrong)
    return size


def plan_rows(problem: OuterProblem, support: Any, memory: Any) -> RowPlan | None:
    """Return how the rows of a fit are put in blocks; `None`: all are held at once.

    They are where the matrices of all fit into memory. Data that several devices share
    are always in blocks, each device with blocks of its own.

    Args:
        problem: What is to be maximised.
        support: As in `fit`.
        memory: Bytes, or words; `None`: the default, where blocks are possible.

    Raises:
        ValueError: `memory` is none, too little, or blocks are not possible.
    """
    size = read_memory(memory)
    mesh, axis = _shared_by(problem)
    obstacle = _why_not_in_blocks(problem, support)
    limit = DEFAULT if size is None else size
    fits = _PER_ENTRY * problem.n_entries <= limit
    if mesh is None and (fits or (obstacle and size is None)):
        return None
    if obstacle:
        what = "data are shared by several devices" if size is None else _tell(memory)
        raise ValueError(
            f"{what}: {problem.n_obs} rows on {problem.n_supp} support points have to "
            f"be worked on in blocks, which is not possible with {obstacle}. Leave "
            "that out, or give more memory to rows that are on one device."
        )
    per_grain = GRAIN * problem.n_supp
    most = int(limit // (_PER_ENTRY * per_grain))
    if most < 2:
        least = 2 * _PER_ENTRY * per_grain / 1e6
        raise ValueError(
            f"{_tell(memory)} is too little for blocks of {2 * GRAIN} rows on "
            f"{problem.n_supp} support points: give '{least:.1f} MB' or more, or fewer "
            "support points."
        )
    grains = -(-problem.n_obs // GRAIN)
    per_block = max(2, min(most, _ENOUGH // per_grain, grains))
    return RowPlan(per_block, mesh, axis)


def _tell(memory: Any) -> str:
    return "memory by default" if memory is None else f"memory={show(memory)}"


def _why_not_in_blocks(problem: OuterProblem, support: Any) -> str:
    """Return what in a call needs all rows at once; empty where nothing does."""
    if problem.groups is not None:
        return "groups"
    if support == "free":
        return "support='free'"
    if problem.solver != ActiveSet():
        return "another solver than 'active_set'"
    return ""


def check_room(problem: OuterProblem, kind: str) -> None:
    """Refuse what needs matrices of all rows that the machine has no room for.

    Args:
        problem: Whose rows they are.
        kind: What is asked for, as text.

    Raises:
        ValueError: They take more than all of its memory.
    """
    needed, there = _PER_ENTRY * problem.n_entries, _size_of_memory()
    if needed > there:
        raise ValueError(
            f"{kind} needs matrices with all {problem.n_obs} rows, about "
            f"{needed / 1e9:.0f} GB, and this machine has {there / 1e9:.0f} GB: use "
            "kind='sandwich', or fewer rows or support points."
        )


def _size_of_memory() -> float:
    """Return the bytes of the machine; infinite where it does not tell."""
    try:
        return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, ValueError, OSError):  # not on Windows
        return float("inf")


def check_sharing(data: Any) -> None:
    """Refuse data that devices share in a way in which models can't be evaluated.

    Raises:
        ValueError: The axis of the mesh has explicit types, with which every operation
            of a model had to say where its result goes.
    """
    for leaf in jax.tree.leaves(data):
        where = _sharding_of(leaf)
        if where is not None and AxisType.Explicit in where.mesh.axis_types:
            raise ValueError(
                "data are shared by devices of a mesh with explicit axes, as "
                "jax.make_mesh makes: share them by jax.sharding.Mesh(jax.devices(), "
                "('rows',))."
            )


def _shared_by(problem: OuterProblem) -> tuple[Mesh | None, str | None]:
    """Return the devices that share the rows of the data, and their axis."""
    for leaf in jax.tree.leaves(problem.data):
        where = _sharding_of(leaf)
        axis = where.spec[0] if where is not None and len(where.spec) else None
        if where is not None and isinstance(axis, str) and where.mesh.shape[axis] > 1:
            return where.mesh, axis
    return None, None


def _sharding_of(leaf: Any) -> Any:
    where = None if isinstance(leaf, Tracer) else getattr(leaf, "sharding", None)
    if isinstance(where, NamedSharding) and isinstance(where.mesh, Mesh):
        return where
    return None
