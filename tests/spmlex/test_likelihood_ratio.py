"""Likelihood ratio tests: of all parameters there are, and of several jointly."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from problems import LinearFactor, approx
from scipy import stats

from spmlex import fit, likelihood_ratio_interval, likelihood_ratio_test, profile_ll


class Slope(eqx.Module):
    """A linear panel with one slope and a random intercept."""

    slope: jax.Array

    def lclk(self, data, supp):
        rest = data["y"][:, None] - self.slope * data["x"][:, None] - supp
        return -0.5 * rest**2


@pytest.fixture(scope="module")
def one():
    rng = np.random.default_rng(0)
    x = rng.normal(size=80)
    y = 0.5 * x + rng.choice([-1.5, 1.5], size=80) + rng.normal(size=80)
    data = {"x": x, "y": y}
    return fit(Slope(jnp.array(0.4)), data, np.linspace(-4, 4, 17), support="grid")


@pytest.fixture(scope="module")
def factor():
    rng = np.random.default_rng(0)
    latent = rng.choice([-3.0, 0.0, 5.0], size=100)
    outcomes = latent[:, None] * np.array([1.0, 1.5, 0.3])
    outcomes = outcomes + rng.normal(size=(100, 3))
    start = LinearFactor(coef=jnp.array([1.5, 0.3]), log_std_e=jnp.zeros(3))
    return fit(start, {"outcomes": outcomes}, np.linspace(-6, 6, 25), support="grid")


def test_the_only_parameter_can_be_tested(one):
    test = likelihood_ratio_test(one, "slope", 0.2)
    data, supp = one.problem.data, one.problem.supp
    value, _ = profile_ll(Slope(jnp.array(0.2)), data, supp)
    drop = float(2 * (one.log_likelihood + 80 * value))
    assert test.converged
    assert test.statistic == approx(drop, 1e-7)
    assert test.p_value == approx(stats.chi2.sf(drop, 1), 1e-8)
    assert test.theta == approx([0.2], 0)


def test_the_only_parameter_has_an_interval(one):
    lower, upper = likelihood_ratio_interval(one, 0.9)
    assert lower < one.theta < upper
    for limit in (lower, upper):
        found = likelihood_ratio_test(one, "slope", float(limit[0]))
        assert found.p_value == approx(0.1, 1e-3)
    made = one.confint(0.9, "likelihood_ratio")
    assert made[0] == approx(lower, 1e-12)


def test_several_parameters_are_tested_jointly(factor):
    test = likelihood_ratio_test(factor, {"coef[1]": 0.2, "coef[0]": 1.4})
    held = LinearFactor(coef=jnp.array([1.4, 0.2]), log_std_e=factor.model.log_std_e)
    problem = factor.problem
    apart = fit(
        held, problem.data, problem.supp, fixed=lambda m: m.coef, support="grid"
    )
    drop = float(2 * (factor.log_likelihood - apart.log_likelihood))
    assert test.degrees_of_freedom == 2
    assert test.converged
    assert test.statistic == approx(drop, 1e-6)
    assert test.p_value == approx(stats.chi2.sf(drop, 2), 1e-7)
    assert test.theta == approx([1.4, 0.2, *apart.theta], 1e-5)


def test_all_parameters_are_tested_jointly(one, factor):
    assert likelihood_ratio_test(one, {"slope": 0.2}).statistic == approx(
        likelihood_ratio_test(one, "slope", 0.2).statistic, 1e-10
    )
    names = ("coef[0]", "coef[1]", *(f"log_std_e[{t}]" for t in range(3)))
    here = dict(zip(names, factor.theta.tolist(), strict=True))
    test = likelihood_ratio_test(factor, here)
    assert test.degrees_of_freedom == 5
    assert test.statistic == approx(0.0, 1e-8)
    assert test.p_value == approx(1.0, 1e-8)


@pytest.fixture(scope="module")
def free(one):
    data, supp = one.problem.data, one.problem.supp
    return fit(Slope(jnp.array(0.4)), data, supp, support="free")


def test_the_atoms_are_free_under_the_hypothesis_too(one, free):
    data, supp = one.problem.data, one.problem.supp
    test = likelihood_ratio_test(free, "slope", 0.2)
    held = fit(
        Slope(jnp.array(0.2)), data, supp, fixed=lambda m: m.slope, support="free"
    )
    drop = float(2 * (free.log_likelihood - held.log_likelihood))
    assert test.converged
    assert test.statistic == approx(drop, 1e-5)
    assert test.theta == approx([0.2], 0)
    # Points that moved from the grid move on with theta to first order alone.
    moved = fit(Slope(jnp.array(0.4)), data, supp)
    assert moved.support == "free"
    assert likelihood_ratio_test(moved, "slope", 0.2).statistic == approx(drop, 0.1)


@pytest.mark.thorough
def test_intervals_with_free_support_hold_what_the_test_does_not_reject(free):
    lower, upper = free.confint(0.9, "likelihood_ratio")
    assert lower < free.theta < upper
    for limit in (lower, upper):
        found = likelihood_ratio_test(free, "slope", float(limit[0]))
        assert found.p_value == approx(0.1, 1e-3)


class Line(eqx.Module):
    """A linear panel with two slopes, in one array, and a random intercept."""

    slopes: jax.Array

    def lclk(self, data, supp):
        rest = data["y"][:, None] - (data["x"] @ self.slopes)[:, None] - supp
        return -0.5 * rest**2


@pytest.mark.thorough
def test_one_entry_of_an_array_is_held_while_the_atoms_move():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(80, 2))
    y = x @ [0.5, -0.5] + rng.choice([-1.5, 1.5], size=80) + rng.normal(size=80)
    estimate = fit(
        Line(jnp.array([0.4, -0.4])),
        {"x": x, "y": y},
        np.linspace(-4, 4, 17),
        support="free",
    )
    one = likelihood_ratio_test(estimate, "slopes[1]", 0.0)
    both = likelihood_ratio_test(estimate, {"slopes[0]": 0.0, "slopes[1]": 0.0})
    assert one.converged
    assert both.converged
    assert both.degrees_of_freedom == 2
    assert 0 < float(one.statistic) < float(both.statistic)
    plain, _ = profile_ll(Line(one.theta), {"x": x, "y": y}, np.linspace(-4, 4, 401))
    drop = float(2 * (estimate.log_likelihood + 80 * plain))
    assert one.statistic == approx(drop, 0.01)


@pytest.mark.parametrize(
    ("parameter", "value", "message"),
    [
        ("slope", None, "value is missing"),
        ({"slope": 1.0}, 1.0, "the values are in parameter"),
        ({}, None, "name at least one"),
        ({"slope": 1.0, "beta": 0.0}, None, "parameter='beta': this model has slope"),
    ],
)
def test_a_hypothesis_without_sense_is_refused(one, parameter, value, message):
    with pytest.raises(ValueError, match=message):
        likelihood_ratio_test(one, parameter, value)
