"""The gradient function over the continuum and the bound on what a grid leaves."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from spmlex import RESULTS, Fit, adequacy, fit, gradient_on, solve_probs
from spmlex._profile.outer import OuterProblem
from spmlex._support.continuum import box_of, log_ratios, maximise_gradient
from spmlex._support.grid import product_grid
from tests.spmlex.problems import approx, linear_factor


class Normal(eqx.Module):
    """Normal kernel with unit scale, any dimension: concave in the latent."""

    def lclk(self, data, supp):
        points = supp[:, None] if supp.ndim == 1 else supp
        return -0.5 * jnp.sum((data[:, None] - points[None]) ** 2, axis=2)


class Cauchy(eqx.Module):
    """A kernel that is not concave."""

    def lclk(self, data, supp):
        return -jnp.log1p((data - supp[None]) ** 2)


class RandomCoefficients(eqx.Module):
    """Linear panel with a latent intercept and slope, known noise, common effect."""

    effect: jax.Array

    def lclk(self, data, supp):
        if isinstance(supp, dict):
            supp = jnp.stack([supp["intercept"], supp["slope"]], axis=1)
        mean = supp[:, 0] + data["x"][:, :, None] * supp[:, 1]
        mean = mean + (self.effect * data["z"])[:, :, None]
        return -0.5 * jnp.sum(((data["y"][:, :, None] - mean) / 0.5) ** 2, axis=1)


def bare_fit(model, supp, probs, n_obs):
    """Return a `Fit` that holds a mixing distribution and nothing else."""
    none, zero, count = jnp.zeros((0, 0)), jnp.array(0.0), jnp.array(0)
    rows = jnp.zeros((n_obs, 1))
    problem = OuterProblem(model, rows, supp, None, None, (), "active_set")
    return Fit(
        problem=problem,
        given=problem,
        model=model,
        probs=probs,
        supp=supp,
        theta=jnp.zeros(0),
        log_likelihood=zero,
        gradient=jnp.zeros(0),
        hessian=none,
        scores=jnp.zeros((n_obs, 0)),
        weights=jnp.full(n_obs, 1.0 / n_obs),
        gap=zero,
        residual=zero,
        num_steps=count,
        inner_steps=count,
        fallbacks=count,
        num_atoms=count,
        resolution=zero,
        result=RESULTS.successful,
        free=(),
    )


def npmle(data, supp):
    """Return the fit of F alone on a grid."""
    model = Normal()
    return bare_fit(
        model,
        supp,
        solve_probs(model.lclk(data, supp), solver="interior_point").probs,
        data.shape[0],
    )


@pytest.fixture(scope="module")
def sample():
    rng = np.random.default_rng(3)
    latent = rng.choice([-2.0, 0.3, 2.1], size=60)
    return jnp.asarray((latent + rng.normal(size=60))[:, None])


def test_gradient_function_is_the_mean_likelihood_ratio(sample):
    supp, probs = jnp.array([-1.0, 0.0, 2.0]), jnp.array([0.2, 0.5, 0.3])
    points = jnp.array([-3.0, 0.1, 2.0, 5.0])
    kernel = np.exp(-0.5 * (np.asarray(sample) - np.asarray(supp)) ** 2)
    density = kernel @ np.asarray(probs)
    at = np.exp(-0.5 * (np.asarray(sample) - np.asarray(points)) ** 2)
    weights = np.arange(1.0, 61.0)
    expected = weights / weights.sum() / density @ at
    found = gradient_on(
        Normal(), sample, supp, probs, points, weights=jnp.asarray(weights)
    )
    assert np.asarray(found) == approx(expected, 1e-12)


def test_adding_mass_gains_what_the_gradient_function_says(sample):
    supp, probs = jnp.array([-1.0, 0.0, 2.0]), jnp.array([0.2, 0.5, 0.3])
    lclk = Normal().lclk(sample, jnp.array([-1.0, 0.0, 2.0, 1.3]))

    def value(share):
        mixed = jnp.append((1 - share) * probs, share)
        return jnp.mean(jnp.log(jnp.exp(lclk) @ mixed))

    slope = gradient_on(Normal(), sample, supp, probs, jnp.array([1.3]))[0] - 1.0
    assert float(jax.grad(value)(0.0)) == pytest.approx(float(slope))


@pytest.mark.thorough
def test_maxima_of_the_gradient_function_are_stationary_or_on_the_edge(sample):
    fit = npmle(sample, jnp.linspace(-4.0, 1.0, 11))
    box, rows = box_of(fit.supp)
    log_ratio = log_ratios(fit.model, sample, fit.supp, fit.probs, fit.weights)
    points, values = maximise_gradient(
        fit.model, sample, box, log_ratio, rows, jnp.array([0.5])
    )

    def log_g(point):
        return jnp.log(
            gradient_on(fit.model, sample, fit.supp, fit.probs, point[None])[0]
        )

    slopes = np.asarray(jax.vmap(jax.grad(log_g))(points[:, 0]))
    on_edge = np.isin(np.asarray(points[:, 0]), [-4.0, 1.0])
    assert on_edge.any()
    assert np.abs(slopes[~on_edge]).max() < 1e-9
    assert (slopes[np.asarray(points[:, 0]) == 1.0] > 0).all()
    assert np.asarray(jax.vmap(log_g)(points[:, 0])) == approx(values, 1e-12)


@pytest.mark.thorough
def test_bound_is_exact_for_one_observation_in_one_and_two_dimensions():
    for y in (np.array([1.3]), np.array([0.7, -1.1])):
        size = y.size
        supp = jnp.zeros((1, size))
        fit = bare_fit(Normal(), supp, jnp.ones(1), 1)
        end = jnp.full(size, 2.0)
        report = adequacy(fit, jnp.asarray(y)[None], -end, end)
        assert float(report.gap) == pytest.approx(0.5 * y @ y, abs=2e-9)
        assert float(report.gap) >= 0.5 * y @ y
        assert np.asarray(report.at) == approx(y, 1e-6)
        assert bool(report.is_proof)


def test_bound_says_when_it_is_not_a_proof():
    fit = bare_fit(Cauchy(), jnp.zeros(1), jnp.ones(1), 1)
    report = adequacy(fit, jnp.array([[1.3]]), -2.0, 2.0)
    assert float(report.gap) == pytest.approx(np.log1p(1.3**2), abs=1e-6)
    assert not bool(report.is_proof)


@pytest.mark.thorough
def test_adequacy_bounds_the_gain_of_a_finer_grid(sample):
    coarse = npmle(sample, jnp.linspace(-4.0, 4.0, 7))
    fine = npmle(sample, jnp.linspace(-4.0, 4.0, 1001))
    lclk = [Normal().lclk(sample, fit.supp) for fit in (coarse, fine)]
    values = [
        float(jnp.mean(jnp.log(jnp.exp(matrix) @ fit.probs)))
        for matrix, fit in zip(lclk, (coarse, fine), strict=True)
    ]
    gain = values[1] - values[0]
    report = adequacy(coarse, sample, -4.0, 4.0)
    assert 1e-6 < gain <= float(report.gap)
    assert float(report.found) <= float(report.gap) <= float(report.found) + 1.1e-9
    better = adequacy(fine, sample, -4.0, 4.0)
    assert float(better.gap) < 1e-4 < float(report.gap)


@pytest.mark.thorough
def test_bound_holds_when_cells_run_out(sample):
    coarse = npmle(sample, jnp.linspace(-4.0, 4.0, 7))
    report = adequacy(coarse, sample, -4.0, 4.0, max_cells=1)
    best = adequacy(coarse, sample, -4.0, 4.0)
    assert float(report.gap) > float(best.gap) >= float(report.found)


def test_mass_on_the_edge_is_reported(sample):
    narrow = npmle(sample, jnp.linspace(-1.0, 1.0, 21))
    report = adequacy(narrow, sample, -1.0, 1.0)
    assert float(report.edge_mass) == pytest.approx(
        float(narrow.probs[0] + narrow.probs[-1])
    )
    assert float(report.edge_mass) > 0.1
    assert float(adequacy(narrow, sample, -5.0, 5.0).edge_mass) == 0.0


def test_range_must_have_the_form_of_a_support_point(sample):
    fit = npmle(sample, jnp.linspace(-4.0, 4.0, 7))
    with pytest.raises(ValueError, match="low=.* has 2 coordinates"):
        adequacy(fit, sample, -jnp.ones(2), jnp.ones(2))
    with pytest.raises(ValueError, match=r"low=2.0, high=1.0 is not a range"):
        adequacy(fit, sample, 2.0, 1.0)


@pytest.mark.thorough
def test_certificate_of_groups_adds_their_shares(sample):
    grid, groups = jnp.linspace(-4.0, 4.0, 7), np.arange(60) % 3 == 0
    parts = [npmle(sample[~groups], grid), npmle(sample[groups], grid)]
    probs = jnp.stack([part.probs for part in parts], axis=1)
    problem = OuterProblem(
        Normal(), sample, grid, jnp.asarray(groups, int), 2, (), "active_set"
    )
    both = dataclasses.replace(
        bare_fit(Normal(), grid, probs, 60), problem=problem, given=problem
    )
    own = [sample[~groups], sample[groups]]
    gaps = [
        float(adequacy(part, rows, -4.0, 4.0).gap)
        for part, rows in zip(parts, own, strict=True)
    ]
    whole = adequacy(both, sample, -4.0, 4.0)
    assert float(whole.gap) == pytest.approx(np.dot([2 / 3, 1 / 3], gaps), abs=2e-9)


@pytest.mark.thorough
def test_free_noise_scales_are_refused_by_name():
    model, data, supp = linear_factor(n_obs=40)
    with pytest.raises(ValueError, match=r"without bound in log_std_e\[0\].*`fixed`"):
        fit(model, data, supp, support="free")


@pytest.mark.slow
def test_two_dimensional_atoms_are_certified_whatever_form_the_support_has():
    rng = np.random.default_rng(0)
    atoms = np.array([[-1.0, 1.0], [1.0, -1.0], [2.0, 0.5]])[rng.choice(3, 100)]
    x, z = rng.normal(size=(2, 100, 3))
    y = atoms[:, :1] + atoms[:, 1:] * x + 0.7 * z + 0.5 * rng.normal(size=(100, 3))
    data = {"x": x, "y": y, "z": z}
    rows = product_grid(jnp.linspace(-4.0, 5.0, 21), jnp.linspace(-4.0, 4.0, 21))
    start = RandomCoefficients(jnp.array(0.5))
    found = fit(start, data, rows, support="free")
    assert found.result == RESULTS.successful
    assert found.certificate is not None
    assert float(found.certificate.gap) <= 1e-9
    error = float(found.standard_errors().effect)
    assert abs(float(found.theta[0]) - 0.7) < 3 * error
    named = {"intercept": rows[:, 0], "slope": rows[:, 1]}
    again = fit(start, data, named, support="free")
    assert np.asarray(again.supp["slope"]) == approx(found.supp[:, 1], 1e-7)
