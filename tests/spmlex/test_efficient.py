"""The efficient score: unbiased under every F, in closed form, exact where it can."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree
from panels import make_problem
from problems import approx

from experiments.models.panel_binary import PanelBinary
from spmlex._efficient import score_parts
from spmlex._efficient.draws import draw_rows, how_rows_are_made, list_outcomes
from spmlex._efficient.projection import Projection, project_score, sum_moments
from spmlex._efficient.score_parts import find_seen, make_rows, split_score, spread_out
from spmlex._efficient.smooth_mixing import count_effective
from spmlex._inner import get_solver
from spmlex._profile.outer import OuterProblem

slow = pytest.mark.thorough
MODELS = [
    ("poisson", 4.0),
    pytest.param("linear factor", 0.0, marks=slow),
    pytest.param("logit", 0.0, marks=slow),
    pytest.param("duration", 0.0, marks=slow),
]


class OnlySimulates(eqx.Module):
    """A model without its list of outcomes."""

    model: Any

    def lclk(self, data, supp):
        """Return that of the model."""
        return self.model.lclk(data, supp)

    def simulate(self, data, *, rng):
        """Return what the model draws."""
        return self.model.simulate(data, rng=rng)


class Plugged(NamedTuple):
    """A projection at the truth, with what it is made from."""

    problem: OuterProblem
    theta: Any
    weights: Any
    probs: Any
    proposal: Any
    found: Projection

    def parts(self, data) -> Any:
        parts = split_score(self.problem, self.theta, self.probs, data)
        return parts._replace(columns=jnp.where(self.proposal > 0, parts.columns, 0.0))


def bell(supp):
    """Return a wide normal distribution on a grid."""
    apart = (supp - supp.mean()) / (supp.max() - supp.min())
    probs = jnp.exp(-0.5 * (apart / 0.15) ** 2)
    return probs / probs.sum()


def few_atoms(key, supp):
    """Return a random distribution on three points of the middle of a grid."""
    where = supp.size // 4 + jr.choice(key, supp.size // 2, (3,), replace=False)
    mass = jr.dirichlet(jr.fold_in(key, 1), jnp.ones(3))
    return jnp.zeros(supp.size).at[where].set(mass)


@eqx.filter_jit
def plug_in(model, data, supp, probs, n_draws) -> Plugged:
    """Project the score at the model's theta, with this F plugged in."""
    n_free = len(jax.tree.leaves(eqx.filter(model, eqx.is_inexact_array)))
    free = (True,) * n_free
    solver = get_solver("active_set")
    problem = OuterProblem(model, data, supp, None, None, free, solver)
    theta, _ = ravel_pytree(model)
    lclk = problem.lclk(theta)
    weights = jnp.full(lclk.shape[0], 1.0 / lclk.shape[0])
    plugged, proposal = spread_out(probs, find_seen(lclk, weights))
    rows = make_rows(problem, theta, proposal, weights, jr.key(11), n_draws)
    moments = sum_moments(problem, theta, plugged, rows)
    found = project_score(moments, problem.n_supp, theta.size)
    return Plugged(problem, theta, weights, plugged, proposal, found)


@eqx.filter_jit
def means_elsewhere(plugged: Plugged, other, key, n_rows, n_draws):
    """Return means of the scores under another F in units of their standard error.

    That has two parts: the sample, and the draws that the projection was made from: to
    first order the mean moves by the mean over these of `psi (p_other / p - 1)`.
    """
    problem, theta, weights = plugged.problem, plugged.theta, plugged.weights
    model = problem.build(theta)
    given = (model, problem.data, problem.supp)
    rows = draw_rows(*given, other, weights, key, n_rows)
    parts = plugged.parts(rows)
    scores = plugged.found.apply(parts)
    again = draw_rows(*given, plugged.probs, weights, jr.fold_in(key, 1), n_rows)
    there = plugged.parts(again)
    moved = plugged.found.apply(there) * (there.columns @ other)[:, None]
    made = 0.0 if how_rows_are_made(model, problem.data, n_draws) == "outcomes" else 1.0
    variance = jnp.var(scores, axis=0) / n_rows
    variance = variance + made * jnp.var(moved, axis=0) / n_draws
    plain = jnp.mean(parts.score, axis=0) / jnp.std(parts.score, axis=0)
    return jnp.mean(scores, axis=0) / jnp.sqrt(variance), plain * jnp.sqrt(n_rows)


