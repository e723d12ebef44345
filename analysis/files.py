"""Files that are written whole or not at all, and the list of those that were made.

The list, `.made.json` in the folder of a study, holds a hash of every file. A file that
was made before and is made no longer, such as a figure of an estimator that has left
the study, is removed when it is on the list and still is what was written.
"""

import hashlib
import json
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path

LIST = ".made.json"


def write_file(path: Path, write: Callable[[Path], object]) -> Path:
    """Write a file under a temporary name beside its own, then rename it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.tmp{path.suffix}")
    try:
        write(temporary)
        os.replace(temporary, path)
    except RuntimeError as error:  # how the netCDF library says that the disk is full
        raise OSError(f"{error} ({path.name})") from error
    finally:
        temporary.unlink(missing_ok=True)
    return path


def write_text(path: Path, text: str) -> Path:
    """Write a text file as `write_file` does."""
    return write_file(path, lambda p: p.write_text(text, encoding="utf-8"))


def slug(name: str) -> str:
    """Turn a name into one that a file may have."""
    return re.sub(r"[^\w.-]+", "_", name)


def remove_outdated(folder: Path, made: Sequence[Path]) -> list[Path]:
    """Remove what an earlier call lists and this one does not; keep the list.

    Only files are removed whose contents are those that were written: one that was
    changed since, or put there by someone else, stays. Folders left empty go too.

    Args:
        folder: The folder of the study, which holds the list.
        made: Every file written now, all of them below `folder`.

    Returns:
        The files removed.
    """
    hashes = {path.relative_to(folder).as_posix(): _hash(path) for path in made}
    removed = []
    for name, written in _read_list(folder).items():
        path = folder / name
        if name in hashes or ".." in path.parts or not path.is_file():
            continue
        if _hash(path) == written:
            path.unlink()
            removed.append(path)
            _remove_empty(path.parent, folder)
    text = json.dumps(hashes, indent=1, sort_keys=True) + "\n"
    write_text(folder / LIST, text)
    return removed


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _read_list(folder: Path) -> dict[str, str]:
    """Read the list; an unreadable one lists nothing, so that nothing is removed."""
    try:
        found = json.loads((folder / LIST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _remove_empty(folder: Path, root: Path) -> None:
    while folder != root and not any(folder.iterdir()):
        folder.rmdir()
        folder = folder.parent
