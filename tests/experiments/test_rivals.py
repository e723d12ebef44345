"""Rival estimators: right in their own model, and equal to independent computations."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize
import scipy.stats
from jax.flatten_util import ravel_pytree

from experiments import mixing
from experiments.dgp import Process
from experiments.engine import replicate
from experiments.estimators import (
    FiniteMixture,
    FromModel,
    JointEM,
    NormalRandomEffects,
    Oracle,
    Profile,
)
from experiments.estimators.derivatives import NodeSum, differentiate
from experiments.estimators.likelihood import Maximum, split_model, standard_errors
from experiments.mixing.quadrature import cell_rule, normal_rule
from experiments.models.linear_factor import LinearFactor
from experiments.models.panel_binary import PanelBinary

MODEL = LinearFactor(coef=[1.5, 0.3], log_std_e=[0.0, 0.2, -0.3])
THETA = np.array([1.5, 0.3, 0.0, 0.2, -0.3])
NORMAL = mixing.Normal(loc=0.5, scale=2.0)
PROCESSES = {
    "normal": Process(MODEL, NORMAL),
    "discrete": Process(
        MODEL, mixing.Discrete(supp=[-3, 0, 5], weights=[0.3, 0.5, 0.2])
    ),
    "sharp": Process(LinearFactor([1.5, 0.3], [-3.0, -3.0, -3.0]), NORMAL),
}
SUPP = jnp.linspace(-8.0, 8.0, 33)
N_OBS = 600


@functools.cache
def draw(process_name, n=N_OBS, seed=0):
    return PROCESSES[process_name].simulate(jax.random.key(seed), n)


@functools.cache
def compiled(estimator):
    return jax.jit(
        lambda data, mixing: replicate.estimate(estimator, MODEL, data, SUPP, mixing)
    )


@functools.cache
def estimate(estimator, process_name, n=N_OBS, seed=0):
    """Estimate as a study does, under `jit`, from a model without values."""
    known = PROCESSES[process_name].mixing
    mixing = known if replicate.needs_mixing(estimator) else None
    result = compiled(estimator)(draw(process_name, n, seed), mixing)
    return jax.tree.map(np.asarray, result)


RIVALS = [
    (NormalRandomEffects(nodes=61), "normal"),
    (Oracle(nodes=64), "normal"),
    (Oracle(nodes=64), "discrete"),
    (FromModel("moment_estimate"), "normal"),
    (FromModel("moment_estimate"), "discrete"),
]


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("rival", "process"),
    RIVALS,
    ids=lambda x: x if type(x) is str else type(x).__name__,
)
def test_truth_is_recovered_where_the_assumptions_hold(rival, process):
    result = estimate(rival, process)
    assert result["code"] == 0
    kind = rival.kinds.index(rival.default_kind)
    error = result["standard_error"][kind]
    assert np.abs((result["estimate"] - THETA) / error).max() < 3.5
    assert (error > 0).all()
    assert (error < 0.15).all()
    np.testing.assert_allclose(
        result["upper"] - result["lower"], 2 * 1.959964 * result["standard_error"]
    )
    if rival.kinds != ("sandwich",):
        assert result["gradient_norm"] < 1e-6
        # In the model all three estimate the same variance.
        np.testing.assert_allclose(
            result["standard_error"], np.tile(error, (3, 1)), rtol=0.25
        )


def exact_loss(params, outcomes):
    """Return minus the mean log-likelihood with a normal factor, integrated by hand."""
    coef, log_std, mean, log_scale = params[:2], params[2:5], params[5], params[6]
    loadings = np.concatenate([[1.0], coef])
    cov = np.exp(2 * log_scale) * np.outer(loadings, loadings)
    cov += np.diag(np.exp(2 * log_std))
    return (
        -scipy.stats.multivariate_normal(mean * loadings, cov).logpdf(outcomes).mean()
    )


@pytest.mark.thorough
def test_normal_random_effects_are_the_exact_normal_factor_model():
    outcomes = np.asarray(draw("normal")["outcomes"])
    result = estimate(NormalRandomEffects(nodes=61), "normal")
    start = np.concatenate([result["estimate"] + 0.02, [0.4, 0.6]])
    exact = scipy.optimize.minimize(
        exact_loss, start, (outcomes,), method="BFGS", options={"gtol": 1e-7}
    )
    exact = scipy.optimize.minimize(
        exact_loss,
        exact.x,
        (outcomes,),
        method="Nelder-Mead",
        options={"xatol": 1e-7, "fatol": 1e-14, "maxiter": 3000},
    )
    np.testing.assert_allclose(result["estimate"], exact.x[:5], atol=1e-5)
    np.testing.assert_allclose(
        result["log_likelihood"], -exact.fun * N_OBS, rtol=1e-12, atol=1e-7
    )
    # The observed information, by differences of the exact likelihood.
    step = 1e-4 * np.eye(7)
    hessian = (
        np.array(
            [
                [
                    sum(
                        a * b * exact_loss(exact.x + a * u + b * v, outcomes)
                        for a in (1, -1)
                        for b in (1, -1)
                    )
                    for v in step
                ]
                for u in step
            ]
        )
        / 4e-8
    )
    error = np.sqrt(np.diag(np.linalg.inv(hessian))[:5] / N_OBS)
    np.testing.assert_allclose(result["standard_error"][0], error, rtol=1e-3)
    # F is reported as the normal distribution that was fitted.
    assert result["probs"].sum() == pytest.approx(1.0)
    mean = result["probs"] @ result["supp"]
    assert mean == pytest.approx(exact.x[5], abs=0.01)


@jax.jit
def integrate(model, data, nodes, log_mass):
    """Return each observation's log-density, summed over nodes."""
    return jax.scipy.special.logsumexp(model.lclk(data, nodes) + log_mass, axis=1)


