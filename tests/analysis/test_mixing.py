import tracemalloc

import numpy as np
import pytest
import xarray as xr
from scipy import stats
from synthetic_study import make_process

from analysis.measures import fitted, mixing
from analysis.measures.summarise import summarise_process

ONE = {"estimators": ("profile",), "sample_sizes": (500,), "n_supp": (25,)}
AT = np.linspace(-2, 4, 601)  # holds every support point below


def rows(values):
    return xr.DataArray(np.atleast_2d(values), dims=("replication", "point"))


def draw_distributions(n=20, points=7, seed=0):
    rng = np.random.default_rng(seed)
    supp = rows([np.sort(rng.choice(AT, points, replace=False)) for _ in range(n)])
    return rows(rng.dirichlet(np.ones(points), n)), supp


def true_steps(supp, probs):
    return (probs * (supp <= AT[:, None])).sum(1)


def test_distances_by_hand():
    # fitted: mass 1 on 0; true: half on 0, half on 1, so that D = 1/2 on [0, 1)
    truth = true_steps(np.array([0.0, 1.0]), np.array([0.5, 0.5]))
    found = fitted.distances(rows([1.0]), rows([0.0]), AT, truth)
    # a jump of the truth between grid points is spread over half their distance
    assert found["wasserstein"].item() == pytest.approx(0.5, abs=0.005)
    assert found["cdf_sup"].item() == pytest.approx(0.5)
    assert found["cdf_squared"].item() == pytest.approx(0.25, abs=0.005)


def test_wasserstein_is_scipys_and_exact_with_both_sides_of_a_jump():
    probs, supp = draw_distributions()
    atoms, mass = np.array([-1.0, 0.5, 2.0]), np.array([0.2, 0.5, 0.3])
    at = np.union1d(AT, np.nextafter(atoms, -np.inf))
    truth = (mass * (atoms <= at[:, None])).sum(1)
    found = fitted.distances(probs, supp, at, truth)["wasserstein"]
    expected = [
        stats.wasserstein_distance(s, atoms, p, mass)
        for s, p in zip(supp.values, probs.values, strict=True)
    ]
    np.testing.assert_allclose(found, expected, atol=0.02)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


def test_distance_to_a_smooth_truth_is_the_integral():
    # |Phi(v) - 1{v >= 0}| integrates to E|Z| = sqrt(2/pi)
    at = np.linspace(-8, 8, 2001)
    found = fitted.distances(rows([1.0]), rows([0.0]), at, stats.norm.cdf(at))
    expected = np.sqrt(2 / np.pi)
    assert found["wasserstein"].item() == pytest.approx(expected, abs=1e-5)
    assert found["cdf_sup"].item() == pytest.approx(0.5)
    # 2 int_0^inf (1 - Phi)^2 = (sqrt 2 - 1)/sqrt pi
    expected = (np.sqrt(2) - 1) / np.sqrt(np.pi)
    assert found["cdf_squared"].item() == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("jumps", [False, True])
def test_distances_are_those_summed_point_by_point(jumps):
    rng = np.random.default_rng(3)
    at = np.sort(rng.uniform(-2, 2, 300))
    truth = np.round(stats.norm.cdf(at), 1) if jumps else stats.norm.cdf(at)
    supp = rng.normal(0, 1.5, (50, 6))  # some beyond the grid of the truth
    probs = rng.dirichlet(np.ones(6), 50) * (rng.random((50, 6)) < 0.6)
    probs[:, 0] += 1 - probs.sum(1)
    found = fitted.distances(rows(probs), rows(supp), at, truth)
    for k in range(50):
        points = np.union1d(at, supp[k, probs[k] > 0])
        middle = (points[:-1] + points[1:]) / 2
        inside = (at[:-1] + at[1:]) / 2
        true_middle = (truth[:-1] + truth[1:]) / 2
        # Within a cell of the grid the fitted cdf is that at the middle of the cell.
        cell = np.searchsorted(at, middle) - 1
        beyond = (cell < 0) | (cell >= len(inside))
        cell = np.clip(cell, 0, len(inside) - 1)
        where = np.where(beyond, middle, inside[cell])
        true = np.where(beyond, np.interp(middle, at, truth), true_middle[cell])
        cdf = (probs[k] * (supp[k] <= where[:, None])).sum(1)
        gap, width = abs(cdf - true), np.diff(points)
        largest = (probs[k] * (supp[k] <= points[:, None])).sum(1)
        largest = abs(largest - np.interp(points, at, truth))
        within = np.isin(points, at) | (points < at[0]) | (points > at[-1])
        one = found.isel(replication=k)
        assert one["wasserstein"].item() == pytest.approx(gap @ width)
        assert one["cdf_squared"].item() == pytest.approx(gap**2 @ width)
        assert one["cdf_sup"].item() == pytest.approx(largest[within].max())


def test_distances_are_zero_for_the_truth_and_ignore_order_and_padding():
    probs, supp = draw_distributions(n=1)
    truth = true_steps(supp.values, probs.values)
    at = np.union1d(AT, np.nextafter(supp.values[0], -np.inf))
    exact = (probs.values * (supp.values <= at[:, None])).sum(1)
    same = fitted.distances(probs, supp, at, exact)
    for name in same:
        assert same[name].item() == pytest.approx(0, abs=1e-12)
    other = fitted.distances(probs * 0.5, supp, AT, truth)
    order = xr.DataArray([3, 1, 0, 2, 6, 5, 4], dims="point")
    p, s = (x.isel(point=order).pad(point=(0, 3)) for x in (probs * 0.5, supp))
    xr.testing.assert_allclose(fitted.distances(p, s, AT, truth), other)


