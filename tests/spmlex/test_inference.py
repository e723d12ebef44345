"""Covariances, refits, likelihood ratios, the delta method."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree
from problems import approx, central_differences, linear_factor
from scipy import stats

from spmlex import (
    INTERVAL_KINDS,
    bootstrap,
    delta_method,
    fit,
    jackknife,
    likelihood_ratio_interval,
    likelihood_ratio_test,
    profile_ll,
)
from spmlex._climb.normal_points import covariance_root, normal_design

NAMES = ("coef[0]", "coef[1]", "log_std_e[0]", "log_std_e[1]", "log_std_e[2]")


@pytest.fixture(scope="module")
def estimate():
    model, data, supp = linear_factor()
    return fit(model, data, supp, support="grid")


@pytest.fixture(scope="module")
def left_out(estimate):
    return jackknife(estimate, n_groups=4, seed=3)


def refit(estimate, weights):
    problem = estimate.problem
    given = (estimate.model, problem.data, problem.supp)
    return fit(*given, weights=weights, support="grid")


@pytest.mark.thorough
def test_the_jackknife_leaves_each_group_out_once(estimate, left_out):
    group = np.asarray(jax.random.permutation(jax.random.key(3), 200) % 4)
    assert np.bincount(group).tolist() == [50] * 4
    for number in range(4):
        alone = refit(estimate, jnp.asarray(group != number, float))
        assert left_out.theta[number] == approx(alone.theta, 2e-5)
    centred = np.asarray(left_out.theta) - np.mean(left_out.theta, axis=0)
    assert left_out.covariance == approx(0.75 * centred.T @ centred, 1e-12)
    assert left_out.degrees_of_freedom == 3
    assert left_out.num_failed == 0


def test_failed_refits_are_left_out_and_counted(left_out):
    codes = jnp.array([0, 3, 0, 0])
    broken = dataclasses.replace(
        left_out, code=codes, theta=left_out.theta.at[1].set(jnp.nan)
    )
    kept = np.asarray(left_out.theta)[[0, 2, 3]]
    centred = kept - kept.mean(axis=0)
    assert broken.num_failed == 1
    assert broken.covariance == approx(3.0 * centred.T @ centred / 3, 1e-12)


@pytest.mark.thorough
def test_clusters_are_left_out_whole(estimate):
    clusters = np.repeat(np.arange(4) + 7, 50)
    found = jackknife(estimate, n_groups=4, clusters=clusters)
    alone = refit(estimate, jnp.asarray(clusters != 8, float))
    nearest = jnp.min(jnp.max(jnp.abs(found.theta - alone.theta), axis=1))
    assert nearest < 2e-5


@pytest.mark.thorough
def test_bootstrap_weights_have_the_right_moments(estimate):
    draws = bootstrap(estimate, n_draws=30, seed=1)
    again = bootstrap(estimate, n_draws=30, seed=1)
    assert jnp.array_equal(draws.theta, again.theta)
    assert draws.num_failed == 0
    centred = np.asarray(draws.theta) - np.mean(draws.theta, axis=0)
    assert draws.covariance == approx(centred.T @ centred / 29, 1e-12)
    # The estimate of a sample of 200 varies as its sandwich says, roughly.
    ratio = draws.standard_errors / ravel_pytree(estimate.standard_errors())[0]
    assert jnp.all((ratio > 0.6) & (ratio < 1.8))
    smooth = bootstrap(estimate, n_draws=30, weights="exponential", seed=1)
    assert not jnp.array_equal(smooth.theta, draws.theta)
    assert jnp.max(jnp.abs(smooth.theta - draws.theta)) < 0.5


def test_clustered_scores_are_summed_first(estimate):
    clusters = np.repeat([5, 1, 9, 2], [80, 60, 40, 20])
    scores = np.asarray(estimate.scores)
    summed = np.stack([scores[clusters == c].sum(axis=0) for c in (1, 2, 5, 9)])
    inverse = np.linalg.inv(np.asarray(estimate.hessian))
    outer = 4 / 3 * summed.T @ summed / 200
    expected = inverse @ outer @ inverse / 200
    assert estimate.covariance("sandwich", clusters=clusters) == approx(expected, 1e-10)
    alone = estimate.covariance("sandwich", clusters=np.arange(200))
    assert alone == approx(200 / 199 * estimate.covariance("sandwich"), 1e-10)


@pytest.mark.thorough
def test_the_design_is_normal_and_symmetric():
    points = np.asarray(normal_design(3, 40))
    assert points.shape == (42, 3)
    assert points.sum(axis=0) == approx(np.zeros(3), 1e-12)
    assert np.sort(points[:, 0]) == approx(np.sort(-points[:, 0]), 1e-12)
    many = np.asarray(normal_design(3, 6000))
    assert many.T @ many / len(many) == approx(np.eye(3), 0.05)
    assert np.mean(many**4) == approx(3.0, 0.2)


def test_the_covariance_root_is_a_root(estimate):
    root = covariance_root(estimate.hessian, 200)
    assert root @ root.T == approx(estimate.covariance("observed"), 1e-10)
    saddle = covariance_root(jnp.diag(jnp.array([1.0, -2.0])), 1)
    assert saddle @ saddle.T == approx(np.diag([1.0, 0.5]), 1e-12)


@pytest.mark.thorough
def test_every_interval_has_its_centre_and_error(estimate):
    plainly = jackknife(estimate)
    kinds = [kind for kind in INTERVAL_KINDS if not kind.startswith("efficient")]
    made = {kind: estimate.intervals(0.9, kind) for kind in kinds}
    for each in made.values():
        assert jnp.all(each.lower < each.centre)
        assert jnp.all(each.centre < each.upper)
        assert each.centre == approx(estimate.theta, 1e-8)
    plain = made["jackknife"]
    assert plain.standard_error == approx(plainly.standard_errors, 1e-12)
    width = stats.t.ppf(0.95, 9) * plain.standard_error
    assert plain.upper - plain.centre == approx(width, 1e-8)
    # A model that can't generate data has no efficient score.
    lower, upper = estimate.confint(0.9)
    assert jnp.array_equal(lower, made["sandwich"].lower)
    assert jnp.array_equal(upper, made["sandwich"].upper)


@pytest.mark.thorough
def test_the_likelihood_ratio_is_the_drop_of_a_fit_with_the_value_held(estimate):
    problem = estimate.problem
    test = likelihood_ratio_test(estimate, "coef[1]", 0.35)
    theta, build = ravel_pytree(estimate.model)

    def value(rest):
        theta = jnp.concatenate([rest[:1], jnp.array([0.35]), rest[1:]])
        return profile_ll(build(theta), problem.data, problem.supp)[0]

    rest = jnp.delete(test.theta, 1)
    assert test.theta[1] == 0.35
    assert test.converged
    assert jax.grad(value)(rest) == approx(np.zeros(4), 1e-6)
    drop = 2 * (estimate.log_likelihood + 200 * value(rest))
    assert test.statistic == approx(drop, 1e-7)
    assert test.p_value == approx(stats.chi2.sf(float(drop), 1), 1e-7)
    none = likelihood_ratio_test(estimate, "coef[1]", float(theta[1]))
    assert none.statistic == approx(0.0, 1e-8)
    assert none.p_value == approx(1.0, 1e-3)


@pytest.mark.thorough
def test_interval_limits_are_where_the_test_just_rejects(estimate):
    lower, upper = likelihood_ratio_interval(estimate, 0.9)
    for index, name in enumerate(NAMES):
        for limit in (lower[index], upper[index]):
            test = likelihood_ratio_test(estimate, name, float(limit))
            assert test.p_value == approx(0.1, 1e-3)


@pytest.mark.thorough
def test_the_delta_method_follows_the_influence_of_each_observation(estimate):
    problem = estimate.problem
    supp = problem.supp

    def mean_and_loading(model, supp, probs):
        return {"mean": probs @ supp, "ratio": model.coef[0] / model.coef[1]}

    found = delta_method(estimate, mean_and_loading)
    # The same by brute force: refit with the weight of an observation moved.

    def moved(weights):
        given = {"weights": weights, "tol": 1e-10, "support": "grid"}
        there = fit(estimate.model, problem.data, supp, **given)
        values = mean_and_loading(there.model, supp, there.probs)
        return jnp.array([values["mean"], values["ratio"]])

    rows = jnp.array([0, 57, 133])
    units = jnp.eye(200)[rows]
    slopes = central_differences(
        lambda e: moved(jnp.ones(200) + e @ units), jnp.zeros(3), 1e-4
    )
    assert found.value == approx(moved(jnp.ones(200)), 1e-6)
    weighted = found.influence / 200
    assert weighted[rows] == approx(slopes.T, 1e-5)
    assert found.covariance == approx(weighted.T @ weighted, 1e-12)
    direct = problem.data["outcomes"][:, 0].std() / np.sqrt(200)
    assert found.standard_errors[0] == approx(direct, float(0.2 * direct))


def test_few_clusters_make_as_many_groups(estimate):
    clusters = np.arange(200) % 4
    made = estimate.intervals(kind="jackknife", clusters=clusters)
    own = jackknife(estimate, n_groups=4, clusters=clusters)
    assert own.theta.shape == (4, 5)
    assert made.standard_error == approx(own.standard_errors, 1e-12)
    margin = stats.t.ppf(0.975, 3) * np.asarray(own.standard_errors)
    assert made.upper - made.centre == approx(margin, 1e-9)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda e: jackknife(e, n_groups=1), "n_groups=1"),
        (lambda e: jackknife(e, n_groups=201), "n_groups=201"),
        (
            lambda e: jackknife(e, clusters=np.zeros(3, int)),
            r"clusters has shape \(3,\)",
        ),
        (lambda e: bootstrap(e, n_draws=1), "n_draws=1"),
        (lambda e: bootstrap(e, weights="normal"), "multinomial, exponential"),
        (lambda e: likelihood_ratio_test(e, "coef", 1.0), r"coef\[0\], coef\[1\]"),
        (lambda e: e.intervals(kind="recommended"), "efficient, efficient_wald"),
        (lambda e: e.covariance("observed", clusters=np.arange(200)), "'sandwich'"),
        (
            lambda e: e.covariance("opg", clusters=np.arange(3)),
            r"clusters has shape \(3,\)",
        ),
        (
            lambda e: jackknife(dataclasses.replace(e, problem=None)),
            "not one on a grid",
        ),
        (lambda e: e.confint(kind="efficient"), "LinearFactor can't generate data"),
    ],
)
def test_wrong_calls_name_the_argument(estimate, call, message):
    with pytest.raises(ValueError, match=message):
        call(estimate)