@pytest.mark.parametrize(("noise", "nodes"), [(0.0, 61), (-1.0, 101)])
def test_trapezoidal_rule_is_the_more_accurate(noise, nodes):
    model = LinearFactor([1.5, 0.3], [noise, noise + 0.2, noise - 0.3])
    data = Process(model, mixing.Normal(loc=0.0, scale=2.0)).simulate(
        jax.random.key(1), 500
    )
    exact = -exact_loss(
        np.concatenate([ravel_pytree(model)[0], [0.0, np.log(2.0)]]), data["outcomes"]
    )
    errors = {}
    for rule in ("trapezoid", "gauss_hermite"):
        z, log_mass = normal_rule(rule, nodes, 1, 8.0)
        value = integrate(model, data, 2.0 * z[:, 0], log_mass).mean()
        errors[rule] = abs(float(value) - exact)
    assert errors["trapezoid"] < 1e-5
    assert errors["trapezoid"] < 0.01 * errors["gauss_hermite"]


@pytest.mark.thorough
def test_unresolved_kernels_are_flagged():
    rival = NormalRandomEffects(nodes=61)
    assert estimate(rival, "normal")["flagged"] == 0
    assert estimate(rival, "sharp")["flagged"] == 1


Z = jnp.array([[-1.0, 0.5], [0.0, -1.5], [2.0, 1.0]])


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("n_random", "nodes_at", "of_f"),
    [
        (1, lambda f: (f[:3, None], jax.nn.log_softmax(f[3:])), 6),
        (
            2,
            lambda f: (f[:2] + jnp.exp(f[2]) * f[3] * Z, jax.nn.log_softmax(f[1:4])),
            4,
        ),
        (2, lambda _: (Z, jnp.log(Z[:, 0] + 2)), 0),
    ],
    ids=["free", "two", "known"],
)
def test_derivatives_are_those_of_the_sum(n_random, nodes_at, of_f):
    rng = np.random.default_rng(0)
    truth = PanelBinary([0.5], "logit", n_random=n_random)
    data = {
        "covariates": jnp.asarray(rng.normal(size=(20, 3, n_random))),
        "outcomes": jnp.asarray(rng.integers(0, 2, size=(20, 3))),
    }
    _, build = split_model(truth)

    def lclk_at(theta, points):
        return build(theta).lclk(data, points.squeeze())

    def loss(params):
        points, log_mass = nodes_at(params[1:])
        terms = lclk_at(params[:1], points) + log_mass
        return -jax.scipy.special.logsumexp(terms, axis=1).mean()

    @jax.jit
    def both(params):
        there = differentiate(NodeSum(lclk_at, nodes_at, 1), params)
        return there, loss(params), jax.grad(loss)(params), jax.hessian(loss)(params)

    there, value, gradient, hessian = both(jnp.linspace(0.7, -0.4, 1 + of_f))
    np.testing.assert_allclose(there.value, value, rtol=1e-12)
    np.testing.assert_allclose(there.gradient, gradient, atol=1e-12)
    np.testing.assert_allclose(there.hessian, hessian, atol=1e-11)
    np.testing.assert_allclose(there.scores.mean(0), -there.gradient, atol=1e-12)


@pytest.mark.thorough
def test_oracle_maximises_the_sum_over_the_true_atoms():
    data = draw("discrete")
    result = estimate(Oracle(nodes=64), "discrete")
    outcomes = np.asarray(data["outcomes"])

    def brute(theta):
        total = 0.0
        for point, mass in zip([-3, 0, 5], [0.3, 0.5, 0.2], strict=True):
            mean = point * np.concatenate([[1.0], theta[:2]])
            density = scipy.stats.norm.pdf(outcomes, mean, np.exp(theta[2:]))
            total = total + mass * density.prod(axis=1)
        return np.log(total).sum()

    best = brute(result["estimate"])
    np.testing.assert_allclose(result["log_likelihood"], best, rtol=1e-12)
    for move in 1e-3 * np.vstack([np.eye(5), -np.eye(5)]):
        assert brute(result["estimate"] + move) < best


