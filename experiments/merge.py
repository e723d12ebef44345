"""The merged file of a study: `replications.nc`, one labelled group per process.

Dimensions are estimator, grid, sample_size, n_supp and replication, then parameter,
kind of standard error, or support point, and the coordinate where the latent variable
has several. Replications that were not run have code -1. What an estimator gives that
does not use a grid's points was computed once and stands at all of them; the coordinate
`grid_use` names these estimators.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
import yaml

import spmlex
from experiments import provenance
from experiments.errors import StoreError
from experiments.estimators import RAISED, grid_use
from experiments.precision import Tracker
from experiments.store import Store
from experiments.study import Cell, Design
from experiments.truth import describe_mixing
from experiments.writing import netcdf_errors, replacing

NOT_RUN = -1
AXES = ("estimator", "grid", "sample_size", "n_supp", "replication")

# name: (dimensions after AXES, dtype, long_name, units)
VARIABLES = {
    "estimate": (("parameter",), "f8", "estimate", "unit of the parameter"),
    "standard_error": (
        ("kind", "parameter"),
        "f8",
        "standard error",
        "unit of the parameter",
    ),
    "lower": (("kind", "parameter"), "f8", "lower limit", "unit of the parameter"),
    "upper": (("kind", "parameter"), "f8", "upper limit", "unit of the parameter"),
    "code": ((), "i1", "result code", "1"),
    "flagged": ((), "i1", "degenerate maximum suspected", "1"),
    "gap": ((), "f8", "optimality gap of the inner problem", "nat per observation"),
    "gradient_norm": (
        (),
        "f8",
        "largest entry of the profile gradient",
        "nat per observation and unit of the parameter",
    ),
    "log_likelihood": ((), "f8", "log-likelihood", "nat"),
    "grid_ripple": ((), "f8", "ripple of the log-likelihood with the spacing", "nat"),
    "adequacy": (
        (),
        "f8",
        "most that another F could gain at this theta",
        "nat per observation",
    ),
    "seconds": ((), "f8", "time of the block over its replications", "s"),
    "num_steps": ((), "i4", "outer steps", "1"),
    "num_atoms": ((), "i4", "support points with mass", "1"),
    "probs": (("point",), "f8", "mixing probability", "1"),
    "supp": (("point",), "f8", "support point", "unit of the latent variable"),
}

LONG_NAMES = {
    "estimator": "estimator",
    "grid": "support grid",
    "sample_size": "sample size",
    "n_supp": "number of support points",
    "replication": "replication",
    "parameter": "parameter",
    "kind": "kind of standard error",
    "point": "position in the support grid",
    "coordinate": "coordinate of the latent variable",
}


def merge(
    design: Design, files: Store, config: dict[str, Any], tracker: Tracker
) -> Path:
    """Write every block of a design to one file.

    Args:
        design: The study; cells or replications without a block are "not run".
        files: The study's folder.
        config: The resolved configuration.
        tracker: How many replications each cell gets.

    Returns:
        The path written.

    Raises:
        UnusableBlockError: A block file is damaged.
    """
    codes: set[str] = set()
    groups = {
        f"/{dgp}": _merge_process(dgp, tracker, files, config["level"], codes)
        for dgp in design.processes
    }
    tree = xr.DataTree.from_dict(groups)
    code = provenance.describe_code()
    # The file may travel; where it was written is no part of the study.
    settings = {k: v for k, v in config.items() if k != "results_dir"}
    tree.attrs = {
        "title": config["question"],
        "study": config["study"],
        **code,
        "git_commits_of_blocks": " ".join(sorted(codes)),
        "packages": json.dumps(provenance.describe_software()),
        "jax_flags": json.dumps(provenance.describe_jax()),
        "machine": provenance.describe_machine(),
        "seed": design.seed,
        "streams": design.streams,
        # Studies of older versions had no choice.
        "exclusion_rule": config.get("exclusion_rule", "per_estimator"),
        "created": provenance.read_clock(),
        "complete": int(tracker.is_complete()),
        "config": yaml.safe_dump(settings, sort_keys=False),
    }
    path = files.folder / "replications.nc"
    compressed = {name: {"zlib": True, "complevel": 1} for name in ("probs", "supp")}
    with replacing(path) as temporary, netcdf_errors(temporary):
        tree.to_netcdf(temporary, encoding=dict.fromkeys(groups, compressed))
    return path


def _merge_process(
    dgp: str, tracker: Tracker, files: Store, level: float, codes: set[str]
) -> xr.Dataset:
    design = tracker.design
    # With a target, replications beyond a cell's end would depend on the order of work.
    counts = {
        cell: record.count()
        for cell, record in tracker.records.items()
        if cell.dgp == dgp
    }
    parameters, truth = design.truth(dgp)
    kinds = list(dict.fromkeys(k for e in design.estimators.values() for k in e.kinds))
    supports = [g.make(m) for g in design.grids.values() for m in design.n_supp]
    supports += [x for x in map(design.support, counts) if x is not None]
    coords = {
        "estimator": list(design.estimators),
        "grid": list(design.grids),
        "sample_size": design.sample_size,
        "n_supp": design.n_supp,
        "replication": np.arange(max(counts.values())),
        "parameter": parameters,
        "kind": kinds,
        "point": np.arange(max(map(len, supports))),
    }
    dims_of = {name: dims for name, (dims, _, _, _) in VARIABLES.items()}
    mixing = design.processes[dgp].mixing
    if len(mixing.list_margins()) > 1:
        coords["coordinate"] = np.arange(len(mixing.list_margins()))
        dims_of["supp"] += ("coordinate",)
    sizes = {name: len(values) for name, values in coords.items()}
    arrays = {}
    for name, (_, dtype, _, _) in VARIABLES.items():
        shape = tuple(sizes[dim] for dim in (*AXES, *dims_of[name]))
        arrays[name] = np.full(shape, np.nan if dtype == "f8" else NOT_RUN, dtype)
    hashes = np.zeros((sizes["sample_size"], sizes["replication"]), np.int64)

    for cell, n_replications in counts.items():
        every = slice(None)  # where the estimator does not use the grid
        n = design.sample_size.index(cell.sample_size)
        at = (
            coords["estimator"].index(cell.estimator),
            every if cell.grid is None else coords["grid"].index(cell.grid),
            n,
            every if cell.n_supp is None else design.n_supp.index(cell.n_supp),
        )
        own = [kinds.index(kind) for kind in design.estimators[cell.estimator].kinds]
        for path in files.find(cell):
            values, attrs = files.read(path, cell)
            first = attrs["first"]
            count = max(0, min(len(values["code"]), n_replications - first))
            if not count:
                continue
            codes.add(attrs["git_commit"] + "+changes" * attrs["git_dirty"])
            rows = slice(first, first + count)
            _put(arrays, at, rows, own, {k: v[:count] for k, v in values.items()})
            arrays["seconds"][(*at, rows)] = attrs["seconds"] / len(values["code"])
            if "data_hash" in values:
                _put_hashes(hashes[n, rows], values["data_hash"][:count], cell)

    data: dict[str, tuple[tuple[str, ...], np.ndarray, dict[str, str]]] = {
        name: (
            (*AXES, *dims_of[name]),
            array,
            {"long_name": VARIABLES[name][2], "units": VARIABLES[name][3]},
        )
        for name, array in arrays.items()
    }
    data["truth"] = (
        ("parameter",),
        truth,
        {"long_name": "true value", "units": "unit of the parameter"},
    )
    data["data_hash"] = (
        ("sample_size", "replication"),
        hashes,
        {"long_name": "hash of the simulated data, 0 where not run", "units": "1"},
    )
    data |= describe_mixing(mixing, supports)
    dataset = xr.Dataset(data, coords=coords)
    for name in coords:
        dataset[name].attrs = {"long_name": LONG_NAMES[name], "units": "1"}
    for axis, options in (("estimator", design.estimators), ("grid", design.grids)):
        labels = [option.label or name for name, option in options.items()]
        dataset.coords[f"{axis}_label"] = (axis, labels, {"long_name": f"{axis} label"})
    own = [estimator.default_kind for estimator in design.estimators.values()]
    dataset.coords["default_kind"] = ("estimator", own, {"long_name": "kind shown"})
    uses = [grid_use(estimator) for estimator in design.estimators.values()]
    dataset.coords["grid_use"] = (
        "estimator",
        uses,
        {"long_name": "what the estimator uses of the grid"},
    )
    dataset["lower"].attrs["level"] = dataset["upper"].attrs["level"] = level
    dataset["code"].attrs |= _describe_codes()
    dataset.attrs = {
        "label": design.processes[dgp].label or dgp,
        "default_kind": next(iter(design.estimators.values())).default_kind,
    }
    return dataset


def _put(
    arrays: dict[str, np.ndarray],
    at: tuple[int | slice, ...],
    rows: slice,
    own_kinds: list[int],
    values: dict[str, np.ndarray],
) -> None:
    """Copy a block's arrays to the study's, padding support points with NaN."""
    for name, value in values.items():
        if name == "data_hash":
            continue
        dims = VARIABLES[name][0]
        target = arrays[name][(*at, rows)]  # basic indexing: a view
        if dims == ("kind", "parameter"):
            target[..., own_kinds, :] = value
        elif dims == ("point",):
            target = target.swapaxes(-1, 1 - value.ndim)  # before it the coordinate
            target[..., : value.shape[1]] = value.swapaxes(-1, 1)
        else:
            target[...] = value


def _put_hashes(target: np.ndarray, hashes: np.ndarray, cell: Cell) -> None:
    """Store hashes, which have to be the same for every grid and estimator."""
    known = (target != 0) & (hashes != 0)
    if (target[known] != hashes[known]).any():
        raise StoreError(
            f"{cell.name} was computed on other data than the cells beside it, by "
            "another version of JAX or of the model. Delete its folder in blocks/ and "
            "run the same command again."
        )
    target[...] = np.where(hashes != 0, hashes, target)


def _describe_codes() -> dict[str, Any]:
    """Return CF attributes for the result codes, and a sentence for each."""
    codes = [
        (NOT_RUN, "not_run", "Not run yet."),
        *spmlex.RESULT_CODES,
        (RAISED, "raised", "The estimator raised an error, kept in the block's file."),
    ]
    values, names, sentences = zip(*codes, strict=True)
    return {
        "flag_values": np.array(values, np.int8),
        "flag_meanings": " ".join(names),
        "flag_sentences": "\n".join(sentences),
    }
