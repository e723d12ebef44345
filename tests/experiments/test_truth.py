"""The merged file's truth about the mixing distribution."""

import numpy as np
import pytest
import scipy.stats
import xarray as xr
from study_helpers import sweep

from analysis.measures.mixing import mixing_measures
from experiments import mixing
from experiments.store.truth import TAIL, describe_mixing

SUPPORTS = [np.linspace(-6, 6, 7), np.linspace(-1, 2, 4)]
MIXINGS = [
    mixing.Discrete(supp=[-3, 0, 5], weights=[0.3, 0.5, 0.2]),
    mixing.Discrete(supp=[1], weights=[1]),
    mixing.Normal(loc=1, scale=2),
    mixing.NormalMixture(locs=[-20, 1], scales=[0.5, 1], weights=[1e-4, 0.9999]),
    mixing.ShiftedGamma(shape=0.3, loc=0.5, scale=2),
    mixing.Uniform(low=-1, high=3),
]


@pytest.mark.thorough
@pytest.mark.parametrize("distribution", MIXINGS)
def test_true_cdf_is_wide_and_holds_all_support_points(distribution):
    found = {k: v[1] for k, v in describe_mixing(distribution, SUPPORTS).items()}
    at, cdf = found["true_cdf_at"], found["true_cdf"]
    assert at.shape == cdf.shape
    assert (np.diff(at) > 0).all()
    assert (np.diff(cdf) >= 0).all()
    assert cdf[0] <= TAIL
    assert cdf[-1] >= 1 - TAIL
    assert np.isin(np.concatenate(SUPPORTS), at).all()
    # The mean by parts, from the distribution function: the error is the grid's.
    steps = np.diff(at)
    by_parts = at[-1] - (steps * 0.5 * (cdf[1:] + cdf[:-1])).sum()
    assert by_parts == pytest.approx(found["true_mean"], abs=steps.max())


def test_jumps_of_a_discrete_distribution_are_kept():
    found = describe_mixing(MIXINGS[0], SUPPORTS)
    at, cdf = found["true_cdf_at"][1], found["true_cdf"][1]
    index = np.searchsorted(at, [-3.0, 0.0, 5.0])
    np.testing.assert_allclose(cdf[index], [0.3, 0.8, 1.0])
    np.testing.assert_allclose(cdf[index - 1], [0.0, 0.3, 0.8])
    assert at[index] - at[index - 1] == pytest.approx(0, abs=1e-15)


@pytest.mark.thorough
def test_distance_of_the_mixing_distribution_has_its_closed_form(tmp_path, monkeypatch):
    monkeypatch.setattr("experiments.commands.report.report", lambda *_: None)
    assert sweep(tmp_path, "grid=points", "n_supp=[3]")[0] == 0
    with xr.open_datatree(tmp_path / "tiny" / "replications.nc") as tree:
        data = tree["linear_factor_discrete"].to_dataset().load()
    used = data["code"] == 0
    (found,) = [x for x in mixing_measures(data, used) if "wasserstein" in x]
    # Masses of 1/3 instead of 0.3, 0.5 and 0.2 on -3, 0 and 5.
    expected = 3 * (1 / 3 - 0.3) + 5 * (0.8 - 2 / 3)
    np.testing.assert_allclose(found["wasserstein"], expected, atol=1e-9)


@pytest.mark.thorough
def test_heavy_tails_have_a_grid_that_is_fine_where_the_mass_is():
    heavy = mixing.StudentT(df=1.5, loc=1, scale=2)
    found = {k: v[1] for k, v in describe_mixing(heavy, SUPPORTS).items()}
    assert np.isinf(found["true_variance"])
    assert np.diff(found["true_cdf"]).max() < 1e-3


@pytest.mark.thorough
def test_margins_of_several_coordinates_are_stored_and_measured(tmp_path):
    overrides = ["dgp=panel_logit_slopes", "grid=product", "n_supp=[4,9]"]
    assert sweep(tmp_path, *overrides)[0] == 0
    folder = tmp_path / "tiny"
    with xr.open_datatree(folder / "replications.nc") as tree:
        data = tree["panel_logit_slopes"].to_dataset().load()
    assert data["supp"].dims[-2:] == ("point", "coordinate")
    assert data["probs"].dims[-1] == "point"
    small = data["supp"].sel(n_supp=4).isel(replication=0, sample_size=0).squeeze()
    corners = [[-4, -1.5], [-4, 3.5], [4, -1.5], [4, 3.5]]
    np.testing.assert_array_equal(small.dropna("point"), corners)
    with xr.open_datatree(folder / "summary.nc") as tree:
        measured = tree["panel_logit_slopes"].to_dataset().load()
    bias = measured["margin_mean_bias"].transpose(..., "coordinate")
    # The grid is centred at the means, and its masses are equal.
    np.testing.assert_allclose(bias, 0, atol=1e-12)
    assert "fitted_cdf" not in measured
    levels = (np.arange(200_000) + 0.5) / 200_000
    for k, normal in enumerate([scipy.stats.norm(0, 1), scipy.stats.norm(1, 0.5)]):
        expected = scipy.stats.wasserstein_distance(
            np.array(corners)[:, k], normal.ppf(levels)
        )
        found = measured["margin_wasserstein"].sel(n_supp=4, coordinate=k)
        np.testing.assert_allclose(found, expected, rtol=1e-3)
