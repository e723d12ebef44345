"""Compiled programs that are kept on disk, so that the next process need not make them.

The first fit of a process takes half a minute of tracing and compiling, the same in
every run of a script. Kept are the programs of calls that stand alone, each under the
fingerprint of all that it depends on; nothing of the data but its shape.
"""

import functools
import hashlib
import os
import pickle
import secrets
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jax.experimental import serialize_executable
from jaxtyping import PyTree

from spmlex._programs.fingerprint import NotKnown, fingerprint, settings
from spmlex._programs.interrupt import read_setting
from spmlex._words.arguments import show

_FORMAT = b"spmlex program 1\n"

_DIGEST = hashlib.sha256().digest_size


class _Folder:
    """Where programs are kept; nowhere until the user says so."""

    path: Path | None = None


def keeps_programs() -> bool:
    """Tell whether programs are kept on disk."""
    return _Folder.path is not None and not read_setting("jax_disable_jit")


class _Kept(NamedTuple):
    """A program and the form of what it returns.

    Attributes:
        run: Takes and returns lists of arrays.
        form: What a call returns, with numbers in the places of arrays.
        keys: Of what kind each of these arrays is, where it is a random key.
    """

    run: Callable[..., list[jax.Array]]
    form: PyTree
    keys: tuple[str, ...]


def keep_programs(folder: str | os.PathLike[str]) -> Path:
    """Keep compiled programs on disk from here on, and take those that are there.

    A script that calls this first starts in seconds when it is run again: its fits,
    intervals and summaries are not traced and compiled anew, as long as the code of the
    model, the shapes of the data, the processor and the versions of `spmlex` and JAX
    stay the same. Where one of these changes another program is made and kept beside
    the first; it is safe to delete the folder at any time.

    Programs are files of pickle, which can run any code when they are loaded: the
    folder has to be one that nobody else may write to. Messages of XLA below fatal
    errors are no longer printed, since it prints a page of false alarms about features
    of the processor for each program that it loads.

    Args:
        folder: Where to, such as "~/.cache/spmlex"; made where there is none.

    Returns:
        Its absolute path.

    Raises:
        ValueError: The folder is a file, can't be written to, or others may write to
            it.

    Examples:
        >>> import tempfile  # in a script, "~/.cache/spmlex" or a folder beside it
        >>> keep_programs(tempfile.mkdtemp()).is_dir()
        True
    """
    if not isinstance(folder, str | os.PathLike) or not os.fspath(folder):
        raise ValueError(
            f"folder={show(folder)}: give the path of a folder, such as "
            "'~/.cache/spmlex'."
        )
    path = Path(folder).expanduser().absolute()
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(
            f"folder={folder!r}: {path} can't be made ({error.strerror}): give a "
            "folder of your own."
        ) from error
    if not os.access(path, os.W_OK):
        raise ValueError(f"folder={folder!r}: {path} can't be written to.")
    if os.name == "posix" and path.stat().st_mode & 0o022:
        raise ValueError(
            f"folder={folder!r}: others may write to {path}, and so make this process "
            "run their code: take that right away by chmod go-w, or give another."
        )
    _Folder.path = path
    # JAX tells XLA of a level, but not of none: set back, JAX's own messages are as
    # before, and those of XLA stay off.
    level = read_setting("jax_logging_level")
    jax.config.update("jax_logging_level", "CRITICAL")
    jax.config.update("jax_logging_level", level)
    return path