@pytest.mark.parametrize(
    "distribution",
    [
        mixing.Uniform(low=-3.0, high=4.0),
        mixing.NormalMixture(locs=[-2, 2], scales=[0.8, 0.8], weights=[0.5, 0.5]),
    ],
    ids=lambda d: type(d).__name__,
)
def test_oracle_integrates_over_continuous_distributions(distribution):
    data = {"outcomes": draw("normal")["outcomes"][:50]}
    nodes, log_mass = jax.jit(lambda mixing: cell_rule(mixing, 128))(distribution)
    value = integrate(MODEL, data, nodes, log_mass)
    # Brute force: masses of 8,400 cells.
    edges = np.linspace(-12, 30, 8_401)
    masses = np.diff(distribution.cdf(jnp.asarray(edges)))
    middle = jnp.asarray(0.5 * (edges[1:] + edges[:-1]))
    brute = np.log(np.exp(np.asarray(MODEL.lclk(data, middle))) @ masses)
    np.testing.assert_allclose(value, brute, atol=5e-3)
    assert abs(value.sum() - brute.sum()) < 0.01


def test_only_the_oracle_sees_the_truth():
    oracle = Oracle(nodes=64)
    assert replicate.needs_mixing(oracle)
    assert not replicate.needs_mixing(Profile())
    with pytest.raises(ValueError, match="the oracle knows the true mixing"):
        replicate.estimate(oracle, MODEL, draw("normal"), SUPP)


@pytest.mark.thorough
def test_three_atoms_make_a_mixture_of_three_points():
    result = estimate(FiniteMixture(max_points=6), "discrete", 2000)
    assert result["code"] == 0
    assert result["num_atoms"] == 3
    mass = result["probs"] > 0
    order = np.argsort(result["supp"][mass])
    np.testing.assert_allclose(result["supp"][mass][order], [-3, 0, 5], atol=0.2)
    np.testing.assert_allclose(result["probs"][mass][order], [0.3, 0.5, 0.2], atol=0.04)
    assert result["probs"].sum() == pytest.approx(1.0)


def test_profiling_F_out_gives_blocks_of_the_joint_covariance():
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(50, 8)) @ rng.normal(size=(8, 8))
    hessian = np.cov(rng.normal(size=(50, 8)), rowvar=False)
    nothing = jnp.zeros(())
    maximum = Maximum(
        jnp.zeros(8),
        nothing,
        jnp.zeros(8),
        jnp.asarray(hessian),
        jnp.asarray(scores),
        jnp.array(1),
        jnp.array(0),
    )
    errors = jax.jit(lambda maximum: standard_errors(maximum, 5))(maximum)
    inverse = np.linalg.inv(hessian)
    np.testing.assert_allclose(errors[0], np.sqrt(np.diag(inverse)[:5] / 50))
    sandwich = inverse @ (scores.T @ scores / 50) @ inverse
    np.testing.assert_allclose(errors[2], np.sqrt(np.diag(sandwich)[:5] / 50))


@pytest.mark.thorough
def test_every_em_step_raises_the_likelihood():
    data = draw("discrete")
    theta0, build = split_model(MODEL.starting_values(data))
    em = JointEM(max_steps=1)

    def lclk_at(theta):
        return build(theta).lclk(data, SUPP)

    def advance(state, _):
        return em._advance(lclk_at, state), state.mean

    @jax.jit
    def run(theta0):
        first = em._iterate(lclk_at, theta0)
        return first, jax.lax.scan(advance, first, length=30)[1]

    first, heights = run(theta0)
    assert first.num_steps == 1
    assert not first.converged
    # The first value is that of the uniform distribution at the starting values.
    uniform = np.log(np.exp(lclk_at(theta0)).mean(axis=1)).mean()
    assert heights[0] == pytest.approx(uniform)
    assert (np.diff(heights) > 0).all()


@pytest.mark.slow
def test_joint_em_climbs_to_the_profile_maximum():
    em = estimate(JointEM(tol=1e-7, max_steps=20_000), "discrete", 200)
    profile = estimate(Profile(), "discrete", 200)
    assert em["code"] == 0
    assert abs(em["log_likelihood"] - profile["log_likelihood"]) < 1e-4
    np.testing.assert_allclose(em["estimate"], profile["estimate"], atol=1e-3)
    errors = dict(zip(Profile().kinds, profile["standard_error"], strict=True))
    for kind, error in zip(JointEM().kinds, em["standard_error"], strict=True):
        np.testing.assert_allclose(error, errors[kind], rtol=0.05)
    assert 0 <= em["gap"] < 1e-4
    short = estimate(JointEM(tol=1e-7, max_steps=5), "discrete", 200)
    assert short["code"] == 1
    assert np.isfinite(short["estimate"]).all()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: NormalRandomEffects(rule="simpson"), "choose one of trapezoid"),
        (lambda: NormalRandomEffects(nodes=2), "nodes=2: give 3"),
        (lambda: Oracle(nodes=1), "nodes=1: give 8"),
        (lambda: FiniteMixture(max_points=0), "max_points=0: give 1"),
        (lambda: JointEM(tol=0.0), "tol=0.0: give a positive"),
        (lambda: JointEM(newton_steps=0), "newton_steps=0: give 1"),
        (lambda: FromModel("guess"), "choose one of moment_estimate"),
        (lambda: normal_rule("trapezoid", 101, 2, 8.0), "10201 nodes, more than 5000"),
    ],
)
def test_impossible_settings_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
