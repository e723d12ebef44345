"""The profile estimator of a study: its choices, and what it hands over."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import spmlex
from experiments.estimators import Profile
from experiments.mixing import Discrete
from experiments.models.linear_factor import LinearFactor

SUPP = jnp.linspace(-4.0, 4.0, 30)
INTERVAL_KINDS = ("sandwich", "observed", "jackknife", "bootstrap_exponential")


def draw():
    mixing = Discrete(supp=[-3.0, 0.0, 5.0], weights=[0.3, 0.5, 0.2])
    truth = LinearFactor(coef=[1.5, 0.3], log_std_e=[0.0, 0.2, -0.3])
    data = mixing.simulate(rng=jax.random.key(1), n=200)
    return truth, truth.simulate(data, rng=jax.random.key(2))


@pytest.mark.thorough
def test_every_interval_is_that_of_the_fit():
    model, data = draw()
    estimator = Profile(
        intervals=INTERVAL_KINDS, n_draws=5, adequacy_on=[-8.0, 8.0, 801]
    )
    found = jax.jit(lambda data: estimator.estimate(model, data, SUPP))(data)
    start = model.starting_values(data)
    fit = spmlex.fit(start, data, SUPP, starts=())
    np.testing.assert_allclose(found.estimate, fit.theta, atol=1e-6)
    assert estimator.default_kind == "sandwich"
    for number, kind in enumerate(INTERVAL_KINDS[:3]):
        made = fit.intervals(0.95, kind)
        np.testing.assert_allclose(found.lower[number], made.lower, atol=1e-5)
        np.testing.assert_allclose(found.upper[number], made.upper, atol=1e-5)
    middle = 0.5 * (found.lower[3] + found.upper[3])
    np.testing.assert_allclose(middle, fit.theta, atol=1e-6)
    assert found.code == 0
    # What is left to gain, from the gradient function written down once more.
    points = jnp.linspace(-8.0, 8.0, 801)
    np.testing.assert_allclose(found.supp, fit.supp, atol=1e-5)
    mixture = np.exp(fit.model.lclk(data, fit.supp)) @ fit.probs
    gained = np.mean(np.exp(fit.model.lclk(data, points)) / mixture[:, None], axis=0)
    np.testing.assert_allclose(found.adequacy, np.log(gained.max()), atol=1e-6)
    assert found.adequacy > 1e-5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"intervals": ["sandwhich"]}, r"intervals=\['sandwhich'\]"),
        ({"intervals": ["efficient"]}, r"intervals=\['efficient'\]"),
        ({"intervals": []}, "give at least one"),
        ({"n_draws": 1}, "n_draws=1"),
        ({"max_steps": 0}, "max_steps=0"),
        ({"solver": "newton"}, "solver='newton'"),
    ],
)
def test_wrong_choices_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Profile(**options)
