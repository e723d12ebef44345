"""The arrays of one process, filled from its block files."""

import dataclasses
from typing import Any

import numpy as np

from analysis.dimensions import NOT_RUN, STUDY
from experiments import provenance
from experiments.errors import StoreError
from experiments.estimators import QUANTITIES, Quantity, find_own
from experiments.store.blocks import DATA_HASH, Store, naming
from experiments.study import Cell, Design

VARIABLES = {
    **QUANTITIES,
    "seconds": Quantity("f8", (), "s", "time of the block over its replications"),
}
"""What the file holds of every replication, on the axes of the study and its own."""


@dataclasses.dataclass(frozen=True)
class Frame:
    """The arrays of one process, and what is along their axes.

    Attributes:
        design: The study.
        dgp: The process.
        counts: How many replications of each of its cells the file holds.
        supports: All support grids, for the points at which the true F is stored.
        coords: What is along every axis.
        arrays: By name, on the axes of the study and those of the quantity.
        hashes: Hashes of the data, (sample_size, replication), 0 where not run.
        own: Numbers that estimators name themselves, on the axes of the study.
    """

    design: Design
    dgp: str
    counts: dict[Cell, int]
    supports: list[np.ndarray]
    coords: dict[str, Any]
    arrays: dict[str, np.ndarray]
    hashes: np.ndarray
    own: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)

    def axes(self, name: str) -> tuple[str, ...]:
        """Return a variable's axes; points of a scalar have no coordinates."""
        own = VARIABLES[name].axes
        return (*STUDY, *(axis for axis in own if axis in self.coords))


def make_frame(design: Design, dgp: str, counts: dict[Cell, int]) -> Frame:
    """Lay out the arrays of a process, without a replication in them."""
    kinds = list(dict.fromkeys(k for e in design.estimators.values() for k in e.kinds))
    supports = [g.make(m) for g in design.grids.values() for m in design.n_supp]
    supports += [x for x in map(design.support, counts) if x is not None]
    coords = {
        "estimator": list(design.estimators),
        "grid": list(design.grids),
        "sample_size": design.sample_size,
        "n_supp": design.n_supp,
        "replication": np.arange(max(counts.values())),
        "parameter": design.truth(dgp)[0],
        "kind": kinds,
        "point": np.arange(max(map(len, supports))),
    }
    margins = design.processes[dgp].mixing.list_margins()
    if len(margins) > 1:
        coords["coordinate"] = np.arange(len(margins))
    hashes = np.zeros((len(design.sample_size), max(counts.values())), np.int64)
    frame = Frame(design, dgp, counts, supports, coords, {}, hashes)
    for name, quantity in VARIABLES.items():
        shape = tuple(len(coords[axis]) for axis in frame.axes(name))
        frame.arrays[name] = np.full(shape, quantity.missing, quantity.dtype)
    return frame


def fill(frame: Frame, files: Store) -> set[str]:
    """Copy every block of a process; return the commits that computed them."""
    design, coords = frame.design, frame.coords
    commits = set()
    for cell, n_replications in frame.counts.items():
        every = slice(None)  # where the estimator does not use the grid
        n = design.sample_size.index(cell.sample_size)
        at = (
            coords["estimator"].index(cell.estimator),
            every if cell.grid is None else coords["grid"].index(cell.grid),
            n,
            every if cell.n_supp is None else design.n_supp.index(cell.n_supp),
        )
        kinds = design.estimators[cell.estimator].kinds
        own = [coords["kind"].index(kind) for kind in kinds]
        for path in files.find(cell):
            values, attrs = files.read(path, cell)
            first = attrs["first"]
            # With a target blocks may reach beyond the end of their cell.
            count = max(0, min(len(values["code"]), n_replications - first))
            if not count:
                continue
            commits.add(provenance.name_code(attrs))
            rows = slice(first, first + count)
            kept = {name: value[:count] for name, value in values.items()}
            for name in filter(find_own, list(kept)):
                shape = frame.arrays["code"].shape
                target = frame.own.setdefault(name, np.full(shape, np.nan))
                target[(*at, rows)] = kept.pop(name)
            with naming(path):
                _put(frame.arrays, at, rows, own, kept)
            each = attrs["seconds"] / len(values["code"])
            frame.arrays["seconds"][(*at, rows)] = each
            if DATA_HASH in kept:
                _put_hashes(frame.hashes[n, rows], kept[DATA_HASH], cell)
    return commits


def count_held(frame: Frame) -> dict[Cell, int]:
    """Count the replications of every cell that its blocks brought."""
    code, design = frame.arrays["code"], frame.design
    held = {}
    for cell, n_replications in frame.counts.items():
        # What does not use an axis stands everywhere along it: one place tells.
        at = (
            frame.coords["estimator"].index(cell.estimator),
            0 if cell.grid is None else frame.coords["grid"].index(cell.grid),
            design.sample_size.index(cell.sample_size),
            0 if cell.n_supp is None else design.n_supp.index(cell.n_supp),
        )
        held[cell] = int((code[at][:n_replications] != NOT_RUN).sum())
    return held


def _put(
    arrays: dict[str, np.ndarray],
    at: tuple[int | slice, ...],
    rows: slice,
    own_kinds: list[int],
    values: dict[str, np.ndarray],
) -> None:
    """Copy a block's arrays to the study's, padding support points with NaN."""
    for name, value in values.items():
        if name == DATA_HASH:
            continue
        axes = VARIABLES[name].axes
        target = arrays[name][(*at, rows)]  # basic indexing: a view
        if "kind" in axes:
            target[..., own_kinds, :] = value
        elif "point" in axes:
            target = target.swapaxes(-1, 1 - value.ndim)  # before it the coordinate
            target[..., : value.shape[1]] = value.swapaxes(-1, 1)
        else:
            target[...] = value


def _put_hashes(target: np.ndarray, hashes: np.ndarray, cell: Cell) -> None:
    """Store hashes, which have to be the same for every grid and estimator."""
    known = (target != 0) & (hashes != 0)
    if (target[known] != hashes[known]).any():
        raise StoreError(
            f"{cell.name} was computed on other data than the cells beside it: by "
            "another version of JAX or of the model, or on a processor with other "
            "vector instructions. Run the study on machines of one kind, with one "
            "version, under another name."
        )
    target[...] = np.where(hashes != 0, hashes, target)
