"""What holds for the measures of any replications."""

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.measures import estimates as me
from analysis.measures import intervals as mi
from analysis.measures import paired as mp

N = 20
numbers = st.floats(-100.0, 100.0).map(lambda x: round(x, 6))
samples = hnp.arrays(np.float64, N, elements=numbers).map(
    lambda x: xr.DataArray(x, dims="replication")
)
examples = settings(max_examples=25, deadline=None)


def close(expected, scale=1.0):
    """Compare up to rounding, relative to the size of what went in."""
    return pytest.approx(expected, rel=1e-9, abs=1e-9 * max(1.0, scale))


def values(dataset):
    return {name: float(dataset[name]) for name in dataset}


@examples
@given(samples, numbers, numbers, st.floats(0.1, 10.0))
def test_errors_move_with_the_origin_and_the_unit(estimate, truth, shift, unit):
    for measure, names in ((me.bias, ["bias"]), (me.rmse, ["rmse"])):
        here = values(measure(estimate, truth))
        there = values(measure(unit * (estimate + shift), unit * (truth + shift)))
        for name in (*names, f"{names[0]}_mcse"):
            if np.isfinite(here[name]):
                assert there[name] == close(unit * here[name], 1e4)
    here, there = me.empirical_se(estimate), me.empirical_se(unit * (estimate + shift))
    assert float(there["empirical_se"]) == close(
        unit * float(here["empirical_se"]), 1e3
    )


@examples
@given(samples, numbers)
def test_mean_square_is_squared_bias_and_variance(estimate, truth):
    square = float(me.mse(estimate, truth)["mse"])
    bias = float(me.bias(estimate, truth)["bias"])
    variance = float(me.variance(estimate)["variance"])
    assert square == close(bias**2 + (N - 1) / N * variance, 1e4)
    assert float(me.rmse(estimate, truth)["rmse"]) == close(np.sqrt(square), 1e2)


@examples
@given(samples, numbers, st.permutations(range(N)), st.integers(1, 10))
def test_order_and_missing_replications_do_not_matter(estimate, truth, order, more):
    padded = xr.DataArray(
        np.concatenate([estimate.values[list(order)], np.full(more, np.nan)]),
        dims="replication",
    )
    for measure in (me.bias, me.mse, me.rmse, me.mae, me.median_bias):
        here, there = values(measure(estimate, truth)), values(measure(padded, truth))
        for name in here:
            assert there[name] == pytest.approx(
                here[name], rel=1e-7, abs=1e-7, nan_ok=True
            ), name


@examples
@given(samples, numbers, samples)
def test_coverage_is_a_share_within_its_limits_and_grows_with_width(a, truth, b):
    half = abs(b)
    narrow = mi.coverage(a - half, a + half, truth)
    wide = mi.coverage(a - 2 * half - 1, a + 2 * half + 1, truth)
    for name in ("coverage", "coverage_lower", "coverage_upper"):
        assert 0.0 <= float(narrow[name]) <= 1.0
    assert float(narrow["coverage_lower"]) <= float(narrow["coverage"])
    assert float(narrow["coverage"]) <= float(narrow["coverage_upper"])
    assert float(narrow["coverage"]) * N == close(
        np.sum((a - half <= truth) & (truth <= a + half)).item()
    )
    assert float(narrow["coverage"]) <= float(wide["coverage"])
    everything = mi.coverage(a - np.inf, a + np.inf, truth)
    assert float(everything["coverage"]) == 1.0


@examples
@given(samples, samples, numbers)
def test_paired_ratios_are_one_against_itself_and_invert(a, b, truth):
    if (
        float(me.rmse(a, truth)["rmse"]) < 1e-3
        or float(me.rmse(b, truth)["rmse"]) < 1e-3
    ):
        return
    itself = mp.rmse_ratio(a, a, truth)
    assert float(itself["rmse_ratio"]) == close(1.0)
    assert float(itself["rmse_ratio_mcse"]) == pytest.approx(0.0, abs=1e-9)
    there = float(mp.rmse_ratio(a, b, truth)["rmse_ratio"])
    back = float(mp.rmse_ratio(b, a, truth)["rmse_ratio"])
    assert there * back == close(1.0)
