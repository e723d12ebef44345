"""Comparisons of two sets of replications made on the same draws, and the rate in n.

Estimators, and grids, see the same data in a replication, so their errors are
strongly correlated and a difference is known far better than its parts: in the example
of Morris, White and Crowther (2019) the error of a paired difference in bias is about
seventy times smaller. Every function uses the replications in which both sides are
present.

The errors rest on the influence of one replication on each measure (the infinitesimal
jackknife): bias: e; MSE: e²; RMSE: e²/(2 RMSE); S: T/(2 S). The influence on a
difference is the difference of the influences; its standard deviation over sqrt n is
the error.
"""

import xarray as xr

from analysis.measures import moments as mo
from analysis.measures.estimates import REPLICATION, mean_of, with_mcse


def paired_difference(
    a: xr.DataArray,
    b: xr.DataArray,
    *,
    name: str = "difference",
    dim: str = REPLICATION,
) -> xr.Dataset:
    """Return mean (a - b) over replications, error sd(a - b)/sqrt n.

    Give estimates for the difference in bias, squared errors for that in MSE,
    indicators of coverage for that in coverage, seconds for that in time.
    """
    return mean_of(a - b, name=name, dim=dim)


def rmse_ratio(
    estimate_a: xr.DataArray,
    estimate_b: xr.DataArray,
    truth: xr.DataArray | float | int,
    *,
    dim: str = REPLICATION,
) -> xr.Dataset:
    """Return `rmse_ratio`: RMSE of a over RMSE of b, below 1 where a is better.

    The error is the delta method on the log: ratio x sd(e_a²/MSE_a - e_b²/MSE_b)/2
    over sqrt n.
    """
    truth = mo.as_finite(truth)
    a, b = _pairs(estimate_a, estimate_b)
    return _root_ratio("rmse_ratio", (a - truth) ** 2, (b - truth) ** 2, dim)


def empirical_se_ratio(
    estimate_a: xr.DataArray, estimate_b: xr.DataArray, *, dim: str = REPLICATION
) -> xr.Dataset:
    """Return `empirical_se_ratio`: S_a/S_b, error as for `rmse_ratio` with T for e²."""
    a, b = _pairs(estimate_a, estimate_b)
    spread_a = (a - mo.mean(a, dim)) ** 2
    spread_b = (b - mo.mean(b, dim)) ** 2
    return _root_ratio("empirical_se_ratio", spread_a, spread_b, dim)


def rmse_difference(
    estimate_a: xr.DataArray,
    estimate_b: xr.DataArray,
    truth: xr.DataArray | float | int,
    *,
    dim: str = REPLICATION,
) -> xr.Dataset:
    """Return `rmse_difference`: RMSE of a less RMSE of b, error by influence."""
    truth = mo.as_finite(truth)
    a, b = _pairs(estimate_a, estimate_b)
    square_a, square_b = (a - truth) ** 2, (b - truth) ** 2
    root_a = mo.mean(square_a, dim) ** 0.5
    root_b = mo.mean(square_b, dim) ** 0.5
    influence = square_a / (2 * root_a.where(root_a > 0))
    influence = influence - square_b / (2 * root_b.where(root_b > 0))
    error = mo.error_of_mean(influence, dim)
    return with_mcse("rmse_difference", root_a - root_b, error)


def relative_precision_gain(
    estimate_a: xr.DataArray,
    estimate_b: xr.DataArray,
    *,
    normal_theory: bool = False,
    dim: str = REPLICATION,
) -> xr.Dataset:
    """Return `relative_precision_gain`: 100 ((S_a/S_b)² - 1), the gain of b over a.

    In percent. The robust error is that of the ratio of sums R = sum T_a / sum T_b:
    100 sqrt(sum (T_a - R T_b)²) / sum T_b. Normal theory gives
    200 (S_a/S_b)² sqrt((1 - rho²)/(n - 1)), rho the correlation over replications
    (White 2010; Morris et al. 2019, table 6).
    """
    a, b = _pairs(estimate_a, estimate_b)
    n = mo.count(a, dim)
    centred_a, centred_b = a - mo.mean(a, dim), b - mo.mean(b, dim)
    total_a = (centred_a**2).sum(dim).where(n > 1)
    total_b = (centred_b**2).sum(dim).where(n > 1)
    ratio = total_a / total_b.where(total_b > 0)
    if normal_theory:
        square = (centred_a * centred_b).sum(dim) ** 2 / (total_a * total_b)
        error = 2 * ratio * ((1 - square).clip(min=0) / (n - 1)) ** 0.5
    else:
        residual = centred_a**2 - ratio * centred_b**2
        error = ((residual**2).sum(dim)) ** 0.5 / total_b
    return with_mcse("relative_precision_gain", 100 * (ratio - 1), 100 * error)


