from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy import stats

from analysis.measures import estimates as me
from analysis.measures import intervals as mi
from analysis.measures import paired as mp
from analysis.measures.moments import wilson_limits

DATA = Path(__file__).parents[1] / "data"
ESTIMATE = xr.DataArray([1.0, 2.0, 4.0, 5.0], dims="replication")
ERROR = xr.DataArray([1.0, 1.0, 2.0, 2.0], dims="replication")


def draw(n=400, cells=3, seed=0, scale=1.0):
    rng = np.random.default_rng(seed)
    return xr.DataArray(
        scale * rng.standard_t(6, size=(cells, n)), dims=("cell", "replication")
    )


def worked_example():
    """Read the worked example of Morris, White and Crowther (2019)."""
    table = pd.read_csv(DATA / "morris_simtutorial.csv")
    table = table.set_index(["dgm", "method", "idrep"]).to_xarray()
    return table.rename(idrep="replication", method="estimator")


def test_values_by_hand():
    # e = (-1, 0, 2, 3), mean 1; T = (4, 1, 1, 4); v = (1, 1, 4, 4)
    bias = me.bias(ESTIMATE, 2.0)
    assert bias["bias"].item() == 1.0
    assert bias["bias_mcse"].item() == pytest.approx(np.sqrt(10 / 3) / 2)
    assert me.relative_bias(ESTIMATE, 2.0)["relative_bias"].item() == 0.5
    spread = me.empirical_se(ESTIMATE)
    assert spread["empirical_se"].item() == pytest.approx(np.sqrt(10 / 3))
    hand = (4 / 3) * np.sqrt(3) / (2 * np.sqrt(10 / 3) * 2)  # k sd(T)/(2 S sqrt n)
    assert spread["empirical_se_mcse"].item() == pytest.approx(hand)
    normal = me.empirical_se(ESTIMATE, normal_theory=True)
    assert normal["empirical_se_mcse"].item() == pytest.approx(np.sqrt(10 / 3 / 6))
    mse = me.mse(ESTIMATE, 2.0)
    assert mse["mse"].item() == 14 / 4
    deviation = np.std([1, 0, 4, 9], ddof=1)
    assert mse["mse_mcse"].item() == pytest.approx(deviation / 2)
    rmse = me.rmse(ESTIMATE, 2.0)
    assert rmse["rmse"].item() == pytest.approx(np.sqrt(3.5))
    assert rmse["rmse_mcse"].item() == pytest.approx(deviation / 4 / np.sqrt(3.5))
    assert me.mae(ESTIMATE, 2.0)["mae"].item() == 1.5
    assert me.median_bias(ESTIMATE, 2.0)["median_bias"].item() == 1.0
    median = me.median_absolute_error(ESTIMATE, 2.0)
    assert median["median_absolute_error"].item() == 1.5
    model = me.mean_model_se(ERROR)
    assert model["mean_model_se"].item() == pytest.approx(np.sqrt(2.5))
    hand = np.sqrt(3) / (2 * 2 * np.sqrt(2.5))
    assert model["mean_model_se_mcse"].item() == pytest.approx(hand)
    average = me.average_standard_error(ERROR)
    assert average["average_standard_error"].item() == 1.5


def test_relative_model_se_error_by_hand():
    relative = me.relative_model_se_error(ESTIMATE, ERROR)
    ratio = np.sqrt(2.5 / (10 / 3))
    assert relative["relative_model_se_error"].item() == pytest.approx(
        100 * (ratio - 1)
    )
    # Q = 10/10 = 1, v - Q T = (-3, 0, 3, 0)
    hand = 100 * np.sqrt(18) / 10 / (2 * ratio)
    assert relative["relative_model_se_error_mcse"].item() == pytest.approx(hand)
    normal = me.relative_model_se_error(ESTIMATE, ERROR, normal_theory=True)
    hand = 100 * ratio * np.sqrt(3 / (4 * 4 * 2.5**2) + 1 / 6)
    assert normal["relative_model_se_error_mcse"].item() == pytest.approx(hand)