class RootOfLatent(eqx.Module):
    """Counts whose mean has no slope in the unobservable where that is zero."""

    coef: Any

    def lclk(self, data, supp):
        """Return log-probabilities but for what no parameter is in."""
        log_mean = self.coef * data["covariates"][:, None] + jnp.sqrt(supp)
        return data["outcomes"][:, None] * log_mean - jnp.exp(log_mean)


def test_score_of_theta_needs_no_slope_in_the_support_points():
    data = {"covariates": jnp.array([1.0, -2.0]), "outcomes": jnp.array([3.0, 0.0])}
    supp, solver = jnp.array([0.0, 1.0]), get_solver("active_set")
    model = RootOfLatent(jnp.array(0.4))
    problem = OuterProblem(model, data, supp, None, None, (True,), solver)
    probs = jnp.array([0.5, 0.5])

    def mixture(theta):
        return jax.nn.logsumexp(problem.lclk(theta), b=probs, axis=1)

    parts = split_score(problem, jnp.array([0.4]), probs, data)
    assert parts.score == approx(jax.jacfwd(mixture)(jnp.array([0.4])), abs=1e-12)
    assert np.all(np.isfinite(parts.flows))


def test_blocks_of_rows_add_up_to_all_of_them(monkeypatch):
    model, data, supp = make_problem("poisson", 200, 0.0)
    plugged = plug_in(model, data, supp, bell(supp), 1000)
    given = plugged.problem, plugged.theta, plugged.proposal
    rows = make_rows(*given, plugged.weights, jr.key(3), 1000)
    monkeypatch.setattr(score_parts, "_IN_CACHE", 10**9)
    whole = sum_moments(*given, rows)
    monkeypatch.setattr(score_parts, "_IN_CACHE", 1)  # the last block has 104 of 128
    for one, other in zip(sum_moments(*given, rows), whole, strict=True):
        assert one == approx(other, abs=1e-8)


@pytest.mark.parametrize(("name", "mean"), MODELS)
def test_mean_is_zero_under_another_mixing_distribution(name, mean):
    n_rows, n_draws = 60_000, 20_000
    model, data, supp = make_problem(name, 200, mean)
    plugged = plug_in(model, data, supp, bell(supp), n_draws)
    off, plain_off = [], []
    for number in range(4):
        key = jr.key(100 + number)
        given = (few_atoms(key, supp), key, n_rows, n_draws)
        deviates, plain = means_elsewhere(plugged, *given)
        off.append(deviates)
        plain_off.append(plain)
    assert jnp.abs(jnp.stack(off)).max() < 4.0
    # Without the projection it is not.
    assert jnp.abs(jnp.stack(plain_off)).max() > 8.0


@slow
def test_linear_factor_score_is_what_the_factor_estimate_leaves():
    model, data, supp = make_problem("linear factor", 400)
    plugged = plug_in(model, data, supp, bell(supp), 20_000)
    scores = plugged.found.apply(plugged.parts(data))

    outcomes = data["outcomes"]
    loadings = jnp.concatenate([jnp.ones(1), model.coef])
    precision = jnp.exp(-2 * model.log_std_e)
    total = (precision * loadings**2).sum()
    factor = outcomes @ (precision * loadings) / total
    residual = outcomes - factor[:, None] * loadings
    # Given the factor estimate the residuals are normal with mean zero.
    variance = 1 / precision - loadings**2 / total
    posterior = plugged.probs * jnp.exp(-0.5 * total * (supp - factor[:, None]) ** 2)
    mean = (posterior @ supp / posterior.sum(axis=1))[:, None]
    of_loadings = precision * mean * residual
    cross = 2 * loadings * (factor[:, None] - mean) * residual
    of_scales = precision * (residual**2 - variance + cross)
    closed = jnp.hstack([of_loadings[:, 1:], of_scales])

    for estimated, exact in zip(scores.T, closed.T, strict=True):
        # Some 25 coefficients from 20,000 draws: their share of the variance is 0.001.
        assert np.corrcoef(estimated, exact)[0, 1] > 0.998
        assert estimated @ exact / (exact @ exact) == approx(1.0, 0.02)


