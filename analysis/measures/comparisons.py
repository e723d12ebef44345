"""Every entry of an axis against every other, in the draws that both have."""

from collections.abc import Callable, Iterator
from functools import partial

import xarray as xr

from analysis.dimensions import COMPARED
from analysis.measures import intervals as mi
from analysis.measures import paired as mp
from analysis.measures.moments import as_finite


def compare_pairs(process: xr.Dataset, succeeded: xr.DataArray) -> Iterator[xr.Dataset]:
    """Compare estimators, grids and numbers of points, as far as there are several.

    Args:
        process: One group of `replications.nc`, at the default kinds of interval.
        succeeded: Which replications have an estimate.
    """
    estimate = process["estimate"].where(succeeded)
    truth = process["truth"]
    covers = None
    if "lower" in process and "upper" in process:
        covers = mi.covering(process["lower"], process["upper"], truth).where(succeeded)
    for dim in COMPARED:
        if estimate.sizes.get(dim, 1) == 1:
            continue
        yield _pairwise(mp.paired_difference, estimate, dim, "bias_difference")
        yield _count_pairs(as_finite(estimate), dim, "pairs")
        yield _pairwise(
            partial(mp.rmse_ratio, truth=truth), estimate, dim, "rmse_ratio"
        )
        yield _pairwise(_gain_of_first, estimate, dim, "relative_precision")
        if covers is not None:
            yield _pairwise(mp.paired_difference, covers, dim, "coverage_difference")
            yield _count_pairs(covers, dim, "pairs_interval")


def _gain_of_first(a: xr.DataArray, b: xr.DataArray) -> xr.Dataset:
    """Return the relative gain in precision of a over b."""
    return mp.relative_precision_gain(b, a)


def _count_pairs(values: xr.DataArray, dim: str, name: str) -> xr.Dataset:
    """Count the replications in which an entry along `dim` and another are present."""
    known = values.notnull()
    # As numbers: a product of them counts without an array of every pair.
    other = known.rename({dim: f"other_{dim}"}).astype(float)
    pairs = xr.dot(known.astype(float), other, dim="replication").round().astype(int)
    return pairs.to_dataset(name=f"{name}_over_{dim}")


def _pairwise(
    compare: Callable[[xr.DataArray, xr.DataArray], xr.Dataset],
    values: xr.DataArray,
    dim: str,
    name: str,
) -> xr.Dataset:
    """Compare every entry along `dim` with every other, along `other_<dim>`."""
    found = compare(values, values.rename({dim: f"other_{dim}"}))
    value, error = (str(x) for x in found.data_vars)
    names = {value: f"{name}_over_{dim}", error: f"{name}_over_{dim}_mcse"}
    return found.rename(names)