def test_variance_error_uses_kurtosis():
    value = me.variance(ESTIMATE)
    kurtosis = 8.5 / 2.5**2
    hand = 10 / 3 * np.sqrt((kurtosis - 1) / 4)
    assert value["variance_mcse"].item() == pytest.approx(hand)


def test_intervals_by_hand():
    lower, upper = ESTIMATE - 1, ESTIMATE + 1
    covers = mi.coverage(lower, upper, 2.0)  # intervals are closed: 1 and 2 hold 2
    assert covers["coverage"].item() == 0.5
    assert covers["coverage_mcse"].item() == 0.25
    centred = mi.bias_eliminated_coverage(lower, upper, ESTIMATE)
    assert centred["bias_eliminated_coverage"].item() == 0.5  # 2 and 4 hold 3
    assert mi.interval_width(lower, upper)["interval_width"].item() == 2.0
    score = mi.interval_score(lower, upper, 2.0, level=0.9)
    assert score["interval_score"].item() == pytest.approx(2 + 20 * (1 + 2) / 4)
    rejects = mi.rejection(ESTIMATE, ERROR, 2.0, level=0.95)
    assert rejects["rejection"].item() == 0.0
    sharp = mi.rejection(ESTIMATE, ERROR / 4, 2.0)
    assert sharp["rejection"].item() == 0.75
    failed = xr.DataArray([True, False, False, True], dims="replication")
    attempted = xr.DataArray([True, True, True, False], dims="replication")
    assert mi.failure_rate(failed, attempted)["failure_rate"].item() == pytest.approx(
        1 / 3
    )


def test_open_intervals_count_and_missing_ones_do_not_cover():
    lower = xr.DataArray([0.0, -np.inf, 0.0, np.nan, np.nan], dims="replication")
    upper = xr.DataArray([1.0, 3.0, 3.0, np.nan, np.nan], dims="replication")
    attempted = xr.DataArray([True, True, True, True, False], dims="replication")
    assert mi.coverage(lower, upper, 2.0)["coverage"].item() == pytest.approx(2 / 3)
    found = mi.coverage_of_attempted(lower, upper, 2.0, attempted)
    assert found["coverage_of_attempted"].item() == 0.5
    assert found["coverage_of_attempted_mcse"].item() == 0.25
    assert mi.interval_width(lower, upper)["interval_width"].item() == 2.0
    assert mi.open_share(lower, upper)["open_share"].item() == pytest.approx(1 / 3)
    width = mi.median_width(lower, upper)
    assert width["median_width"].item() == 3.0
    closed = mi.median_width(lower.clip(min=0.0), upper)  # as wide as the widest
    assert width["median_width_mcse"].item() == closed["median_width_mcse"].item()


def test_wilson_interval_is_scipys():
    for successes, n in ((0, 20), (20, 20), (190, 200)):
        low, high = wilson_limits(xr.DataArray(successes / n), xr.DataArray(n))
        expected = stats.binomtest(successes, n).proportion_ci(0.95, "wilson")
        assert low.item() == pytest.approx(expected.low, abs=1e-12)
        assert high.item() == pytest.approx(expected.high, abs=1e-12)
    for n in range(1, 60):
        assert wilson_limits(xr.DataArray(0.0), xr.DataArray(n))[0].item() == 0.0
        assert wilson_limits(xr.DataArray(1.0), xr.DataArray(n))[1].item() == 1.0


