"""The merged file's truth about the mixing distribution."""

import numpy as np
import pytest
import xarray as xr
from study_helpers import call

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


def test_summary_of_a_study_measures_the_distance_of_the_mixing_distribution(tmp_path):
    code, text = call(
        "sweep",
        f"results_dir={tmp_path}",
        "study=exact",
        "grid=points",
        "n_supp=[3]",
        "sample_size=[400]",
        "n_replications=3",
        "compute.n_workers=1",
    )
    assert code == 0, text
    with xr.open_datatree(tmp_path / "exact" / "summary.nc") as tree:
        summary = tree["linear_factor_discrete"].to_dataset().load()
    with xr.open_datatree(tmp_path / "exact" / "replications.nc") as tree:
        data = tree["linear_factor_discrete"].to_dataset().load()
    # Both distributions live on -3, 0 and 5, so the distance is known in closed form.
    cdf = data["probs"].cumsum("point") - np.array([0.3, 0.8, 1.0])
    distance = 3 * abs(cdf.isel(point=0)) + 5 * abs(cdf.isel(point=1))
    expected = distance.mean("replication")
    np.testing.assert_allclose(summary["wasserstein"], expected, atol=1e-9)
    for name in ("latent_mean_bias", "latent_variance_bias", "cdf_sup"):
        assert np.isfinite(summary[f"{name}_mcse"]).all()
