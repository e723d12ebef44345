"""Units do not matter: of data, covariates, the unobservable, or of a parameter."""

import dataclasses
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.scipy.special import gammaln
from problems import LinearFactor, approx, linear_factor, published_example
from scipy import stats

from spmlex import RESULTS, data_range, fit
from spmlex._adequacy.unbounded import unbounded_parameters
from spmlex._inner.mixture import normalise_weights
from spmlex._profile.problem import _zero_rounding
from spmlex._support.continuum import box_of

UNITS = (1e-8, 1e-3, 1e4, 1e8)


class Logit(eqx.Module):
    """Binary outcomes with one slope and a random intercept."""

    slope: jax.Array

    def lclk(self, data, supp):
        index = self.slope * data["x"] + supp[:, None, None]
        return jnp.sum(jax.nn.log_sigmoid(data["sign"] * index), axis=2).T


class Poisson(eqx.Module):
    """Counts with one slope and a random intercept."""

    slope: jax.Array

    def lclk(self, data, supp):
        index = self.slope * data["x"] + supp[:, None, None]
        y = data["y"]
        return jnp.sum(y * index - jnp.exp(index) - gammaln(y + 1.0), axis=2).T


class Duration(eqx.Module):
    """Weibull durations with a slope, a shape and a random log rate; no unit of time.

    The grid is of the log of the rate, so units of time move it.
    """

    slope: jax.Array
    log_shape: jax.Array

    def lclk(self, data, supp):
        shape = jnp.exp(self.log_shape)
        index = self.slope * data["x"] + supp[:, None, None]
        standard = shape * (jnp.log(data["y"]) + index)
        log_density = self.log_shape + standard - jnp.log(data["y"])
        return jnp.sum(log_density - jnp.exp(standard), axis=2).T


class Panel(eqx.Module):
    """A linear panel with one slope, a noise scale and a random intercept."""

    slope: jax.Array
    log_std: jax.Array

    def lclk(self, data, supp):
        rest = data["y"] - self.slope * data["x"] - supp[:, None, None]
        square = (rest * jnp.exp(-self.log_std)) ** 2
        return jnp.sum(-0.5 * square - self.log_std, axis=2).T


def covariate(n_obs, seed=0):
    rng = np.random.default_rng(seed)
    latent = rng.choice([-1.0, 1.2], size=n_obs, p=[0.4, 0.6])
    x = rng.normal(size=(n_obs, 4))
    return rng, x, latent[:, None] + 0.7 * x


def logit():
    rng, x, index = covariate(150)
    sign = np.sign(index + rng.logistic(size=index.shape))
    return Logit(jnp.array(0.3)), {"x": x, "sign": sign}, np.linspace(-3.0, 3.0, 15)


def poisson():
    rng, x, index = covariate(100)
    data = {"x": x, "y": rng.poisson(np.exp(0.6 * index)).astype(float)}
    return Poisson(jnp.array(0.3)), data, np.linspace(-2.5, 2.5, 21)


def duration():
    rng, x, index = covariate(100)
    y = rng.exponential(size=x.shape) ** (1 / 1.5) / np.exp(index)
    model = Duration(jnp.array(0.3), jnp.array(0.2))
    return model, {"x": x, "y": y}, np.linspace(-3.0, 3.0, 21)


def panel():
    rng, x, index = covariate(100)
    data = {"x": x, "y": index + 0.8 * rng.normal(size=x.shape)}
    return Panel(jnp.array(0.3), jnp.array(0.2)), data, np.linspace(-3.0, 3.0, 21)


