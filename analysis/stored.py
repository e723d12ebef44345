"""The two files of a study: read after a look at their seals, written with one."""

import contextlib
import sys
from collections.abc import Generator
from pathlib import Path

import xarray as xr

from analysis.conventions import CONVENTIONS
from analysis.seal import add_seal, encode, has_seal

REPLICATIONS = "replications.nc"
SUMMARY = "summary.nc"

UNREADABLE = (OSError, RuntimeError, ValueError, LookupError, TypeError, AttributeError)
"""What the netCDF library and xarray raise on a damaged file."""

SMALL = {"zlib": True, "complevel": 4}
"""How numbers are stored: a summary repeats many, and some travel with the code."""


class StudyError(ValueError):
    """A study that cannot be read; the message is one line for the user."""


@contextlib.contextmanager
def open_replications(study_dir: Path) -> Generator[xr.DataTree]:
    """Open `replications.nc` of a study and check what it holds.

    Values are read when they are used, and not kept: of a large study the fitted
    distributions do not fit into memory.

    Raises:
        StudyError: There is no such file, or it is damaged.
    """
    if not study_dir.is_dir():
        raise StudyError(f"there is no study folder {study_dir}; give results/<study>.")
    path = study_dir / REPLICATIONS
    if not path.is_file():
        raise StudyError(
            f"{study_dir} holds no {REPLICATIONS}; of a study that runs, `python -m "
            f"experiments.run report {study_dir.name}` merges what is done."
        )
    with _open_tree(path) as replications:
        if not replications.children:
            raise StudyError(f"{path} holds no process (no group below its root).")
        for name, node in replications.children.items():
            for variable in ("estimate", "truth"):
                if variable not in node:
                    raise StudyError(f"{path}: group {name} holds no `{variable}`.")
        yield replications


def load_summary(study_dir: Path | str, name: str = SUMMARY) -> xr.DataTree:
    """Read `summary.nc` of a study, or another file like it, into memory.

    Raises:
        StudyError: The file is damaged.
    """
    with _open_tree(Path(study_dir) / name) as tree:
        return tree.load()


@contextlib.contextmanager
def _open_tree(path: Path) -> Generator[xr.DataTree]:
    """Open a file that a study or this program wrote, after a look at its seal."""
    with _read_errors(path, UNREADABLE), contextlib.ExitStack() as stack:
        sealed = has_seal(path)
        opened = xr.open_datatree(path, engine="netcdf4", cache=False)
        tree = stack.enter_context(opened)
        # Open still, and closed at the end of the other `with`.
        stack = stack.pop_all()
    if not sealed:
        print(
            f"warning: {path} has no checksum, being older than these or of another "
            "program: whether it was changed is not known.",
            file=sys.stderr,
        )
    # Of a file without checksum a number may turn out to be unreadable only now.
    with stack, _read_errors(path, (OSError, RuntimeError)):
        yield tree


@contextlib.contextmanager
def _read_errors(path: Path, kinds: tuple[type[Exception], ...]) -> Generator[None]:
    try:
        yield
    except FileNotFoundError:
        raise
    except kinds as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise StudyError(
            f"cannot read {path} ({reason}); make it again: `python -m "
            f"experiments.run report {path.parent.name}`."
        ) from error


def write_tree(tree: xr.DataTree, path: Path) -> None:
    """Write replications, or a summary, compressed, with checksums and a seal."""
    encoding = {
        f"/{name}": encode(node.to_dataset(), SMALL)
        for name, node in tree.children.items()
    }
    tree = tree.copy()
    tree.attrs = {"Conventions": CONVENTIONS, **tree.attrs}
    tree.to_netcdf(path, encoding=encoding)
    add_seal(path)