def test_support_beyond_the_grid_of_the_truth_counts():
    truth = true_steps(np.array([0.0]), np.array([1.0]))
    found = fitted.distances(rows([0.5, 0.5]), rows([0.0, 10.0]), AT, truth)
    assert found["wasserstein"].item() == pytest.approx(5.0, abs=0.01)
    with pytest.raises(ValueError, match="true_cdf_at must be .* increasing"):
        fitted.distances(rows([1.0]), rows([0.0]), AT[::-1], truth)


def test_moments_quantiles_and_edges_by_hand():
    probs, supp = rows([0.3, 0.7, 0.0, np.nan]), rows([1.0, 2.0, 3.0, np.nan])
    mean, variance = fitted.moments(probs, supp)
    assert mean.item() == pytest.approx(1.7)
    assert variance.item() == pytest.approx(0.21)
    found = fitted.quantiles(probs, supp).values[0]
    assert found.tolist() == [1.0, 1.0, 2.0, 2.0, 2.0]  # 0.1, 0.25, 0.5, 0.75, 0.9
    assert fitted.edge_mass(probs, supp).item() == pytest.approx(0.3)
    truth = fitted.true_quantiles(AT, stats.norm.cdf(AT, 1, 0.5))
    expected = stats.norm.ppf(fitted.QUANTILES, 1, 0.5)
    np.testing.assert_allclose(truth, expected, atol=0.011)


def test_failed_replications_are_missing_throughout():
    probs, supp = draw_distributions()
    truth = true_steps(np.array([0.0]), np.array([1.0]))
    lost = xr.DataArray(np.arange(20) == 4, dims="replication")
    probs, supp = probs.where(~lost), supp.where(~lost)
    mean, variance = fitted.moments(probs, supp)
    found = fitted.distances(probs, supp, AT, truth)
    for x in (mean, variance, fitted.edge_mass(probs, supp), *found.values()):
        assert np.isnan(x.values).tolist() == lost.values.tolist()
    assert fitted.quantiles(probs, supp).isel(replication=4).isnull().all()
    assert fitted.fitted_cdf(probs, supp, AT).isel(replication=4).isnull().all()


def test_band_holds_the_mean_and_is_that_of_the_replications():
    process = make_process(**ONE)
    summary = summarise_process(process).squeeze()
    one = process.isel(replication=process["code"].squeeze().values == 0).squeeze()
    at = summary["band_point"].values
    cdf = [
        (p[:25] * (s[:25] <= at[:, None])).sum(1)
        for p, s in zip(one["probs"].values, one["supp"].values, strict=True)
    ]
    np.testing.assert_allclose(summary["fitted_cdf"], np.mean(cdf, axis=0))
    low, high = np.quantile(cdf, mixing.BAND, axis=0, method="inverted_cdf")
    np.testing.assert_allclose(summary["cdf_band"].sel(band=0.025), low)
    np.testing.assert_allclose(summary["cdf_band"].sel(band=0.975), high)
    assert summary.sizes["band_point"] <= mixing.BAND_POINTS


def test_what_is_absent_is_left_out():
    process = make_process(**ONE)
    without = process.drop_vars(["true_cdf", "true_mean"])
    summary = summarise_process(without)
    assert "latent_variance_bias" in summary
    for name in ("wasserstein", "fitted_cdf", "latent_mean_bias"):
        assert name not in summary
    bare = summarise_process(process.drop_vars(["probs", "num_atoms"]))
    assert "edge_mass" not in bare
    assert "num_atoms" not in bare


def test_study_without_a_replication_has_missing_distances():
    summary = summarise_process(make_process(not_run=40, **ONE))
    for name in ("wasserstein", "edge_mass", "num_atoms", "fitted_cdf", "cdf_band"):
        assert summary[name].isnull().all()


def measure_all(process):
    """Measure the fitted distributions, without what labels find to align."""
    plain = process.drop_vars(list(process.coords))
    sizes = xr.DataArray(process["sample_size"].variable)
    found = mixing.mixing_measures(plain, plain["code"] == 0, sizes=sizes)
    return xr.merge(found, compat="no_conflicts", join="exact")


def test_chunks_change_no_bit(monkeypatch):
    process = make_process(n_supp=(25, 50), n_replications=23)
    whole = measure_all(process)
    monkeypatch.setattr(mixing, "CHUNK", 7)
    xr.testing.assert_identical(measure_all(process), whole)


@pytest.mark.thorough
def test_fitted_distributions_are_read_a_design_point_at_a_time(tmp_path):
    process = make_process(n_supp=(90, 95, 100), n_replications=400)
    room = process["probs"].nbytes + process["supp"].nbytes
    process.to_netcdf(tmp_path / "fits.nc")
    del process
    with xr.open_dataset(tmp_path / "fits.nc", engine="netcdf4", cache=False) as fits:
        tracemalloc.start()
        measure_all(fits)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < room, (peak, room)
