"""Tests of theta and of F, and how many points it has."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.scipy.stats import norm
from problems import approx
from scipy import optimize, stats

from spmlex import count_points, fit, mixing_test, product_grid, wald_test

N_OBS = 80
SUPP = jnp.linspace(-4.0, 4.0, 17)


class Line(eqx.Module):
    """y = slope x + curve x² + v + e, three of them, with standard normal errors."""

    coef: jax.Array

    def mean(self, x):
        return self.coef[0] * x + self.coef[1] * x**2

    def simulate(self, data, *, rng):
        noise = jax.random.normal(rng, data["x"].shape)
        return {"y": self.mean(data["x"]) + data["latent"][:, None] + noise}

    def lclk(self, data, supp):
        residual = (data["y"] - self.mean(data["x"]))[:, :, None] - supp
        return norm.logpdf(residual).sum(axis=1)


START = Line(jnp.array([0.5, 0.0]))


def draw(latent, seed=1):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(N_OBS, 3))
    y = 0.5 * x + latent(rng)[:, None] + rng.normal(size=x.shape)
    return {"x": jnp.asarray(x), "y": jnp.asarray(y)}


@pytest.fixture(scope="module")
def two_points():
    data = draw(lambda rng: rng.choice([-1.5, 1.5], N_OBS))
    return data, fit(START, data, SUPP, support="grid")


@pytest.fixture(scope="module")
def nothing_varies():
    data = draw(lambda rng: np.zeros(N_OBS))
    return data, fit(START, data, SUPP, support="grid")


def test_a_joint_wald_test_is_a_quadratic_form(two_points):
    _, estimate = two_points
    values = {"coef[1]": 0.1, "coef[0]": 0.4}
    test = wald_test(estimate, values, kind="sandwich")
    apart = np.asarray(estimate.theta) - [0.4, 0.1]
    covariance = np.asarray(estimate.covariance("sandwich"))
    by_hand = apart @ np.linalg.inv(covariance) @ apart
    assert test.statistic == approx(by_hand, 1e-9)
    assert test.p_value == approx(stats.chi2.sf(by_hand, 2), 1e-12)
    assert test.degrees_of_freedom == 2
    clusters = np.arange(N_OBS) // 2
    one = wald_test(estimate, "coef[0]", 0.0, kind="sandwich", clusters=clusters)
    error = estimate.standard_errors("sandwich", clusters=clusters).coef[0]
    assert one.statistic == approx((estimate.theta[0] / error) ** 2, 1e-9)
    with pytest.raises(ValueError, match="parameter='slope': this model has coef"):
        wald_test(estimate, "slope", 0.0)
    with pytest.raises(ValueError, match="kind='wrong' is not a kind of covariance"):
        wald_test(estimate, "coef[0]", 0.0, kind="wrong")


@pytest.mark.thorough
def test_the_default_wald_test_is_around_the_efficient_score(two_points):
    _, estimate = two_points
    found = estimate.efficient()
    test = wald_test(estimate, "coef[0]", 0.3)
    error = found.standard_errors()[0]
    assert test.statistic == approx(((found.theta[0] - 0.3) / error) ** 2, 1e-6)


@pytest.mark.thorough
def test_one_point_is_refused_where_there_are_two(two_points, nothing_varies):
    data, estimate = two_points
    test = mixing_test(estimate, "one_point", n_draws=19)
    assert test.p_value == approx(1 / 20, 1e-12)
    assert test.p_value_mcse == approx(np.sqrt(0.05 * 0.95 / 19), 1e-12)
    assert test.num_failed == 0
    # With F one point this is least squares with known variance.
    x = np.asarray(data["x"]).ravel()
    design = np.column_stack([x, x**2, np.ones_like(x)])
    coef, *_ = np.linalg.lstsq(design, np.asarray(data["y"]).ravel(), rcond=None)
    assert test.model.coef == approx(coef[:2], 1e-6)
    residual = np.asarray(data["y"]).ravel() - design @ coef
    height = stats.norm.logpdf(residual).sum()
    assert test.statistic == approx(2 * (estimate.log_likelihood - height), 1e-5)
    _, nothing = nothing_varies
    kept = mixing_test(nothing, "one_point", n_draws=19)
    assert kept.p_value > 0.1
    again = mixing_test(nothing, "one_point", n_draws=19)
    assert again.draws == approx(kept.draws, 0)
    other = mixing_test(nothing, "one_point", n_draws=19, seed=1)
    assert (other.draws != kept.draws).all()


@pytest.mark.thorough
def test_a_normal_distribution_is_told_from_two_points(two_points):
    data, estimate = two_points
    test = mixing_test(estimate, "normal", n_draws=19)
    assert test.p_value == approx(1 / 20, 1e-12)
    x, y = np.asarray(data["x"]), np.asarray(data["y"])

    def height(z):
        residual = y - z[0] * x - z[1] * x**2 - z[2]
        cov = np.eye(3) + np.exp(2 * z[3])
        return -stats.multivariate_normal(np.zeros(3), cov).logpdf(residual).sum()

    found = optimize.minimize(height, [0.5, 0.0, 0.0, 0.0])
    assert test.statistic == approx(2 * (estimate.log_likelihood + found.fun), 1e-4)
    assert test.model.coef == approx(found.x[:2], 1e-4)


@pytest.mark.thorough
def test_the_number_of_points_by_criteria(two_points):
    data, estimate = two_points
    found = count_points(estimate, most=4)
    assert found.best("bic") == found.best("aic") == 2
    assert found.converged[:2].all()
    assert (np.diff(found.log_likelihood) > 0).all()
    assert found.num_parameters[:2].tolist() == [3, 5]

    def height(z):
        lclk = np.asarray(Line(jnp.asarray(z[:2])).lclk(data, jnp.asarray(z[2:4])))
        mass = 1 / (1 + np.exp(-z[4]))
        return -np.log(np.exp(lclk) @ [mass, 1 - mass]).sum()

    best = optimize.minimize(height, [0.5, 0.0, -1.5, 1.5, 0.0])
    assert found.log_likelihood[1] == approx(-best.fun, 1e-5)
    assert found.theta[1] == approx(best.x[:2], 1e-4)
    assert found.bic[1] == approx(2 * best.fun + 5 * np.log(N_OBS), 1e-4)
    with pytest.raises(ValueError, match="criterion='hq' is not a criterion"):
        found.best("hq")


def residuals(data, weights=None, groups=None):
    """Return least squares of Line, an intercept for each group, and its height."""
    x, y = np.asarray(data["x"]), np.asarray(data["y"])
    groups = np.zeros(len(x), int) if groups is None else groups
    weights = np.ones(len(x)) if weights is None else weights
    dummies = np.eye(groups.max() + 1)[groups][:, None].repeat(3, axis=1)
    design = np.concatenate([x[..., None], x[..., None] ** 2, dummies], axis=2)
    root = np.sqrt(weights)[:, None, None]
    flat = (root * design).reshape(-1, design.shape[2])
    coef, *_ = np.linalg.lstsq(flat, (root[..., 0] * y).ravel(), rcond=None)
    height = (weights[:, None] * stats.norm.logpdf(y - design @ coef)).sum()
    return coef, height


@pytest.mark.thorough
def test_each_group_has_an_f_of_its_own_under_the_hypothesis(two_points):
    data, _ = two_points
    groups = np.arange(N_OBS) % 2
    estimate = fit(START, data, SUPP, support="grid", groups=groups)
    test = mixing_test(estimate, "one_point", n_draws=9)
    coef, height = residuals(data, groups=groups)
    assert test.model.coef == approx(coef[:2], 1e-6)
    assert test.statistic == approx(2 * (estimate.log_likelihood - height), 1e-5)
    assert test.p_value == approx(0.1, 1e-12)
    assert test.num_failed == 0
    normal = mixing_test(estimate, "normal", n_draws=4)
    assert 0 < float(normal.statistic) < float(test.statistic)


@pytest.mark.thorough
def test_weights_stay_with_their_rows(two_points):
    data, _ = two_points
    weights = np.random.default_rng(0).uniform(0.5, 2.0, N_OBS)
    weights[3] = 0.0
    estimate = fit(START, data, SUPP, support="grid", weights=weights)
    test = mixing_test(estimate, "one_point", n_draws=9)
    kept = weights > 0
    known = {name: values[kept] for name, values in data.items()}
    coef, height = residuals(known, weights[kept] / weights[kept].mean())
    assert test.model.coef == approx(coef[:2], 1e-6)
    assert test.statistic == approx(2 * (estimate.log_likelihood - height), 1e-5)
    assert test.p_value == approx(0.1, 1e-12)


@pytest.mark.thorough
def test_counts_are_as_many_observations_each_drawn_by_itself(nothing_varies):
    data, _ = nothing_varies
    counts = np.random.default_rng(0).integers(0, 4, N_OBS)
    counted = fit(START, data, SUPP, support="grid", counts=counts)
    rows = np.repeat(np.arange(N_OBS), counts)
    repeated = {name: values[rows] for name, values in data.items()}
    plain = fit(START, repeated, SUPP, support="grid")
    one, other = (mixing_test(x, "one_point", n_draws=9) for x in (counted, plain))
    assert one.statistic == approx(float(other.statistic), 1e-6)
    assert one.draws == approx(np.asarray(other.draws), 1e-5)


class Slopes(eqx.Module):
    """y = curve x² + v x + u + e with both of (u, v) unobserved."""

    curve: jax.Array

    def simulate(self, data, *, rng):
        noise = jax.random.normal(rng, data["x"].shape)
        level, slope = data["latent"][:, :1], data["latent"][:, 1:]
        x = data["x"]
        return {"y": self.curve * x**2 + slope * x + level + noise}

    def lclk(self, data, supp):
        x = data["x"][:, :, None]
        mean = self.curve * x**2 + supp[:, 1] * x + supp[:, 0]
        return norm.logpdf(data["y"][:, :, None] - mean).sum(axis=1)


@pytest.mark.thorough
def test_a_normal_distribution_in_two_dimensions():
    rng = np.random.default_rng(3)
    latent = rng.multivariate_normal([0.0, 0.5], [[1.0, 0.4], [0.4, 0.5]], N_OBS)
    x = rng.normal(size=(N_OBS, 3))
    y = latent[:, :1] + latent[:, 1:] * x + rng.normal(size=x.shape)
    data = {"x": jnp.asarray(x), "y": jnp.asarray(y)}
    supp = product_grid(jnp.linspace(-3.0, 3.0, 9), jnp.linspace(-2.0, 3.0, 9))
    estimate = fit(Slopes(jnp.array(0.1)), data, supp, support="grid")
    test = mixing_test(estimate, "normal", n_draws=4)

    def height(z):
        root = np.array([[np.exp(z[3]), 0.0], [z[4], np.exp(z[5])]])
        total = 0.0
        for xi, yi in zip(x, y, strict=True):
            design = np.column_stack([np.ones(3), xi])
            cov = design @ root @ root.T @ design.T + np.eye(3)
            mean = z[0] * xi**2 + design @ z[1:3]
            away = yi - mean
            total += 0.5 * away @ np.linalg.solve(cov, away)
            total += 0.5 * np.linalg.slogdet(2 * np.pi * cov)[1]
        return total

    found = optimize.minimize(height, [0.0, 0.0, 0.5, 0.0, 0.0, 0.0])
    assert test.statistic == approx(2 * (estimate.log_likelihood + found.fun), 1e-4)
    assert float(test.model.curve) == approx(found.x[0], 1e-4)
    assert test.num_failed == 0
    assert np.isfinite(test.draws).all()


def test_hypotheses_that_can_not_be_tested_are_refused(two_points):
    data, estimate = two_points
    with pytest.raises(ValueError, match="hypothesis='even' is not a hypothesis"):
        mixing_test(estimate, "even")
    labelled = fit(START, data, jnp.arange(-2, 3), max_steps=1, throw=False)
    with pytest.raises(ValueError, match="labels, which have no mean"):
        mixing_test(labelled, "normal")
    groups = jnp.arange(N_OBS) % 2
    grouped = fit(START, data, SUPP, groups=groups, max_steps=1, throw=False)
    with pytest.raises(ValueError, match="this has groups"):
        count_points(grouped)
