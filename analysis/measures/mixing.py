"""How far the fitted mixing distribution is from the true one.

The fitted distribution of a replication puts mass `probs` on the points `supp`, both
padded with missing values along `point`. The truth is given on a grid of latent values,
as `true_cdf` at `true_cdf_at` along `cdf_point`, with `true_mean` and `true_variance`;
measures of what is absent are left out. The grid is increasing, need not be evenly
spaced, and should hold the support points; where the fitted support reaches beyond it,
the true cdf keeps its last value. A jump of the truth is exact if the grid holds the
point just below it too.

With D the fitted less the true cdf: Wasserstein-1 is the integral of |D|, the squared
distance that of D², both by the midpoint rule between grid points (exact where both
jump at grid points only); the sup distance is the largest |D| at a grid point. All are
computed step by step of the fitted cdf, not point by point of the grid.

Where the latent variable has several coordinates `supp` has a dimension for them, and
so does the truth, for each margin alone: then the margins are measured.

Masses and points take most of the memory of a study, by far. They are read, measured
and dropped a chunk of a design point at a time, from a file as from memory.
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import xarray as xr
from jaxtyping import Float

from analysis.labels import REPORTED
from analysis.measures import estimates as me
from analysis.measures import fitted
from analysis.measures.estimates import REPLICATION
from analysis.measures.paired import rate_of
from analysis.measures.steps import Grid

BAND = (0.025, 0.975)  # of the fitted cdf over replications, pointwise
BAND_POINTS = 201  # at most, evenly chosen from the grid

CHUNK = 10_000
"""Most fitted distributions that are in memory at once."""

RATES = {"wasserstein": 1.0, "cdf_sup": 1.0, "cdf_squared": 0.5}  # power of the loss


def mixing_measures(
    process: xr.Dataset,
    used: xr.DataArray,
    *,
    sizes: xr.DataArray | None = None,
    dim: str = REPLICATION,
) -> Iterator[xr.Dataset]:
    """Measure the fitted mixing distributions of one process against the truth.

    Args:
        process: One group of `replications.nc`.
        used: Which replications are used, boolean.
        sizes: The sample sizes, for rates; else the coordinate `sample_size`.
        dim: The replication dimension.

    Yields:
        Datasets of a value and its `_mcse` each: what `labels.REPORTED` lists, as far
        as there is any, and `edge_mass`; of the latent variable `latent_mean_bias`,
        `latent_variance_bias` and, by `quantile`, `latent_quantile_bias`;
        `wasserstein`, `cdf_sup`, `cdf_squared` with their rates in n,
        `wasserstein_rate` and so on (of the root of `cdf_squared`); `fitted_cdf`, the
        mean cdf by `band_point`, with `cdf_band`, quantiles over replications. Of
        several coordinates, `margin_mean_bias`, `margin_variance_bias` and so on by
        `coordinate`, and no `fitted_cdf`.
    """
    for name in (x for x in REPORTED if x in process):
        values = process[name]
        if values.dtype.kind == "i":
            values = values.where(values >= 0)  # -1 where there is none to count
        elif not bool(values.notnull().any()):
            continue
        yield me.mean_of(values.where(used), name=name, dim=dim)
    if "probs" not in process or "supp" not in process:
        return
    points = [x for x in process["probs"].dims if x not in (dim, "point")]
    found = _by_slice(
        lambda at: _measure_point(process, used, at, dim),
        {str(x): process.sizes[x] for x in points},
    )
    bands = {str(x) for x in found if dim not in found[x].dims}
    for name in (str(x) for x in found if str(x) not in bands):
        yield me.mean_of(found[name], name=name, dim=dim)
        if name in RATES and found[name].sizes.get("sample_size", 1) > 1:
            loss, rate = found[name], f"{name}_rate"
            yield rate_of(loss, name=rate, power=RATES[name], sizes=sizes, dim=dim)
    if bands:
        yield found[sorted(bands)]


def _measure_point(
    process: xr.Dataset, used: xr.DataArray, at: dict[str, slice], dim: str
) -> xr.Dataset:
    """Measure the fitted distributions of one design point, each by itself.

    Args:
        process: As in `mixing_measures`.
        used: As there.
        at: Where the design point is.
        dim: The replication dimension.

    Returns:
        The errors of every fit; and the mean cdf with its band, without `dim`.
    """
    fits = process[["probs", "supp"]].isel(at)
    grid = _band_grid(process)

    def measure(rows: dict[str, slice]) -> xr.Dataset:
        chunk = fits.isel(rows).load()
        kept = used.isel(at | rows)
        probs, supp = chunk["probs"].where(kept), chunk["supp"].where(kept)
        found = xr.Dataset({"edge_mass": fitted.edge_mass(probs, supp)})
        found = found.merge(_measure_fits(process, probs, supp), compat="no_conflicts")
        if grid is not None:
            found["fitted_cdf"] = fitted.fitted_cdf(probs, supp, grid)
        return found

    found = _by_slice(measure, {dim: fits.sizes[dim]}, CHUNK)
    if grid is None:
        return found
    cdf = found["fitted_cdf"].assign_coords(band_point=grid)
    return found.drop_vars("fitted_cdf").merge(_band(cdf, dim), compat="no_conflicts")


def _by_slice(
    apply: Callable[[dict[str, slice]], xr.Dataset],
    sizes: dict[str, int],
    step: int = 1,
) -> xr.Dataset:
    """Apply a function to slices along dimensions, and put together what it returns."""
    if not sizes:
        return apply({})
    (dim, size), *others = sizes.items()
    slices = [slice(i, i + step) for i in range(0, max(size, 1), step)]

    def within(piece: slice) -> Callable[[dict[str, slice]], xr.Dataset]:
        return lambda at: apply({dim: piece, **at})

    # Depth first: only one slice of the fitted distributions is read at a time.
    parts = [_by_slice(within(piece), dict(others), step) for piece in slices]
    return _concatenate(parts, dim)


def _concatenate(parts: Sequence[xr.Dataset], dim: str) -> xr.Dataset:
    if len(parts) == 1:
        return parts[0]
    return xr.concat(
        parts, dim, data_vars="minimal", coords="minimal", compat="equals", join="exact"
    )


def _measure_fits(
    process: xr.Dataset, probs: xr.DataArray, supp: xr.DataArray
) -> xr.Dataset:
    """Compare fitted distributions with the truth, margin by margin."""
    if "coordinate" not in supp.dims:
        return _errors(process, probs, supp)
    margins = [
        _errors(process.isel(coordinate=k), probs, supp.isel(coordinate=k))
        for k in range(supp.sizes["coordinate"])
    ]
    found = xr.concat(margins, "coordinate")
    return found.rename(
        {x: f"margin_{str(x).removeprefix('latent_')}" for x in found.data_vars}
    )


def _errors(process: xr.Dataset, probs: xr.DataArray, supp: xr.DataArray) -> xr.Dataset:
    """Compare every fitted distribution of a scalar with the truth."""
    found = xr.Dataset()
    mean, variance = fitted.moments(probs, supp)
    if "true_mean" in process:
        found["latent_mean_bias"] = mean - process["true_mean"]
    if "true_variance" in process:
        found["latent_variance_bias"] = variance - process["true_variance"]
    if "true_cdf" in process and "true_cdf_at" in process:
        at, truth = process["true_cdf_at"].values, process["true_cdf"].values
        at, truth = at[np.isfinite(at)], truth[np.isfinite(at)]
        found = found.merge(
            fitted.distances(probs, supp, at, truth), compat="no_conflicts"
        )
        error = fitted.quantiles(probs, supp) - fitted.true_quantiles(at, truth)
        found["latent_quantile_bias"] = error
    return found


def _band_grid(process: xr.Dataset) -> Grid | None:
    """Choose the values at which the fitted cdf is kept; none of several margins."""
    if "coordinate" in process["supp"].dims:
        return None
    if "true_cdf" not in process or "true_cdf_at" not in process:
        return None
    at = process["true_cdf_at"].values
    return at[:: -(-at.size // BAND_POINTS)]  # rounded up: no more than so many


def _band(cdf: xr.DataArray, dim: str) -> xr.Dataset:
    band = xr.apply_ufunc(
        _nan_quantiles, cdf, input_core_dims=[[dim]], output_core_dims=[["band"]]
    )
    mean = me.mean_of(cdf, name="fitted_cdf", dim=dim)
    return mean.assign(cdf_band=band.assign_coords(band=list(BAND)))


def _nan_quantiles(values: Float[np.ndarray, "*cells n"]) -> np.ndarray:
    """Return the quantiles of the values present; order statistics, missing last."""
    ordered = np.sort(values, axis=-1)
    n = np.isfinite(ordered).sum(-1, keepdims=True)
    index = np.clip(np.ceil(np.array(BAND) * n).astype(int) - 1, 0, None)
    found = np.take_along_axis(ordered, np.broadcast_to(index, (*n.shape[:-1], 2)), -1)
    return np.where(n > 0, found, np.nan)
