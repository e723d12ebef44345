"""Covariances, refits, the corrected centre, likelihood ratios, the delta method."""

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
    solve_probs,
)
from spmlex._design import covariance_root, information_root, normal_design

NAMES = ("coef[0]", "coef[1]", "log_std_e[0]", "log_std_e[1]", "log_std_e[2]")


@pytest.fixture(scope="module")
def estimate():
    model, data, supp = linear_factor()
    return fit(model, data, supp, support="grid")


@pytest.fixture(scope="module")
def left_out(estimate):
    return jackknife(estimate, n_groups=4, seed=3)


@pytest.fixture(scope="module")
def one_step():
    model, data, supp = linear_factor()
    corrected = fit(model, data, supp, correction="one_step").correction
    assert corrected is not None
    return corrected


def refit(estimate, weights):
    problem = estimate.problem
    return fit(estimate.model, problem.data, problem.supp, weights=weights)


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
    root = information_root(estimate.scores, estimate.weights)
    assert root @ root.T == approx(estimate.covariance("opg"), 1e-10)
    saddle = covariance_root(jnp.diag(jnp.array([1.0, -2.0])), 1)
    assert saddle @ saddle.T == approx(np.diag([1.0, 0.5]), 1e-12)


@pytest.mark.thorough
def test_one_step_is_the_slope_of_the_atom_count(estimate, one_step):
    problem = estimate.problem
    covariance = estimate.covariance("observed")
    root = covariance_root(estimate.hessian, 200)
    points = estimate.theta + 2.0 * normal_design(5, 80) @ root.T
    count = jax.jit(
        lambda theta: jnp.sum(solve_probs(problem.lclk(theta), throw=False).probs > 0)
    )
    counts = np.array([count(theta) for theta in points], float)
    design = np.column_stack([np.ones(80), points - estimate.theta])
    slope = np.linalg.lstsq(design, counts, rcond=None)[0]
    assert one_step.slope == approx(slope[1:], float(0.15 * np.abs(slope).max()))
    assert one_step.mean_atoms == approx(counts.mean(), 0.3)
    shift = -covariance @ one_step.slope
    assert one_step.theta == approx(estimate.theta + shift, 1e-10)
    # Smaller noise scales need more atoms, so the correction raises them.
    assert jnp.all(shift[2:4] > 0)


@pytest.mark.thorough
def test_the_iterated_centre_maximises_the_penalised_likelihood(estimate):
    problem = estimate.problem
    again = fit(estimate.model, problem.data, problem.supp, correction="iterated")
    found = again.correction
    assert found is not None
    assert found.maximum is not None
    assert found.converged
    assert 200 * found.maximum.gradient == approx(-found.slope, 1e-3)
    _, build = ravel_pytree(estimate.model)
    gradient = jax.grad(lambda t: profile_ll(build(t), problem.data, problem.supp)[0])
    assert found.maximum.gradient == approx(gradient(found.theta), 1e-9)
    apart = found.theta - estimate.theta
    assert jnp.all(jnp.abs(apart) < 2 * ravel_pytree(estimate.standard_errors())[0])
    refits = jackknife(again)
    made = again.intervals(kind="corrected", resamples=refits)
    assert jnp.array_equal(made.centre, found.theta)
    assert again.theta == approx(estimate.theta, 1e-7)
    # Refits of the centre are not taken for refits of the estimate.
    with pytest.raises(ValueError, match="kind='jackknife' needs refits of the est"):
        again.intervals(kind="jackknife", resamples=refits)


@pytest.mark.thorough
def test_every_interval_has_its_centre_and_error(estimate, one_step):
    plainly = jackknife(estimate)
    estimate = dataclasses.replace(estimate, correction=one_step)
    made = {kind: estimate.intervals(0.9, kind) for kind in INTERVAL_KINDS}
    for kind, each in made.items():
        assert jnp.all(each.lower < each.centre)
        assert jnp.all(each.centre < each.upper)
        corrected = kind.startswith("corrected")
        centre = one_step.theta if corrected else estimate.theta
        assert each.centre == approx(centre, 1e-8)
    plain = made["jackknife"]
    assert plain.standard_error == approx(plainly.standard_errors, 1e-12)
    width = stats.t.ppf(0.95, 9) * plain.standard_error
    assert plain.upper - plain.centre == approx(width, 1e-4)
    careful = made["corrected_jackknife"]
    assert careful.standard_error == approx(plain.standard_error, 1e-12)
    pooled = 0.5 * (plain.standard_error**2 + made["sandwich"].standard_error ** 2)
    assert made["corrected"].standard_error ** 2 == approx(pooled, 1e-12)
    freedom = 9 * (2 * pooled / plain.standard_error**2) ** 2
    width = stats.t.ppf(0.95, freedom) * made["corrected"].standard_error
    assert made["corrected"].upper - made["corrected"].centre == approx(width, 1e-4)
    lower, upper = estimate.confint(0.9)
    assert jnp.array_equal(lower, made["corrected"].lower)
    assert jnp.array_equal(upper, made["corrected"].upper)


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

    def mean_and_loading(model, probs):
        return {"mean": probs @ supp, "ratio": model.coef[0] / model.coef[1]}

    found = delta_method(estimate, mean_and_loading)
    # The same by brute force: refit with the weight of an observation moved.

    def moved(weights):
        given = {"weights": weights, "tol": 1e-10, "support": "grid"}
        there = fit(estimate.model, problem.data, supp, **given)
        values = mean_and_loading(there.model, there.probs)
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
        (lambda e: e.intervals(kind="recommended"), "corrected, corrected_jackknife"),
        (lambda e: e.covariance("observed", clusters=np.arange(200)), "'sandwich'"),
        (
            lambda e: e.covariance("opg", clusters=np.arange(3)),
            r"clusters has shape \(3,\)",
        ),
        (
            lambda e: jackknife(dataclasses.replace(e, problem=None)),
            "not one on a grid",
        ),
        (
            lambda e: fit(
                e.model, e.problem.data, e.problem.supp, correction="two_step"
            ),
            "correction='two_step'",
        ),
    ],
)
def test_wrong_calls_name_the_argument(estimate, call, message):
    with pytest.raises(ValueError, match=message):
        call(estimate)
