"""A hash at the end of a file, by which its readers know that nobody changed it.

It stands behind the last byte that the netCDF library looks at. Numbers have HDF5's own
checksums besides, which any program verifies; but those do not cover the tables that
say where in the file the numbers are. Only the standard library is imported here, so
that the program that writes a study's files and those that read them share it.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

CHECKSUM = {"fletcher32": True}
"""How a variable is stored with HDF5's own checksum."""


def encode(dataset: Any, more: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return for every variable of numbers how it is stored, as xarray takes it.

    Texts and single values take no checksum; the seal covers them. Coordinates miss no
    value, and must not say which would be missing.
    """
    variables = dataset.variables.items()
    return {
        str(name): {
            **CHECKSUM,
            **(more or {}),
            **({"_FillValue": None} if name in dataset.dims else {}),
        }
        for name, variable in variables
        if variable.ndim and variable.size and variable.dtype.kind in "iufb"
    }


_MARK = b"spmlex sha256 "
_SIZE = len(_MARK) + hashlib.sha256().digest_size
_CHUNK = 2**20


class DamagedFileError(ValueError):
    """A file is not what was written."""


def add_seal(path: Path) -> None:
    """Append the hash of a file to it."""
    digest = _hash(path, path.stat().st_size)
    with path.open("ab") as file:
        file.write(_MARK + digest)


def has_seal(path: Path) -> bool:
    """Return whether a file ends with its hash.

    To be asked before the library reads the file: with one wrong byte in its tables it
    reads other numbers, or crashes.

    Raises:
        DamagedFileError: It ends with the hash of other bytes.
    """
    size = path.stat().st_size - _SIZE
    if size < 0:
        return False
    with path.open("rb") as file:
        file.seek(size)
        seal = file.read()
    if not seal.startswith(_MARK):
        return False
    if seal != _MARK + _hash(path, size):
        raise DamagedFileError(f"{path} was changed since it was written")
    return True


def _hash(path: Path, size: int) -> bytes:
    """Hash the first bytes of a file."""
    found = hashlib.sha256()
    with path.open("rb") as file:
        while size > 0 and (chunk := file.read(min(_CHUNK, size))):
            found.update(chunk)
            size -= len(chunk)
    return found.digest()
