"""What an estimator reports: two things are enough, and all is stored as declared."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

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
    everything = {field.name: 1 for field in dataclasses.fields(Outcome)}
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