def test_degrees_of_freedom_give_t_limits_and_missing_ones_drop():
    df = xr.DataArray([5.0, np.nan, np.inf, 5.0], dims="replication")
    lower, upper = mi.wald_limits(ESTIMATE, ERROR, df=df)
    margin = ((upper - lower) / 2 / ERROR).values
    assert margin[0] == pytest.approx(stats.t.ppf(0.975, 5))
    assert margin[2] == pytest.approx(stats.norm.ppf(0.975))
    assert np.isnan(margin[1])
    covers = mi.coverage(lower, upper, 1e9)
    assert covers["coverage"].item() == 0.0  # not 1 of 4 because df is missing
    with pytest.raises(ValueError, match="level must lie between 0 and 1, got 95"):
        mi.wald_limits(ESTIMATE, ERROR, level=95)


def test_missing_standard_errors_drop_only_what_needs_them():
    error = ERROR.where([True, True, True, False])
    assert me.bias(ESTIMATE, 2.0)["bias"].item() == 1.0
    assert me.mean_model_se(error)["mean_model_se"].item() == pytest.approx(np.sqrt(2))
    both = me.relative_model_se_error(ESTIMATE, error)
    three = me.relative_model_se_error(ESTIMATE[:3], ERROR[:3])
    xr.testing.assert_allclose(both, three)
    lower, upper = mi.wald_limits(ESTIMATE, error)
    part = mi.coverage(lower, upper, 2.0)
    xr.testing.assert_allclose(
        part, mi.coverage(lower[:3], upper[:3], 2.0)
    )  # neither covering nor not


def test_failed_replications_change_nothing():
    x = draw()
    failed = xr.concat([x, xr.full_like(x, np.nan)], "replication")
    infinite = xr.concat([x, xr.full_like(x, np.inf)], "replication")
    for measure in (
        me.bias,
        me.mse,
        me.rmse,
        me.median_bias,
        me.mae,
        me.median_absolute_error,
    ):
        xr.testing.assert_allclose(measure(x, 0.3), measure(failed, 0.3))
        xr.testing.assert_allclose(measure(x, 0.3), measure(infinite, 0.3))
    xr.testing.assert_allclose(me.empirical_se(x), me.empirical_se(failed))
    xr.testing.assert_allclose(me.variance(x), me.variance(failed))


def test_missing_truth_gives_missing_measures():
    truth = xr.DataArray([0.0, np.nan, 1.0], dims="cell")
    x = draw()
    for measure in (me.bias, me.relative_bias, me.mse, me.rmse, me.median_bias, me.mae):
        result = measure(x, truth)
        for name in result:
            assert np.isnan(result[name].values[1])
    relative = me.relative_bias(x, truth)
    assert np.isnan(relative["relative_bias"].values).tolist() == [True, True, False]
    covers = mi.coverage(x - 1, x + 1, truth)
    assert np.isnan(covers["coverage"].values).tolist() == [False, True, False]


def test_truth_may_vary_by_replication():
    x = draw()
    truth = draw(seed=5)
    xr.testing.assert_allclose(me.rmse(x + truth, truth), me.rmse(x, 0.0))


@pytest.mark.parametrize("n", [0, 1])
def test_too_few_replications_are_missing_without_a_warning(n):
    x = draw(n=5).where(xr.DataArray(np.arange(5) < n, dims="replication"))
    for result in (me.bias(x, 0.0), me.rmse(x, 0.0), me.empirical_se(x)):
        for name in result:
            if str(name).endswith("_mcse") or n == 0:
                assert np.isnan(result[name].values).all()
    me.relative_model_se_error(x, abs(x))
    me.median_bias(x, 0.0)
    mi.coverage(x - 1, x + 1, 0.0)
    mp.relative_precision_gain(x, x)


@pytest.mark.parametrize("name", ["empirical_se", "variance"])
def test_the_spread_of_two_replications_has_no_error(name):
    # Two values deviate equally from their mean, so the plug-in error would be 0.
    result = getattr(me, name)(draw(n=2))
    assert np.isfinite(result[name]).all()
    assert np.isnan(result[f"{name}_mcse"]).all()


