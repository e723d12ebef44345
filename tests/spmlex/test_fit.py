"""Fitting theta: the published example, an independent optimiser, result codes."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import jaxopt
import numpy as np
import pytest
from problems import LinearFactor, approx, flat, linear_factor, published_example, said

from spmlex import (
    RESULT_CODES,
    RESULTS,
    fit,
    parameter_names,
    profile_ll,
    result_code,
)
from spmlex._climb.trust_region import solve_trust_region

LOADINGS = [1.5166264, 0.29513692]
VARIANCES = [1.03415027, 1.52428492, 0.55158215]


@pytest.fixture(scope="module")
def published():
    start, data, supp = published_example()
    return fit(start, data, supp, support="grid")


@pytest.fixture(scope="module")
def small():
    model, data, supp = linear_factor()
    return fit(model, data, supp, support="grid"), model, data, supp


@pytest.mark.thorough
def test_fit_gives_the_published_estimates(published):
    assert published.model.coef == approx(LOADINGS, 1e-6)
    assert jnp.exp(2 * published.model.log_std_e) == approx(VARIANCES, 1e-6)
    assert -published.log_likelihood / 2000 == approx(3.36049983, 1e-8)
    assert published.gap <= 1e-9
    assert published.gradient_norm <= 1e-7
    assert published.num_steps <= 12


@pytest.mark.thorough
def test_the_specification_example_runs_as_printed():
    start, data, supp_grid = published_example()
    data = {"outcomes": data["outcomes"].astype(jnp.float32)}
    solver = jaxopt.BFGS(
        fun=profile_ll,
        has_aux=True,
        maxiter=100,
        tol=1e-6,
        jit=True,
        unroll="auto",
        linesearch="zoom",
        verbose=False,
    )
    estimate, state = solver.run(start, data, supp_grid)
    assert estimate.coef == approx(LOADINGS, 1e-6)
    assert jnp.exp(estimate.log_std_e) ** 2 == approx(VARIANCES, 1e-6)
    assert state.aux.shape == (75,)


@pytest.mark.parametrize(
    "solver",
    [
        pytest.param("interior_point", marks=pytest.mark.slow),
        pytest.param("mixsqp", marks=pytest.mark.thorough),
    ],
)
def test_every_solver_gives_the_published_estimates(solver):
    start, data, supp = published_example()
    given = (start, data, supp)
    estimate = fit(*given, support="grid", solver=solver, throw=False)
    assert estimate.model.coef == approx(LOADINGS, 1e-6)
    assert jnp.exp(2 * estimate.model.log_std_e) == approx(VARIANCES, 1e-6)


@pytest.mark.thorough
def test_gradient_and_hessian_are_those_of_the_primitive(small):
    estimate, _, data, supp = small
    theta, build = flat(estimate.model)

    def value(theta):
        return profile_ll(build(theta), data, supp)[0]

    assert estimate.gradient == approx(jax.jit(jax.grad(value))(theta), 1e-10)
    assert estimate.hessian == approx(jax.jit(jax.hessian(value))(theta), 1e-7)
    assert estimate.scores.mean(axis=0) == approx(-estimate.gradient, 1e-10)


@pytest.mark.thorough
def test_more_atoms_than_a_chunk_give_the_same_derivatives():
    model, data, supp = linear_factor(n_supp=60)
    narrow = LinearFactor(coef=model.coef, log_std_e=model.log_std_e - 2.5)
    theta, build = flat(narrow)

    def value(theta):
        return profile_ll(build(theta), data, supp)

    estimate = fit(narrow, data, supp, max_steps=1, throw=False)
    assert estimate.num_atoms > 24
    assert estimate.result == RESULTS.max_steps_reached
    gradient, _ = jax.jit(jax.grad(value, has_aux=True))(theta)
    hessian, _ = jax.jit(jax.hessian(value, has_aux=True))(theta)
    assert estimate.gradient == approx(gradient, 1e-9)
    assert estimate.hessian == approx(hessian, 1e-6)


def test_the_start_does_not_matter(small):
    estimate, model, data, supp = small
    other = LinearFactor(coef=model.coef * 0.7, log_std_e=model.log_std_e + 0.3)
    again = fit(other, data, supp, support="grid")
    assert again.theta == approx(estimate.theta, 1e-7)
    assert again.log_likelihood == approx(estimate.log_likelihood, 1e-8)


@pytest.mark.thorough
def test_fixed_leaves_keep_their_values(small):
    estimate, model, data, supp = small
    held = fit(model, data, supp, fixed=lambda model: model.coef)
    assert jnp.array_equal(held.model.coef, model.coef)
    assert held.theta.shape == (3,)
    assert held.log_likelihood < estimate.log_likelihood
    assert parameter_names(held.model, held.free) == [
        f"log_std_e[{t}]" for t in range(3)
    ]
    assert held.standard_errors().coef is None


@pytest.mark.thorough
def test_integer_weights_repeat_observations(small):
    _, model, data, supp = small
    counts = np.random.default_rng(3).integers(1, 3, 200)
    weighted = fit(model, data, supp, weights=jnp.asarray(counts, float))
    repeated = {"outcomes": jnp.repeat(data["outcomes"], counts, axis=0)}
    assert fit(model, repeated, supp).theta == approx(weighted.theta, 1e-6)
    scaled = fit(model, data, supp, weights=jnp.asarray(4.0 * counts))
    assert scaled.theta == approx(weighted.theta, 1e-9)


@pytest.mark.thorough
def test_vmap_and_jit_fit_each_sample(small):
    _, model, data, supp = small
    batch = jnp.stack([data["outcomes"], data["outcomes"][::-1] * 1.01])
    run = jax.jit(jax.vmap(lambda y: fit(model, {"outcomes": y}, supp, throw=False)))
    together = run(batch)
    for i in range(2):
        alone = fit(model, {"outcomes": batch[i]}, supp)
        assert together.theta[i] == approx(alone.theta, 1e-8)
        assert together.num_steps[i] == alone.num_steps


def test_observed_errors_match_the_curvature_of_the_profile(small):
    estimate, _, _, _ = small
    covariance = estimate.covariance("observed")
    assert covariance @ estimate.hessian * 200 == approx(np.eye(5), 1e-8)
    lower, upper = estimate.confint(0.9, "observed")
    half = 1.6448536269514722 * jnp.sqrt(jnp.diagonal(covariance))
    assert upper - lower == approx(2 * half, 1e-10)


def test_sandwich_of_profile_scores_has_its_formula(small):
    estimate, _, _, _ = small
    inverse = np.linalg.inv(estimate.hessian)
    scores = np.asarray(estimate.scores)
    expected = inverse @ (scores.T @ scores / 200) @ inverse / 200
    assert estimate.covariance("sandwich") == approx(expected, 1e-12)
    assert estimate.covariance("opg") == approx(np.linalg.inv(scores.T @ scores), 1e-10)


@pytest.mark.thorough
def test_summary_names_every_parameter_and_the_evidence(small):
    text = small[0].summary()
    for word in (
        "coef[1]",
        "log_std_e[2]",
        "95% interval",
        "gap",
        "with positive mass",
    ):
        assert word in text


@pytest.mark.thorough
def test_summary_warns_of_mass_at_the_edge(small):
    _, model, data, _ = small
    narrow = fit(model, data, jnp.linspace(-3.0, 3.0, 30), throw=False)
    assert "end of the range" in said(narrow.summary())


def test_the_edge_holds_less_than_one_observation(small):
    estimate = small[0]
    for mass, warned in ((0.0008, False), (0.0012, True)):
        probs = estimate.probs * (1.0 - mass)
        edge = dataclasses.replace(estimate, probs=probs.at[-1].add(mass))
        text = said(edge.summary(kind="observed"))
        assert (
            f"{100 * mass:.2g}% of the mass sits on the upper end" in text
        ) == warned
    # The same mass is three of 4000 observations.
    rows = jax.tree.map(lambda leaf: jnp.tile(leaf, (20, 1)), estimate.given.data)
    problem = eqx.tree_at(lambda problem: problem.data, estimate.given, rows)
    many = dataclasses.replace(
        estimate,
        given=problem,
        problem=problem,
        probs=(0.9992 * estimate.probs).at[-1].add(0.0008),
        scores=jnp.tile(estimate.scores, (20, 1)),
        weights=jnp.full(4000, 1 / 4000),
    )
    text = many.summary(kind="observed")
    assert "0.08% of the mass sits on the upper end" in said(text)


def test_summary_warns_of_a_coarse_grid(small):
    estimate, model, data, _ = small
    assert "coarse" not in dataclasses.replace(
        estimate, resolution=jnp.array(3.0)
    ).summary(kind="observed")
    coarse = dataclasses.replace(estimate, resolution=jnp.array(0.9), moved=None)
    assert "can rise and fall by 4.8 nats" in said(coarse.summary(kind="observed"))


def test_zero_likelihood_is_named():
    model, data, supp = linear_factor()
    far = {"outcomes": data["outcomes"].at[0].set(1e200)}
    with pytest.raises(RuntimeError, match="Widen `supp`"):
        fit(model, far, supp)


def test_nan_in_the_data_is_named(small):
    _, model, data, supp = small
    bad = {"outcomes": data["outcomes"].at[3, 1].set(jnp.nan)}
    assert fit(model, bad, supp, throw=False).result == RESULTS.non_finite
    with pytest.raises(RuntimeError, match="nan in the data"):
        fit(model, bad, supp)


def test_too_few_steps_are_named(small):
    _, model, data, supp = small
    with pytest.raises(RuntimeError, match="ran out of steps"):
        fit(model, data, supp, max_steps=1)


class Slope(eqx.Module):
    """Binary outcomes with one slope and a random intercept."""

    slope: jax.Array

    def lclk(self, data, supp):
        index = self.slope * data["x"][:, None] + supp
        return jax.nn.log_sigmoid(data["sign"][:, None] * index)


class Sum(eqx.Module):
    """A regression in which only the sum of the parameters matters."""

    first: jax.Array
    second: jax.Array

    def lclk(self, data, supp):
        fitted = (self.first + self.second) * data["x"][:, None] + supp
        return -0.5 * (data["y"][:, None] - fitted) ** 2


@pytest.mark.thorough
def test_a_parameter_running_off_is_named():
    x = np.random.default_rng(0).normal(size=200)
    separated = {"x": jnp.asarray(x), "sign": jnp.asarray(np.sign(x))}
    estimate = fit(
        Slope(jnp.array(0.5)), separated, jnp.linspace(-3.0, 3.0, 21), throw=False
    )
    assert estimate.result == RESULTS.parameter_diverging


@pytest.mark.thorough
def test_a_parameter_that_is_not_identified_is_named():
    rng = np.random.default_rng(0)
    x = rng.normal(size=200)
    y = 1.5 * x + rng.normal(size=200) + rng.choice([-2.0, 2.0], 200)
    given = (
        Sum(jnp.array(0.5), jnp.array(0.1)),
        {"x": jnp.asarray(x), "y": jnp.asarray(y)},
        jnp.linspace(-4.0, 4.0, 21),
    )
    estimate = fit(*given, throw=False)
    assert estimate.result == RESULTS.singular_hessian
    with pytest.raises(RuntimeError, match=r"along a combination of \w+, \w+\.$"):
        fit(*given)
    assert estimate.gradient_norm <= 1e-6
    assert jnp.all(jnp.isnan(estimate.covariance("observed")))


@pytest.mark.thorough
def test_a_variance_running_to_zero_is_named(small):
    _, model, data, _ = small
    latent = np.random.default_rng(0).choice([-3.0, 0.0, 5.0], 200)
    exact = {"outcomes": data["outcomes"].at[:, 0].set(latent)}
    estimate = fit(model, exact, jnp.linspace(-6.0, 6.0, 25), throw=False)
    assert estimate.result == RESULTS.variance_collapsed
    assert estimate.model.log_std_e[0] < -20


def test_stored_result_codes_keep_their_integers():
    names = [name for _, name, _ in RESULT_CODES]
    assert [code for code, _, _ in RESULT_CODES] == list(range(10))
    assert names[0] == "successful"
    assert names[5:] == [
        "singular_hessian",
        "parameter_diverging",
        "stalled",
        "variance_collapsed",
        "simulation_disagrees",
    ]
    for code, name, sentence in RESULT_CODES:
        assert result_code(getattr(RESULTS, name)) == code
        assert RESULTS[getattr(RESULTS, name)] == sentence


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda f, m, d, s: f.confint(level=95), "level=95"),
        (lambda f, m, d, s: f.covariance("robust"), "kind='robust'"),
    ],
)
def test_a_wrong_call_names_the_argument(small, call, message):
    with pytest.raises(ValueError, match=message):
        call(*small)


@pytest.mark.thorough
def test_trust_region_steps_satisfy_the_optimality_conditions():
    rng = np.random.default_rng(4)
    for _ in range(20):
        root = rng.normal(size=(4, 4))
        hessian = jnp.asarray(root + root.T)
        gradient = jnp.asarray(rng.normal(size=4))
        step, promised, lowest = solve_trust_region(gradient, hessian, jnp.array(0.7))
        assert jnp.linalg.norm(step) <= 0.7 * (1 + 1e-9)
        assert promised == approx(
            -(gradient @ step + 0.5 * step @ hessian @ step), 1e-10
        )
        # (H + s I) step = -g with s >= 0 and H + s I positive semidefinite.
        shift = -(gradient + hessian @ step) @ step / (step @ step)
        assert hessian @ step + shift * step == approx(-gradient, 1e-6)
        assert shift >= -1e-9
        assert lowest == approx(jnp.linalg.eigvalsh(hessian)[0], 1e-12)
        assert lowest + shift >= -1e-6
