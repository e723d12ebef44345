"""The merged file's truth about the mixing distribution."""

import numpy as np
import pytest
import xarray as xr
from study_helpers import sweep

from analysis.mixing import mixing_measures
from experiments import mixing
from experiments.truth import TAIL, describe_mixing

SUPPORTS = [np.linspace(-6, 6, 7), np.linspace(-1, 2, 4)]
MIXINGS = [
    mixing.Discrete(supp=[-3, 0, 5], weights=[0.3, 0.5, 0.2]),
    mixing.Discrete(supp=[1], weights=[1]),
    mixing.Normal(loc=1, scale=2),
    mixing.NormalMixture(locs=[-20, 1], scales=[0.5, 1], weights=[1e-4, 0.9999]),
    mixing.ShiftedGamma(shape=0.3, loc=0.5, scale=2),
]


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


def test_distance_of_the_mixing_distribution_has_its_closed_form(tmp_path, monkeypatch):
    monkeypatch.setattr("experiments.sweep.report", lambda *_: None)
    assert sweep(tmp_path, "grid=points", "n_supp=[3]")[0] == 0
    with xr.open_datatree(tmp_path / "tiny" / "replications.nc") as tree:
        data = tree["linear_factor_discrete"].to_dataset().load()
    used = data["code"] == 0
    (found,) = [x for x in mixing_measures(data, used) if "wasserstein" in x]
    # Masses of 1/3 instead of 0.3, 0.5 and 0.2 on -3, 0 and 5.
    expected = 3 * (1 / 3 - 0.3) + 5 * (0.8 - 2 / 3)
    np.testing.assert_allclose(found["wasserstein"], expected, atol=1e-9)