class Program:
    """A function, compiled: `eqx.filter_jit` that may take its program from disk."""

    def __init__(
        self, function: Callable[..., Any], options: dict[str, Any] | None = None
    ) -> None:
        self.function = function
        self.options = options
        # Its overloads leave out what it passes on to `jax.jit`.
        self.jitted = eqx.filter_jit(  # pyright: ignore[reportCallIssue]
            function, compiler_options=options
        )
        self.loaded: dict[object, _Kept | None] = {}

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if not keeps_programs():
            return self.jitted(*args, **kwargs)
        arrays, rest = eqx.partition((args, kwargs), eqx.is_array)
        leaves, structure = jax.tree.flatten(arrays)
        fixed, form = jax.tree.flatten(rest)
        shapes = tuple(map(_kind_of, leaves))
        # With their types: True, 1 and 1.0 are equal.
        values = tuple((type(value), value) for value in fixed)
        device = read_setting("jax_default_device")
        try:
            where = (_Folder.path, device, settings())
            short = (*where, structure, shapes, form, values)
            hash(short)
        except TypeError:
            return self.jitted(*args, **kwargs)
        if short not in self.loaded:
            self.loaded[short] = self._find(args, kwargs)
        kept = self.loaded[short]
        if kept is None:
            return self.jitted(*args, **kwargs)
        found = kept.run(*map(_open_key, leaves))
        return _fill(kept, found)

    def _find(self, args: Any, kwargs: Any) -> _Kept | None:
        """Load the program, or make and keep it; `None` where that can't be done."""
        name = f"{self.function.__module__}.{self.function.__qualname__}"
        try:
            key = fingerprint((name, self.options, args, kwargs))
        except NotKnown:
            return None
        assert _Folder.path is not None
        path = _Folder.path / f"{self.function.__name__.strip('_')}-{key[:32]}"
        kept = _load(path)
        return self._make(path, args, kwargs) if kept is None else kept

    def _make(self, path: Path, args: Any, kwargs: Any) -> _Kept:
        """Compile the program as a function of lists of arrays, and keep it."""
        arrays, rest = eqx.partition((args, kwargs), eqx.is_array)
        leaves, structure = jax.tree.flatten(arrays)
        kinds = [_kind_of_key(leaf) for leaf in leaves]
        forms: list[tuple[PyTree, tuple[str, ...]]] = []

        def flat(*given: jax.Array) -> list[jax.Array]:
            closed = [_close_key(*pair) for pair in zip(given, kinds, strict=True)]
            args, kwargs = eqx.combine(jax.tree.unflatten(structure, closed), rest)
            found = self.function(*args, **kwargs)
            arrays, rest_found = eqx.partition(found, eqx.is_array)
            each, tree = jax.tree.flatten(arrays)
            places = jax.tree.unflatten(tree, map(_Place, range(len(each))))
            form = eqx.combine(places, rest_found)
            forms.append((form, tuple(map(_kind_of_key, each))))
            opened = map(_open_key, each)
            # Of definite types, as they are when the program was loaded.
            return [jnp.asarray(leaf, leaf.dtype) for leaf in opened]

        # A name of its own: what XLA has read from JAX's cache, where that is in use,
        # it can't write again whole.
        flat.__name__ = f"{self.function.__name__}_{secrets.token_hex(4)}"
        # It is called with all arrays of a call, whether it uses them or not.
        jitted = jax.jit(flat, compiler_options=self.options, keep_unused=True)
        lowered = jitted.lower(*map(_open_key, leaves))
        compiled = lowered.compile()
        kept = _Kept(compiled, *forms[-1])
        # One that calls Python does so by an address in this process.
        if "callback" not in lowered.as_text():
            _save(path, compiled, kept)
        return kept


class _Place:
    """Stands for an array in the form of what a program returns."""

    def __init__(self, number: int) -> None:
        self.number = number


def _fill(kept: _Kept, found: list[jax.Array]) -> Any:
    """Put arrays into the form of what a program returns."""
    closed = [_close_key(*pair) for pair in zip(found, kept.keys, strict=True)]
    return jax.tree.map(
        lambda leaf: closed[leaf.number] if isinstance(leaf, _Place) else leaf,
        kept.form,
    )


def _kind_of(leaf: Any) -> tuple[object, ...]:
    weak = getattr(leaf, "weak_type", False)
    return leaf.shape, leaf.dtype, weak, getattr(leaf, "sharding", None)


def _kind_of_key(leaf: Any) -> str:
    """Return of what kind a random key is; nothing for other arrays."""
    is_key = jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
    return str(jr.key_impl(leaf)) if is_key else ""


def _open_key(leaf: Any) -> Any:
    return jr.key_data(leaf) if _kind_of_key(leaf) else leaf


def _close_key(leaf: Any, kind: str) -> Any:
    return jr.wrap_key_data(leaf, impl=kind) if kind else leaf


def _save(path: Path, compiled: jax.stages.Compiled, kept: _Kept) -> None:
    """Write a program, so that there is a whole file or none."""
    try:
        program = serialize_executable.serialize(compiled)
        body = pickle.dumps((program, kept.form, kept.keys))
    except Exception as error:  # noqa: BLE001 - of whatever the user's model holds
        warnings.warn(
            f"The program of {path.name.split('-')[0]} is not kept, since what it "
            f"returns can't be pickled: {error}.",
            RuntimeWarning,
            stacklevel=2,
        )
        return
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    try:
        temporary.write_bytes(_FORMAT + hashlib.sha256(body).digest() + body)
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        warnings.warn(
            f"{path} can't be written ({error.strerror}): the program is made again "
            "in the next process.",
            RuntimeWarning,
            stacklevel=2,
        )


def _load(path: Path) -> _Kept | None:
    """Read a program; `None` where there is none, or the file is damaged."""
    if not path.exists():
        return None
    content = path.read_bytes()
    start = len(_FORMAT) + _DIGEST
    body = content[start:]
    if content[:start] != _FORMAT + hashlib.sha256(body).digest():
        warnings.warn(
            f"{path} is damaged: the program is made again.",
            RuntimeWarning,
            stacklevel=2,
        )
        return None
    _register_kernels()
    try:
        program, form, keys = pickle.loads(body)
        run = serialize_executable.deserialize_and_load(*program)
    except Exception as error:  # noqa: BLE001 - of pickle, XLA or the user's classes
        warnings.warn(
            f"{path} can't be loaded ({error}): the program is made again.",
            RuntimeWarning,
            stacklevel=2,
        )
        return None
    return _Kept(run, form, keys)


@functools.cache
def _register_kernels() -> None:
    """Make XLA know the kernels of LAPACK, which JAX tells it of when it needs them.

    A program that calls them and was not compiled here ends the process otherwise.
    """
    jax.jit(jnp.linalg.cholesky).lower(jax.ShapeDtypeStruct((1, 1), float))
