"""A study's folder: manifest, block files, atomic writes, resuming.

```
results/<study>/study.yaml                      the manifest
results/<study>/blocks/<cell>/<first>-<last>.nc one block, written once
results/<study>/replications.nc                 all blocks, see `experiments.merge`
```
A block file carries the hash of everything its numbers depend on, so a file of another
design is never taken for one of this.
"""

import contextlib
import dataclasses
import hashlib
import json
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
import yaml

from experiments import provenance
from experiments.errors import StoreError
from experiments.study import Block, Cell, Result

FORMAT = 1
DIMS = {
    "estimate": ("parameter",),
    "standard_error": ("kind", "parameter"),
    "lower": ("kind", "parameter"),
    "upper": ("kind", "parameter"),
    "probs": ("point",),
    "supp": ("point",),
}
"""Dimensions after `replication` of what an estimator returns; none if not listed."""


class UnusableBlockError(StoreError):
    """A block file that is damaged ("unreadable") or of another design ("foreign")."""

    def __init__(self, path: Path, suffix: str):
        self.suffix = suffix
        self.why = {"unreadable": "damaged", "foreign": "of another design"}[suffix]
        super().__init__(f"{path} is {self.why}. Run sweep again: it will be replaced.")


@dataclasses.dataclass(frozen=True)
class Content:
    """What the numbers of a study depend on, as plain values.

    Attributes:
        seed: The study's seed.
        streams: "common" or "independent".
        dgp: Configuration of each process, by name.
        grid: Configuration of each grid, by name.
        estimator: Configuration of each estimator, by name.
    """

    seed: int
    streams: str
    dgp: dict[str, Any]
    grid: dict[str, Any]
    estimator: dict[str, Any]

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Content":
        """Pick the content from a resolved configuration; labels are no part of it."""
        fields = (field.name for field in dataclasses.fields(cls))
        return cls(**{name: _without_labels(config[name]) for name in fields})

    def hash_cell(self, cell: Cell) -> str:
        """Hash everything a cell's numbers depend on."""
        address = {
            "format": FORMAT,
            "seed": self.seed,
            "streams": self.streams,
            "dgp": [cell.dgp, self.dgp[cell.dgp]],
            "grid": self.grid[cell.grid],
            "estimator": self.estimator[cell.estimator],
            "sample_size": cell.sample_size,
            "n_supp": cell.n_supp,
        }
        text = json.dumps(address, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def difference(self, old: "Content") -> list[str]:
        """List, one line a field, where names known to both mean different things."""
        lines = []
        for field in dataclasses.fields(self):
            here, there = getattr(self, field.name), getattr(old, field.name)
            if isinstance(here, dict):
                both = here.keys() & there.keys()
                here = {name: here[name] for name in both}
                there = {name: there[name] for name in both}
            lines += _difference(field.name, there, here)
        return sorted(lines)


class Store:
    """One study's folder."""

    def __init__(self, folder: Path, content: Content):
        self.folder = folder
        self.content = content

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
            lines = self.content.difference(Content.from_config(manifest["config"]))
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

    def missing(self, cell: Cell, n_replications: int) -> list[tuple[int, int]]:
        """Return the ranges of replications that no usable block file holds."""
        done = np.zeros(n_replications + 1, bool)
        done[-1] = True
        for path in self.find(cell):
            with contextlib.suppress(UnusableBlockError):
                attrs = self.read(path, cell, arrays=False)[1]
                if not attrs["error"]:
                    done[attrs["first"] : attrs["last"] + 1] = True
        edges = np.flatnonzero(np.diff(np.concatenate([[True], done]).astype(int)))
        return [
            (int(a), int(b) - 1) for a, b in zip(edges[::2], edges[1::2], strict=True)
        ]

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
                os.replace(path, aside)
                lines.append(f"{path} is {error.why}: set aside as {aside.name}.")
        return lines

    def read(
        self, path: Path, cell: Cell, *, arrays: bool = True
    ) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Read a block file: arrays by name, and attributes.

        Raises:
            UnusableBlockError: The file is damaged or of another design.
        """
        try:
            with netCDF4.Dataset(path) as file:
                file.set_auto_mask(False)
                attrs = {name: file.getncattr(name) for name in file.ncattrs()}
                names = file.variables if arrays else ()
                values = {name: file.variables[name][:] for name in names}
                content, first, last = attrs["content"], attrs["first"], attrs["last"]
        except (OSError, RuntimeError, KeyError) as error:
            raise UnusableBlockError(path, "unreadable") from error
        if content != self.content.hash_cell(cell):
            raise UnusableBlockError(path, "foreign")
        if any(len(value) != last - first + 1 for value in values.values()):
            raise UnusableBlockError(path, "unreadable")
        return values, attrs

    def write(self, block: Block, result: Result) -> None:
        """Write a block's file, all of it or nothing."""
        with replacing(self.path(block)) as temporary, netcdf_errors(temporary):
            with netCDF4.Dataset(temporary, "w") as file:
                file.setncatts(
                    {
                        "content": self.content.hash_cell(block.cell),
                        "first": block.first,
                        "last": block.last,
                        "seconds": result.seconds,
                        "error": result.error,
                        "created": provenance.read_clock(),
                        **provenance.describe_code(),
                    }
                )
                file.createDimension("replication", len(block))
                for name, value in result.arrays.items():
                    dims = DIMS.get(name, ())
                    for dim, size in zip(dims, value.shape[1:], strict=True):
                        if dim not in file.dimensions:
                            file.createDimension(dim, size)
                    variable = file.createVariable(
                        name, value.dtype, ("replication", *dims), fletcher32=True
                    )
                    variable[:] = value


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """Read a study's manifest; None if the folder holds no study."""
    path = folder / "study.yaml"
    try:
        manifest = yaml.safe_load(path.read_text())
        Content.from_config(manifest["config"])
        manifest["created"]
    except FileNotFoundError:
        return None
    except (yaml.YAMLError, KeyError, TypeError, UnicodeDecodeError) as error:
        raise StoreError(
            f"{path} can't be read as a study's manifest. Give the study another name "
            "(study=NAME), or move that file away."
        ) from error
    return manifest


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`, renamed to it if the block succeeds.

    Raises:
        StoreError: The file can't be written; whatever was at `path` is still there.
    """
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        raise StoreError(
            f"{path} can't be written: {error.strerror or error}. What was done before "
            "is intact: make room (or see who may write there), then run the same "
            "command."
        ) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def netcdf_errors(path: Path) -> Iterator[None]:
    """Turn the netCDF library's RuntimeError on a failed write into an OSError."""
    try:
        yield
    except RuntimeError as error:
        raise OSError(f"{error} ({path.name})") from error


def _without_labels(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_labels(v) for k, v in value.items() if k != "label"}
    return value


def _difference(name: str, there: Any, here: Any) -> list[str]:
    if isinstance(there, dict) and isinstance(here, dict):
        return [
            line
            for key in there.keys() | here.keys()
            for line in _difference(
                f"{name}.{key}", there.get(key, "absent"), here.get(key, "absent")
            )
        ]
    return [] if there == here else [f"{name}: {there} there, {here} here"]
