"""Files that are written whole or not at all."""

import contextlib
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

from experiments.errors import StoreError


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`, renamed to it if the block succeeds.

    Raises:
        StoreError: The file can't be written; whatever was at `path` is still there.
    """
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        with write_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            yield temporary
            os.replace(temporary, path)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def write_errors(path: Path) -> Iterator[None]:
    """Turn an OSError into a StoreError that says what to do."""
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"{path} can't be written: {error.strerror or error}. What was done before "
            "is intact: make room (or see who may write there), then run the same "
            "command."
        ) from error


@contextlib.contextmanager
def netcdf_errors(path: Path) -> Iterator[None]:
    """Turn the netCDF library's RuntimeError on a failed write into an OSError."""
    try:
        yield
    except RuntimeError as error:
        raise OSError(f"{error} ({path.name})") from error
