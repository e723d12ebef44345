"""Binary choices, counts and durations: likelihood, derivatives, draws, estimates."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
import scipy.integrate
import scipy.special
from jax.flatten_util import ravel_pytree
from model_helpers import check_derivatives
from scipy.stats import multivariate_normal, norm, poisson, weibull_min

import spmlex
from experiments import mixing
from experiments.covariates import NormalCovariates
from experiments.dgp import Process
from experiments.models.duration import WeibullHazard
from experiments.models.panel_binary import PanelBinary
from experiments.models.parts.links import sum_log_logistic, sum_log_normal
from experiments.models.poisson import MixedPoisson

pytestmark = pytest.mark.thorough

NORMAL = mixing.Normal(0.2, 0.8)
BOTH = mixing.GaussianCopula([mixing.Normal(0, 1), mixing.Normal(1, 0.5)], 0.5)
PROCESSES = {
    "logit": Process(PanelBinary([1.0, -0.5]), NORMAL, NormalCovariates(5, 2)),
    "probit": Process(
        PanelBinary([1.0, -0.5], "probit"), NORMAL, NormalCovariates(5, 2)
    ),
    "slopes": Process(
        PanelBinary([-0.5, 0.3], "logit", 2), BOTH, NormalCovariates(6, 3)
    ),
    "poisson": Process(MixedPoisson([0.5, -0.3]), NORMAL, NormalCovariates(4, 2)),
    "duration": Process(
        WeibullHazard(0.4, [0.7, -0.5], 2.0), NORMAL, NormalCovariates(2, 2)
    ),
}
SUPP = jnp.linspace(-4, 4, 60)
SUPP_2D = spmlex.product_grid(np.linspace(-4, 4, 9), np.linspace(-1, 3, 7))


def supp_of(name):
    return SUPP_2D if name == "slopes" else SUPP


N_OBS = 3000


def simulate(process, n):
    with jax.threefry_partitionable(True):
        return jax.jit(lambda key: process.simulate(key, n))(jr.key(3))


@functools.cache
def draw_all(name):
    return jax.tree.map(np.asarray, simulate(PROCESSES[name], N_OBS))


def draw(name, n=N_OBS):
    return {key: jnp.asarray(value[:n]) for key, value in draw_all(name).items()}


@functools.cache
def starter(name):
    truth = PROCESSES[name].truth
    return jax.jit(lambda data: ravel_pytree(truth.starting_values(data))[0])


@functools.cache
def evaluator(name):
    return jax.jit(lambda data, supp: PROCESSES[name].truth.lclk(data, supp))


def evaluate(name, data, supp):
    return evaluator(name)(data, supp)


def density(name, data, i, v) -> float:
    """Write the likelihood of one observation down once more, in NumPy."""
    model: Any = PROCESSES[name].truth
    x, y = np.asarray(data["covariates"])[i], np.asarray(data["outcomes"])[i]
    coef = np.asarray(model.coef)
    if name == "poisson":
        return np.prod(poisson.pmf(y, np.exp(x @ coef + v)))
    if name == "duration":
        shape = np.exp(float(model.log_alpha))
        scale = np.exp(-(x @ coef + v) / shape)
        pdf, sf = (f(y, shape, 0, scale) for f in (weibull_min.pdf, weibull_min.sf))
        return np.prod(np.where(np.asarray(data["ended"])[i], pdf, sf))
    if name == "slopes":
        index = v[0] + v[1] * x[:, 0] + x[:, 1:] @ coef
    else:
        index = v + x @ coef
    cdf = norm.cdf if name == "probit" else scipy.special.expit
    return np.prod(np.where(y, cdf(index), 1 - cdf(index)))


@pytest.mark.parametrize("name", PROCESSES)
def test_density_is_the_one_written_down(name):
    data = draw(name, 4)
    supp = supp_of(name)
    lclk = evaluate(name, data, supp)
    expected = [[density(name, data, i, v) for v in np.asarray(supp)] for i in range(4)]
    np.testing.assert_allclose(np.exp(lclk), expected, rtol=1e-9, atol=1e-300)


@pytest.mark.parametrize("name", ["logit", "probit", "poisson", "duration"])
def test_mixture_is_the_integral_over_the_latent(name):
    data = draw(name, 4)
    nodes, weights = np.polynomial.hermite_e.hermegauss(len(SUPP))
    at = jnp.asarray(0.2 + 0.8 * nodes)
    lclk = evaluate(name, data, at)
    mixture = np.exp(lclk) @ (weights / weights.sum())

    def integrand(v, i):
        return density(name, data, i, v) * norm.pdf(v, 0.2, 0.8)

    for i in range(4):
        found, _ = scipy.integrate.quad(integrand, -7, 7, args=(i,), epsabs=1e-13)
        assert mixture[i] == pytest.approx(found, rel=1e-7)


def test_mixture_of_random_slopes_is_the_double_integral():
    data = draw("slopes", 2)
    axis = np.linspace(-6, 6, 61)
    z = jnp.asarray(np.stack(np.meshgrid(axis, axis, indexing="ij"), -1).reshape(-1, 2))
    mass = np.exp(-0.5 * (np.asarray(z) ** 2).sum(axis=1)) * 0.2**2 / (2 * np.pi)
    mixture = np.exp(evaluate("slopes", data, BOTH.from_normal(z))) @ mass
    a, b = np.meshgrid(np.linspace(-6, 6, 121), np.linspace(-2, 4, 121))
    points = np.stack([a.ravel(), b.ravel()], axis=1)
    cov: Any = [[1, 0.25], [0.25, 0.25]]
    normal: Any = multivariate_normal(np.array([0, 1]), cov)
    mass_there = normal.pdf(points) * 0.1 * 0.05
    for i in range(2):
        values = [density("slopes", data, i, v) for v in points]
        found = values @ mass_there
        assert mixture[i] == pytest.approx(found, rel=1e-7)


def total(add, index):
    """Return what a sum over the first axis gives."""
    return add(lambda z, _: z, jnp.asarray(index), jnp.zeros(()))


@pytest.mark.parametrize(
    ("add", "exact"),
    [
        (sum_log_logistic, scipy.special.log_expit),
        (sum_log_normal, scipy.special.log_ndtr),
    ],
)
def test_sums_of_log_probabilities_are_accurate_everywhere(add, exact):
    z = np.concatenate([np.linspace(-12, 12, 401), [-1e6, -800, -38, 0, 38, 1e6]])
    # Relative to the logarithm, or to one where the probability is near one.
    np.testing.assert_allclose(total(add, z[None]), exact(z), rtol=2e-14, atol=5e-15)
    rows = np.stack([z, z[::-1], z + 1])
    expected = exact(z) + exact(z[::-1]) + exact(z + 1)
    np.testing.assert_allclose(total(add, rows), expected, rtol=2e-14, atol=5e-15)


@pytest.mark.parametrize("add", [sum_log_logistic, sum_log_normal])
def test_slopes_of_log_probabilities_are_right_at_zero_and_far_out(add):
    log_cdf = lambda z: total(add, z[None])  # noqa: E731
    z = np.array([-700.0, -30.0, -3.0, 0.0, 2.0, 30.0])
    slope, bend = jax.vmap(jax.grad(log_cdf)), jax.vmap(jax.grad(jax.grad(log_cdf)))
    if add is sum_log_logistic:
        first = scipy.special.expit(-z)
        second = -first * (1 - first)
    else:
        first = np.exp(norm.logpdf(z) - norm.logcdf(z))
        second = -first * (z + first)
        second[0] = 1 / 700**2 - 1  # where z + slope cancels
    np.testing.assert_allclose(slope(jnp.asarray(z)), first, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(bend(jnp.asarray(z)), second, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("name", PROCESSES)
def test_derivatives_in_theta_are_finite_and_equal_to_finite_differences(name):
    model, supp = PROCESSES[name].truth, supp_of(name)
    data = draw(name, 20)
    theta, build = ravel_pytree(model)
    weights = jr.uniform(jr.key(0), (20, len(supp)))

    def total(theta):
        return (weights * build(theta).lclk(data, supp)).sum()

    check_derivatives(total, theta, rtol=1e-5, atol=(1e-5, 1e-4))


@pytest.mark.parametrize("name", PROCESSES)
def test_first_observations_do_not_depend_on_their_number(name):
    for key, value in simulate(PROCESSES[name], 31).items():
        np.testing.assert_array_equal(value, draw(name, 31)[key])


@pytest.mark.parametrize("mean", [1e-3, 0.7, 9.0, 35.0, 2000.0])
def test_counts_are_quantiles_of_the_poisson_distribution(mean):
    model = MixedPoisson([1.0])
    data = {
        "latent": jnp.full(N_OBS, np.log(mean)),
        "covariates": jnp.zeros((N_OBS, 1, 1)),
    }
    drawn = jax.jit(lambda data: model.simulate(data, rng=jr.key(4)))(data)
    uniform = jr.uniform(jr.key(4), (N_OBS, 1))
    np.testing.assert_array_equal(drawn["outcomes"], poisson.ppf(uniform, mean))


def test_counts_of_any_mean_are_drawn_at_once():
    # A search that tries parameters far out asks for these; it once did not end.
    model = MixedPoisson([1.0])
    data = {"latent": jnp.full(N_OBS, 70.0), "covariates": jnp.zeros((N_OBS, 1, 1))}
    drawn = jax.jit(lambda data: model.simulate(data, rng=jr.key(4)))(data)
    assert (np.asarray(drawn["outcomes"]) > 1e15).all()
    data["latent"] = jnp.full(N_OBS, np.log(1.1e4))
    drawn = jax.jit(lambda data: model.simulate(data, rng=jr.key(4)))(data)
    exact = poisson.ppf(jr.uniform(jr.key(4), (N_OBS, 1)), 1.1e4)
    assert np.abs(drawn["outcomes"] - exact).max() <= 1


def test_covariates_are_the_same_for_another_mixing_distribution():
    logit = PROCESSES["logit"]
    other = Process(logit.truth, mixing.Uniform(-1, 1), logit.covariates)
    here, there = draw("logit", 31), simulate(other, 31)
    np.testing.assert_array_equal(here["covariates"], there["covariates"])
    assert (here["outcomes"] == there["outcomes"]).mean() > 0.8


def test_covariates_have_the_stated_dependence():
    latent = jr.normal(jr.key(5), (50_000,))
    made = NormalCovariates(2, 1, share=0.3, on_latent=0.5)
    x = made.simulate(latent, rng=jr.key(0))["covariates"][:, :, 0]
    found = np.cov(np.stack([*x.T, latent]))
    expected = [[1.25, 0.55, 0.5], [0.55, 1.25, 0.5], [0.5, 0.5, 1]]
    np.testing.assert_allclose(found, expected, atol=0.03)


@pytest.mark.parametrize("mean", [4.0, [4.0, -1.0]])
def test_the_mean_of_covariates_moves_them_and_nothing_else(mean):
    latent = jr.normal(jr.key(5), (50,))
    plain, moved = (
        made.simulate(latent, rng=jr.key(0))["covariates"]
        for made in (
            NormalCovariates(3, 2, share=0.3, on_latent=0.5),
            NormalCovariates(3, 2, share=0.3, on_latent=0.5, mean=mean),
        )
    )
    expected = np.broadcast_to(mean, plain.shape)
    np.testing.assert_allclose(moved - plain, expected, atol=1e-14)


@pytest.mark.parametrize("mean", [[1.0, 2.0, 3.0], [1.0], [[1.0, 2.0]], np.nan])
def test_a_mean_of_covariates_that_fits_none_is_refused(mean):
    with pytest.raises(ValueError, match="give one finite number, or a list of n_cov"):
        NormalCovariates(3, 2, mean=mean)


@pytest.mark.parametrize("name", ["logit", "poisson"])
def test_starting_values_are_consistent(name):
    theta, _ = ravel_pytree(PROCESSES[name].truth)
    np.testing.assert_allclose(starter(name)(draw(name)), theta, atol=0.1)


def test_conditional_start_withstands_covariates_that_depend_on_the_latent():
    truth, made = PROCESSES["logit"].truth, NormalCovariates(5, 2, 0.0, 1.0)
    data = simulate(Process(truth, NORMAL, made), N_OBS)
    np.testing.assert_allclose(starter("logit")(data), [1.0, -0.5], atol=0.1)


def make_nasty(name, case):
    data = draw(name)
    if case == "none":
        data |= {"outcomes": np.zeros_like(data["outcomes"])}
    elif case == "all":
        data |= {"outcomes": np.ones_like(data["outcomes"])}
    elif case == "separated":
        first = data["covariates"][:, :, 0]
        data |= {"outcomes": (first > 0).astype(data["outcomes"].dtype)}
    elif case == "constant":
        data |= {"covariates": np.ones_like(data["covariates"])}
    elif case == "huge":
        data |= {
            "outcomes": data["outcomes"] * np.array(10**9, data["outcomes"].dtype),
            "covariates": 100 * data["covariates"],
        }
    if "ended" in data and case in ("none", "all"):
        data |= {"ended": np.full_like(data["ended"], case == "all")}
    return data


@pytest.mark.parametrize("name", PROCESSES)
def test_starting_values_are_finite_whatever_the_data(name):
    for case in ("none", "all", "separated", "constant", "huge"):
        assert bool(jnp.isfinite(starter(name)(make_nasty(name, case))).all()), case


@pytest.mark.parametrize("name", ["poisson", "duration"])
def test_starting_values_do_not_depend_on_the_unit_of_the_outcomes(name):
    data = draw(name)
    scaled = data | {"outcomes": 7 * data["outcomes"]}
    np.testing.assert_allclose(
        starter(name)(data), starter(name)(scaled), rtol=0, atol=1e-4
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", PROCESSES)
def test_fits_recover_the_truth(name):
    truth, data = PROCESSES[name].truth, draw(name)
    fit = spmlex.fit(truth.starting_values(data), data, supp_of(name))
    theta, _ = ravel_pytree(truth)
    error, _ = ravel_pytree(fit.standard_errors("sandwich"))
    assert (jnp.abs(fit.theta - theta) < 4 * error).all()
    assert (error < 0.1).all()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: PanelBinary([1.0], "logistic"), "choose one of logit, probit"),
        (lambda: PanelBinary([]), "give a list of one number or more"),
        (lambda: PanelBinary([1.0], "logit", 0), "n_random=0: give 1 or more"),
        (lambda: MixedPoisson(1.0), "give a list of one number or more"),
        (lambda: WeibullHazard(0.0, []), "give a list of one number or more"),
        (lambda: WeibullHazard(0.0, [1.0], 0), "censored_at=0.0: give a positive"),
        (lambda: NormalCovariates(0, 1), "n_periods=0: give 1 or more"),
        (lambda: NormalCovariates(1, 1, share=2), "share=2.0: give a number from 0"),
        (
            lambda: (
                PanelBinary([1.0], "logit", 2).lclk(draw("logit", 3), SUPP_2D[:1])
                * PanelBinary([1.0]).lclk(draw("logit", 3), SUPP)
            ),
            "need 1 a period",
        ),
    ],
)
def test_impossible_parameters_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
