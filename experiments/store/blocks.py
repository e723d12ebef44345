"""A study's folder: manifest, block files, atomic writes, resuming.

```
results/<study>/study.yaml                      the manifest
results/<study>/blocks/<cell>/<first>-<last>.nc one block, written once
results/<study>/replications.nc                 all blocks, see `store.merged`
```
A block file carries the hash of everything its numbers depend on, so a file of another
design is never taken for one of this; and which replications it holds, so that one with
another name is not either.
"""

import contextlib
import math
import os
from collections.abc import Generator
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np

from analysis.files import find_link_outside
from analysis.seal import CHECKSUM, add_seal, has_seal
from experiments import provenance
from experiments.errors import StoreError
from experiments.estimators import QUANTITIES, find_own
from experiments.store.atomic import (
    netcdf_errors,
    read_clock,
    remove_leftovers,
    replacing,
)
from experiments.store.fingerprint import NUMBERS, Fingerprint
from experiments.store.manifest import NAME, read_manifest, write_manifest
from experiments.study import Block, Cell, Result

_DAMAGES = (OSError, RuntimeError, LookupError, AttributeError, ValueError, TypeError)
"""What the netCDF library raises on a damaged file."""

DATA_HASH = "data_hash"
"""What a block holds beside the quantities that estimators report."""


class UnusableBlockError(StoreError):
    """A block file that does not count: "unreadable", "foreign" or "misplaced"."""

    def __init__(self, path: Path, suffix: str):
        self.suffix = suffix
        self.why = {
            "unreadable": "damaged",
            "foreign": "of another design, or of other code",
            "misplaced": "not the block that its name says",
        }[suffix]
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
        if (link := find_link_outside(self.folder)) is not None:
            raise StoreError(
                f"{link} leads out of the study's folder. Nothing is written outside: "
                "remove that link, or make the folder itself one (results_dir)."
            )
        manifest = read_manifest(self.folder)
        created = read_clock()
        if manifest is not None:
            created = manifest["created"]
            lines = self.fingerprint.difference(
                Fingerprint.from_config(manifest["config"])
            )
            there = manifest.get("numbers", "an older one")
            if there != NUMBERS:
                lines.append(f"version of the numbers: {there} there, {NUMBERS} here")
            if lines and not overwrite:
                raise StoreError(
                    f"{self.folder} holds a study of another design:\n  "
                    + "\n  ".join(lines)
                    + "\nGive this one another name (study=NAME) or replace what is "
                    "there (overwrite=true)."
                )
        manifest = {
            "created": created,
            "updated": read_clock(),
            "numbers": NUMBERS,
            "code": provenance.describe_code(),
            "software": provenance.describe_software(),
            "jax": provenance.describe_jax(),
            "machine": provenance.describe_machine(),
            "instructions": provenance.describe_instructions(),
            "config": config,
        }
        write_manifest(self.folder, manifest)
        # Of a file just written: the file system's clock may differ from ours.
        now = (self.folder / NAME).stat().st_mtime
        remove_leftovers(self.folder, now=now)

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
            if not has_seal(path):
                raise UnusableBlockError(path, "unreadable")
            with netCDF4.Dataset(path) as file:
                # A number that happens to be the library's fill value is a number here.
                file.set_auto_mask(False)
                attrs = {
                    name: np.asarray(file.getncattr(name)).item()
                    for name in file.ncattrs()
                }
                values = {name: file.variables[name][:] for name in file.variables}
                found, first, last = attrs["content"], attrs["first"], attrs["last"]
        except PermissionError as error:
            # An OSError too, but no damage: such a file must not be set aside.
            raise StoreError(
                f"{path} can't be read: {error.strerror}. See who may read it."
            ) from error
        except _DAMAGES as error:
            raise UnusableBlockError(path, "unreadable") from error
        if found != self.fingerprint.hash_cell(cell):
            raise UnusableBlockError(path, "foreign")
        if path.name != self.path(Block(cell, first, last)).name:
            raise UnusableBlockError(path, "misplaced")
        if any(len(value) != last - first + 1 for value in values.values()):
            raise UnusableBlockError(path, "unreadable")
        if any(not find_own(x) for x in values.keys() - {*QUANTITIES, DATA_HASH}):
            raise UnusableBlockError(path, "foreign")
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
            "created": read_clock(),
            **provenance.describe_code(),
            "instructions": provenance.describe_instructions(),
            "jax_version": provenance.describe_software()["jax"],
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
                    # Points are the same in every replication, mostly.
                    variable = file.createVariable(
                        name,
                        value.dtype,
                        ("replication", *dims),
                        zlib="point" in dims,
                        fletcher32=CHECKSUM["fletcher32"],
                    )
                    variable[:] = value
            add_seal(temporary)


def read_result(arrays: dict[str, np.ndarray], attrs: dict[str, Any]) -> Result:
    """Return what `Store.read` read as the result it was."""
    peak_memory = attrs.get("peak_memory", math.nan)  # older files lack it
    return Result(arrays, attrs["seconds"], attrs["error"], peak_memory)


@contextlib.contextmanager
def naming(path: Path) -> Generator[None]:
    """Name the block file whose arrays do not fit the study's, whatever they are.

    Raises:
        StoreError: They do not.
    """
    try:
        yield
    except (LookupError, ValueError, TypeError) as error:
        raise StoreError(
            f"{path} does not fit the study: {error}. Delete that file and run the "
            "same command again."
        ) from error
