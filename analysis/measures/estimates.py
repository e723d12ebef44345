"""Measures of estimates and standard errors, each with its Monte Carlo standard error.

Labelled arrays in, labelled arrays out: every function returns a dataset that holds the
value as `<name>` and its Monte Carlo standard error as `<name>_mcse`, so that neither
travels alone. It does not matter which program the replications came from.

Notation: e = estimate - truth over the n replications used, S = sd(estimate) with
divisor n - 1, T = (estimate - mean)², k = n/(n - 1), v = squared standard error. A
replication is used when what the measure needs is finite: a missing standard error
drops out of the measures that need it and of no other. Where the truth is missing, the
measure is missing. The truth may vary by replication.

The standard errors are robust, i.e. they do not assume normal estimates; the usual
formulas of normal theory, too small with heavy tails, are an option. Sources: Burton,
Altman, Royston and Holder (2006, Statistics in Medicine 25); White (2010, Stata Journal
10); Boos and Osborne (2015, International Statistical Review 83); Morris, White and
Crowther (2019, Statistics in Medicine 38, table 6).

Intervals and tests are in `intervals`, comparisons in `paired`.
"""

import operator
from collections.abc import Callable
from functools import reduce

import xarray as xr

from analysis.measures import moments as mo
from analysis.measures.formulas import error_of_root

REPLICATION = "replication"


def bias(
    estimate: xr.DataArray, truth: xr.DataArray | float | int, *, dim: str = REPLICATION
) -> xr.Dataset:
    """Return `bias`: mean e, error sd(e)/sqrt n (Morris et al. 2019, table 6)."""
    return mean_of(estimate - truth, name="bias", dim=dim)


def relative_bias(
    estimate: xr.DataArray, truth: xr.DataArray | float | int, *, dim: str = REPLICATION
) -> xr.Dataset:
    """Return `relative_bias`: mean e/truth, a proportion; missing where truth is 0."""
    truth = mo.as_finite(truth)
    error = (estimate - truth) / truth.where(truth != 0)
    return mean_of(error, name="relative_bias", dim=dim)


def variance(estimate: xr.DataArray, *, dim: str = REPLICATION) -> xr.Dataset:
    """Return `variance`: S², error S² sqrt((kurtosis - 1)/n).

    The kurtosis is the ratio of central moments mean T² / (mean T)², 3 when normal. Two
    values have a kurtosis of 1 whatever they are: the error is missing below three.
    """
    estimate = mo.as_finite(estimate)
    square = mo.variance(estimate, dim)
    deviation = (estimate - mo.mean(estimate, dim)) ** 2
    kurtosis = mo.mean(deviation**2, dim) / mo.mean(deviation, dim) ** 2
    n = mo.count(estimate, dim)
    # No kurtosis is below one; rounding of equal deviations may be.
    error = square * ((kurtosis - 1).clip(min=0) / n) ** 0.5
    return with_mcse("variance", square, error.where(n > 2))


def empirical_se(
    estimate: xr.DataArray, *, normal_theory: bool = False, dim: str = REPLICATION
) -> xr.Dataset:
    """Return `empirical_se`: S, the spread of the estimates over replications.

    The robust error is k sd(T)/(2 S sqrt n), from the delta method on S² (Boos and
    Osborne 2015); normal theory gives S/sqrt(2(n - 1)) (Morris et al. 2019, table 6).
    The robust one is missing below three values: two deviate equally from their mean.
    """
    estimate = mo.as_finite(estimate)
    n = mo.count(estimate, dim)
    spread = mo.sd(estimate, dim)
    if normal_theory:
        return with_mcse("empirical_se", spread, spread / (2 * (n - 1)) ** 0.5)
    deviation = (estimate - mo.mean(estimate, dim)) ** 2
    k = n / (n - 1).where(n > 1)
    error = k * mo.error_of_mean(deviation, dim) / (2 * spread.where(spread > 0))
    return with_mcse("empirical_se", spread, error.where(n > 2))


def mse(
    estimate: xr.DataArray, truth: xr.DataArray | float | int, *, dim: str = REPLICATION
) -> xr.Dataset:
    """Return `mse`: mean e² (divisor n), error sd(e²)/sqrt n."""
    return mean_of((estimate - truth) ** 2, name="mse", dim=dim)


def rmse(
    estimate: xr.DataArray, truth: xr.DataArray | float | int, *, dim: str = REPLICATION
) -> xr.Dataset:
    """Return `rmse`: the root of the MSE, error sd(e²)/(2 RMSE sqrt n).

    The error is `formulas.error_of_root` on `mse`.
    """
    square = mse(estimate, truth, dim=dim)
    root = square["mse"] ** 0.5
    error = error_of_root(root.where(root > 0), square["mse_mcse"])
    return with_mcse("rmse", root, error)


def median_bias(
    estimate: xr.DataArray, truth: xr.DataArray | float | int, *, dim: str = REPLICATION
) -> xr.Dataset:
    """Return `median_bias`: median e, error by the exact bootstrap.

    The bootstrap is that of Maritz and Jarrett (1978); the jackknife is inconsistent
    here.
    """
    error = mo.as_finite(estimate) - mo.as_finite(truth)
    return with_mcse(
        "median_bias", mo.median(error, dim), mo.error_of_median(error, dim)
    )