def convergence_rate(
    estimate: xr.DataArray,
    truth: xr.DataArray | float | int,
    *,
    sizes: xr.DataArray | None = None,
    size_dim: str = "sample_size",
    dim: str = REPLICATION,
) -> xr.Dataset:
    """Return `rate`: the slope of log RMSE on log n; -0.5 at the parametric rate.

    `rate_of` of the squared errors, halved.

    Args:
        estimate: Estimates.
        truth: The true value.
        sizes: The sample sizes; else the coordinate `size_dim` of the estimates.
        size_dim: Dimension of the sample sizes.
        dim: The replication dimension, the same index for the same draw.
    """
    square = (mo.as_finite(estimate) - mo.as_finite(truth)) ** 2
    return rate_of(square, power=0.5, sizes=sizes, size_dim=size_dim, dim=dim)


def rate_of(
    loss: xr.DataArray,
    *,
    name: str = "rate",
    power: float = 1.0,
    sizes: xr.DataArray | None = None,
    size_dim: str = "sample_size",
    dim: str = REPLICATION,
) -> xr.Dataset:
    """Return the slope of `power` x log(mean loss) on log n, for any positive loss.

    Weighted least squares over the sample sizes; the weights are the inverse variances
    of the logs, for the RMSE (RMSE/MCSE)². Draws may be nested (the first rows of a
    larger sample are the smaller sample), which correlates the means over n; the error
    therefore adds up the influence of a replication over all sample sizes before
    squaring, which is the joint bootstrap over replications without its simulation
    noise, and is right for independent draws too. Sample sizes without a loss are left
    out; with fewer than two the rate is missing.

    Args:
        loss: Squared errors, distances, ...
        name: Name of the value in the dataset.
        power: 1/2 for a root mean square.
        sizes: The sample sizes; else the coordinate `size_dim` of the loss.
        size_dim: Dimension of the sample sizes.
        dim: The replication dimension, the same index for the same draw.
    """
    loss = mo.as_finite(loss)
    n = mo.count(loss, dim)
    mean = mo.mean(loss, dim)
    influence = power * (loss / mean.where(mean > 0) - 1) / n.where(n > 0)
    spread = (influence**2).sum(dim)  # variance of the log
    known = (n > 1) & (spread > 0)
    enough = known.sum(size_dim) > 1
    # Zero, not NaN: the sums below run over all sizes.
    weight = (1 / spread.where(known)).fillna(0.0)
    log_n = xr.ufuncs.log((loss[size_dim] if sizes is None else sizes).astype(float))
    distance = log_n - (weight * log_n).sum(size_dim) / weight.sum(size_dim).where(
        enough
    )
    # The slope is linear in the logs; these are its coefficients.
    leverage = weight * distance / (weight * distance**2).sum(size_dim).where(enough)
    slope = (leverage * power * xr.ufuncs.log(mean.where(known))).sum(size_dim)
    # Added over sizes first: the same draw may be in all of them.
    joint = (leverage * influence).sum(size_dim)
    used = loss.notnull().any(size_dim).sum(dim)
    # As a standard deviation, with divisor n - 1: influences have mean zero.
    error = ((joint**2).sum(dim) * used / (used - 1).where(used > 1)) ** 0.5
    return with_mcse(name, slope.where(enough), error.where(enough))


def _pairs(a: xr.DataArray, b: xr.DataArray) -> tuple[xr.DataArray, xr.DataArray]:
    a, b = xr.broadcast(mo.as_finite(a), mo.as_finite(b))
    both = a.notnull() & b.notnull()
    return a.where(both), b.where(both)


def _root_ratio(
    name: str, square_a: xr.DataArray, square_b: xr.DataArray, dim: str
) -> xr.Dataset:
    mean_a, mean_b = mo.mean(square_a, dim), mo.mean(square_b, dim)
    ratio = (mean_a / mean_b.where(mean_b > 0)) ** 0.5
    influence = square_a / mean_a.where(mean_a > 0) - square_b / mean_b
    return with_mcse(name, ratio, ratio * mo.error_of_mean(influence, dim) / 2)