@pytest.mark.parametrize("name", ["poisson", pytest.param("logit", marks=slow)])
@pytest.mark.parametrize("mean", [5.0, 1000.0])
def test_information_is_that_of_the_centred_covariate(name, mean):
    here = plug_in(*make_problem(name), bell(make_problem(name)[2]), 2048).found
    model, data, supp = make_problem(name, mean=mean)
    there = plug_in(model, data, supp, bell(supp), 2048).found
    # Shifts of F are taken out exactly; what is left is rounding.
    assert there.information == approx(here.information, 1e-6)
    assert there.remaining == approx(here.remaining, 1e-6)
    assert there.parametric[0, 0] > 10 * here.parametric[0, 0]


def test_probabilities_of_all_outcomes_sum_to_one():
    model, data, supp = make_problem("logit", 50)
    rows = list_outcomes(model, data)
    lclk = model.lclk(rows, supp).reshape(16, 50, -1)
    assert jnp.exp(lclk).sum(axis=0) == approx(np.ones((50, supp.size)), 1e-12)


@slow
@pytest.mark.parametrize("n_random", [1, 2])
def test_sums_over_outcomes_are_what_draws_approach(n_random):
    model, data, supp = make_problem("logit", 100)
    if n_random == 2:
        x = data["covariates"]
        data = data | {"covariates": jnp.concatenate([x[:, ::-1], x], axis=2)}
        model = PanelBinary(model.coef, n_random=2)
        line = jnp.linspace(-2.0, 2.0, 5)
        supp = jnp.stack(jnp.meshgrid(line, line), axis=-1).reshape(-1, 2)
    probs = jnp.full(supp.shape[0], 1.0 / supp.shape[0])
    exact = plug_in(model, data, supp, probs, 2048).found
    n_draws = 40_000
    drawn = plug_in(OnlySimulates(model), data, supp, probs, n_draws).found
    # Both variances are means over draws of squares, with kurtosis about 3.
    tolerance = 5 * np.sqrt(3 / n_draws)
    assert drawn.parametric == approx(exact.parametric, tolerance)
    assert drawn.information == approx(exact.information, tolerance)
    assert exact.misfit < 1e-20
    assert drawn.misfit < 100 / n_draws


def test_neighbours_on_the_grid_that_stand_for_one_atom_count_once():
    supp = jnp.linspace(-4.0, 4.0, 81)
    draws = jnp.where(jnp.arange(400) < 200, -2.0, 2.0) + jr.normal(jr.key(0), (400,))
    lclk = -0.5 * (draws[:, None] - supp) ** 2
    weights = jnp.full(400, 1 / 400)
    one_each = jnp.zeros(81).at[jnp.array([20, 60])].set(0.5)
    two_each = jnp.zeros(81).at[jnp.array([20, 21, 60, 61])].set(0.25)
    alone, paired = (
        count_effective(lclk, probs, weights, jnp.array(400.0))
        for probs in (one_each, two_each)
    )
    assert alone == approx(2.0, 0.02)
    assert paired < 2.5
    # Where they stand for two, they count twice.
    apart = jnp.zeros(81).at[jnp.array([10, 30, 50, 70])].set(0.25)
    assert count_effective(lclk, apart, weights, jnp.array(400.0)) > 3.0
