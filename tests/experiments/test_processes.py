"""The linear factor model's likelihood and start hold their math."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
import scipy.stats

from experiments import mixing
from experiments.dgp import Process
from experiments.models.linear_factor import LinearFactor

DISCRETE = mixing.Discrete(supp=[-3, 0, 5], weights=[0.3, 0.5, 0.2])


def make_factor(n_periods):
    coef = jnp.linspace(1.5, -0.5, n_periods - 1)
    return LinearFactor(coef=coef, log_std_e=jnp.linspace(-0.3, 0.3, n_periods))


@pytest.mark.parametrize("n_periods", [2, 3, 6])
def test_log_density_is_a_product_of_normals(n_periods):
    model = make_factor(n_periods)
    outcomes = np.asarray(3 * jr.normal(jr.key(0), (11, n_periods)))
    supp = np.linspace(-5, 5, 7)
    loadings = np.concatenate([[1.0], model.coef])
    expected = scipy.stats.norm.logpdf(
        outcomes[:, None, :],
        supp[:, None] * loadings,
        np.exp(model.log_std_e),
    ).sum(axis=2)
    lclk = model.lclk({"outcomes": jnp.asarray(outcomes)}, jnp.asarray(supp))
    np.testing.assert_allclose(lclk, expected, rtol=1e-12)


@pytest.mark.parametrize("n_periods", [3, 5])
def test_starting_values_are_consistent(n_periods):
    truth = make_factor(n_periods)
    process = Process(truth, mixing.ShiftedGamma(shape=2, loc=1, scale=2))
    data = jax.jit(lambda key: process.simulate(key, 100_000))(jr.key(1))
    start = jax.jit(lambda data: truth.starting_values(data))(data)
    for got, wanted in zip(jax.tree.leaves(start), jax.tree.leaves(truth), strict=True):
        np.testing.assert_allclose(got, wanted, atol=0.05)


@pytest.mark.parametrize(
    "outcomes",
    [
        np.zeros((10, 3)),
        np.ones((1, 3)),
        np.eye(3),
        1e150 * np.eye(3),
        np.outer(np.arange(5.0), [1, -2, 3]),
        np.arange(20.0).reshape(10, 2) % 7,
        np.array(jr.normal(jr.key(3), (8, 4))),
    ],
)
def test_starting_values_are_finite_whatever_the_data(outcomes):
    data = {"outcomes": jnp.asarray(outcomes)}
    model = make_factor(outcomes.shape[1])
    start = jax.jit(lambda data: model.starting_values(data))(data)
    assert all(bool(jnp.isfinite(leaf).all()) for leaf in jax.tree.leaves(start))


def test_starting_values_do_not_depend_on_units():
    truth = make_factor(3)
    data = Process(truth, DISCRETE).simulate(jr.key(1), 300)
    start = truth.starting_values(data)
    scaled = truth.starting_values({"outcomes": 10 * data["outcomes"]})
    np.testing.assert_allclose(scaled.coef, start.coef)
    np.testing.assert_allclose(scaled.log_std_e, start.log_std_e + np.log(10))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: mixing.Discrete([0, 1], [0.5, 0.6]), "add up to 1.1"),
        (lambda: mixing.Discrete([1, 0], [0.5, 0.5]), "increasing order"),
        (lambda: mixing.Normal(None, 1), "None is not a valid value"),
        (lambda: mixing.Discrete([0, 1], [1.0]), "same length"),
        (lambda: mixing.Normal(0, 0), "scale=0.0: give positive"),
        (lambda: mixing.NormalMixture([0], [1, 1], [1]), "lists of one length"),
        (lambda: LinearFactor([1.5], [0, 0, 0]), "T - 1 loadings"),
    ],
)
def test_impossible_parameters_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
