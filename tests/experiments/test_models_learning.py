"""The learning model's likelihood, derivatives, draws and estimates."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import scipy.stats
from jax.flatten_util import ravel_pytree
from model_helpers import check_derivatives

import spmlex
from experiments import mixing
from experiments.dgp import Process
from experiments.engine.replicate import erase
from experiments.models.learning import Learning

pytestmark = pytest.mark.thorough

THREE = Learning(
    intercept_0=[0.3, 0.5, 0.8],
    intercept_1=[0.2, 0.4],
    loading_0=[0.3, 0.5, 0.7],
    loading_1=[0.6, 0.3],
    ability_0=1.3,
    log_std_u=0.0,
    log_std_e=[-0.5, -0.7],
    choice=[0.2, 0.4, 1.0],
)
FOUR = Learning(
    intercept_0=[0.3, 0.5, 0.6, 0.8],
    intercept_1=[0.2, 0.3, 0.4],
    loading_0=[0.5],
    loading_1=[0.8, 0.6, 0.4],
    ability_0=-0.8,
    log_std_u=0.2,
    log_std_e=[-0.5, 0.1],
    choice=[0.2, -0.4, 1.0],
)
NORMAL = mixing.Normal(loc=0.5, scale=1.5)
MODELS = pytest.mark.parametrize("model", [THREE, FOUR], ids=["three", "four"])


N_OBS = 600
"""Of most samples: every other number is another compilation."""
NUMBERS = np.arange(3 * N_OBS).reshape(N_OBS, 3)


@eqx.filter_jit
def draw(model, n=N_OBS, key=0, distribution: mixing.AbstractMixing = NORMAL):
    return Process(model, distribution).simulate(jax.random.key(key), n)


@eqx.filter_jit
def evaluate(model, data, supp):
    return model.lclk(data, supp)


def equation(model, t, d):
    """Intercept, loading, loading of ability and noise deviation, from the text."""
    deviation = np.exp(model.log_std_e[d])
    if d == 0:
        loading = np.broadcast_to(model.loading_0, model.intercept_0.shape)[t]
        return model.intercept_0[t], loading, model.ability_0, deviation
    intercept = np.concatenate([[0.0], model.intercept_1])[t]
    loading = np.concatenate([[1.0], model.loading_1])[t]
    return intercept, loading, 1.0, deviation


def integrate_over_ability(model, choices, outcomes, k):
    """Integrate one observation's likelihood over u, with beliefs by Bayes' rule."""
    c_0, c_k, c_m = np.asarray(model.choice)
    std_u = np.exp(model.log_std_u)
    # The trapezoidal rule is exact to rounding for smooth integrands that vanish.
    u = np.linspace(-12 * std_u, 12 * std_u, 20_001)
    joint = scipy.stats.norm.pdf(u, 0.0, std_u)
    chosen = 1.0
    for t, d in enumerate(choices):
        # What the agent believes is the density of u given the outcomes so far.
        mean = (u * joint).sum() / joint.sum()
        prob = scipy.special.expit(c_0 + c_k * k + c_m * mean)
        chosen *= prob if d == 1 else 1 - prob
        intercept, loading, taught, deviation = equation(model, t, d)
        known = intercept + loading * k
        joint = joint * scipy.stats.norm.pdf(outcomes[t], known + taught * u, deviation)
    return np.log(joint.sum() * (u[1] - u[0])) + np.log(chosen)


@MODELS
def test_likelihood_integrates_ability_out(model):
    data = jax.tree.map(lambda leaf: leaf[:6], draw(model))
    supp = np.array([-4.0, 0.0, 0.7, 3.0])
    expected = [
        [integrate_over_ability(model, d, y, k) for k in supp]
        for d, y in zip(
            *map(np.asarray, (data["choices"], data["outcomes"])), strict=True
        )
    ]
    lclk = evaluate(model, data, jnp.asarray(supp))
    np.testing.assert_allclose(lclk, expected, rtol=1e-10, atol=1e-10)


def test_choices_and_outcomes_follow_the_densities():
    # E[exp(l(v) - l(v0))] = 1 at any v, for draws at v0: a density in both variables.
    data = draw(THREE, distribution=mixing.Normal(loc=0.4, scale=1e-9))
    lclk = np.asarray(evaluate(THREE, data, jnp.array([0.4, 0.2, 0.7])))
    ratios = np.exp(lclk[:, 1:] - lclk[:, :1])
    error = ratios.std(axis=0) / np.sqrt(N_OBS)
    assert (np.abs(ratios.mean(axis=0) - 1) < 4 * error).all()
    assert (error < 0.05).all()


def test_derivatives_are_those_of_finite_differences():
    # Two periods have all the terms there are, and compile faster.
    model = Learning(
        [0.3, 0.5], [0.2], [0.4, 0.6], [0.6], 1.3, 0.1, [-0.5, -0.7], [0.2, 0.4, 1.0]
    )
    data, supp = draw(model, 6), jnp.array([-2.0, 0.3, 1.5])
    theta, unravel = ravel_pytree(model)

    def total(theta):
        return jnp.sin(unravel(theta).lclk(data, supp)).sum()

    check_derivatives(total, theta)


def test_first_draws_do_not_depend_on_sample_size():
    few, many = draw(THREE, 6), draw(THREE)
    for name, value in few.items():
        np.testing.assert_array_equal(value, many[name][:6])


@pytest.fixture(scope="module")
def starter():
    return jax.jit(lambda data: erase(THREE).starting_values(data))


@pytest.mark.parametrize(
    ("n", "atol"),
    [(N_OBS, 0.4), pytest.param(10_000, 0.12, marks=pytest.mark.slow)],
)
def test_starting_values_are_consistent_where_the_factor_is_normal(n, atol, starter):
    got, wanted = ravel_pytree(starter(draw(THREE, n)))[0], ravel_pytree(THREE)[0]
    np.testing.assert_allclose(got, wanted, atol=atol)


def test_starting_values_change_with_the_units_of_the_outcomes(starter):
    data = draw(THREE)
    start = starter(data)
    other = starter({**data, "outcomes": 10 * data["outcomes"]})
    np.testing.assert_allclose(other.loading_0, start.loading_0, rtol=1e-6)
    np.testing.assert_allclose(other.intercept_0, 10 * start.intercept_0, rtol=1e-6)
    np.testing.assert_allclose(other.log_std_u, start.log_std_u + np.log(10), rtol=1e-6)
    np.testing.assert_allclose(other.choice[1:], start.choice[1:] / 10, rtol=1e-6)


@pytest.mark.parametrize(
    ("choices", "outcomes"),
    [
        (np.zeros((N_OBS, 3)), np.zeros((N_OBS, 3))),
        (np.ones((N_OBS, 3)), np.full((N_OBS, 3), 7.0)),
        (np.ones((N_OBS, 3)), np.outer(np.arange(N_OBS), [1, -2, 3])),
        (NUMBERS % 2, 1e100 * np.ones((N_OBS, 3))),
        (NUMBERS % 2, NUMBERS % 5),
    ],
)
def test_starting_values_are_finite_whatever_the_data(choices, outcomes, starter):
    data = {
        "choices": jnp.asarray(choices, dtype=int),
        "outcomes": jnp.asarray(outcomes, dtype=float),
    }
    assert np.isfinite(ravel_pytree(starter(data))[0]).all()


@pytest.mark.slow
@MODELS
@pytest.mark.parametrize(
    "distribution",
    [NORMAL, mixing.Discrete(supp=[-2, 0, 2.5], weights=[0.3, 0.45, 0.25])],
    ids=["normal", "discrete"],
)
def test_fit_recovers_the_truth(model, distribution):
    data = draw(model, 2000, key=3, distribution=distribution)
    start = erase(model).starting_values(data)
    fit = spmlex.fit(start, data, spmlex.uniform_grid(-6.0, 7.0, 50))
    truth, _ = ravel_pytree(model)
    error, _ = ravel_pytree(fit.standard_errors("sandwich"))
    assert not fit.flagged
    assert (np.abs(fit.theta - truth) < 4 * error).all()
    assert (error < 0.25).all()


def replace(name, value):
    return Learning(**{**{f: getattr(THREE, f) for f in vars(THREE)}, name: value})


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("intercept_0", [0.3], "give a list of T intercepts"),
        ("intercept_1", [0.1], r"intercept_1 has shape \(1,\)"),
        ("loading_0", [0.1, 0.2], r"give shape \(1,\) or \(3,\)"),
        ("loading_1", 1.0, r"give shape \(2,\)"),
        ("ability_0", [1.0], "ability_0 has shape"),
        ("log_std_u", [1.0], "log_std_u has shape"),
        ("log_std_e", [1.0], "log_std_e has shape"),
        ("choice", [1.0], "choice has shape"),
    ],
)
def test_impossible_parameters_are_refused(name, value, message):
    with pytest.raises(ValueError, match=message):
        replace(name, value)
