"""Files that are written whole or not at all, and the list of those that were made.

The list, `.made.json` in the folder of a study, holds a hash of every file. A file that
was made before and is made no longer, such as a figure of an estimator that has left
the study, is removed when it is on the list and still is what was written.
"""

import hashlib
import json
import os
import re
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path

LIST = ".made.json"


def write_file(path: Path, write: Callable[[Path], object]) -> Path:
    """Write a file under a temporary name beside its own, then rename it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # The ending stays the last: writers of figures choose the format by it.
    name = f".{path.stem}.{uuid.uuid4().hex[:8]}.tmp{path.suffix}"
    temporary = path.with_name(name)
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
    """Name a file; a name that has to be changed for it gets a mark of its own."""
    safe = re.sub(r"[^\w.-]+", "_", name).lstrip(".")
    if safe == name:
        return name
    return f"{safe}-{hashlib.sha256(name.encode()).hexdigest()[:6]}"


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
        if name in hashes or not _is_inside(path, folder) or not path.is_file():
            continue
        if _hash(path) == written:
            path.unlink()
            removed.append(path)
            _remove_empty(path.parent, folder)
    # Only now: a list written first would forget what an interruption left.
    text = json.dumps(hashes, indent=1, sort_keys=True) + "\n"
    write_text(folder / LIST, text)
    return removed


def find_link_outside(folder: Path) -> Path | None:
    """Find a folder below this one that is a link to outside of it, if there is one.

    What is written there would land outside, where nothing of a study belongs.
    """
    for parent, names, _ in os.walk(folder):
        for path in (Path(parent, name) for name in names):
            if path.is_symlink() and not _is_inside(path / "x", folder):
                return path
    return None


def _is_inside(path: Path, folder: Path) -> bool:
    """Tell whether a file is below a folder, wherever links on the way lead."""
    return not path.is_symlink() and path.parent.resolve().is_relative_to(
        folder.resolve()
    )


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _read_list(folder: Path) -> dict[str, str]:
    """Read the list; an unreadable one lists nothing, so that nothing is removed."""
    try:
        found = json.loads((folder / LIST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {k: v for k, v in found.items() if "\0" not in k}


def _remove_empty(folder: Path, root: Path) -> None:
    while folder != root and not any(folder.iterdir()):
        folder.rmdir()
        folder = folder.parent
