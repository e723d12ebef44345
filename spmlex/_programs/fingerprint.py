"""What a compiled program depends on, beside the shapes of its arrays.

A program kept by another process may be run in place of compiling one only where both
would be the same. All of `spmlex` and JAX goes into its name, all that a call passes by
value, and of the user's model its code and what it does at these shapes: the programs
that its methods lower to, constants written into them included.
"""

import dataclasses
import functools
import hashlib
import importlib.metadata
import inspect
import os
import platform
import sys
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any, Protocol, runtime_checkable

import equinox as eqx
import jax
import numpy as np

_PLAIN = (type(None), bool, int, float, complex, str, bytes, np.generic, np.dtype)

_PACKAGES = ("jax", "jaxlib", "equinox", "mixsqpx", "numpy")

_METHODS = ("lclk", "simulate", "outcomes", "starting_values")
"""Through which the user's code comes into a program."""


_SETTINGS = (
    "jax_enable_x64",
    "jax_default_matmul_precision",
    "jax_default_prng_impl",
    "jax_numpy_dtype_promotion",
    "jax_debug_nans",
    "jax_debug_infs",
    "jax_threefry_partitionable",
)


_LOWERED: dict[object, str] = {}
"""The programs of models that were met in this process, by their structure."""


class NotKnown(Exception):
    """Something that a program may depend on can't be told apart by its content."""


@runtime_checkable
class _Posed(Protocol):
    """A model with its data and its grid: what the user's code is called with."""

    model: Any
    data: Any
    supp: Any


