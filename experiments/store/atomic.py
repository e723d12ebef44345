"""Files that are written whole or not at all."""

import contextlib
import datetime
import os
import re
import uuid
from collections.abc import Generator
from pathlib import Path

from experiments.errors import StoreError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

LEFTOVER = re.compile(r"\..+\.[0-9a-f]{8}\.tmp(\.\w+)?")
"""Names of temporary files: those of `replacing`, and those of `analysis.files`."""

HOUR = 3600.0


def read_clock() -> str:
    """Return the time in UTC, to the second."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


@contextlib.contextmanager
def replacing(path: Path) -> Generator[Path]:
    """Give a temporary path beside `path`, renamed to it if the block succeeds.

    Raises:
        StoreError: The file can't be written; whatever was at `path` is still there.
    """
    # Beside it, since a rename is atomic within one file system only.
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
def alone(folder: Path) -> Generator[None]:
    """Keep out other processes that ask for the same, where the system can do that.

    For a file that is read and written again in a moment, not for long work.
    """
    if fcntl is None:
        yield
        return
    opened = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # some network file systems lock nothing
            fcntl.flock(opened, fcntl.LOCK_EX)
        yield
    finally:
        os.close(opened)  # which gives the lock up


@contextlib.contextmanager
def write_errors(path: Path) -> Generator[None]:
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
def netcdf_errors(path: Path) -> Generator[None]:
    """Turn the netCDF library's error on a failed write into an OSError that is true.

    It calls a full disk "Permission denied", "NetCDF: HDF error" and other things.
    """
    try:
        yield
    except (RuntimeError, OSError) as error:
        try:
            _try_to_write(path.with_name(f"{path.name}.try"))
        except OSError as reason:
            raise reason from error
        if isinstance(error, OSError):
            raise
        raise OSError(f"{error} ({path.name})") from error


def _try_to_write(path: Path) -> None:
    try:
        with path.open("wb") as file:
            file.write(bytes(2**16))
            file.flush()
            # Some file systems, NFS for one, notice only here that they are full.
            os.fsync(file.fileno())
    finally:
        path.unlink(missing_ok=True)


def remove_leftovers(folder: Path, *, now: float) -> None:
    """Remove what killed processes left half written, and nothing that one writes now.

    Args:
        folder: The study's folder.
        now: The time by the clock of its file system.
    """
    for path in folder.rglob(".*.tmp*"):
        with contextlib.suppress(OSError):
            if LEFTOVER.fullmatch(path.name) and now - path.lstat().st_mtime > HOUR:
                path.unlink()
