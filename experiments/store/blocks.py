"""A study's folder: manifest, block files, atomic writes, resuming.

```
results/<study>/study.yaml                      the manifest
results/<study>/blocks/<cell>/<first>-<last>.nc one block, written once
results/<study>/replications.nc                 all blocks, see `store.merged`
```
A block file carries the hash of everything its numbers depend on, so a file of another
design is never taken for one of this.
"""

import hashlib
import math
import os
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
import yaml

from experiments import provenance
from experiments.errors import StoreError
from experiments.estimators import QUANTITIES
from experiments.store.atomic import netcdf_errors, replacing
from experiments.store.fingerprint import Fingerprint
from experiments.study import Block, Cell, Result

_SEAL = b"spmlex sha256 "
_SEAL_SIZE = len(_SEAL) + hashlib.sha256().digest_size

_DAMAGES = (OSError, RuntimeError, LookupError, AttributeError, ValueError, TypeError)
"""What the netCDF library raises on a damaged file."""


class UnusableBlockError(StoreError):
    """A block file that is damaged ("unreadable") or of another design ("foreign")."""

    def __init__(self, path: Path, suffix: str):
        self.suffix = suffix
        self.why = {"unreadable": "damaged", "foreign": "of another design"}[suffix]
        super().__init__(f"{path} is {self.why}. Run sweep again: it will be replaced.")


class Store:
    """One study's folder."""

    def __init__(self, folder: Path, fingerprint: Fingerprint):
        self.folder = folder
        self.fingerprint = fingerprint

    @property
    def blocks(self) -> Path:
        """The folder of the block files."""
        return self.folder / "blocks"

    def path(self, block: Block) -> Path:
        """Return where a block is kept."""
        return self.blocks / block.cell.name / f"{block.first:06d}-{block.last:06d}.nc"

    def open(self, config: dict[str, Any], *, overwrite: bool) -> None:
        """Write the manifest, unless the folder holds a study of another design.

        Args:
            config: The resolved configuration.
            overwrite: Accept a changed design; the old one's blocks will be deleted.
        """
        manifest = read_manifest(self.folder)
        created = provenance.read_clock()
        if manifest is not None:
            created = manifest["created"]
            lines = self.fingerprint.difference(
                Fingerprint.from_config(manifest["config"])
            )
            if lines and not overwrite:
                raise StoreError(
                    f"{self.folder} holds a study of another design:\n  "
                    + "\n  ".join(lines)
                    + "\nGive this one another name (study=NAME) or replace what is "
                    "there (overwrite=true)."
                )
        manifest = {
            "created": created,
            "updated": provenance.read_clock(),
            "code": provenance.describe_code(),
            "software": provenance.describe_software(),
            "jax": provenance.describe_jax(),
            "machine": provenance.describe_machine(),
            "config": config,
        }
        with replacing(self.folder / "study.yaml") as temporary:
            temporary.write_text(yaml.safe_dump(manifest, sort_keys=False))

    def find(self, cell: Cell) -> list[Path]:
        """List the block files of a cell by their first replication."""
        return sorted((self.blocks / cell.name).glob("[0-9]*-[0-9]*.nc"))

    def clean(self, cell: Cell, *, overwrite: bool) -> list[str]:
        """Rename unusable block files of a cell, and drop those that raised.

        Args:
            cell: The cell.
            overwrite: Delete blocks of another design instead of renaming them.

        Returns:
            One line for each file that was renamed.
        """
        lines = []
        for path in self.find(cell):
            try:
                if self.read(path, cell)[1]["error"]:
                    path.unlink(missing_ok=True)
            except UnusableBlockError as error:
                if overwrite and error.suffix == "foreign":
                    path.unlink(missing_ok=True)
                    continue
                aside = path.with_name(f"{path.name}.{error.suffix}")
                try:
                    os.replace(path, aside)
                except FileNotFoundError:
                    continue  # another process was faster
                lines.append(f"{path} is {error.why}: set aside as {aside.name}.")
        return lines

    def read(
        self, path: Path, cell: Cell
    ) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Read a block file: arrays by name, and attributes.

        Raises:
            UnusableBlockError: The file is damaged or of another design.
            StoreError: The user may not read it.
        """
        try:
            sealed = _check_seal(path)
            with netCDF4.Dataset(path) as file:
                file.set_auto_mask(False)
                attrs = {
                    name: np.asarray(file.getncattr(name)).item()
                    for name in file.ncattrs()
                }
                values = {name: file.variables[name][:] for name in file.variables}
                found, first, last = attrs["content"], attrs["first"], attrs["last"]
        except PermissionError as error:
            raise StoreError(
                f"{path} can't be read: {error.strerror}. See who may read it."
            ) from error
        except _DAMAGES as error:
            raise UnusableBlockError(path, "unreadable") from error
        if attrs.get("sealed", 0) and not sealed:  # older files have no seal
            raise UnusableBlockError(path, "unreadable")
        if found != self.fingerprint.hash_cell(cell):
            raise UnusableBlockError(path, "foreign")
        if any(len(value) != last - first + 1 for value in values.values()):
            raise UnusableBlockError(path, "unreadable")
        return values, attrs

    def write(self, block: Block, result: Result) -> None:
        """Write a block's file, all of it or nothing."""
        attrs = {
            "content": self.fingerprint.hash_cell(block.cell),
            "first": block.first,
            "last": block.last,
            "seconds": result.seconds,
            "error": result.error,
            "peak_memory": result.peak_memory,
            "created": provenance.read_clock(),
            "sealed": 1,
            **provenance.describe_code(),
        }
        with replacing(self.path(block)) as temporary, netcdf_errors(temporary):
            with netCDF4.Dataset(temporary, "w") as file:
                file.setncatts(attrs)
                file.createDimension("replication", len(block))
                for name, value in result.arrays.items():
                    dims = ()  # of the data's hash
                    if name in QUANTITIES:
                        # A scalar latent variable has no coordinates.
                        dims = QUANTITIES[name].axes[: value.ndim - 1]
                    for dim, size in zip(dims, value.shape[1:], strict=True):
                        if dim not in file.dimensions:
                            file.createDimension(dim, size)
                    variable = file.createVariable(
                        name, value.dtype, ("replication", *dims), fletcher32=True
                    )
                    variable[:] = value
            _seal(temporary)


