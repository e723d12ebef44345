"""The corrected centre in a sieve of smooth mixing distributions."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from problems import approx, central_differences, linear_factor
from scipy import stats

from experiments.estimators import NormalRandomEffects
from experiments.mixing import Normal
from experiments.models.linear_factor import LinearFactor
from spmlex import fit, jackknife, solve_probs
from spmlex._likelihood import log_mixture, mix_columns
from spmlex._smoothing import smoothing_kernel

TRUTH = np.array([1.5, 0.3, 0.0, 0.2, -0.3])


def normal_sample(number, n_obs=500):
    """Return the moment start, data and a grid; the factor is normal."""
    truth = LinearFactor(coef=TRUTH[:2], log_std_e=TRUTH[2:])
    key = jr.fold_in(jr.key(5), number)
    latent = Normal(loc=0.0, scale=2.0).simulate(rng=jr.fold_in(key, 0), n=n_obs)
    data = truth.simulate(latent, rng=jr.fold_in(key, 1))
    return truth.starting_values(data), data, jnp.linspace(-6.0, 10.0, 66)


def smooth_fit(*given, **settings) -> Any:
    return fit(*given, correction="smoothed", throw=False, **settings)


@pytest.fixture(scope="module")
def degenerate():
    """A sample whose likelihood has its maximum at a collapsed noise scale."""
    return smooth_fit(*normal_sample(1))


def moments(points, mass):
    mean = points @ mass
    return mean, (points - mean) ** 2 @ mass


@pytest.mark.parametrize("shape", ["uniform", "irregular", "unsorted"])
def test_columns_are_normal_around_their_points_on_any_grid(shape):
    rng = np.random.default_rng(0)
    points = np.linspace(-8.0, 8.0, 161)
    if shape != "uniform":
        points = np.sort(np.sign(points) * np.abs(points) ** 1.5 / 3.0)
    if shape == "unsorted":
        points = rng.permutation(points)
    probs = stats.norm.pdf(points)
    probs = jnp.asarray(probs / probs.sum())
    kernel = smoothing_kernel(jnp.asarray(points), jnp.array(0.5), probs)
    assert kernel.sum(axis=0) == approx(np.ones(161), 1e-12)
    _, variance = moments(points, np.asarray(probs))
    for column in np.flatnonzero(np.abs(points) < 2.0)[::10]:
        mean, spread = moments(points, np.asarray(kernel[:, column]))
        assert mean == pytest.approx(points[column], abs=2e-2)
        assert spread == pytest.approx(0.25 * variance, rel=3e-2)


def test_bandwidth_zero_restricts_nothing():
    supp = jnp.linspace(-1.0, 1.0, 9)
    probs = jnp.full(9, 1 / 9)
    assert jnp.array_equal(smoothing_kernel(supp, jnp.array(0.0), probs), jnp.eye(9))
    # Nor does any where F is a single point: its spread is the unit.
    point = jnp.zeros(9).at[4].set(1.0)
    assert smoothing_kernel(supp, jnp.array(0.9), point) == approx(np.eye(9), 1e-12)


def test_in_two_dimensions_columns_have_the_covariance_of_f():
    axis = np.linspace(-6.0, 6.0, 41)
    first, second = (grid.ravel() for grid in np.meshgrid(axis, 2.0 * axis))
    covariance = np.array([[1.0, 0.6], [0.6, 2.0]])
    points = np.stack([first, second], axis=1)
    precision = np.linalg.inv(covariance)
    mass = np.exp(-0.5 * np.einsum("ki,ij,kj->k", points, precision, points))
    mass = jnp.asarray(mass / mass.sum())
    supp = {"level": jnp.asarray(first), "slope": jnp.asarray(second)}
    kernel = smoothing_kernel(supp, jnp.array(0.7), mass)
    column = np.asarray(kernel[:, np.argmin((points**2).sum(axis=1))])
    assert points.T @ (column[:, None] * points) == approx(0.49 * covariance, 1e-3)


def test_mixed_columns_are_log_likelihoods_without_overflow_in_derivatives():
    lclk = jnp.array([[0.0, -1.0, -800.0], [-5.0, -400.0, -2000.0]])
    kernel = jnp.array([[0.5, 0.0, 0.0], [0.5, 0.5, 0.0], [0.0, 0.5, 1.0]])
    mixed = mix_columns(lclk, kernel)
    assert mixed[0, 0] == pytest.approx(np.log(0.5 + 0.5 * np.exp(-1.0)))
    assert mixed[0, 1] == pytest.approx(np.log(0.5) - 1.0)
    assert mixed[1, 0] == pytest.approx(np.log(0.5) - 5.0)
    assert mixed[1, 1] == -jnp.inf
    assert (mix_columns(lclk, jnp.eye(3)) == lclk).all()

    def total(scale):
        return jnp.sum(jnp.exp(mix_columns(scale * lclk, kernel)))

    assert np.isfinite(jax.grad(total)(1.0))
    assert np.isfinite(jax.hessian(total)(1.0))


@pytest.mark.thorough
@pytest.mark.parametrize("bandwidth", [0.35, 0.0])
@pytest.mark.parametrize("groups", [None, jnp.arange(200) % 2], ids=["one", "groups"])
def test_derivatives_within_a_sieve_match_finite_differences(bandwidth, groups):
    model, data, supp = linear_factor()
    estimate: Any = fit(model, data, supp, groups=groups)
    probs = estimate.probs.T
    kernel = smoothing_kernel(supp, jnp.array(bandwidth), probs)
    sieve = estimate.problem.within(kernel)
    theta = estimate.theta + jnp.array([0.05, -0.02, 0.1, 0.1, -0.05])
    evaluate = jax.jit(lambda t: sieve.evaluate(t, probs, estimate.weights))
    here = evaluate(theta)
    slope = central_differences(lambda t: evaluate(t).value, theta)
    bend = central_differences(lambda t: evaluate(t).gradient, theta)
    assert here.gradient == approx(slope, 1e-8)
    assert here.hessian == approx(bend, 1e-6)
    if groups is not None:
        return
    moved = central_differences(lambda t: evaluate(t).probs, theta)
    assert here.probs_dot == approx(moved, 1e-5)

    def log_likelihoods(theta):
        mixed = mix_columns(estimate.problem.lclk(theta), kernel)
        return log_mixture(mixed, evaluate(theta).probs)

    assert here.scores == approx(central_differences(log_likelihoods, theta), 1e-6)
    # The value is that of an independent solver on the smoothed columns.
    lclk = mix_columns(estimate.problem.lclk(theta), kernel)
    alone = solve_probs(lclk, solver="interior_point")
    assert here.value == pytest.approx(float(alone.value), abs=1e-9)


@pytest.mark.thorough
def test_the_degenerate_maximum_is_left_for_an_interior_one(degenerate):
    correction = degenerate.correction
    assert degenerate.flagged
    assert degenerate.theta[3] < -1.0
    assert correction.converged
    assert not correction.flagged
    made = degenerate.intervals()
    apart = np.abs(np.asarray(made.centre) - TRUTH)
    assert (apart < 3.0 * np.asarray(made.standard_error)).all()
    # F at the centre is a distribution, without holes where F is smooth.
    assert correction.probs.sum() == pytest.approx(1.0, abs=1e-9)
    assert correction.bandwidth > 0
    assert (correction.probs[10:40] > 0).all()


@pytest.mark.thorough
def test_the_centre_is_that_of_the_penalised_sieve(degenerate):
    correction = degenerate.correction
    sieve = degenerate.problem.within(correction.kernel)
    probs = correction.maximum.probs
    here = sieve.evaluate(correction.theta, probs, degenerate.weights)
    assert here.gradient == approx(-correction.slope / 500, 1e-6)
    assert here.gap < 1e-9
    assert here.hessian == approx(correction.maximum.hessian, 1e-6)
    values = np.linalg.eigvalsh(np.asarray(here.hessian))
    assert values.min() > 0


@pytest.mark.thorough
def test_with_normal_f_the_centre_is_near_that_of_the_normal_model():
    for number in (0, 2):
        model, data, supp = normal_sample(number)
        estimate = smooth_fit(model, data, supp)
        normal = NormalRandomEffects().estimate(model, data, supp)
        error = np.asarray(estimate.intervals().standard_error)
        apart = np.asarray(estimate.correction.theta) - np.asarray(normal["estimate"])
        assert (np.abs(apart) < 0.75 * error).all()
        assert estimate.correction.bandwidth >= 0.5


@pytest.mark.thorough
def test_with_discrete_f_nothing_is_smoothed():
    model, data, supp = linear_factor(n_obs=500, n_supp=60)
    estimate = smooth_fit(model, data, supp)
    assert estimate.correction.bandwidth == 0.0
    assert jnp.array_equal(estimate.correction.kernel, jnp.eye(60))
    assert estimate.correction.probs == approx(estimate.correction.maximum.probs.T, 0)


@pytest.mark.thorough
def test_intervals_ask_for_the_smoothed_centre_and_its_variance(degenerate):
    alone = dataclasses.replace(degenerate, correction=None)
    made, again = degenerate.intervals(), alone.intervals()
    assert again.centre == approx(made.centre, 1e-9)
    assert again.standard_error == approx(made.standard_error, 1e-9)
    maximum = degenerate.correction.maximum
    bread = np.linalg.inv(np.asarray(maximum.hessian))
    meat = np.asarray(maximum.scores).T @ np.asarray(maximum.scores) / 500
    observed, sandwich = np.diag(bread) / 500, np.diag(bread @ meat @ bread) / 500
    known = np.maximum(observed, sandwich)
    assert (observed != known).any()
    noisy = np.asarray(jackknife(degenerate).standard_errors) ** 2
    error = np.sqrt(0.5 * (known + noisy))
    assert made.standard_error == approx(error, 1e-10)
    width = stats.t.ppf(0.975, 9 * ((known + noisy) / noisy) ** 2) * error
    assert made.upper == approx(made.centre + width, 1e-4)


@pytest.mark.thorough
def test_the_jackknife_refits_within_the_sieve(degenerate):
    refits = jackknife(degenerate, n_groups=4)
    assert refits.of_centre
    assert refits.num_failed == 0
    centre = np.asarray(degenerate.correction.theta)
    error = np.asarray(degenerate.intervals().standard_error)
    # Each leaves out a quarter: half a standard error or so, not the degenerate end.
    assert (np.abs(np.asarray(refits.theta) - centre) < 3.0 * error).all()
    made = degenerate.intervals(kind="corrected_jackknife", resamples=refits)
    assert made.standard_error == approx(refits.standard_errors, 1e-12)


@pytest.mark.thorough
def test_groups_share_the_bandwidth():
    model, data, supp = linear_factor()
    groups = jnp.arange(200) % 2
    estimate = smooth_fit(model, data, supp, groups=groups)
    assert estimate.correction.converged
    assert estimate.correction.probs.shape == (30, 2)
    assert estimate.correction.probs.sum(axis=0) == approx(np.ones(2), 1e-9)


@pytest.mark.thorough
def test_the_summary_says_how_f_was_smoothed(degenerate):
    bandwidth = float(degenerate.correction.bandwidth)
    sentence = f"F smoothed by {bandwidth:g} of its standard deviation"
    assert sentence in degenerate.summary()
    lost = replace_correction(degenerate, converged=jnp.array(False))
    assert "the search for the corrected centre did not converge" in lost.summary()
    for limits in lost.confint():
        assert jnp.isnan(limits).all()


def replace_correction(estimate, **changes):
    """Return the fit with another correction."""
    changed = dataclasses.replace(estimate.correction, **changes)
    return dataclasses.replace(estimate, correction=changed)
