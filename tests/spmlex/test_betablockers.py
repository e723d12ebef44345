"""Logistic mixtures with free support: a 22-centre trial, and a rugged grid."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from spmlex import RESULTS, solve_probs
from spmlex._adequacy import adequacy, gradient_on
from spmlex._free_support import fit_free_support
from tests.spmlex.problems import DATA, approx

TRIAL = jnp.linspace(-4.0, 0.0, 101)
SUPPORT = [-2.97391, -2.68299, -2.33667, -2.27316, -2.06641, -1.76332, -1.43881]


class LogisticMixture(eqx.Module):
    """Binomial counts of a centre; its intercept is the latent."""

    beta: jax.Array

    def lclk(self, data, supp):
        index = supp[None, None, :] + (self.beta * data["treated"])[:, :, None]
        deaths, patients = data["deaths"][:, :, None], data["patients"][:, :, None]
        return jnp.sum(deaths * index - patients * jax.nn.softplus(index), axis=1)


def betablockers():
    table = np.loadtxt(DATA / "betablockers.csv", delimiter=",", skiprows=1)
    _, deaths, patients, treated = table.T.reshape(4, 22, 2)
    return {"deaths": deaths, "patients": patients, "treated": treated}


def rugged():
    """Return large centres, whose kernels are narrower than the grid's spacing."""
    rng = np.random.default_rng(18)
    treated = np.tile([0.0, 1.0], (22, 1))
    patients = rng.integers(10_000, 30_000, (22, 2))
    latent = rng.choice(rng.uniform(-2.5, 0.5, 9), 22)
    share = 1.0 / (1.0 + np.exp(-(latent[:, None] - 0.3 * treated)))
    deaths = rng.binomial(patients, share).astype(float)
    return {"deaths": deaths, "patients": patients.astype(float), "treated": treated}


def models(*betas):
    return [LogisticMixture(jnp.array(beta)) for beta in betas]


@pytest.fixture(scope="module")
def estimate():
    start, *others = models(0.0, -1.0, -0.4, -0.2, 0.5)
    return fit_free_support(start, betablockers(), TRIAL, starts=others)


def test_known_maximum_is_reached_from_every_start(estimate):
    assert np.asarray(estimate.optima) == approx(np.full(5, -5982.593413), 2e-6)
    assert estimate.num_optima == 1
    assert estimate.fit.result == RESULTS.successful
    assert float(estimate.fit.theta[0]) == pytest.approx(-0.2597685, rel=1e-6)
    assert np.asarray(estimate.fit.supp) == approx(SUPPORT, 6e-6)


def test_known_standard_error_is_reached(estimate):
    error = float(estimate.fit.standard_errors("observed").beta)
    assert error == pytest.approx(0.04989, abs=5e-6)
    assert 0.03 < float(estimate.fit.standard_errors("sandwich").beta) < 0.08


def test_scores_average_to_the_gradient_which_is_zero(estimate):
    fit = estimate.fit
    assert float(jnp.max(jnp.abs(fit.gradient))) < 1e-8
    assert np.asarray(fit.weights @ fit.scores) == approx(-fit.gradient, 1e-10)


def test_maximum_is_certified_on_the_continuum(estimate):
    fit = estimate.fit
    assert float(estimate.adequacy.gap) <= 1e-9
    assert bool(estimate.adequacy.is_proof)
    assert float(estimate.adequacy.edge_mass) == 0.0
    points = jnp.linspace(-4.0, 0.0, 4001)
    g = gradient_on(fit.model, betablockers(), fit.supp, fit.probs, points)
    assert float(jnp.max(g)) <= 1.0 + 1e-9
    at_atoms = gradient_on(fit.model, betablockers(), fit.supp, fit.probs, fit.supp)
    assert np.asarray(at_atoms) == approx(np.ones(7), 1e-9)


def test_certificate_of_a_grid_bounds_what_free_support_gains(estimate):
    data, model = betablockers(), estimate.fit.model
    grid = jnp.linspace(-4.0, 0.0, 41)
    solution = solve_probs(model.lclk(data, grid), solver="interior_point")
    on_grid = eqx.tree_at(
        lambda fit: (fit.supp, fit.probs), estimate.fit, (grid, solution.probs)
    )
    report = adequacy(on_grid, data, -4.0, 0.0)
    gain = float(estimate.fit.log_likelihood) / 22 + float(solution.value)
    assert 0.0 < gain <= float(report.gap) < 0.2


def test_summary_prints_support_and_certificate(estimate):
    text = estimate.summary(kind="observed")
    assert "-0.25977    0.04989" in text
    for point in SUPPORT:
        assert f"{point:.5f}" in text
    assert "(proved)" in text
    assert "5 starts, distinct local optima 1" in text


def test_atoms_stay_on_the_edge_of_a_range_that_binds(estimate):
    [start] = models(-0.25)
    narrow = fit_free_support(start, betablockers(), jnp.linspace(-2.5, -1.8, 101))
    supp = np.asarray(narrow.fit.supp)
    assert supp[[0, -1]] == approx([-2.5, -1.8], 0)
    assert float(narrow.adequacy.edge_mass) > 0.3
    assert "on the edge of the range; widen it" in narrow.summary()
    assert float(narrow.fit.log_likelihood) < float(estimate.fit.log_likelihood)


def test_answer_is_one_where_every_grid_has_many_local_maxima():
    data = rugged()
    grid = jnp.linspace(-4.0, 2.0, 101)
    betas = jnp.linspace(-0.4, -0.2, 201)

    def profile(beta):
        lclk = LogisticMixture(beta).lclk(data, grid)
        return -22 * solve_probs(lclk, solver="interior_point", throw=False).value

    on_grid = np.asarray(jax.jit(lambda: jax.lax.map(profile, betas))())
    peaks = (on_grid[1:-1] > on_grid[:-2]) & (on_grid[1:-1] > on_grid[2:])
    assert peaks.sum() >= 5

    start, *others = models(-0.5, -0.33, -0.32, -0.31, -0.29, -0.23, -0.1)
    free = fit_free_support(start, data, grid, starts=others)
    assert free.num_optima == 1
    assert np.isfinite(np.asarray(free.optima)).all()
    assert float(free.fit.log_likelihood) > on_grid.max()


def test_scale_of_weights_does_not_matter(estimate):
    weighted = fit_free_support(
        estimate.fit.model, betablockers(), TRIAL, weights=jnp.full(22, 3.0)
    )
    assert np.asarray(weighted.fit.theta) == approx(estimate.fit.theta, 1e-9)
    error = estimate.fit.standard_errors().beta
    assert np.asarray(weighted.fit.standard_errors().beta) == approx(error, 1e-8)


def test_failure_is_reported_by_its_code():
    [start] = models(0.5)
    short = fit_free_support(start, betablockers(), TRIAL, max_rounds=1, throw=False)
    assert short.fit.result == RESULTS.max_steps_reached
    assert short.num_optima == 0
    with pytest.raises(RuntimeError, match="ran out of steps"):
        fit_free_support(start, betablockers(), TRIAL, max_rounds=1)