def mae(
    estimate: xr.DataArray, truth: xr.DataArray | float | int, *, dim: str = REPLICATION
) -> xr.Dataset:
    """Return `mae`: the mean of |e|, error sd(|e|)/sqrt n.

    For a mean this error and the jackknife's are the same number.
    """
    return mean_of(abs(estimate - truth), name="mae", dim=dim)


def median_absolute_error(
    estimate: xr.DataArray, truth: xr.DataArray | float | int, *, dim: str = REPLICATION
) -> xr.Dataset:
    """Return `median_absolute_error`: median |e|, error as for `median_bias`."""
    error = abs(mo.as_finite(estimate) - mo.as_finite(truth))
    return with_mcse(
        "median_absolute_error", mo.median(error, dim), mo.error_of_median(error, dim)
    )


def mean_model_se(
    standard_error: xr.DataArray, *, dim: str = REPLICATION
) -> xr.Dataset:
    """Return `mean_model_se`: ModSE = sqrt(mean v), error sd(v)/(2 sqrt n ModSE).

    The root of the mean variance, not the mean standard error, is what S estimates when
    the model's variance is right (Morris et al. 2019, table 6).
    """
    mean, error = mo.mean_and_error(mo.as_finite(standard_error) ** 2, dim)
    root = mean**0.5
    return with_mcse("mean_model_se", root, error_of_root(root.where(root > 0), error))


def average_standard_error(
    standard_error: xr.DataArray, *, dim: str = REPLICATION
) -> xr.Dataset:
    """Return `average_standard_error`: mean of the standard errors, sd/sqrt n."""
    return mean_of(standard_error, name="average_standard_error", dim=dim)


def relative_model_se_error(
    estimate: xr.DataArray,
    standard_error: xr.DataArray,
    *,
    normal_theory: bool = False,
    dim: str = REPLICATION,
) -> xr.Dataset:
    """Return `relative_model_se_error`: 100 (ModSE/S - 1), in percent.

    Below zero: the model's standard errors are too small. Replications without either
    number drop out of both ModSE and S.

    The robust error is that of a ratio of sums, Q = sum v / sum T:
    100 sqrt(sum (v - Q T)²) / sum T / (2 ModSE/S). Normal theory gives
    100 (ModSE/S) sqrt(var(v)/(4 n ModSE⁴) + 1/(2(n - 1))) (Morris et al. 2019, table 6;
    it takes v and the estimates as independent).
    """
    v, estimate = xr.broadcast(
        mo.as_finite(standard_error) ** 2, mo.as_finite(estimate)
    )
    used = v.notnull() & estimate.notnull()
    v, estimate = v.where(used), estimate.where(used)
    n = mo.count(v, dim)
    mean_v = mo.mean(v, dim)
    spread = mo.sd(estimate, dim)
    ratio = mean_v**0.5 / spread.where(spread > 0)
    if normal_theory:
        relative = (
            mo.variance(v, dim) / (4 * n * mean_v**2) + 1 / (2 * (n - 1))
        ) ** 0.5
        error = ratio * relative
    else:
        deviation = (estimate - mo.mean(estimate, dim)) ** 2
        total = deviation.sum(dim).where(n > 1)
        # These add up to zero: the sum of their squares needs no mean taken out.
        residual = v - v.sum(dim) / total * deviation
        error = ((residual**2).sum(dim)) ** 0.5 / total / (2 * ratio)
    return with_mcse("relative_model_se_error", 100 * (ratio - 1), 100 * error)


def functional(
    statistic: Callable[..., xr.DataArray],
    *samples: xr.DataArray,
    name: str,
    dim: str = REPLICATION,
) -> xr.Dataset:
    """Return any smooth functional of the replications with its jackknife error.

    Args:
        statistic: Takes the samples and `dim` as a keyword, skips missing values, and
            returns an array without `dim`. Not for medians, where the jackknife fails.
        *samples: Estimates, standard errors, ...; one missing drops the replication.
        name: Name of the value in the dataset.
        dim: The replication dimension.
    """
    finite = xr.broadcast(*(mo.as_finite(sample) for sample in samples))
    used = reduce(operator.and_, (x.notnull() for x in finite))
    paired = [x.where(used) for x in finite]
    value = statistic(*paired, dim=dim)
    return with_mcse(name, value, mo.jackknife_error(statistic, *paired, dim=dim))


def mean_of(values: xr.DataArray, *, name: str, dim: str = REPLICATION) -> xr.Dataset:
    """Return the mean of any per-replication number, error sd/sqrt n."""
    return with_mcse(name, *mo.mean_and_error(mo.as_finite(values), dim))


def with_mcse(name: str, value: xr.DataArray, error: xr.DataArray) -> xr.Dataset:
    """Place a value and its Monte Carlo standard error side by side."""
    found = xr.Dataset({name: value, f"{name}_mcse": error})
    # Units and levels of what went in are not those of what comes out.
    for variable in found.variables.values():
        variable.attrs = {}
    return found.assign_attrs({})


OF_ESTIMATES = (bias, relative_bias, mse, rmse, median_bias, mae)
"""What a summary holds of estimate and truth; a measure listed here is measured."""
