"""A search that runs off to infinity is told from one that ends at a root."""

import jax.numpy as jnp
import numpy as np
import pytest
from small_fits import AbleLogit, data

from spmlex import RESULTS, efficient_estimate
from spmlex._efficient.departure import before_departure

SUPP = np.linspace(-3.0, 3.0, 21)


def separated():
    """Return outcomes that the first covariate predicts without error."""
    x = np.random.default_rng(0).normal(size=(200, 3, 2))
    return {"x": x, "sign": np.where(x[..., 0] > 0, 1.0, -1.0)}


def test_an_outcome_predicted_without_error_has_no_root():
    # The climb to where the search starts runs off, to where nothing is identified.
    model = AbleLogit(jnp.zeros(2))
    found = efficient_estimate(model, separated(), SUPP, throw=False)
    assert found.result == RESULTS.parameter_diverging
    assert "Here: coef[0], coef[1]." in found.describe_end()
    with pytest.raises(RuntimeError, match="runs off towards infinity"):
        efficient_estimate(model, separated(), SUPP)


def test_a_root_has_no_runaways():
    found = efficient_estimate(AbleLogit(jnp.zeros(2)), data(), SUPP)
    assert not np.any(found.root.runs_off)
    assert found.describe_end() == ""


@pytest.mark.parametrize(
    ("theta", "errors", "off"),
    [
        ([0.0, 0.0], [1.0, 1.0], [False, False]),
        ([2e3, 0.0], [1.0, 1.0], [False, False]),  # a start far off
        ([2.0, 0.0], [1e4, 1.0], [False, False]),  # a variance of zero
        ([2e3, 0.0], [1e4, 1.0], [True, False]),
        ([1e138, 0.0], [np.inf, 1.0], [True, False]),
        ([2e3, 0.0], [0.0, 1.0], [False, False]),  # one is not identified
    ],
)
def test_runaways_moved_far_and_are_known_no_more(theta, errors, off):
    begun = before_departure(jnp.zeros(2)).take_in(jnp.zeros(2), jnp.ones(2))
    assert begun.find_runaways(jnp.array(theta), jnp.array(errors)).tolist() == off


def test_a_departure_is_the_first_place_with_standard_errors():
    begun = before_departure(jnp.zeros(2))
    begun = begun.take_in(jnp.ones(2), jnp.array([jnp.inf, 0.5]))
    begun = begun.take_in(jnp.full(2, 2.0), jnp.array([3.0, 9.0]))
    assert begun.theta.tolist() == [2.0, 1.0]
    assert begun.errors.tolist() == [3.0, 0.5]
