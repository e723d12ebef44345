"""A search that runs off to infinity is told from one that ends at a root."""

import functools

import jax.numpy as jnp
import numpy as np
import pytest
from small_fits import N_OBS, AbleLogit, data

from spmlex import RESULTS, efficient_estimate
from spmlex._efficient.departure import before_departure

SUPP = np.linspace(-3.0, 3.0, 21)


def separated():
    """Return outcomes that the first covariate predicts without error."""
    x = np.random.default_rng(0).normal(size=(200, 3, 2))
    return {"x": x, "sign": np.where(x[..., 0] > 0, 1.0, -1.0)}


@pytest.mark.parametrize("start", [0.0, 1.0])
def test_an_outcome_predicted_without_error_has_no_root(start):
    # From 1.0 it once was called successful, at 792 with a standard error of 74,002.
    model = AbleLogit(jnp.array([start, 0.0]))
    found = efficient_estimate(model, separated(), SUPP, throw=False)
    assert found.result == RESULTS.parameter_diverging
    assert "Here: coef[0], coef[1]." in found.describe_end()
    with pytest.raises(RuntimeError, match="runs off towards infinity"):
        efficient_estimate(model, separated(), SUPP)


def test_a_root_has_no_runaways():
    found = efficient_estimate(AbleLogit(jnp.zeros(2)), data(), SUPP)
    assert not np.any(found.root.runs_off)
    assert found.describe_end() == ""


@functools.cache
def root():
    """Return the last evaluation of a search that ended at a root."""
    return efficient_estimate(AbleLogit(jnp.zeros(2)), data(), SUPP).root.here


def end_at(theta, variances, spread=1.0):
    """Return an evaluation with these variances, in the sample `spread` squared."""
    here, scale = root(), jnp.sqrt(jnp.array(variances))
    ends = jnp.where(jnp.arange(N_OBS) % 2 == 0, 1.0, -1.0)[:, None]
    inverse = jnp.diag(jnp.array(variances))
    return here._replace(
        theta=jnp.array(theta),
        scores=spread * ends / jnp.where(scale > 0, scale, 1.0),
        mean=jnp.zeros(2),
        directions=here.directions._replace(inverse=inverse),
    )


@pytest.mark.parametrize(
    ("theta", "variances", "spread", "off"),
    [
        ([0.0, 0.0], [1.0, 1.0], 1.0, [False, False]),
        ([2e3, 0.0], [1.0, 1.0], 1.0, [False, False]),  # a start far off
        ([2.0, 0.0], [1e8, 1.0], 1.0, [False, False]),  # a variance of zero
        ([2e3, 0.0], [1e8, 1.0], 1.0, [True, False]),
        ([1e138, 0.0], [np.inf, 1.0], 1.0, [True, False]),
        ([2.0, 0.0], [1.0, 1.0], 0.05, [True, True]),
        ([2.0, 0.0], [0.0, 1.0], 1.0, [False, False]),  # one is not identified
        ([2.0, 0.0], [0.0, 0.0], 1.0, [True, True]),
    ],
)
def test_runaways_moved_far_and_are_known_no_more(theta, variances, spread, off):
    here = end_at(theta, variances, spread)
    errors = jnp.sqrt(jnp.array(variances))
    begun = before_departure(jnp.zeros(2)).take_in(jnp.zeros(2), jnp.ones(2))
    weights = jnp.full(N_OBS, 1.0 / N_OBS)
    assert begun.find_runaways(here, errors, weights).tolist() == off


def test_a_departure_is_the_first_place_with_standard_errors():
    begun = before_departure(jnp.zeros(2))
    begun = begun.take_in(jnp.ones(2), jnp.array([jnp.inf, 0.5]))
    begun = begun.take_in(jnp.full(2, 2.0), jnp.array([3.0, 9.0]))
    assert begun.theta.tolist() == [2.0, 1.0]
    assert begun.errors.tolist() == [3.0, 0.5]
