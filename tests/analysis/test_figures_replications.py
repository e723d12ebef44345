import functools

import numpy as np
import pytest
from matplotlib.figure import Figure
from scipy import stats
from synthetic_study import make_process

from analysis.figures import replications as fr
from analysis.figures import sampling
from analysis.measures import estimates as me
from analysis.measures.used import used_replications

CELL = {"sample_size": 1000, "n_supp": 50, "parameter": "coef[1]"}


@functools.cache
def replications():
    return used_replications(make_process(sample_sizes=(500, 1000), n_supp=(50,)))


@pytest.fixture
def one():
    return replications().sel(CELL).sel(estimator="profile")


@pytest.fixture
def ax():
    return Figure().subplots()


def present(values):
    return values.values.ravel()[np.isfinite(values.values.ravel())]


def test_only_used_replications_are_drawn():
    process = make_process(n_supp=(50,))
    used = used_replications(process, exclusion_rule="all_or_none")
    missing = used["estimate"].isnull().any("parameter")
    np.testing.assert_array_equal(
        missing, missing.any("estimator").broadcast_like(missing)
    )
    assert (missing | (process["code"] == 0)).all()


def test_histogram_has_unit_area_and_the_normal_its_moments(one, ax):
    sampling.plot_density(one, ax)
    values = present(one["estimate"])
    bars = ax.patches[0].get_data()
    assert np.sum(bars.values * np.diff(bars.edges)) == pytest.approx(1)
    np.testing.assert_allclose(
        bars.values, np.histogram(values, "auto", density=True)[0]
    )
    normal, truth = ax.lines
    x, y = normal.get_data()
    np.testing.assert_allclose(y, stats.norm.pdf(x, values.mean(), values.std(ddof=1)))
    assert set(truth.get_xdata()) == {0.3}


def test_quantiles_are_those_of_the_standardised_estimates(ax):
    process = replications().sel(estimator="em", parameter="coef[0]")
    sampling.plot_qq(process, ax)
    assert ax.get_legend_handles_labels()[1][:2] == ["500", "1000"]
    for line, size in zip(ax.lines[:2], (500, 1000), strict=True):
        values = np.sort(present(process["estimate"].sel(sample_size=size)))
        expected = (values - values.mean()) / values.std(ddof=1)
        np.testing.assert_allclose(line.get_ydata(), expected)
        assert (np.diff(line.get_xdata()) > 0).all()
    band = ax.collections[0].get_paths()[0].vertices
    assert band[:, 1].min() < line.get_xdata()[0] < band[:, 1].max()


def test_zip_draws_every_interval_and_those_that_miss_apart(one, ax):
    fr.plot_zip(one, ax)
    cell = one.sel(kind="sandwich").squeeze()
    lower, upper = present(cell["lower"]), present(cell["upper"])
    covers = (lower <= 0.3) & (0.3 <= upper)
    hit, miss = (np.reshape(x.get_xydata(), (-1, 3, 2)) for x in ax.lines[:2])
    assert len(hit) == covers.sum()
    assert len(miss) == (~covers).sum()
    drawn = np.concatenate([hit, miss])
    np.testing.assert_allclose(np.sort(drawn[:, 0, 0]), np.sort(lower))
    np.testing.assert_allclose(np.sort(drawn[:, 1, 0]), np.sort(upper))
    assert np.isnan(drawn[:, 2, 0]).all()
    assert hit[:, 0, 1].max() < miss[:, 0, 1].min()
    assert any(list(line.get_ydata()) == [95, 95] for line in ax.lines)


def test_standard_errors_are_drawn_with_the_empirical_one(one, ax):
    fr.plot_estimate_se(one, ax)
    points, spread, truth = ax.lines
    cell = one.sel(kind="sandwich").squeeze()
    np.testing.assert_array_equal(points.get_ydata(), cell["standard_error"])
    np.testing.assert_array_equal(points.get_xdata(), cell["estimate"])
    expected = me.empirical_se(cell["estimate"])["empirical_se"].item()
    assert set(spread.get_ydata()) == {expected}
    assert set(truth.get_xdata()) == {0.3}


def test_pairs_are_of_the_same_draw(ax):
    process = replications().sel(CELL)
    fr.plot_pairwise(process, ax, pair=("em", "profile"))
    points = ax.lines[0]
    estimate = process["estimate"].squeeze()
    np.testing.assert_array_equal(points.get_xdata(), estimate.sel(estimator="em"))
    np.testing.assert_array_equal(points.get_ydata(), estimate.sel(estimator="profile"))


@pytest.mark.parametrize(
    "plot", [sampling.plot_density, sampling.plot_qq, fr.plot_zip, fr.plot_estimate_se]
)
@pytest.mark.parametrize("count", [0, 1, 2])
def test_few_replications_are_drawn(plot, count, one, ax):
    few = one.isel(replication=slice(1, 1 + count))  # the first has no sandwich
    plot(few, ax)
    alike = {x: 0 * few[x] for x in few.data_vars if x != "truth"}
    plot(few.assign(alike), ax)
    ax.figure.draw_without_rendering()