def test_jackknife_of_a_mean_is_its_standard_error():
    x = draw().where(draw(seed=3) < 1.5)
    value = me.functional(lambda s, dim: s.mean(dim), x, name="m")
    plain = me.mean_of(x, name="m")
    xr.testing.assert_allclose(value, plain)


def test_jackknife_agrees_with_the_delta_method_on_the_rmse():
    x = draw(n=2000)
    value = me.functional(lambda s, dim: np.sqrt((s**2).mean(dim)), x, name="rmse")
    xr.testing.assert_allclose(value, me.rmse(x, 0.0), rtol=0.02)


def test_paired_difference_beats_unpaired():
    common, own = draw(seed=1), draw(seed=2, scale=0.1)
    a, b = common, common + own
    d = mp.paired_difference(a, b)
    assert (d["difference_mcse"] < 0.2 * me.bias(a, 0.0)["bias_mcse"]).all()
    xr.testing.assert_allclose(d["difference"], -own.mean("replication"))


def test_comparison_with_itself_is_exact():
    x = draw()
    for result, expected in (
        (mp.rmse_ratio(x, x, 0.1)["rmse_ratio"], 1.0),
        (mp.rmse_ratio(x, x, 0.1)["rmse_ratio_mcse"], 0.0),
        (mp.empirical_se_ratio(x, 2 * x)["empirical_se_ratio"], 0.5),
        (mp.empirical_se_ratio(x, 2 * x)["empirical_se_ratio_mcse"], 0.0),
        (mp.rmse_difference(x, x, 0.1)["rmse_difference_mcse"], 0.0),
        (mp.relative_precision_gain(2 * x, x)["relative_precision_gain"], 300.0),
        (mp.relative_precision_gain(2 * x, x)["relative_precision_gain_mcse"], 0.0),
    ):
        np.testing.assert_allclose(result.values, expected, atol=1e-10)


def test_pairs_are_used_only_where_both_are_present():
    a, b = draw(seed=1), draw(seed=2)
    b = b.where(xr.DataArray(np.arange(400) < 300, dims="replication"))
    xr.testing.assert_allclose(
        mp.rmse_ratio(a, b, 0.0), mp.rmse_ratio(a[:, :300], b[:, :300], 0.0)
    )


def test_paired_errors_agree_with_the_jackknife():
    a = draw(seed=1, n=1500)
    b = a + draw(seed=2, n=1500, scale=0.5)
    ratio = me.functional(
        lambda x, y, dim: np.sqrt((x**2).mean(dim) / (y**2).mean(dim)),
        a,
        b,
        name="rmse_ratio",
    )
    xr.testing.assert_allclose(mp.rmse_ratio(a, b, 0.0), ratio, rtol=0.02)
    gain = me.functional(
        lambda x, y, dim: 100 * (x.var(dim) / y.var(dim) - 1),
        a,
        b,
        name="relative_precision_gain",
    )
    xr.testing.assert_allclose(mp.relative_precision_gain(a, b), gain, rtol=0.02)


def nested(n_replications=600, sizes=(250, 500, 1000, 2000), seed=0):
    """Means of nested normal samples: RMSE 1/sqrt n, correlated over n."""
    rng = np.random.default_rng(seed)
    steps = np.diff([0, *sizes])
    sums = rng.standard_normal((n_replications, len(sizes))) * np.sqrt(steps)
    means = sums.cumsum(1) / np.array(sizes)
    return xr.DataArray(
        means, dims=("replication", "sample_size"), coords={"sample_size": list(sizes)}
    )


def test_rate_of_a_mean_is_a_half():
    rate = mp.convergence_rate(nested(), 0.0)
    assert abs(rate["rate"].item() + 0.5) < 4 * rate["rate_mcse"].item()
    assert rate["rate_mcse"].item() < 0.02


