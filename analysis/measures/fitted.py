"""Fitted mixing distributions: moments, quantiles, and distance from a true cdf.

Each puts masses `probs` on points `supp`, both padded with missing values along
`point`; all other dimensions are kept.
"""

import numpy as np
import xarray as xr
from jaxtyping import Float

from analysis.measures import steps
from analysis.measures.steps import Grid

QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)


def edge_mass(probs: xr.DataArray, supp: xr.DataArray) -> xr.DataArray:
    """Return the mass on the lowest and the highest points of the support grid.

    Of several coordinates any one may be the lowest or highest. Much of it says that
    the grid is too narrow.
    """
    at_edge = (supp == supp.min("point")) | (supp == supp.max("point"))
    if "coordinate" in at_edge.dims:
        at_edge = at_edge.any("coordinate")
    return probs.where(at_edge).sum("point", min_count=1)


def moments(
    probs: xr.DataArray, supp: xr.DataArray
) -> tuple[xr.DataArray, xr.DataArray]:
    """Return mean and variance of the fitted distributions."""
    mean = (probs * supp).sum("point", min_count=1)
    return mean, (probs * (supp - mean) ** 2).sum("point", min_count=1)


def distances(
    probs: xr.DataArray, supp: xr.DataArray, at: Grid, truth: Grid
) -> xr.Dataset:
    """Return `wasserstein`, `cdf_sup` and `cdf_squared` of every fitted distribution.

    Args:
        probs: Masses, with dimension `point`, missing values where padded.
        supp: The points they are on; any order.
        at: Latent values, increasing, at least two.
        truth: The true cdf at these.
    """
    if at.ndim != 1 or at.size < 2 or (np.diff(at) <= 0).any():
        raise ValueError("true_cdf_at must be a list of two or more increasing values.")

    def kernel(probs: np.ndarray, supp: np.ndarray) -> np.ndarray:
        return steps.apply_by_rows(steps.measure_distances, probs, supp, at, truth)

    found = xr.apply_ufunc(
        kernel,
        probs,
        supp,
        input_core_dims=[["point"], ["point"]],
        output_core_dims=[["distance"]],
    )
    names = ("wasserstein", "cdf_sup", "cdf_squared")
    return xr.Dataset({x: found.isel(distance=i) for i, x in enumerate(names)})


def fitted_cdf(probs: xr.DataArray, supp: xr.DataArray, at: Grid) -> xr.DataArray:
    """Evaluate the fitted cdfs at increasing latent values, along `band_point`."""

    def kernel(probs: np.ndarray, supp: np.ndarray) -> np.ndarray:
        return steps.apply_by_rows(steps.evaluate, probs, supp, at)

    return xr.apply_ufunc(
        kernel,
        probs,
        supp,
        input_core_dims=[["point"], ["point"]],
        output_core_dims=[["band_point"]],
    )


def quantiles(probs: xr.DataArray, supp: xr.DataArray) -> xr.DataArray:
    """Return the lowest support points with a cdf of `QUANTILES` or more."""
    found = xr.apply_ufunc(
        _quantiles,
        probs,
        supp,
        input_core_dims=[["point"], ["point"]],
        output_core_dims=[["quantile"]],
    )
    return found.assign_coords(quantile=list(QUANTILES))


def true_quantiles(at: Grid, truth: Grid) -> xr.DataArray:
    """Return the lowest grid values with a true cdf of `QUANTILES` or more."""
    # Cumulated masses fall short of a level by rounding.
    index = np.searchsorted(truth, np.array(QUANTILES) - 1e-12)
    inside = index < truth.size
    values = np.where(inside, at[np.minimum(index, truth.size - 1)], np.nan)
    return xr.DataArray(values, {"quantile": list(QUANTILES)})


def _quantiles(
    probs: Float[np.ndarray, "*cells point"], supp: Float[np.ndarray, "*cells point"]
) -> Float[np.ndarray, "*cells quantile"]:
    probs, supp = np.broadcast_arrays(probs, supp)
    order = np.argsort(supp, axis=-1)  # missing values go last
    supp = np.take_along_axis(supp, order, -1)
    cdf = np.cumsum(np.nan_to_num(np.take_along_axis(probs, order, -1)), axis=-1)
    found = [
        np.take_along_axis(
            supp,
            (cdf < q - 1e-12).sum(-1, keepdims=True).clip(max=supp.shape[-1] - 1),
            -1,
        )
        for q in QUANTILES
    ]
    known = np.isfinite(probs).any(-1, keepdims=True)
    return np.where(known, np.concatenate(found, axis=-1), np.nan)