def in_units(name: str, unit: float):
    """Return a problem, the same in another unit, and what theta is then.

    theta there is `factor * theta + shift`.
    """
    model, data, supp = {
        "logit": logit,
        "poisson": poisson,
        "duration, covariate": duration,
        "duration, time": duration,
        "panel, covariate": panel,
        "panel, outcome": panel,
        "factor": linear_factor,
    }[name]()
    log_unit = float(np.log(unit))
    other: Any
    if name == "factor":
        # The outcomes and the unobservable together: loadings stay.
        factor, shift = np.ones(5), log_unit * np.array([0, 0, 1, 1, 1])
        other = LinearFactor(coef=model.coef, log_std_e=model.log_std_e + log_unit)
        moved = {"outcomes": unit * data["outcomes"]}, unit * supp
    elif name == "panel, outcome":
        factor, shift = np.array([unit, 1.0]), np.array([0.0, log_unit])
        other = Panel(unit * model.slope, model.log_std + log_unit)
        moved = data | {"y": unit * data["y"]}, unit * supp
    elif name == "duration, time":
        factor, shift = np.ones(2), np.zeros(2)
        other = model
        moved = data | {"y": unit * data["y"]}, supp - log_unit
    else:
        size = len(jax.tree.leaves(model))
        factor = np.array([1.0 / unit, 1.0])[:size]
        shift = np.zeros(size)
        other = dataclasses.replace(model, slope=model.slope / unit)
        moved = data | {"x": unit * data["x"]}, supp
    return (model, data, supp), (other, *moved), (factor, shift)


NAMES = (
    "logit",
    "poisson",
    "duration, covariate",
    "duration, time",
    "panel, covariate",
    "panel, outcome",
    "factor",
)


@pytest.mark.parametrize("name", NAMES)
def test_units_change_theta_by_the_unit_and_nothing_else(name):
    problem, _, _ = in_units(name, 1.0)
    plain = fit(*problem, support="grid", throw=False)
    assert plain.result == RESULTS.successful
    for unit in UNITS:
        _, moved, (factor, shift) = in_units(name, unit)
        there = fit(*moved, support="grid", throw=False)
        assert there.result == RESULTS.successful
        assert there.num_steps == plain.num_steps
        assert (there.theta - shift) / factor == approx(plain.theta, 1e-6)
        assert there.probs == approx(plain.probs, 1e-6)
        assert bool(there.flagged) == bool(plain.flagged)
        for kind in ("sandwich", "observed", "opg"):
            own = jnp.sqrt(jnp.diagonal(plain.covariance(kind)))
            found = jnp.sqrt(jnp.diagonal(there.covariance(kind))) / factor
            assert found / own == approx(np.ones(own.size), 1e-5)


@pytest.mark.parametrize("name", ["duration, covariate", "duration, time"])
def test_units_do_not_matter_where_the_support_moves(name):
    plain = fit(*in_units(name, 1.0)[0], support="free")
    for unit in (1e-8, 1e8):
        _, moved, (factor, shift) = in_units(name, unit)
        there = fit(*moved, support="free")
        assert (there.theta - shift) / factor == approx(plain.theta, 1e-5)
        assert there.num_atoms == plain.num_atoms
        assert there.certificate is not None
        assert there.certificate.gap <= 1e-9


class Levels(LinearFactor):
    """The linear factor model with its noise scales in levels, not in logarithms."""

    def lclk(self, data, supp):
        other = LinearFactor(self.coef, jnp.log(jnp.abs(self.log_std_e)))
        return other.lclk(data, supp)


def find_unbounded(model, free, data, supp):
    """Look for parameters without bound, each observation counting the same."""
    weights = normalise_weights(None, jax.tree.leaves(data)[0].shape[0])
    return unbounded_parameters(model, free, data, *box_of(supp), weights)


@pytest.mark.parametrize("unit", UNITS)
def test_a_likelihood_without_bound_is_recognised_in_any_unit(unit):
    _, (model, data, supp), _ = in_units("factor", unit)
    levels = Levels(model.coef, jnp.exp(model.log_std_e))
    for kind in (model, levels):
        found = find_unbounded(kind, (True, True), data, supp)
        assert found == [f"log_std_e[{t}]" for t in range(3)]
    _, (bounded, data, supp), _ = in_units("poisson", unit)
    assert find_unbounded(bounded, (True,), data, supp) == []
    held = (True, False)
    _, (line, data, supp), _ = in_units("panel, covariate", unit)
    assert find_unbounded(line, held, data, supp) == []