def test_rate_is_exact_on_a_power_law():
    x = draw(n=50, cells=1)[0] * xr.DataArray(
        [4.0, 2.0, 1.0], dims="sample_size", coords={"sample_size": [1, 8, 64]}
    )
    rate = mp.convergence_rate(x, 0.0)
    assert rate["rate"].item() == pytest.approx(-1 / 3)
    assert rate["rate_mcse"].item() == pytest.approx(0.0, abs=1e-12)


def test_rate_error_agrees_with_the_joint_bootstrap():
    x = nested(n_replications=300)
    rng = np.random.default_rng(4)
    index = rng.integers(0, 300, size=(1500, 300))
    resamples = xr.DataArray(index, dims=("resample", "replication"))
    slopes = mp.convergence_rate(x.isel(replication=resamples), 0.0)["rate"]
    error = mp.convergence_rate(x, 0.0)["rate_mcse"].item()
    assert error == pytest.approx(slopes.std().item(), rel=0.1)


def test_rate_leaves_out_sample_sizes_without_estimates():
    x = nested()
    without = x.where(x["sample_size"] != 500)
    xr.testing.assert_allclose(
        mp.convergence_rate(without, 0.0),
        mp.convergence_rate(x.sel(sample_size=[250, 1000, 2000]), 0.0),
    )
    alone = mp.convergence_rate(x.where(x["sample_size"] == 500), 0.0)
    assert np.isnan(alone["rate"].item())
    assert np.isnan(alone["rate_mcse"].item())


def test_replications_needed_are_the_published_ones():
    assert mi.replications_needed(0.005, proportion=0.95) == 1900
    assert mi.replications_needed(0.0025, proportion=0.95) == 7600
    assert mi.replications_needed(0.005, proportion=0.5) == 10_000
    assert mi.replications_needed(0.005, sd=0.2) == 1600
    with pytest.raises(ValueError, match="exactly one of"):
        mi.replications_needed(0.01)
    with pytest.raises(ValueError, match="mcse must be above 0"):
        mi.replications_needed(0.0, sd=1.0)


def test_morris_white_crowther_example():
    data = worked_example()
    cox = data.sel(dgm=1, estimator="Cox")
    bias = me.bias(cox["theta"], -0.5)
    assert bias["bias"].item() == pytest.approx(-0.002089, abs=5e-7)
    assert bias["bias_mcse"].item() == pytest.approx(0.005228, abs=5e-7)
    spread = me.empirical_se(cox["theta"], normal_theory=True)
    assert spread["empirical_se"].item() == pytest.approx(0.209111, abs=5e-7)
    assert spread["empirical_se_mcse"].item() == pytest.approx(0.003698, abs=5e-7)


def test_pairing_in_the_morris_white_crowther_example():
    # The error of the difference in bias is about 70 times smaller when paired.
    theta = worked_example()["theta"].sel(dgm=1)
    cox, weibull = theta.sel(estimator="Cox"), theta.sel(estimator="Weibull")
    paired = mp.paired_difference(cox, weibull)["difference_mcse"].item()
    apart = np.hypot(
        me.bias(cox, -0.5)["bias_mcse"].item(),
        me.bias(weibull, -0.5)["bias_mcse"].item(),
    )
    assert 50 < apart / paired < 100


def test_rate_of_a_loss_is_the_slope_of_its_logged_mean():
    rng = np.random.default_rng(0)
    loss = xr.DataArray(
        rng.gamma(4, 1, (2, 200)) / np.array([[500], [2000]]) ** 0.3,
        dims=("sample_size", "replication"),
        coords={"sample_size": [500, 2000]},
    )
    low, high = np.log(loss.mean("replication").values)
    found = mp.rate_of(loss, name="a")
    assert found["a"].item() == pytest.approx((high - low) / np.log(4))
    square = mp.rate_of(loss, power=0.5)
    assert square["rate"].item() == pytest.approx(found["a"].item() / 2)
    assert square["rate_mcse"].item() == pytest.approx(found["a_mcse"].item() / 2)
