"""Logistic mixtures with free support: a 22-centre trial, and a rugged grid."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from spmlex import RESULTS, adequacy, fit, gradient_on, solve_probs
from tests.spmlex.problems import DATA, approx, said

pytestmark = pytest.mark.thorough

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
    return fit(start, betablockers(), TRIAL, starts=others, support="free")


def test_known_maximum_is_reached_from_every_start(estimate):
    optima = estimate.optima
    assert np.asarray(optima.log_likelihood) == approx(np.full(5, -5982.593413), 2e-6)
    assert optima.num_optima == 1
    assert estimate.support == "free"
    assert estimate.result == RESULTS.successful
    assert float(estimate.theta[0]) == pytest.approx(-0.2597685, rel=1e-6)
    assert np.asarray(estimate.supp) == approx(SUPPORT, 6e-6)


def test_known_standard_error_is_reached(estimate):
    error = float(estimate.standard_errors("observed").beta)
    assert error == pytest.approx(0.04989, abs=5e-6)
    assert 0.03 < float(estimate.standard_errors("sandwich").beta) < 0.08


def test_scores_average_to_the_gradient_which_is_zero(estimate):
    assert float(jnp.max(jnp.abs(estimate.gradient))) < 1e-8
    mean = estimate.weights @ estimate.scores
    assert np.asarray(mean) == approx(-estimate.gradient, 1e-10)


def test_maximum_is_certified_on_the_continuum(estimate):
    assert float(estimate.certificate.gap) <= 1e-9
    assert bool(estimate.certificate.is_proof)
    assert float(estimate.certificate.edge_mass) == 0.0
    given = (estimate.model, betablockers(), estimate.supp, estimate.probs)
    g = gradient_on(*given, jnp.linspace(-4.0, 0.0, 4001))
    assert float(jnp.max(g)) <= 1.0 + 1e-9
    assert np.asarray(gradient_on(*given, estimate.supp)) == approx(np.ones(7), 1e-9)


def test_certificate_of_a_grid_bounds_what_free_support_gains(estimate):
    data, model = betablockers(), estimate.model
    grid = jnp.linspace(-4.0, 0.0, 41)
    solution = solve_probs(model.lclk(data, grid), solver="interior_point")
    on_grid = eqx.tree_at(
        lambda fit: (fit.supp, fit.probs), estimate, (grid, solution.probs)
    )
    report = adequacy(on_grid, data, -4.0, 0.0)
    gain = float(estimate.log_likelihood) / 22 + float(solution.value)
    assert 0.0 < gain <= float(report.gap) < 0.2


def test_summary_prints_support_and_certificate(estimate):
    text = estimate.summary(kind="observed")
    assert "-0.25977    0.04989" in text
    for point in SUPPORT:
        assert f"{point:.5f}" in text
    assert "proved, if third derivatives" in said(text)
    assert "5 starts, 1 local optimum" in text


def test_atoms_stay_on_the_edge_of_a_range_that_binds(estimate):
    [start] = models(-0.25)
    grid = jnp.linspace(-2.5, -1.8, 101)
    narrow = fit(start, betablockers(), grid, support="free")
    assert np.asarray(narrow.supp)[[0, -1]] == approx([-2.5, -1.8], 0)
    assert narrow.certificate is not None
    assert float(narrow.certificate.edge_mass) > 0.3
    assert "end of the range; widen it" in said(narrow.summary())
    assert float(narrow.log_likelihood) < float(estimate.log_likelihood)


def test_fit_is_not_fooled_by_a_grid_with_many_local_maxima():
    data = rugged()
    grid = jnp.linspace(-4.0, 2.0, 101)
    betas = jnp.linspace(-0.4, -0.2, 201)

    def profile(beta):
        lclk = LogisticMixture(beta).lclk(data, grid)
        return -22 * solve_probs(lclk, solver="interior_point", throw=False).value

    on_grid = np.asarray(jax.jit(lambda: jax.lax.map(profile, betas))())
    peaks = (on_grid[1:-1] > on_grid[:-2]) & (on_grid[1:-1] > on_grid[2:])
    assert peaks.sum() >= 5

    start, *others = models(-0.5, -0.33, -0.31, -0.23)
    found = fit(start, data, grid, starts=others)
    assert found.support == "free"
    assert not bool(found.flagged)
    assert float(found.log_likelihood) > on_grid.max()
    with pytest.warns(RuntimeWarning, match="support='free'"):
        stuck = fit(start, data, grid, support="grid")
    assert stuck.support == "grid"
    assert float(stuck.grid_ripple) > 0.5
    assert float(found.grid_ripple) == 0.0


def test_maximum_near_the_grid_is_that_of_the_whole_search(estimate):
    near = fit(models(0.0)[0], betablockers(), TRIAL)
    assert near.support == "free"
    assert np.asarray(near.theta) == approx(estimate.theta, 1e-3)
    assert float(estimate.log_likelihood - near.log_likelihood) < 0.01
    error = float(estimate.standard_errors("observed").beta)
    found = float(near.standard_errors("observed").beta)
    assert found == pytest.approx(error, rel=0.02)


def test_scale_of_weights_does_not_matter(estimate):
    given = (betablockers(), TRIAL)
    weighted = fit(estimate.model, *given, weights=jnp.full(22, 3.0), support="free")
    assert np.asarray(weighted.theta) == approx(estimate.theta, 1e-9)
    error = estimate.standard_errors().beta
    assert np.asarray(weighted.standard_errors().beta) == approx(error, 1e-8)


def test_failure_is_reported_by_its_code():
    [start] = models(0.5)
    given = {"support": "free", "max_steps": 1}
    short = fit(start, betablockers(), TRIAL, throw=False, **given)
    assert short.result == RESULTS.max_steps_reached
    with pytest.raises(RuntimeError, match="ran out of steps"):
        fit(start, betablockers(), TRIAL, **given)


def test_free_support_says_what_rules_it_out():
    [start] = models(0.0)
    data = betablockers()
    groups = jnp.arange(22) % 2
    with pytest.raises(ValueError, match="support='free': groups have a common grid"):
        fit(start, data, TRIAL, support="free", groups=groups)
    with pytest.raises(ValueError, match="does not run under jit"):
        jax.jit(lambda data: fit(start, data, TRIAL, support="free").theta)(data)
    with pytest.raises(ValueError, match="support='fre': choose from grid, free"):
        fit(start, data, TRIAL, support="fre")
