"""Estimates that a model brings itself: moments, conditional logit, pooled."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize
import scipy.stats
from jax.flatten_util import ravel_pytree

import spmlex
from experiments import mixing
from experiments.covariates import NormalCovariates
from experiments.dgp import Process
from experiments.engine import replicate
from experiments.estimators import FromModel
from experiments.models.linear_factor import LinearFactor
from experiments.models.panel_binary import PanelBinary

MODEL = LinearFactor(coef=[1.5, 0.3], log_std_e=[0.0, 0.2, -0.3])
SUPP = jnp.linspace(-8.0, 8.0, 33)
N_OBS = 600


@functools.cache
def draw():
    process = Process(MODEL, mixing.Normal(loc=0.5, scale=2.0))
    return process.simulate(jax.random.key(0), N_OBS)


@jax.jit
def estimate_moments(data):
    return replicate.estimate(FromModel("moment_estimate"), MODEL, data, SUPP)


@pytest.mark.thorough
def test_moments_are_ratios_of_covariances():
    outcomes = np.asarray(draw()["outcomes"])
    c = np.cov(outcomes, rowvar=False, bias=True)
    by_hand = [
        c[1, 2] / c[0, 2],
        c[1, 2] / c[0, 1],
        0.5 * np.log(c[0, 0] - c[0, 1] * c[0, 2] / c[1, 2]),
        0.5 * np.log(c[1, 1] - c[0, 1] * c[1, 2] / c[0, 2]),
        0.5 * np.log(c[2, 2] - c[0, 2] * c[1, 2] / c[0, 1]),
    ]
    result = estimate_moments(draw())
    np.testing.assert_allclose(result["estimate"], by_hand, rtol=1e-9)


@pytest.mark.thorough
@pytest.mark.parametrize("n_periods", [3, 5])
def test_moment_standard_errors_match_the_spread(n_periods):
    model = LinearFactor(
        coef=jnp.linspace(1.5, 0.5, n_periods - 1), log_std_e=jnp.zeros(n_periods)
    )
    process = Process(model, mixing.ShiftedGamma(shape=4, loc=0, scale=2))

    def replicate_once(key):
        theta, covariance = model.moment_estimate(process.simulate(key, 2000))
        return theta, jnp.sqrt(jnp.diagonal(covariance))

    keys = jax.random.split(jax.random.key(3), 200)
    theta, errors = jax.jit(lambda keys: jax.lax.map(replicate_once, keys))(keys)
    assert bool(jnp.isfinite(theta).all())
    truth, _ = ravel_pytree(model)
    spread = np.std(theta, axis=0, ddof=1)
    assert np.abs((np.mean(theta, axis=0) - truth) / spread).max() < 0.5
    # The spread of 200 draws has a standard error of 5%.
    np.testing.assert_allclose(np.sqrt(np.mean(errors**2, axis=0)), spread, rtol=0.15)


def test_missing_methods_are_refused_in_words():
    with pytest.raises(
        ValueError, match="LinearFactor does not offer it; it offers mo"
    ):
        FromModel("pooled_estimate").estimate(MODEL, draw(), SUPP)
    with pytest.raises(ValueError, match="from three periods on"):
        LinearFactor([1.5], [0, 0]).moment_estimate({"outcomes": jnp.zeros((9, 2))})


def test_failed_moments_are_a_code():
    # The first outcome varies less than its covariances with the others imply.
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, N_OBS))
    outcomes = np.stack([a + b, a, b + 0.2 * a], axis=1)
    result = estimate_moments({"outcomes": jnp.asarray(outcomes)})
    codes = {code: name for code, name, _ in spmlex.RESULT_CODES}
    assert codes[int(result["code"])] == "non_finite"
    assert np.isnan(result["estimate"]).all()


PANEL_MODEL = PanelBinary(coef=[1.0, -0.5])
PANEL = Process(
    PANEL_MODEL,
    mixing.Normal(loc=0.0, scale=1.5),
    NormalCovariates(n_periods=4, n_covariates=2, share=0.3),
)


@functools.cache
def panel_data(n):
    data = PANEL.simulate(jax.random.key(5), n)
    return {"outcomes": data["outcomes"], "covariates": data["covariates"]}


@pytest.mark.thorough
def test_conditional_logit_matches_brute_force_and_the_truth():
    data = panel_data(4000)
    coef, covariance = jax.jit(lambda data: PANEL_MODEL.fixed_effects_estimate(data))(
        data
    )
    errors = np.sqrt(np.diag(covariance))
    assert np.abs((coef - np.array([1.0, -0.5])) / errors).max() < 3.5
    chosen = np.asarray(data["outcomes"]).astype(bool)
    x = np.asarray(data["covariates"])
    sequences = np.array(list(np.ndindex(2, 2, 2, 2)))

    def loss(coef):
        index = x @ coef
        every = np.exp(index @ sequences.T)
        same = sequences.sum(axis=1) == chosen.sum(axis=1)[:, None]
        return -((chosen * index).sum(axis=1) - np.log((every * same).sum(1))).mean()

    best = scipy.optimize.minimize(
        loss, np.zeros(2), method="BFGS", options={"gtol": 1e-7}
    )
    np.testing.assert_allclose(coef, best.x, atol=1e-5)


@pytest.mark.thorough
def test_pooling_shrinks_slopes():
    data = panel_data(4000)
    coef, covariance = jax.jit(lambda data: PANEL_MODEL.pooled_estimate(data))(data)
    errors = np.sqrt(np.diag(covariance))
    assert (np.abs(coef) < np.array([1.0, 0.5]) - 2 * errors).all()
    signs = 2.0 * np.asarray(data["outcomes"]).astype(bool) - 1

    def loss(theta):
        index = signs * (np.asarray(data["covariates"]) @ theta[1:] + theta[0])
        return np.logaddexp(0, -index).sum(axis=1).mean()

    best = scipy.optimize.minimize(
        loss, np.zeros(3), method="BFGS", options={"gtol": 1e-7}
    )
    np.testing.assert_allclose(coef, best.x[1:], atol=1e-5)


def test_probits_and_random_slopes_have_no_fixed_effects():
    for model in (
        PanelBinary([1.0, -0.5], link="probit"),
        PanelBinary([-0.5], n_random=2),
    ):
        with pytest.raises(ValueError, match="only a logit with a random intercept"):
            model.fixed_effects_estimate(panel_data(4000))
