"""Fits in files: arrays as NumPy writes them, and how they belong together as JSON.

A file holds no code. What can't be written as data, the model's class, is given again
when the file is read, by a model of the same form.
"""

import dataclasses
import json
import os
import re
import zipfile
import zlib
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from spmlex._adequacy.adequacy import Adequacy
from spmlex._climb.optima import Optima
from spmlex._inner import SOLVERS
from spmlex._profile.outer import OuterProblem
from spmlex._result.result import Fit
from spmlex._version import VERSION
from spmlex._words.arguments import show
from spmlex._words.codes import RESULT_CODES, RESULTS, result_code
from spmlex._words.inputs import check_model
from spmlex._words.types import Model

FORMAT = 1
"""To be raised where a file of before can no longer be read."""

_HEAD = "head"
_CLASSES = {
    known.__name__: known
    for known in (Fit, OuterProblem, Optima, Adequacy, *SOLVERS.values())
}
_Path = str | os.PathLike[str]


def save(estimate: Fit, path: _Path) -> None:
    """Write a fit to a file, with the data it was fitted to.

    The file appears whole or not at all: it is written beside the path and renamed.
    `load` reads it.

    Args:
        estimate: What `fit` returned.
        path: Where to; a file that is there is replaced.

    Raises:
        ValueError: The estimate is no fit, is traced, or its data are in something else
            than dictionaries, lists and tuples.

    Examples:
        >>> save(estimate, "panel.fit")
        >>> again = load("panel.fit", model0)
        >>> bool((again.theta == estimate.theta).all())
        True
    """
    if not isinstance(estimate, Fit):
        raise ValueError(f"estimate={show(estimate)}: give what `fit` returns.")
    arrays: list[np.ndarray] = []
    head = {
        "format": FORMAT,
        "version": VERSION,
        "model": _form_of(estimate.model),
        "fit": _Writer(arrays).write(estimate, "estimate"),
    }
    text = np.frombuffer(json.dumps(head).encode(), np.uint8)
    named = {f"array{k}": array for k, array in enumerate(arrays)}
    target = _read_path(path)
    # Beside it, since a rename is whole only within one file system.
    beside = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        with beside.open("wb") as file:
            np.savez(file, allow_pickle=False, **{_HEAD: text}, **named)
            file.flush()
            # Before the rename: after a power cut an empty file would have its name.
            os.fsync(file.fileno())
        beside.replace(target)
    finally:
        beside.unlink(missing_ok=True)


def load(path: _Path, model0: Model) -> Fit:
    """Read a fit that `save` wrote. Nothing in the file is executed.

    Args:
        path: The file.
        model0: A model of the same class and form, such as the one that was fitted; its
            values do not matter, but for functions among its fields.

    Returns:
        The fit, of which everything can be asked as before.

    Raises:
        FileNotFoundError: There is none.
        ValueError: The file is damaged, of another format, or of another model.

    Examples:
        >>> save(estimate, "panel.fit")
        >>> load("panel.fit", model0).summary() == estimate.summary()
        True
    """
    check_model(model0)
    target = _read_path(path)
    if not target.exists():
        raise FileNotFoundError(f"path={show(str(path))}: there is no such file.")
    arrays: list[jax.Array] = []
    try:
        with target.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            head = json.loads(bytes(file[_HEAD]))
            number = len(file.files) - 1
            if head["format"] == FORMAT:
                arrays = [jnp.asarray(file[f"array{k}"]) for k in range(number)]
    except _DAMAGE as error:
        raise ValueError(
            f"path={show(str(path))}: the file is damaged, or `spmlex.save` did not "
            f"write it ({error})."
        ) from error
    if head["format"] != FORMAT:
        raise ValueError(
            f"path={show(str(path))}: spmlex {head['version']} wrote it in format "
            f"{head['format']}, and {VERSION} reads format {FORMAT}: load it with that "
            "version, or fit again."
        )
    _check_form(model0, head["model"])
    try:
        return _Reader(arrays, model0).read(head["fit"])
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise ValueError(
            f"path={show(str(path))}: the file is damaged ({error})."
        ) from error


_DAMAGE = (
    *(zipfile.BadZipFile, zlib.error, EOFError),
    *(ValueError, KeyError, TypeError, NotImplementedError),
)
"""What NumPy and JSON raise of files that are not whole."""


def _read_path(path: Any) -> Path:
    if not isinstance(path, str | os.PathLike) or not str(path):
        raise ValueError(f"path={show(path)}: give the name of a file.")
    return Path(path)


