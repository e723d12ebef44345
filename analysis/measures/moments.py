"""Moments over replications that skip missing values, and two ways to resample.

Every function takes labelled arrays and the name of the replication dimension. A value
that is not finite is missing; nothing here warns or fails on a cell without values, it
returns a missing value.
"""

import operator
from collections.abc import Callable
from functools import reduce

import numpy as np
import xarray as xr
from jaxtyping import Float
from scipy import special

from analysis.measures.formulas import wilson_interval

_CHUNK = 4_000_000  # elements held at once by the jackknife, about 32 MB


def as_finite(values: xr.DataArray | float) -> xr.DataArray:
    """Turn every value that is not finite into a missing one."""
    array = xr.DataArray(values)
    return array.where(np.isfinite(array))


def count(values: xr.DataArray, dim: str) -> xr.DataArray:
    """Count the values present."""
    return values.notnull().sum(dim)


def mean(values: xr.DataArray, dim: str) -> xr.DataArray:
    """Average the values present; missing where there is none."""
    n = count(values, dim)
    return values.sum(dim) / n.where(n > 0)


def variance(values: xr.DataArray, dim: str) -> xr.DataArray:
    """Return the variance with divisor n - 1; missing with fewer than two values."""
    n = count(values, dim)
    # Centred first: a mean of squares less a squared mean would cancel.
    squares = (values - mean(values, dim)) ** 2
    return squares.sum(dim) / (n - 1).where(n > 1)


def sd(values: xr.DataArray, dim: str) -> xr.DataArray:
    """Return the standard deviation with divisor n - 1."""
    return variance(values, dim) ** 0.5


def mean_and_error(values: xr.DataArray, dim: str) -> tuple[xr.DataArray, xr.DataArray]:
    """Return the mean and its Monte Carlo standard error, sd / sqrt(n)."""
    n = count(values, dim)
    known = n.where(n > 0)
    centre = values.sum(dim) / known
    squares = ((values - centre) ** 2).sum(dim)
    return centre, (squares / ((n - 1).where(n > 1) * known)) ** 0.5


def error_of_mean(values: xr.DataArray, dim: str) -> xr.DataArray:
    """Return sd / sqrt(n), the Monte Carlo standard error of a mean."""
    return mean_and_error(values, dim)[1]


def median(values: xr.DataArray, dim: str) -> xr.DataArray:
    """Return the median of the values present; infinite ones count here."""
    return xr.apply_ufunc(_median, values, input_core_dims=[[dim]])


def error_of_median(values: xr.DataArray, dim: str) -> xr.DataArray:
    """Return the standard error of a median (Maritz and Jarrett 1978, Biometrika 65).

    It is the bootstrap's standard error with the resampling done exactly: the median of
    a resample is the i-th order statistic with a probability given by the beta
    distribution. The delete-one jackknife, which serves for smooth measures, is
    inconsistent for a median.
    """
    return xr.apply_ufunc(_maritz_jarrett, values, input_core_dims=[[dim]])


def wilson_limits(
    proportion: xr.DataArray, n: xr.DataArray, *, level: float = 0.95
) -> tuple[xr.DataArray, xr.DataArray]:
    """Return the limits of Wilson's interval for a proportion."""
    centre, half = wilson_interval(proportion, n.where(n > 0), level)
    # They hold the proportion: at 0 and 1 they are that, but for rounding.
    return (centre - half).clip(0, proportion), (centre + half).clip(proportion, 1)


def jackknife_error(
    functional: Callable[..., xr.DataArray],
    *samples: xr.DataArray,
    dim: str = "replication",
) -> xr.DataArray:
    """Return the jackknife standard error of any smooth functional of replications.

    sqrt((n-1)/n sum (g_(j) - mean g_(.))²), centred on the mean of the leave-one-out
    values (Boos and Osborne 2015, International Statistical Review 83). Centring on the
    value of the full sample instead makes it too large for a functional such as the
    RMSE.

    Args:
        functional: Takes the samples and `dim` as a keyword, skips missing values, and
            returns an array without `dim`.
        *samples: Arrays with the replication dimension. A replication missing in one of
            them is left out of all, so that pairs stay pairs.
        dim: The replication dimension.
    """
    finite = xr.broadcast(*(as_finite(sample) for sample in samples))
    used = reduce(operator.and_, (x.notnull() for x in finite))
    paired = [x.where(used) for x in finite]
    size = finite[0].sizes[dim]
    # Whole replications are left out, as many at once as memory is given.
    step = max(1, _CHUNK // max(1, finite[0].size))
    values = []
    for first in range(0, size, step):
        left_out = np.arange(first, min(first + step, size))
        # By a mask, so that one call of the functional does a whole chunk.
        keep = np.arange(size)[None, :] != left_out[:, None]
        mask = xr.DataArray(keep, dims=("left_out", dim))
        values.append(functional(*(x.where(mask) for x in paired), dim=dim))
    every = xr.concat(values, "left_out")
    # Without what was missing anyway the sample is the full one: no value of its own.
    every = every.where(used.rename({dim: "left_out"}).drop_vars(dim, errors="ignore"))
    n = count(every, "left_out")
    # The sum of squares again, of which the jackknife takes another share.
    spread = variance(every, "left_out") * (n - 1)
    return (spread * (n - 1) / n.where(n > 0)) ** 0.5


def _median(values: Float[np.ndarray, "*cells n"]) -> Float[np.ndarray, "*cells"]:
    ordered = np.sort(values, axis=-1)  # missing values go last
    n = (~np.isnan(ordered)).sum(-1, keepdims=True)
    # The two in the middle of an even number; of an odd one both are the same.
    low = np.take_along_axis(ordered, np.maximum((n - 1) // 2, 0), -1)
    high = np.take_along_axis(ordered, np.minimum(n // 2, values.shape[-1] - 1), -1)
    return np.where(n > 0, (low + high) / 2, np.nan)[..., 0]


def _maritz_jarrett(
    values: Float[np.ndarray, "*cells n"],
) -> Float[np.ndarray, "*cells"]:
    ordered = np.sort(values, axis=-1)
    n = np.isfinite(ordered).sum(-1, keepdims=True).astype(float)
    rank = np.arange(values.shape[-1] + 1)
    shape = np.maximum((n + 1) / 2, 1.0)
    cumulated = special.betainc(shape, shape, np.minimum(rank / np.maximum(n, 1), 1))
    # Beyond the n present both ends are one: what is missing has no weight.
    weight = np.diff(cumulated, axis=-1)
    # Missing values have no weight, but zero times NaN is NaN.
    ordered = np.nan_to_num(ordered)
    centre = (weight * ordered).sum(-1, keepdims=True)
    spread = (weight * (ordered - centre) ** 2).sum(-1)
    return np.where(n[..., 0] > 1, np.sqrt(spread), np.nan)