@pytest.mark.parametrize("unit", UNITS)
def test_starts_are_told_apart_in_any_unit(unit):
    model, data, supp = panel()
    data = data | {"x": data["x"] / unit}
    near, far = (Panel(jnp.array(unit * b), model.log_std) for b in (0.3, 0.33))
    given = (near, data, supp)
    other = fit(*given, support="grid", starts=[far, near], max_steps=2, throw=False)
    assert other.optima is not None
    # A start given twice is searched once; another one, however near, by itself.
    assert other.optima.theta[0] == approx(other.optima.theta[2], 0)
    assert not jnp.array_equal(other.optima.theta[0], other.optima.theta[1])


@pytest.mark.parametrize("unit", UNITS)
def test_the_range_of_the_data_has_the_unit_of_the_data(unit):
    model, data, _ = linear_factor()
    plain = data_range(model, data, -20.0, 20.0)
    _, (moved, there, _), _ = in_units("factor", unit)
    found = data_range(moved, there, -20.0 * unit, 20.0 * unit)
    assert np.array(found) / unit == approx(np.array(plain), 1e-9)


@pytest.mark.parametrize("unit", [1e-8, 1.0, 1e8])
@pytest.mark.parametrize("start", [0.0, 0.5, 14.0, 35.0])
def test_a_parameter_runs_off_in_any_unit_and_from_any_start(unit, start):
    x = np.random.default_rng(0).normal(size=(60, 1))
    separated = {"x": unit * x, "sign": np.sign(x)}
    # An outcome that x predicts without error, and no doubt about the intercept.
    model = Logit(jnp.array(start / unit))
    estimate = fit(model, separated, np.zeros(1), support="grid", throw=False)
    assert estimate.result == RESULTS.parameter_diverging


@pytest.mark.parametrize("unit", [1e-8, 1.0, 1e8])
def test_a_group_without_events_runs_off_beside_a_parameter_that_does_not(unit):
    class Two(eqx.Module):
        slopes: jax.Array

        def lclk(self, data, supp):
            index = (data["x"] @ self.slopes)[:, None] + supp
            return data["y"][:, None] * index - jnp.exp(index)

    rng = np.random.default_rng(1)
    dummy, x = np.arange(120) % 3 == 0, rng.normal(size=120)
    y = rng.poisson(np.exp(0.5 * x)) * ~dummy
    data = {"x": np.stack([unit * dummy, x], axis=1), "y": y.astype(float)}
    model = Two(jnp.zeros(2))
    estimate = fit(model, data, np.linspace(-2, 2, 9), support="grid", throw=False)
    assert estimate.result == RESULTS.parameter_diverging


@pytest.mark.parametrize("unit", [1e-8, 1e8])
def test_a_start_knows_nothing_of_the_unit(unit):
    model, data, supp = panel()
    plain = fit(model, data, supp, support="grid")
    zero = Panel(jnp.array(0.0), jnp.array(0.2))
    there = fit(zero, data | {"x": unit * data["x"]}, supp, support="grid")
    assert there.theta * np.array([unit, 1.0]) == approx(plain.theta, 1e-6)


@pytest.mark.parametrize("log_std", [-9.0, -4.0, 6.0])
def test_a_start_far_too_narrow_or_wide_ends_at_the_maximum(log_std):
    # Once the largest curvature so far was the unit of the gradient at the end too.
    model, data, _ = panel()
    far = Panel(model.slope, jnp.array(log_std))
    one = np.array([0.3])
    estimate = fit(far, data, one, support="grid")
    rest = np.asarray(data["y"]) - 0.3
    x = np.asarray(data["x"])
    slope = np.sum(x * rest) / np.sum(x**2)
    scale = np.sqrt(np.mean((rest - slope * x) ** 2))
    assert estimate.theta == approx([slope, np.log(scale)], 1e-7)