def _form_of(model: Model) -> dict[str, Any]:
    """Return the class of a model, the shapes of its leaves and its constants."""
    leaves = jax.tree_util.tree_leaves_with_path(model)
    # Functions among the constants are told by their address, which changes.
    constants = re.sub(r" at 0x[0-9a-f]+", "", str(jax.tree.structure(model)))
    return {
        "class": type(model).__name__,
        "leaves": {
            jax.tree_util.keystr(path, simple=True, separator="."): list(np.shape(leaf))
            for path, leaf in leaves
        },
        "constants": constants,
    }


def _check_form(model0: Model, form: dict[str, Any]) -> None:
    own = _form_of(model0)
    for what in ("class", "leaves", "constants"):
        if own[what] != form[what]:
            raise ValueError(
                f"model0={type(model0).__name__} is not of the form that was saved: "
                f"its {what} {show(own[what])}, in the file {show(form[what])}. Give "
                "the model as it was fitted."
            )


@dataclasses.dataclass
class _Writer:
    """Turns values into JSON, and their arrays into a list.

    Attributes:
        arrays: Those found so far; one that is met again is written once.
    """

    arrays: list[np.ndarray]
    places: dict[int, int] = dataclasses.field(default_factory=dict[int, int])

    def write(self, value: Any, name: str) -> list[Any]:
        """Return what is written for a value that is called so."""
        if value is None or isinstance(value, bool | int | float | str):
            return ["plain", value]
        if isinstance(value, Tracer):
            raise ValueError(f"{name} is traced by jit or vmap: save outside of it.")
        if isinstance(value, RESULTS):
            return ["result", int(result_code(value))]
        if isinstance(value, np.ndarray | np.generic | jax.Array):
            return ["array", self._place(value, name)]
        if isinstance(value, dict):
            return ["dict", self._write_fields(value, name)]
        if type(value) in (list, tuple):
            kind = type(value).__name__
            return [kind, [self.write(x, f"{name}[{k}]") for k, x in enumerate(value)]]
        if type(value) in _CLASSES.values():
            known = [field.name for field in dataclasses.fields(value)]
            fields = {field: getattr(value, field) for field in known}
            model = fields.pop("model", None)
            told = self._write_fields(fields, name)
            if model is not None:
                told["model"] = ["model", self._write_leaves(model, f"{name}.model")]
            return ["class", type(value).__name__, told]
        raise ValueError(
            f"{name} is of type {type(value).__name__}: only dictionaries, lists and "
            "tuples of arrays can be saved."
        )

    def _write_fields(self, fields: dict[Any, Any], name: str) -> dict[str, list[Any]]:
        wrong = [key for key in fields if not isinstance(key, str)]
        if wrong:
            raise ValueError(f"{name} has the key {show(wrong[0])}: keys must be text.")
        return {key: self.write(x, f"{name}.{key}") for key, x in fields.items()}

    def _write_leaves(self, model: Model, name: str) -> list[Any]:
        """Return the leaves of a model; functions among them are of the class."""
        plain = (bool, int, float, str, np.ndarray, np.generic, jax.Array)
        return [
            self.write(leaf, name) if isinstance(leaf, plain) else ["given"]
            for leaf in jax.tree.leaves(model)
        ]

    def _place(self, value: Any, name: str) -> int:
        if id(value) not in self.places:
            if jnp.issubdtype(value.dtype, jax.dtypes.extended):
                raise ValueError(f"{name} is a random key, which can't be saved.")
            self.places[id(value)] = len(self.arrays)
            self.arrays.append(np.asarray(value))
        return self.places[id(value)]


@dataclasses.dataclass
class _Reader:
    """Turns what `_Writer` wrote back into values.

    Attributes:
        arrays: Those of the file.
        model0: Has the form of the models.
    """

    arrays: list[jax.Array]
    model0: Model

    def read(self, told: list[Any]) -> Any:
        """Return the value."""
        kind, *rest = told
        match kind:
            case "plain":
                return rest[0]
            case "result":
                return getattr(RESULTS, RESULT_CODES[rest[0]][1])
            case "array":
                return self.arrays[rest[0]]
            case "dict":
                return {key: self.read(x) for key, x in rest[0].items()}
            case "list" | "tuple":
                items = [self.read(x) for x in rest[0]]
                return items if kind == "list" else tuple(items)
            case "class":
                fields = {key: self.read(x) for key, x in rest[1].items()}
                return _CLASSES[rest[0]](**fields)
            case "model":
                given = jax.tree.leaves(self.model0)
                leaves = [
                    leaf if x[0] == "given" else self.read(x)
                    for leaf, x in zip(given, rest[0], strict=True)
                ]
                return jax.tree.unflatten(jax.tree.structure(self.model0), leaves)
            case _:
                raise ValueError(f"unknown kind {kind!r}")
