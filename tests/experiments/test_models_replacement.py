"""The replacement model's fixed point, likelihood, derivatives, draws and estimates."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree
from model_helpers import check_derivatives

import spmlex
from experiments import mixing
from experiments.dgp import Process
from experiments.engine.replicate import erase
from experiments.models.parts.bellman import apply_bellman
from experiments.models.replacement import Replacement

pytestmark = pytest.mark.thorough

TRUTH = Replacement(cost=0.05, log_odds=[0.5, -0.9], n_states=60, n_periods=60)
SMALL = Replacement(cost=0.4, log_odds=[0.5, -0.9, -2.0], n_states=9, n_periods=30)
NORMAL = mixing.Normal(loc=6, scale=1.5)
EXTREME = jnp.array([-1000.0, -10.0, 0.0, 5.0, 12.0, 1000.0])


SAME = mixing.Normal(loc=5, scale=1e-9)
"""All costs are equal, up to nothing; drawn by the program that draws normal ones."""


@eqx.filter_jit
def draw(model, n, key=0, distribution: mixing.AbstractMixing = NORMAL):
    return Process(model, distribution).simulate(jax.random.key(key), n)


@eqx.filter_jit
def evaluate(model, data, supp):
    return model.lclk(data, supp)


@eqx.filter_jit
def solve(model, v):
    values = model.values(v)
    return values, apply_bellman(model.discount, model._problem(v), values) - values


@eqx.filter_jit
def start_from(model, data):
    return ravel_pytree(erase(model).starting_values(data))[0]


def draw_few():
    return jax.tree.map(lambda leaf: leaf[:8], draw(SMALL, 2000))


def move_probs(model):
    weights = np.exp(np.concatenate([[0.0], model.log_odds]))
    return weights / weights.sum()


def iterate_values(model, v):
    """Iterate the Bellman equation to 1e-12 and return the log choice probabilities."""
    n, probs = model.n_states, move_probs(model)
    transitions = np.zeros((n, n))
    for x in range(n):
        for j, prob in enumerate(probs):
            transitions[x, min(x + j, n - 1)] += prob
    values = np.zeros(n)
    while True:
        expected = model.discount * transitions @ values
        keep = -float(model.cost) * np.arange(n) + expected
        replace = -v + expected[0]
        new = np.logaddexp(keep, replace)
        if np.abs(new - values).max() < 1e-12:
            either = np.logaddexp(keep, replace)
            return np.stack([keep - either, replace - either])
        values = new


def test_likelihood_is_that_of_iterated_values():
    data = draw_few()
    supp = np.array([0.0, 3.0, 6.0, 11.0])
    driven = np.asarray(data["increments"]) @ np.log(move_probs(SMALL))
    decisions = np.asarray(data["decisions"]).reshape(8, 2, -1)
    expected = [(decisions * iterate_values(SMALL, v)).sum(axis=(1, 2)) for v in supp]
    lclk = evaluate(SMALL, data, jnp.asarray(supp))
    np.testing.assert_allclose(lclk, np.stack(expected, 1) + driven[:, None], rtol=1e-9)


def test_replacement_becomes_rarer_as_it_costs_more_and_likelier_with_mileage():
    costs = jnp.array([3.0, 6.0, 9.0])
    log_probs = jax.jit(lambda v: TRUTH._log_choice_probs(v))(costs)
    replaces = np.exp(log_probs[TRUTH.n_states :])
    assert (np.diff(replaces, axis=0) > 0).all()
    assert (np.diff(replaces, axis=1) < 0).all()
    np.testing.assert_allclose(np.exp(log_probs[: TRUTH.n_states]) + replaces, 1.0)


@pytest.mark.parametrize("discount", [0.0, 0.95, 0.99])
def test_fixed_point_is_exact_at_extreme_costs(discount):
    model = Replacement(
        cost=0.05, log_odds=[0.5, -0.9], n_states=60, n_periods=60, discount=discount
    )
    _, residual = solve(model, EXTREME)
    assert np.abs(residual).max() < 1e-10


def test_fixed_point_does_not_depend_on_its_company():
    together, _ = solve(TRUTH, EXTREME)
    alone = jnp.concatenate([solve(TRUTH, v[None])[0] for v in EXTREME], axis=1)
    np.testing.assert_allclose(together, alone, rtol=1e-12)


def test_derivatives_are_those_of_finite_differences():
    model = Replacement(0.4, [0.5, -0.9, -2.0], 9, 30, 0.99)
    data, supp = draw_few(), jnp.array([2.0, 5.0, 9.0])
    theta, unravel = ravel_pytree((model, supp))

    def total(theta):
        model, supp = unravel(theta)
        return jnp.sin(0.1 * model.lclk(data, supp)).sum()

    check_derivatives(total, theta)


def test_first_draws_do_not_depend_on_sample_size():
    few, many = draw(SMALL, 8), draw(SMALL, 2000)
    for name, value in few.items():
        np.testing.assert_array_equal(value, many[name][:8])


def test_draws_follow_the_choice_and_increment_probabilities():
    n = 2000
    data = draw(SMALL, n, distribution=SAME)
    decisions = np.asarray(data["decisions"])
    np.testing.assert_array_equal(decisions.sum(axis=1), SMALL.n_periods)
    kept, replaced = decisions.sum(axis=0).reshape(2, -1)
    prob = np.exp(iterate_values(SMALL, 5.0)[1])
    times = kept + replaced
    error = np.sqrt(prob * (1 - prob) / times)
    assert (times > 100).all()
    assert (np.abs(replaced / times - prob) < 4 * error).all()
    shares = np.asarray(data["increments"]).sum(axis=0) / (n * SMALL.n_periods)
    error = np.sqrt(move_probs(SMALL) / (n * SMALL.n_periods))
    assert (np.abs(shares - move_probs(SMALL)) < 4 * error).all()


def test_starting_values_find_the_truth_where_all_costs_are_equal():
    cost, *log_odds = start_from(SMALL, draw(SMALL, 2000, distribution=SAME))
    np.testing.assert_allclose(cost, SMALL.cost, rtol=0.1)
    np.testing.assert_allclose(log_odds, SMALL.log_odds, atol=0.1)


@pytest.mark.parametrize("case", ["never", "always", "nothing", "still"])
def test_starting_values_are_finite_whatever_the_data(case):
    decisions, increments = np.zeros((2000, 18)), np.zeros((2000, 4))
    if case == "never":
        decisions[:, 8], increments[:, 3] = 30.0, 30.0
    if case == "always":
        decisions[:, 9], increments[:, 1] = 30.0, 30.0
    if case == "still":
        decisions[:, 0], increments[:, 0] = 30.0, 30.0
    data = {"decisions": jnp.asarray(decisions), "increments": jnp.asarray(increments)}
    assert np.isfinite(start_from(SMALL, data)).all()


@pytest.mark.slow
@pytest.mark.parametrize(
    "distribution",
    [NORMAL, mixing.Discrete(supp=[4, 7], weights=[0.4, 0.6])],
    ids=["normal", "discrete"],
)
def test_fit_recovers_the_truth(distribution):
    data = draw(TRUTH, 1000, key=3, distribution=distribution)
    start = erase(TRUTH).starting_values(data)
    fit = spmlex.fit(start, data, spmlex.uniform_grid(0.0, 12.0, 50))
    truth, _ = ravel_pytree(TRUTH)
    error, _ = ravel_pytree(fit.standard_errors("sandwich"))
    assert not fit.flagged
    assert (np.abs(fit.theta - truth) < 4 * error).all()
    assert (error < 0.05).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([0.1], [0.5]), "cost has shape"),
        ((0.1, 0.5), "log_odds has shape"),
        ((0.1, []), "log_odds has shape"),
        ((0.1, [0.5, 0.1], 2), "fewer than n_states=2"),
        ((0.1, [0.5], 5, 0), "n_periods=0"),
        ((0.1, [0.5], 5, 5, 1.0), "discount=1.0"),
        ((0.1, [0.5], 5, 5, -0.1), "discount=-0.1"),
    ],
)
def test_impossible_parameters_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Replacement(*arguments)
