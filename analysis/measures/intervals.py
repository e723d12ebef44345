"""Measures of confidence intervals, tests and failures, with Monte Carlo errors.

Notation and conventions as in `estimates`. Proportions come with the plug-in error
sqrt(p(1 - p)/n) as `<name>_mcse` and with Wilson's interval as `<name>_lower` and
`<name>_upper`, because the plug-in error is 0 at proportions of 0 and 1. Proportions
are between 0 and 1, never percentages.

A replication without limits (or without a standard error, or degrees of freedom) is
missing: it counts neither as covering nor as not covering, neither as rejecting nor as
not rejecting; `coverage_of_attempted` alone counts it as not covering. An infinite
limit is a limit: the interval is open there.
"""

import numpy as np
import xarray as xr
from scipy import special

from analysis.measures import moments as mo
from analysis.measures.estimates import REPLICATION, mean_of, with_mcse
from analysis.measures.formulas import covers, normal_quantile


def wald_limits(
    estimate: xr.DataArray,
    standard_error: xr.DataArray,
    *,
    level: float | int = 0.95,
    df: xr.DataArray | float | int | None = None,
) -> tuple[xr.DataArray, xr.DataArray]:
    """Return the limits estimate -/+ c standard_error.

    Args:
        estimate: Estimates.
        standard_error: Their standard errors.
        level: Confidence level, between 0 and 1.
        df: Degrees of freedom: c is then a quantile of Student's t, else of the normal.
            Where they are missing, the limits are missing.
    """
    margin = _critical_value(level, df) * mo.as_finite(standard_error)
    estimate = mo.as_finite(estimate)
    return estimate - margin, estimate + margin


def coverage(
    lower: xr.DataArray,
    upper: xr.DataArray,
    truth: xr.DataArray | float | int,
    *,
    dim: str = REPLICATION,
) -> xr.Dataset:
    """Return `coverage`: the share of closed intervals that hold the truth.

    Morris et al. (2019, table 6). Limits may be infinite; a missing one drops the
    replication.
    """
    return proportion_of(covering(lower, upper, truth), name="coverage", dim=dim)


def coverage_of_attempted(
    lower: xr.DataArray,
    upper: xr.DataArray,
    truth: xr.DataArray | float | int,
    attempted: xr.DataArray,
    *,
    dim: str = REPLICATION,
) -> xr.Dataset:
    """Return `coverage_of_attempted`: intervals holding the truth over all attempts.

    A replication that was attempted and left no interval counts as not covering, so
    that no method gains by failing where it is hard.

    Args:
        lower: Lower limits, of every replication that left some.
        upper: Upper limits.
        truth: True values.
        attempted: Which replications were attempted.
        dim: The replication dimension.
    """
    truth = mo.as_finite(truth)
    counted = covers(lower, upper, truth).where(attempted & truth.notnull())
    return proportion_of(counted, name="coverage_of_attempted", dim=dim)


def bias_eliminated_coverage(
    lower: xr.DataArray,
    upper: xr.DataArray,
    estimate: xr.DataArray,
    *,
    dim: str = REPLICATION,
) -> xr.Dataset:
    """Return `bias_eliminated_coverage`: intervals holding the mean estimate.

    Separates intervals of the wrong width from intervals in the wrong place (Morris et
    al. 2019, section 5.2). The error and Wilson's interval take the mean estimate as
    known: they ignore its own Monte Carlo error.
    """
    centre = mo.mean(mo.as_finite(estimate), dim)
    return proportion_of(
        covering(lower, upper, centre), name="bias_eliminated_coverage", dim=dim
    )


def rejection(
    estimate: xr.DataArray,
    standard_error: xr.DataArray,
    null: xr.DataArray | float = 0.0,
    *,
    level: float | int = 0.95,
    df: xr.DataArray | float | int | None = None,
    dim: str = REPLICATION,
) -> xr.Dataset:
    """Return `rejection`: the share of tests with |estimate - null| >= c se.

    Size when `null` is the truth, power otherwise. `level` is that of the interval, so
    0.95 is a test at 5 percent; `df` as in `wald_limits`.
    """
    margin = _critical_value(level, df) * mo.as_finite(standard_error)
    distance = abs(mo.as_finite(estimate) - mo.as_finite(null))
    # A comparison with NaN is false, and would count as not rejecting.
    rejects = (distance >= margin).where(distance.notnull() & margin.notnull())
    return proportion_of(rejects, name="rejection", dim=dim)


def interval_width(
    lower: xr.DataArray, upper: xr.DataArray, *, dim: str = REPLICATION
) -> xr.Dataset:
    """Return `interval_width`: the mean width, error sd/sqrt n; open ones left out."""
    width = mo.as_finite(upper) - mo.as_finite(lower)
    return mean_of(width, name="interval_width", dim=dim)


