"""Tests of hypotheses at several levels: size where the null is true, else power.

A study declares hypotheses by parameter, `tests: {coef[0]: [0, truth]}`, and levels
beside its own, `levels: [0.9, 0.99]`. A test rejects where |estimate - null| is at
least the quantile times the standard error, of every estimator's default kind. An
estimator, or another program, may report p-values of tests of its own: these reject
where they are at most one less the level.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import xarray as xr

from analysis.measures import estimates as me
from analysis.measures import intervals as mi
from analysis.measures.moments import as_finite
from analysis.nulls import TRUTH, Hypothesis


def measure_tests(
    process: xr.Dataset,
    used: xr.DataArray,
    parameters: Sequence[str],
    hypotheses: Sequence[Hypothesis],
    levels: Sequence[float],
    names: Sequence[str] = (),
) -> xr.Dataset:
    """Measure how often tests reject.

    Args:
        process: Replications of one process, at one kind of standard error.
        used: Which replications count.
        parameters: Names along `parameter`; hypotheses of others are left out.
        hypotheses: What is tested with estimates and standard errors.
        levels: Confidence levels: 0.95 is a test at 5 percent.
        names: Names along `reported_test` of p-values, the variable `p_value`.

    Returns:
        `rejection` with its error and Wilson's limits, along `test` and `nominal`;
        `null` and `holds` by test: 1 where the null is true, 0 where not, -1 where that
        is not known; and by parameter, at the first level, `size` and `power`, of the
        first null that is true, and not. Empty without a test.
    """
    tests = [
        *_test_nulls(process, used, parameters, hypotheses, levels),
        *_take_p_values(process, used, levels, names),
    ]
    if not tests:
        return xr.Dataset()
    found = xr.concat(
        [test.rejection for test in tests], "test", coords="minimal", compat="override"
    )
    found = found.assign_coords(
        test=[test.name for test in tests],
        nominal=list(levels),
        test_parameter=("test", [test.parameter for test in tests]),
        null=("test", [test.null for test in tests]),
        holds=("test", [test.holds for test in tests]),
    )
    for name, wanted in (("size", 1), ("power", 0)):
        found = found.assign(_by_parameter(found, parameters, name, wanted))
    return found


class _Test(NamedTuple):
    """One test: how it is called, of what, and how often it rejects at each level."""

    name: str
    parameter: str  # "" where a p-value is of no one parameter
    null: float
    holds: int  # 1, 0, or -1 where that is not known
    rejection: xr.Dataset


def _test_nulls(
    process: xr.Dataset,
    used: xr.DataArray,
    parameters: Sequence[str],
    hypotheses: Sequence[Hypothesis],
    levels: Sequence[float],
) -> Iterator[_Test]:
    """Test with estimates and standard errors what was declared."""
    error = process.get("standard_error")
    if error is None:
        return
    for hypothesis in hypotheses:
        if hypothesis.parameter not in parameters:
            continue
        at = {"parameter": parameters.index(hypothesis.parameter)}
        truth = as_finite(process["truth"]).isel(at, missing_dims="ignore")
        null = truth if hypothesis.null == TRUTH else xr.DataArray(hypothesis.null)
        estimate = process["estimate"].isel(at).where(used)
        df = process["df"].isel(at, missing_dims="ignore") if "df" in process else None
        rejects = [
            mi.rejection(estimate, error.isel(at), null, level=x, df=df) for x in levels
        ]
        yield _Test(
            hypothesis.name,
            hypothesis.parameter,
            float(null) if null.size == 1 else np.nan,
            int(bool((null == truth).all())),
            xr.concat(rejects, "nominal"),
        )


def _take_p_values(
    process: xr.Dataset,
    used: xr.DataArray,
    levels: Sequence[float],
    names: Sequence[str],
) -> Iterator[_Test]:
    """Reject where a p-value that an estimator reports is small enough."""
    if "p_value" not in process:
        return
    for i, name in enumerate(names):
        value = as_finite(process["p_value"].isel(reported_test=i)).where(used)
        rejects = [(value <= 1 - x + _ROUNDING).where(value.notnull()) for x in levels]
        parts = [mi.proportion_of(x, name="rejection") for x in rejects]
        yield _Test(str(name), "", np.nan, -1, xr.concat(parts, "nominal"))


def _by_parameter(
    found: xr.Dataset, parameters: Sequence[str], name: str, wanted: int
) -> xr.Dataset:
    """Take for every parameter the first of its tests whose null is true, or is not."""
    first = [
        next(
            (
                i
                for i, (own, holds) in enumerate(
                    zip(
                        found["test_parameter"].values,
                        found["holds"].values,
                        strict=True,
                    )
                )
                if own == parameter and holds == wanted
            ),
            -1,
        )
        for parameter in parameters
    ]
    if max(first) < 0:
        return xr.Dataset()
    picked = xr.DataArray(first, dims="parameter")
    names = {x: str(x).replace("rejection", name) for x in found.data_vars}
    # A parameter without such a test takes the first, until `where` drops it.
    at = found.isel(nominal=0, drop=True).isel(test=picked.clip(min=0))
    return at.reset_coords(drop=True).where(picked >= 0).rename(names)


def measure_levels(
    process: xr.Dataset, used: xr.DataArray, levels: Sequence[float]
) -> xr.Dataset:
    """Measure coverage and width of intervals at further levels.

    At the level of the limits that are stored it is theirs; at others that of estimate
    -/+ quantile x standard error, as far as there is one.

    Args:
        process: Replications of one process, at one kind of standard error.
        used: Which replications count.
        levels: Confidence levels, the first that of the limits stored.

    Returns:
        `coverage_at` and `width_at` along `nominal`, with their errors.
    """
    estimate, truth = process["estimate"].where(used), process["truth"]
    df = process.get("df")
    parts = []
    for level in levels:
        if level == levels[0] and "lower" in process:
            limits = process["lower"].where(used), process["upper"].where(used)
        elif "standard_error" in process:
            error = process["standard_error"]
            limits = mi.wald_limits(estimate, error, level=level, df=df)
        else:
            continue
        covered = mi.proportion_of(mi.covering(*limits, truth), name="coverage_at")
        width = as_finite(limits[1]) - as_finite(limits[0])
        both = covered.assign(me.mean_of(width, name="width_at"))
        parts.append(both.expand_dims(nominal=[level]))
    if not parts:
        return xr.Dataset()
    found = xr.concat(parts, "nominal")
    assert isinstance(found, xr.Dataset)
    return found


_ROUNDING = 1e-12
"""1 - 0.95 is a little more than 0.05."""
