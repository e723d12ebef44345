"""An observation of weight zero is none: as if it were not in the data."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from problems import approx, linear_factor

from spmlex import RESULTS, bootstrap, fit, jackknife, likelihood_ratio_test
from spmlex._inner.weights import weighted_median
from spmlex._support.degenerate import grid_ripple

KEPT = np.arange(100) % 2 == 0


@pytest.fixture(scope="module")
def pair():
    """Return a fit with half of the observations at weight zero, and without them."""
    model, data, supp = linear_factor(n_obs=100)
    weights = jnp.where(KEPT, 1.0 + jnp.arange(100) % 3, 0.0)
    half = {"outcomes": data["outcomes"][KEPT]}
    return (
        fit(model, data, supp, weights=weights, support="grid", throw=False),
        fit(model, half, supp, weights=weights[KEPT], support="grid", throw=False),
    )


def test_weight_zero_is_as_good_as_absence(pair):
    zeros, absent = pair
    assert zeros.result == RESULTS.successful
    assert zeros.theta == approx(absent.theta, 1e-8)
    assert zeros.log_likelihood == approx(absent.log_likelihood, 1e-8)
    for kind in ("observed", "opg", "sandwich"):
        assert zeros.covariance(kind) == approx(absent.covariance(kind), 1e-9)
    assert zeros.grid_ripple == approx(grid_ripple(zeros.resolution, 50), 1e-12)


def test_a_cluster_of_weight_zero_is_none(pair):
    zeros, absent = pair
    # Every second cluster of two holds nobody with weight.
    clusters = np.where(KEPT, np.arange(100) // 4, 50 + np.arange(100) // 4)
    found = zeros.covariance("sandwich", clusters=clusters)
    assert found == approx(absent.covariance("sandwich", clusters=clusters[KEPT]), 1e-9)


def test_tests_do_not_count_observations_of_weight_zero(pair):
    statistics = [
        float(likelihood_ratio_test(each, "coef[0]", 1.4).statistic) for each in pair
    ]
    assert statistics[0] == approx(statistics[1], 1e-6)


def test_traced_weights_are_counted_too(pair):
    zeros, _ = pair
    problem = zeros.problem

    def value(weights):
        given = (zeros.model, problem.data, problem.supp)
        made = fit(*given, weights=weights, support="grid", throw=False)
        return made.log_likelihood, made.covariance("sandwich")

    ll, covariance = jax.jit(value)(jnp.asarray(zeros.weights))
    assert ll == approx(zeros.log_likelihood, 1e-8)
    assert covariance == approx(zeros.covariance("sandwich"), 1e-9)


def test_local_optima_are_compared_by_observations_with_weight(pair):
    zeros, absent = pair
    problem = zeros.problem
    given = (zeros.model, problem.data, problem.supp)
    two = fit(*given, weights=zeros.weights, starts=[zeros.model], throw=False)
    assert two.optima is not None
    assert two.optima.log_likelihood[0] == approx(absent.log_likelihood, 1e-8)


def test_what_stands_in_rows_without_weight_does_not_matter(pair):
    _, absent = pair
    model, data, supp = linear_factor(n_obs=100)
    weights = jnp.where(KEPT, 1.0 + jnp.arange(100) % 3, 0.0)
    outcomes = jnp.where(KEPT[:, None], data["outcomes"], jnp.nan)
    missing = fit(model, {"outcomes": outcomes}, supp, weights=weights, support="grid")
    assert missing.theta == approx(absent.theta, 1e-8)
    assert missing.resolution == approx(absent.resolution, 1e-9)
    means = missing.posterior().mean()
    assert means[KEPT] == approx(absent.posterior().mean(), 1e-8)
    assert jnp.all(jnp.isnan(means[~KEPT]))


@pytest.mark.thorough
def test_refits_leave_out_and_draw_observations_with_weight_alone(pair):
    zeros, absent = pair
    for refit in (
        lambda estimate: jackknife(estimate, n_groups=5),
        lambda estimate: bootstrap(estimate, n_draws=3),
    ):
        assert refit(zeros).theta == approx(refit(absent).theta, 1e-6)
    with pytest.raises(ValueError, match="to the number of observations, 50"):
        jackknife(zeros, n_groups=51)
    clusters = np.arange(100) // 4
    by_cluster = jackknife(zeros, n_groups=5, clusters=clusters)
    alone = jackknife(absent, n_groups=5, clusters=clusters[KEPT])
    assert by_cluster.theta == approx(alone.theta, 1e-6)


def test_the_median_is_that_of_the_observations():
    values = jnp.array([3.0, 1.0, 2.0, 7.0])
    assert weighted_median(values, jnp.ones(4)) == approx(2.5, 0)
    assert weighted_median(values, jnp.array([1.0, 1.0, 1.0, 0.0])) == approx(2.0, 0)
    repeated = jnp.repeat(values, jnp.array([3, 1, 2, 2]))
    weights = jnp.array([3.0, 1.0, 2.0, 2.0])
    assert weighted_median(values, weights) == approx(jnp.median(repeated), 0)
