"""The merged file of a study: `replications.nc`, one labelled group per process.

Dimensions are estimator, grid, sample_size, n_supp and replication, then parameter,
kind of standard error, or support point, and the coordinate where the latent variable
has several. Replications that were not run have code -1. What an estimator gives that
does not use a grid's points was computed once and stands at all of them; the coordinate
`grid_use` names these estimators.
"""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
import yaml

import spmlex
from analysis.conventions import CONVENTIONS, describe
from analysis.dimensions import NOT_RUN, STUDY
from analysis.seal import add_seal, encode
from experiments import provenance
from experiments.estimators import (
    OWN,
    QUANTITIES,
    RAISED,
    find_own,
    grid_use,
)
from experiments.store.atomic import netcdf_errors, read_clock, replacing
from experiments.store.blocks import Store
from experiments.store.fingerprint import NUMBERS
from experiments.store.frame import VARIABLES, Frame, count_held, fill, make_frame
from experiments.store.truth import describe_mixing
from experiments.study import Cell, Design

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
    "statistic": "statistic that an estimator reports of its own",
    "reported_test": "test that an estimator makes of its own",
}

SMALL = {"zlib": True, "complevel": 1}
"""How numbers are stored: what is constant takes next to nothing."""

Labelled = tuple[tuple[str, ...], np.ndarray, dict[str, str]]


def merge(
    design: Design,
    files: Store,
    config: dict[str, Any],
    counts: dict[Cell, int],
    *,
    complete: bool,
) -> "Merged":
    """Write every block of a design to one file.

    Args:
        design: The study; cells or replications without a block are "not run".
        files: The study's folder.
        config: The resolved configuration.
        counts: How many replications of each cell the file holds, done or not.
        complete: Whether the study has all the replications it gets, as far as the
            caller knows; the file says so if it holds them, too.

    Returns:
        The path written, and what it holds.

    Raises:
        UnusableBlockError: A block file is damaged.
    """
    commits: set[str] = set()
    groups, held = {}, {}
    for dgp in design.processes:
        frame = make_frame(
            design, dgp, {cell: n for cell, n in counts.items() if cell.dgp == dgp}
        )
        commits |= fill(frame, files)
        held |= count_held(frame)
        groups[f"/{dgp}"] = _label(frame, config["level"])
    tree = xr.DataTree.from_dict(groups)
    complete = complete and held == counts
    tree.attrs = _describe_study(design, config, commits) | {"complete": int(complete)}
    path = files.folder / "replications.nc"
    encoding = {name: _encode(group) for name, group in groups.items()}
    with replacing(path) as temporary, netcdf_errors(temporary):
        tree.to_netcdf(temporary, encoding=encoding)
        add_seal(temporary)
    return Merged(path, held, complete)


def _encode(group: xr.Dataset) -> dict[str, Any]:
    """Return how variables are stored; a count that is not known is missing."""
    encoding = encode(group, SMALL)
    for name, quantity in VARIABLES.items():
        # Of codes -1 is one, "not run", and must not be read as NaN.
        if np.dtype(quantity.dtype).kind == "i" and name != "code":
            encoding[name]["_FillValue"] = quantity.missing
    return encoding


@dataclasses.dataclass(frozen=True)
class Merged:
    """A merged file, and what it holds.

    Attributes:
        path: Where it is.
        held: How many replications of each cell it holds, failed ones included.
        complete: Whether these are all that the study gets.
    """

    path: Path
    held: dict[Cell, int]
    complete: bool


def _describe_study(
    design: Design, config: dict[str, Any], commits: set[str]
) -> dict[str, Any]:
    """Return where the numbers come from: the attributes of the file."""
    # The file may travel; where it was written is no part of the study.
    settings = {k: v for k, v in config.items() if k != "results_dir"}
    return {
        "Conventions": CONVENTIONS,
        "title": config["question"],
        "study": config["study"],
        **provenance.describe_code(),
        "git_commits_of_blocks": " ".join(sorted(commits)),
        "packages": json.dumps(provenance.describe_software()),
        "jax_flags": json.dumps(provenance.describe_jax()),
        "machine": provenance.describe_machine(),
        "instructions": provenance.describe_instructions(),
        "numbers_version": NUMBERS,
        "seed": design.seed,
        "streams": design.streams,
        # Studies of older versions had no choice.
        "exclusion_rule": config.get("exclusion_rule", "per_estimator"),
        "created": read_clock(),
        "config": yaml.safe_dump(settings, sort_keys=False),
    }


def _label(frame: Frame, level: float) -> xr.Dataset:
    """Name everything, and add the truth that the replications are measured by."""
    design, process = frame.design, frame.design.processes[frame.dgp]
    data: dict[str, Labelled] = {
        name: (
            frame.axes(name),
            array,
            describe(VARIABLES[name].description, VARIABLES[name].unit),
        )
        for name, array in frame.arrays.items()
    }
    data["truth"] = (
        ("parameter",),
        design.truth(frame.dgp)[1],
        describe("true value", QUANTITIES["estimate"].unit),
    )
    data["data_hash"] = (
        ("sample_size", "replication"),
        frame.hashes,
        {"long_name": "hash of the simulated data, 0 where not run"},
    )
    data |= describe_mixing(process.mixing, frame.supports)
    coords = dict(frame.coords)
    for what, (_, axis, quantity) in OWN.items():
        found = {y[1]: x for x in frame.own if (y := find_own(x)) and y[0] == what}
        if found:
            coords[axis] = list(found)
            stacked = np.stack([frame.own[x] for x in found.values()], axis=-1)
            described = describe(quantity.description, quantity.unit)
            data[what] = ((*STUDY, axis), stacked, described)
    dataset = xr.Dataset(data, coords=coords)
    for name in coords:
        dataset[name].attrs = {"long_name": LONG_NAMES[name]}
    for axis, options in (("estimator", design.estimators), ("grid", design.grids)):
        labels = [option.label or name for name, option in options.items()]
        dataset.coords[f"{axis}_label"] = (axis, labels, {"long_name": f"{axis} label"})
    estimators = list(design.estimators.values())
    for name, values, words in (
        ("default_kind", [e.default_kind for e in estimators], "kind shown"),
        (
            "grid_use",
            list(map(grid_use, estimators)),
            "what the estimator uses of the grid",
        ),
    ):
        dataset.coords[name] = ("estimator", values, {"long_name": words})
    dataset["lower"].attrs["level"] = dataset["upper"].attrs["level"] = level
    # What is told apart by flags has no unit.
    dataset["code"].attrs = {"long_name": VARIABLES["code"].description}
    dataset["code"].attrs |= _describe_codes()
    if "coordinate" not in coords:  # each margin has points of its own
        at = dataset["true_cdf_at"].variable
        dataset.coords["cdf_point"] = ("cdf_point", at.values, at.attrs)
    dataset.attrs = {
        "label": process.label or frame.dgp,
        "default_kind": estimators[0].default_kind,
    }
    return dataset


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
