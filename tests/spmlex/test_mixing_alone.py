"""A model without parameters: the nonparametric estimate of F, and nothing else."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from problems import DATA, approx
from scipy import optimize

import spmlex
from spmlex import RESULTS, fit

TACKS = np.array([3, 13, 18, 48, 47, 67, 54, 51, 19])
"""Of 320 thumbtacks, flipped nine times, how many fell point up once, twice and so on
(Beckett and Diaconis 1994)."""


class Tacks(eqx.Module):
    """Points up in nine flips, without the binomial constant."""

    def lclk(self, data, supp):
        ups = data["ups"][:, None]
        return ups * jnp.log(supp) + (9 - ups) * jnp.log1p(-supp)


class Means(eqx.Module):
    """Normal observations, each with its own known standard error."""

    def lclk(self, data, supp):
        error = data["error"][:, None]
        deviate = (data["x"][:, None] - supp) / error
        return jax.scipy.stats.norm.logpdf(deviate) - jnp.log(error)


class Centres(eqx.Module):
    """The trial of beta blockers at a known effect."""

    effect: jax.Array

    def lclk(self, data, supp):
        log_odds = self.effect * data["treated"][:, :, None] + supp
        deaths, patients = data["deaths"][:, :, None], data["patients"][:, :, None]
        return (deaths * log_odds - patients * jax.nn.softplus(log_odds)).sum(axis=1)


@pytest.fixture(scope="module")
def means():
    rng = np.random.default_rng(3)
    error = rng.uniform(0.5, 1.5, size=60)
    x = rng.choice([-2.0, 1.5], size=60) + error * rng.normal(size=60)
    return {"x": x, "error": error}


def best_atoms(model, data, estimate, weights, bounds):
    """Return log-likelihood and atoms by a general optimiser, begun a little apart."""
    count = len(estimate.supp)

    @jax.value_and_grad
    def value(z):
        atoms, mass = z[:count], jax.nn.softmax(z[count:])
        return -jnp.asarray(weights) @ jnp.log(jnp.exp(model.lclk(data, atoms)) @ mass)

    start = np.concatenate([estimate.supp, np.log(estimate.probs)])
    start += 0.02 * np.random.default_rng(0).normal(size=start.size)
    found = optimize.minimize(
        value,
        start,
        jac=True,
        method="L-BFGS-B",
        bounds=[bounds] * count + [(None, None)] * count,
        options={"ftol": 1e-16, "gtol": 1e-8, "maxiter": 5000},
    )
    return -found.fun, found.x[:count]


def test_tacks_agree_with_a_general_optimiser():
    tacks = {"ups": np.repeat(np.arange(1, 10), TACKS)}
    estimate: Any = fit(Tacks(), tacks, np.linspace(0.02, 0.98, 49), support="free")
    patterns = {"ups": jnp.arange(1.0, 10.0)}
    height, atoms = best_atoms(Tacks(), patterns, estimate, 1.0 * TACKS, (0.01, 0.99))
    assert estimate.result == RESULTS.successful
    assert bool(estimate.certificate.is_proof)
    assert float(estimate.certificate.gap) < 1e-9
    assert estimate.log_likelihood == approx(height, 1e-6)
    assert estimate.supp == approx(atoms, 1e-3)


@pytest.mark.thorough
def test_means_agree_with_a_general_optimiser_however_the_support_moves(means):
    free = fit(Means(), means, np.linspace(-5, 5, 41), support="free")
    height, atoms = best_atoms(Means(), means, free, np.ones(60), (-5.0, 5.0))
    assert free.log_likelihood == approx(height, 1e-7)
    assert free.supp == approx(atoms, 1e-3)
    moved = fit(Means(), means, np.linspace(-5, 5, 41))
    assert moved.support == "free"
    assert moved.log_likelihood == approx(height, 1e-3)
    on_grid = fit(Means(), means, np.linspace(-5, 5, 41), support="grid")
    assert float(on_grid.log_likelihood) < height
    assert float(on_grid.gap) < 1e-9


@pytest.mark.thorough
def test_all_parameters_may_be_held():
    table = np.loadtxt(DATA / "betablockers.csv", delimiter=",", skiprows=1)
    _, deaths, patients, treated = table.T.reshape(4, 22, 2)
    trial = {"deaths": deaths, "patients": patients, "treated": treated}
    known = Centres(jnp.array(-0.2597685))
    estimate = fit(
        known,
        trial,
        jnp.linspace(-4.0, 0.0, 101),
        fixed=lambda m: m.effect,
        support="free",
    )
    published = [-2.97391, -2.68299, -2.33667, -2.27316, -2.06641, -1.76332, -1.43881]
    assert estimate.log_likelihood == approx(-5982.593413, 1e-5)
    assert estimate.supp == approx(published, 2e-4)


@pytest.mark.parametrize("support", ["grid", "free"])
def test_inference_on_no_parameter_is_empty(means, support):
    estimate = fit(Means(), means, np.linspace(-5, 5, 21), support=support)
    assert estimate.theta.shape == (0,)
    assert estimate.theta.dtype == jnp.float64
    assert estimate.gradient_norm == 0
    for kind in spmlex.INTERVAL_KINDS:
        lower, upper = estimate.confint(kind=kind)
        assert lower.shape == upper.shape == (0,)
    for kind in (None, "efficient", *spmlex.COVARIANCE_KINDS):
        assert estimate.covariance(kind).shape == (0, 0)
    assert jax.tree.leaves(estimate.standard_errors()) == []
    text = estimate.summary()
    assert "Means: nonparametric maximum likelihood of F" in text
    assert "observations 60" in text
    assert "interval" not in text
    with pytest.raises(ValueError, match="this model has no parameter"):
        spmlex.likelihood_ratio_test(estimate, "slope", 0.0)


@pytest.mark.thorough
def test_adequacy_and_functionals_of_a_mixing_distribution(means):
    supp = np.linspace(-5, 5, 21)
    estimate = fit(Means(), means, supp, support="grid")
    judged = spmlex.adequacy(estimate, means, -5.0, 5.0)
    assert bool(judged.is_proof)
    assert float(judged.found) > 0
    better = fit(Means(), means, supp, support="free")
    gain = float(better.log_likelihood - estimate.log_likelihood) / 60
    assert 0 < gain <= float(judged.gap)
    mean = spmlex.delta_method(estimate, lambda model, supp, probs: probs @ supp)
    assert mean.value == approx([estimate.probs @ supp], 1e-12)
    # About the standard error of a mean of these observations.
    assert 0.2 < float(mean.standard_errors[0]) < 0.4


def test_posteriors_follow_bayes(means):
    estimate = fit(Means(), means, np.linspace(-5, 5, 41), support="free")
    density = np.exp(np.asarray(Means().lclk(means, estimate.supp)))
    joint = density * np.asarray(estimate.probs)
    by_hand = joint / joint.sum(axis=1, keepdims=True)
    supp, found = np.asarray(estimate.supp), estimate.posterior()
    assert found.probs == approx(by_hand, 1e-12)
    assert found.mean() == approx(by_hand @ supp, 1e-12)
    squares = found.mean(lambda v: {"square": v**2})
    assert squares["square"] == approx(by_hand @ supp**2, 1e-12)
    variance = by_hand @ supp**2 - (by_hand @ supp) ** 2
    assert found.std() == approx(np.sqrt(variance), 1e-7)
    # At the maximum the posterior averages to F.
    assert found.probs.mean(axis=0) == approx(estimate.probs, 1e-8)
    with pytest.raises(ValueError, match="function returned .* of the .* support"):
        found.mean(lambda v: v.sum())
    total = np.cumsum(by_hand[:, np.argsort(supp)], axis=1)
    medians = np.sort(supp)[(total < 0.5).sum(axis=1)]
    assert found.quantile() == approx(medians, 1e-12)
    classes = found.class_probabilities(lambda v: v > 0)
    assert list(classes) == [False, True]
    assert classes[True] == approx(by_hand[:, supp > 0].sum(axis=1), 1e-12)
    atoms = found.class_probabilities()
    assert list(atoms) == list(range(len(supp)))
    assert atoms[0] == approx(by_hand[:, np.argmin(supp)], 1e-12)
    # New data are those of the fit where they are equal.
    some = {name: values[:7] for name, values in means.items()}
    assert estimate.posterior(some).probs == approx(by_hand[:7], 1e-12)
    again = spmlex.posterior(Means(), some, estimate.supp, estimate.probs)
    assert again.mean() == approx((by_hand @ supp)[:7], 1e-12)
    for wrong in (0.0, 1.5):
        with pytest.raises(ValueError, match="level="):
            found.quantile(wrong)
    with pytest.raises(ValueError, match="classes returned shape"):
        found.class_probabilities(lambda v: v[:1])
    with pytest.raises(ValueError, match="groups: this mixing distribution has none"):
        estimate.posterior(some, groups=jnp.zeros(7, int))


@pytest.mark.thorough
def test_groups_have_their_own_distribution_and_posterior(means):
    groups = jnp.arange(60) % 2
    supp = np.linspace(-5, 5, 21)
    both = fit(Means(), means, supp, groups=groups)
    apart = [
        fit(
            Means(), {k: x[groups == g] for k, x in means.items()}, supp, support="grid"
        )
        for g in (0, 1)
    ]
    total = sum(float(one.log_likelihood) for one in apart)
    assert both.log_likelihood == approx(total, 1e-6)
    for g, one in enumerate(apart):
        assert both.probs[:, g] == approx(one.probs, 1e-5)
        own = both.posterior().mean()[groups == g]
        assert own == approx(one.posterior().mean(), 1e-5)
    some = {name: values[:3] for name, values in means.items()}
    first = both.posterior(some, groups=np.zeros(3, int)).mean()
    assert first[::2] == approx(both.posterior().mean()[:3:2], 1e-12)
    assert first[1] != approx(both.posterior().mean()[1], 1e-3)
    for wrong in (None, np.full(3, 2), np.zeros(2, int)):
        with pytest.raises(ValueError, match="from 0 to 1"):
            both.posterior(some, groups=wrong)
    assert "nonparametric" in both.summary()


def test_it_runs_under_jit(means):
    def height(x):
        data = means | {"x": x}
        made = fit(Means(), data, np.linspace(-5, 5, 21), support="grid", throw=False)
        return made.log_likelihood

    plain = fit(Means(), means, np.linspace(-5, 5, 21), support="grid")
    assert jax.jit(height)(means["x"]) == approx(plain.log_likelihood, 1e-9)


def test_more_starts_change_nothing(means):
    supp = np.linspace(-5, 5, 21)
    plain = fit(Means(), means, supp, support="grid")
    for starts in (3, [Means()]):
        again = fit(Means(), means, supp, support="grid", starts=starts)
        assert again.log_likelihood == approx(plain.log_likelihood, 1e-12)