@pytest.mark.parametrize("unit", [1e-2, 1e-3])
def test_a_start_whose_noise_is_wider_than_the_data_ends_at_the_maximum(unit):
    # The middle of this grid is zero but for rounding: at first F has its mass there,
    # and the loadings, times 1e-17, once went off to 1e13 and stayed.
    _, data, supp = published_example()
    grid = jnp.linspace(-6.0 * unit, 6.0 * unit, 75)
    assert 0.0 < float(jnp.min(jnp.abs(grid))) < 1e-15
    start = LinearFactor(coef=jnp.array([1.0, 0.5]), log_std_e=jnp.zeros(3))
    plain = fit(start, data, supp)
    estimate = fit(start, {"outcomes": unit * data["outcomes"]}, grid)
    shift = np.log(unit) * np.array([0, 0, 1, 1, 1])
    assert estimate.theta - shift == approx(plain.theta, 1e-6)


@pytest.mark.parametrize("traced", [False, True])
def test_zeros_of_a_grid_are_zero_and_other_points_stay(traced):
    points = jnp.array([[-jnp.inf, 1e-17], [1e-17, 1e-9], [3.0, 2.0]])
    read = jax.jit(_zero_rounding) if traced else _zero_rounding
    assert read(points).tolist() == [[-np.inf, 0.0], [0.0, 1e-9], [3.0, 2.0]]
    assert (jax.jacobian(_zero_rounding)(jnp.array([1e-17, 2.0])) == jnp.eye(2)).all()


def test_a_maximum_at_a_single_point_says_that_there_may_be_another():
    model, data, supp = panel()
    apart = {"x": data["x"], "y": data["y"] - data["y"].mean(axis=1, keepdims=True)}
    warned = "Warning: F is a single point at this maximum"
    estimate = fit(model, apart, supp, support="grid")
    assert estimate.num_atoms == 1
    assert warned in estimate.summary(kind="sandwich")
    assert warned not in fit(model, apart, np.zeros(1)).summary(kind="sandwich")


@pytest.mark.parametrize("unit", [1e-6, 1e6])
def test_a_slope_in_dollars_is_estimated_tested_and_printed(unit):
    """A covariate in millions of dollars, or in millionths of one."""
    model, data, supp = panel()
    model = Panel(jnp.array(0.0), model.log_std)
    data |= {"y": data["y"] - 0.65 * data["x"]}  # a small slope: P is no zero
    plain = fit(model, data, supp, support="grid")
    estimate = fit(model, data | {"x": unit * data["x"]}, supp, support="grid")
    assert estimate.result == RESULTS.successful
    slope = float(estimate.theta[0])
    assert slope * unit == approx(float(plain.theta[0]), 1e-6)
    assert abs(slope) > 1e4 or abs(slope) < 1e-6
    made = estimate.intervals(kind="jackknife")
    text = estimate.summary(kind="jackknife").splitlines()
    (shown,) = [line.split()[1:] for line in text if line.startswith("slope")]
    assert float(shown[0]) / slope == approx(1.0, 1e-3)
    # P is one minus the level of the interval that has an end at zero.
    t = abs(float(made.centre[0] / made.standard_error[0]))
    p_value = 2 * stats.t.sf(t, made.degrees_of_freedom)
    assert float(shown[3]) == approx(float(p_value), 6e-4)
    assert abs(p_value - 2 * stats.norm.sf(t)) > 2e-3
    closed = estimate.intervals(kind="jackknife", level=1 - float(p_value))
    nearest = min(abs(float(closed.lower[0])), abs(float(closed.upper[0])))
    assert nearest / abs(slope) == approx(0.0, 1e-8)