def _seal(path: Path) -> None:
    """Append a hash of a netCDF file to it; its readers stop before that."""
    digest = hashlib.sha256(path.read_bytes()).digest()
    with path.open("ab") as file:
        file.write(_SEAL + digest)


def _check_seal(path: Path) -> bool:
    """Return whether a file ends with a seal.

    Looked at before the library reads the file: its checksums cover the numbers, but
    one wrong byte in the tables that say where they are, and it reads other numbers, or
    crashes.

    Raises:
        ValueError: The seal is that of other bytes.
    """
    data = path.read_bytes()
    body, seal = data[:-_SEAL_SIZE], data[-_SEAL_SIZE:]
    if not seal.startswith(_SEAL):
        return False
    if seal != _SEAL + hashlib.sha256(body).digest():
        raise ValueError(f"{path} was changed")
    return True


def read_result(arrays: dict[str, np.ndarray], attrs: dict[str, Any]) -> Result:
    """Return what `Store.read` read as the result it was."""
    peak_memory = attrs.get("peak_memory", math.nan)  # older files lack it
    return Result(arrays, attrs["seconds"], attrs["error"], peak_memory)


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """Read a study's manifest; None if the folder holds no study."""
    path = folder / "study.yaml"
    try:
        manifest = yaml.safe_load(path.read_text())
        Fingerprint.from_config(manifest["config"])
        manifest["created"]
    except FileNotFoundError:
        return None
    except (yaml.YAMLError, KeyError, TypeError, UnicodeDecodeError) as error:
        raise StoreError(
            f"{path} can't be read as a study's manifest. Give the study another name "
            "(study=NAME), or move that file away."
        ) from error
    return manifest
