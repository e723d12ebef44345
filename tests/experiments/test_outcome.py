"""What an estimator reports: two things are enough, and all is stored as declared."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr
from study_helpers import Moments, sweep

from experiments.estimators import QUANTITIES, SCALARS, Outcome, as_arrays

THETA = jnp.array([1.0, 2.0])


def test_estimate_and_interval_are_enough():
    found = as_arrays(Outcome(THETA, THETA - 1, THETA + 1))
    assert found["lower"].shape == found["standard_error"].shape == (1, 2)
    assert np.isnan(found["standard_error"]).all()
    assert found["code"] == 0
    assert found["num_steps"] == -1
    assert np.isnan(found["gap"])
    assert not {"probs", "supp", "grid_ripple", "adequacy"} & found.keys()


def test_nothing_finite_is_a_failure_unless_the_estimator_says_how_it_ended():
    lost = jnp.full(2, jnp.nan)
    assert as_arrays(Outcome(lost, lost, lost))["code"] > 0
    assert as_arrays(Outcome(THETA, lost, lost, code=1))["code"] == 1


def test_everything_is_stored_in_the_type_declared():
    limits = jnp.zeros((3, 2))
    everything: dict[str, Any] = dict.fromkeys(QUANTITIES, 1)
    everything |= {"lower": limits, "upper": limits, "standard_error": limits}
    found = jax.jit(lambda: as_arrays(Outcome(**everything)))()
    assert found.keys() == QUANTITIES.keys()
    for name, value in found.items():
        assert value.dtype == np.dtype(QUANTITIES[name].dtype), name


def test_every_number_says_what_it_is():
    for name, quantity in QUANTITIES.items():
        assert quantity.unit, name
        assert quantity.description, name
        assert name in (Outcome.__doc__ or "")
        holds = np.dtype(quantity.dtype).type(quantity.missing)
        assert np.isnan(holds) or holds == -1
    assert "code" in SCALARS
    assert "estimate" not in SCALARS


def test_an_estimator_that_returns_something_else_is_told_what_to_return():
    with pytest.raises(TypeError, match=r"returned dict: return .*Outcome\(estimate"):
        as_arrays({"estimate": THETA})


@dataclasses.dataclass(frozen=True)
class Counting(Moments):
    """Moments that report a statistic and a test of their own."""

    def estimate(self, model, data, supp):
        """Return moment estimates with the mean of the first outcome."""
        found = super().estimate(model, data, supp)
        mean = data["outcomes"][:, 0].mean()
        return dataclasses.replace(
            found,
            statistics={"mean outcome": mean, "count": 3},
            p_values={"sign": jnp.where(mean > 0, 0.01, 0.5)},
        )


def test_an_estimator_returns_statistics_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setenv("SPMLEX_PACKAGES", "test_outcome")
    code, text = sweep(
        tmp_path,
        "estimator=[profile,moments]",
        "estimator.profile._target_=test_outcome.Counting",
    )
    assert code == 0, text
    study = xr.open_datatree(tmp_path / "tiny" / "replications.nc")
    process = study["linear_factor_discrete"].to_dataset()
    assert process["reported"].values.shape[-1] == 2
    assert process["reported_test"].values.tolist() == ["sign"]
    own = process["reported"].sel(estimator="profile")
    assert (own.sel(statistic="count") == 3).all()
    assert process["p_value"].sel(estimator="moments").isnull().all()
    summary = xr.open_datatree(tmp_path / "tiny" / "summary.nc")
    found = summary["linear_factor_discrete"].to_dataset()
    rejected = (process["p_value"].sel(reported_test="sign") <= 0.05).mean(
        "replication"
    )
    got = found["rejection"].sel(test="sign", nominal=0.95)
    here = {"estimator": "profile"}
    assert got.sel(here).values == pytest.approx(rejected.sel(here).values)
    folder = tmp_path / "tiny" / "tables" / "linear_factor_discrete"
    assert "mean outcome" in (folder / "statistics.md").read_text()


def test_statistics_are_one_number_each():
    bad = Outcome(THETA, THETA, THETA, statistics={"two": THETA})
    with pytest.raises(ValueError, match=r"statistics: two has shape \(2,\)"):
        as_arrays(bad)