def median_width(
    lower: xr.DataArray, upper: xr.DataArray, *, dim: str = REPLICATION
) -> xr.Dataset:
    """Return `median_width`: the median width, infinite for open intervals.

    The error is that of `median_bias` with open intervals as wide as the widest of the
    others: good where few are open.
    """
    width = upper - lower
    widest = mo.as_finite(width).max(dim)
    error = mo.error_of_median(width.clip(max=widest).where(width.notnull()), dim)
    return with_mcse("median_width", mo.median(width, dim), error)


def open_share(
    lower: xr.DataArray, upper: xr.DataArray, *, dim: str = REPLICATION
) -> xr.Dataset:
    """Return `open_share`: the share of intervals with an infinite limit."""
    known = lower.notnull() & upper.notnull()
    is_closed = (abs(lower) < np.inf) & (abs(upper) < np.inf)
    return proportion_of((~is_closed).where(known), name="open_share", dim=dim)


def interval_score(
    lower: xr.DataArray,
    upper: xr.DataArray,
    truth: xr.DataArray | float | int,
    *,
    level: float | int = 0.95,
    dim: str = REPLICATION,
) -> xr.Dataset:
    """Return `interval_score`: width plus a penalty for missing the truth; lower wins.

    (u - l) + (2/alpha) [(l - truth)+ + (truth - u)+] with alpha = 1 - level, a proper
    score (Gneiting and Raftery 2007, JASA 102, equation 43).
    """
    lower, upper = mo.as_finite(lower), mo.as_finite(upper)
    truth = mo.as_finite(truth)
    miss = (lower - truth).clip(min=0) + (truth - upper).clip(min=0)
    score = upper - lower + 2 / (1 - level) * miss
    return mean_of(score, name="interval_score", dim=dim)


def failure_rate(
    failed: xr.DataArray, attempted: xr.DataArray, *, dim: str = REPLICATION
) -> xr.Dataset:
    """Return `failure_rate`: failed over attempted replications; both boolean."""
    return proportion_of(
        failed.where(attempted.astype(bool)), name="failure_rate", dim=dim
    )


def covering(
    lower: xr.DataArray, upper: xr.DataArray, truth: xr.DataArray | float | int
) -> xr.DataArray:
    """Tell which intervals hold the truth, missing where one of the three is."""
    truth = mo.as_finite(truth)
    known = lower.notnull() & upper.notnull() & truth.notnull()
    return covers(lower, upper, truth).where(known)


def proportion_of(
    indicator: xr.DataArray,
    *,
    name: str,
    level: float | int = 0.95,
    dim: str = REPLICATION,
) -> xr.Dataset:
    """Return the mean of an indicator with its plug-in error and Wilson's interval.

    Args:
        indicator: 0 or 1 by replication; missing values are not counted at all.
        name: Name of the value in the dataset.
        level: Level of Wilson's interval.
        dim: The replication dimension.
    """
    indicator = indicator.astype(float)
    n = mo.count(indicator, dim)
    known = n.where(n > 0)
    share = indicator.sum(dim) / known
    error = (share * (1 - share) / known) ** 0.5
    lower, upper = mo.wilson_limits(share, n, level=level)
    limits = {f"{name}_lower": lower, f"{name}_upper": upper}
    return with_mcse(name, share, error).assign(limits)


def replications_needed(
    mcse: float, *, sd: float | None = None, proportion: float | None = None
) -> int:
    """Return how many replications give a Monte Carlo standard error.

    (sd/mcse)² for a mean such as the bias, p(1 - p)/mcse² for a proportion such as the
    coverage (Morris et al. 2019, section 5.3): 1,900 for a coverage of 0.95 known to
    half a percentage point.

    Args:
        mcse: The error wanted; above 0.
        sd: Standard deviation of the estimates, for a mean.
        proportion: The proportion expected. Exactly one of `sd` and `proportion`.
    """
    if mcse <= 0:
        raise ValueError(f"mcse must be above 0, got {mcse}.")
    if (sd is None) == (proportion is None):
        raise ValueError("give exactly one of `sd` (means) and `proportion`.")
    if sd is not None:
        return _ceil((sd / mcse) ** 2)
    assert proportion is not None
    return _ceil(proportion * (1 - proportion) / mcse**2)


def _ceil(x: float) -> int:
    return int(np.ceil(round(x, 9)))  # 1900.0000000000002 is 1900


def _critical_value(
    level: float | int, df: xr.DataArray | float | int | None
) -> xr.DataArray:
    if not 0 < level < 1:
        raise ValueError(f"level must lie between 0 and 1, got {level}; try 0.95.")
    if df is None:
        return xr.DataArray(normal_quantile(level))
    degrees = xr.DataArray(df).drop_attrs()
    degrees = degrees.where(degrees > 0)  # infinity is allowed: the normal
    return xr.apply_ufunc(lambda x: special.stdtrit(x, (1 + level) / 2), degrees)


OF_INTERVALS = (interval_width, median_width, open_share)
"""What a summary holds of lower and upper limits; a measure listed here is measured."""
