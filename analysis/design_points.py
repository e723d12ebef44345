"""Which design points a figure shows, and how a caption calls them."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import xarray as xr

from analysis.labels import label_dim


def is_known(process: xr.Dataset, name: str) -> bool:
    """Tell whether a variable is there with at least one value."""
    return name in process and bool(process[name].notnull().any())


def list_parts(
    process: xr.Dataset, over: Sequence[str] = ("estimator", "grid")
) -> Iterator[tuple[str, dict[str, str]]]:
    """Iterate over the combinations that were run, each with an end for file names."""
    varying = [x for x in over if process.sizes.get(x, 1) > 1]
    attempted = process["attempted"]
    run = attempted.sum([d for d in attempted.dims if d not in varying]) > 0
    for index in np.ndindex(*run.transpose(*varying).shape):
        cell = run.transpose(*varying)[index]
        if bool(cell):
            where = {x: str(cell[x].item()) for x in varying}
            yield "".join(f"-{stem_of(process, *x)}" for x in where.items()), where


def stem_of(process: xr.Dataset, dim: str, label: str) -> str:
    """Name an entry in a file name as the study's configuration does."""
    if f"{dim}_name" not in process.coords:
        return label
    return str(process[f"{dim}_name"].sel({dim: label}).item())


def choose_reference(process: xr.Dataset) -> dict[str, object] | None:
    """Choose a design point: the largest sample, most points, first grid, if run."""
    attempted = process["attempted"]
    point = {}
    for dim in ("sample_size", "n_supp", "grid"):
        if dim not in attempted.dims:
            continue
        others = [d for d in attempted.dims if d != dim]
        run = np.flatnonzero((attempted > 0).any(others))
        if run.size == 0:
            return None
        # Sizes ascend, so that the last is the largest.
        index = int(run[0] if dim == "grid" else run[-1])
        attempted = attempted.isel({dim: index})
        point[dim] = attempted[dim].item()
    return point


def choose_largest(process: xr.Dataset, dim: str) -> dict[str, object]:
    """Choose one entry of a dimension, as `choose_reference` does; none if absent."""
    point = choose_reference(process) or {}
    return {x: y for x, y in point.items() if x == dim}


def in_words(where: Mapping[str, object]) -> str:
    """Say where: `sample size 2000, grid points 66`."""
    return ", ".join(f"{label_dim(x).lower()} {value}" for x, value in where.items())


def grid_matters(process: xr.Dataset) -> bool:
    """Tell whether estimates change with the number of grid points, as most do."""
    if "n_supp" not in process.dims:
        return False
    spread = process["rmse"].max("n_supp") - process["rmse"].min("n_supp")
    return bool((spread > 0).any())