def fingerprint(arguments: Any) -> str:
    """Return a digest of all that decides which program a call needs.

    Args:
        arguments: A pytree. Of arrays shape and type count, of all else the content.

    Raises:
        NotKnown: There is an object in it whose content can't be told.
    """
    models = tuple({type(posed.model) for posed in _find_posed(arguments)})
    parts = [*_versions(), *settings(), *_describe(arguments, models)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


@functools.cache
def _versions() -> tuple[str, ...]:
    """Return what is the same for all programs of this process."""
    own = hashlib.sha256()
    for path in sorted(Path(__file__).parents[1].rglob("*.py")):
        own.update(path.read_bytes())
    devices = {device.device_kind for device in jax.devices()}
    return (
        own.hexdigest(),
        sys.version,
        *map(importlib.metadata.version, _PACKAGES),
        jax.default_backend(),
        *sorted(devices),
        _processor(),
    )


def settings() -> tuple[str, ...]:
    """Return how JAX is set, as far as programs depend on it."""
    named = [f"{name} {getattr(jax.config, name)}" for name in _SETTINGS]
    return (*named, os.environ.get("XLA_FLAGS", ""))


def _processor() -> str:
    """Return what programs for this processor are compiled for."""
    found = [platform.machine(), platform.processor()]
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = cpuinfo.read_text().splitlines()
        found += sorted({x for x in lines if x.startswith(("model name", "flags"))})
    return " ".join(found)


def _find_posed(arguments: Any) -> list[_Posed]:
    """Return the models with their data that are somewhere in a call."""
    found: list[_Posed] = []

    def look(node: Any) -> bool:
        if isinstance(node, _Posed):
            found.append(node)
        return False

    jax.tree.flatten(arguments, is_leaf=look)
    return found


def _describe(node: Any, models: tuple[type, ...]) -> Iterator[str]:
    """Say what an object is, part after part, its arrays by shape and type.

    Args:
        node: The object.
        models: The classes of models whose methods are lowered. Of no other code than
            theirs and that of `spmlex` is it known what it does: a function of the
            user's may depend on any variable of its module.
    """
    if isinstance(node, jax.Array | np.ndarray):
        weak = getattr(node, "weak_type", False)
        devices = node.devices() if isinstance(node, jax.Array) else set()
        if len(devices) > 1:
            raise NotKnown("an array on several devices")
        yield f"array {node.dtype} {node.shape} {weak} {devices}"
    elif isinstance(node, _PLAIN):
        yield f"{type(node).__name__} {node!r}"
    elif isinstance(node, dict):
        yield f"{type(node).__name__} of {len(node)}"
        # In one order, as JAX takes them: not that in which they were put in.
        for key in sorted(node, key=repr):
            yield from _describe(key, models)
            yield from _describe(node[key], models)
    elif isinstance(node, list | tuple):
        yield f"{type(node).__qualname__} of {len(node)}"
        for item in node:
            yield from _describe(item, models)
    elif isinstance(node, models):
        yield from _describe_class(type(node))
        leaves, structure = jax.tree.flatten(node)
        yield str(structure)
        yield from _describe(leaves, models)
    elif isinstance(node, type) and _is_own(node):
        yield f"{node.__module__}.{node.__qualname__}"
    elif dataclasses.is_dataclass(node) and _is_own(type(node)):
        yield f"{type(node).__module__}.{type(node).__qualname__}"
        for field in dataclasses.fields(node):
            yield field.name
            yield from _describe(getattr(node, field.name, None), models)
        if getattr(node, "verbose", False):
            raise NotKnown("a program that prints, which can't be kept")
        if isinstance(node, _Posed):
            yield from _describe_model(node)
    else:
        raise NotKnown(f"{type(node).__module__}.{type(node).__qualname__}")


def _is_own(kind: type) -> bool:
    return kind.__module__.split(".")[0] in ("spmlex", "equinox")


def _describe_class(kind: type) -> Iterator[str]:
    """Say what a class is; that of others than `spmlex` and equinox by its code."""
    for base in kind.__mro__:
        yield f"class {base.__module__}.{base.__qualname__}"
        if base.__module__.split(".")[0] in ("builtins", "equinox", "spmlex", "typing"):
            continue
        for name, member in sorted(vars(base).items()):
            # Not all names: `pickle` gives a class one when it meets it first.
            for function in _functions_of(member, getattr(base, name, None)):
                yield name
                yield from _describe_code(function.__code__)


def _functions_of(*members: Any) -> Iterator[FunctionType]:
    """Return the functions of a method, a property, or whatever wraps them."""
    for member in members:
        kinds = ("fget", "__func__")
        found = [member, *(getattr(member, kind, None) for kind in kinds)]
        for each in found:
            if callable(each):
                inner = inspect.unwrap(each)
                if isinstance(inner, FunctionType):
                    yield inner


def _describe_code(code: CodeType) -> Iterator[str]:
    yield code.co_code.hex()
    yield repr(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _describe_code(constant)
        elif isinstance(constant, frozenset):
            # The order of a set of texts differs from process to process.
            yield repr(sorted(map(repr, constant)))
        else:
            yield repr(constant)


def _describe_model(posed: _Posed) -> Iterator[str]:
    """Say what the model's methods do to data and a grid of these shapes."""
    given = _shapes_of((posed.model, posed.data, posed.supp))
    leaves, structure = jax.tree.flatten(given)
    seen = (structure, *((type(leaf), leaf) for leaf in leaves))
    try:
        if seen not in _LOWERED:
            _LOWERED[seen] = "\n".join(_lower(*given))
        yield _LOWERED[seen]
    except Exception as error:
        # Compiling the call itself says what is wrong with the model, if anything is.
        raise NotKnown(f"{type(posed.model).__qualname__} can't be traced") from error


def _shapes_of(tree: Any) -> Any:
    return jax.tree.map(
        lambda leaf: (
            jax.ShapeDtypeStruct(leaf.shape, leaf.dtype)
            if isinstance(leaf, jax.Array | np.ndarray)
            else leaf
        ),
        tree,
    )


def _lower(model: Any, data: Any, supp: Any) -> Iterator[str]:
    """Return the programs of the model's methods as text."""
    n_obs = jax.tree.leaves(data)[0].shape[0]
    latent = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct((n_obs, *leaf.shape[1:]), leaf.dtype), supp
    )
    calls: dict[str, tuple[Any, ...]] = dict.fromkeys(_METHODS, (data,))
    calls["lclk"] = (data, supp)
    if isinstance(data, dict):
        key = jax.eval_shape(lambda: jax.random.key(0))
        calls["simulate"] = (data | {"latent": latent}, key)
    else:
        del calls["simulate"]

    def call(name: str, fixed: Any, shaped: Any) -> Any:
        model, *given = eqx.combine(shaped, fixed)
        method = getattr(model, name)
        if name == "simulate":
            return method(given[0], rng=given[1])
        return eqx.filter(method(*given), eqx.is_array)

    for name, given in calls.items():
        if hasattr(model, name):
            yield name
            shaped, fixed = eqx.partition((model, *given), _is_shape)
            method = functools.partial(call, name, fixed)
            yield jax.jit(method).lower(shaped).as_text()


def _is_shape(leaf: Any) -> bool:
    return isinstance(leaf, jax.ShapeDtypeStruct)
