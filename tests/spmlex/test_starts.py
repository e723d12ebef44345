"""Several starts, local optima, and degenerate maxima that are never silent."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from problems import LinearFactor, approx, flat, linear_factor, said

from experiments.models.linear_factor import LinearFactor as SimulatedFactor
from spmlex import RESULT_CODES, RESULTS, efficient_estimate, fit
from spmlex._climb.starts import choose_start, gather_starts, number_optima
from spmlex._support.degenerate import is_degenerate

CODES = {name: code for code, name, _ in RESULT_CODES}


def normal_sample(seed, n_obs=500, n_supp=50):
    """Return a start at the truth, data and a grid; F normal, degenerate maxima."""
    rng = np.random.default_rng(seed)
    latent = 2.0 * rng.normal(size=n_obs)
    noise = rng.normal(size=(n_obs, 3)) * np.exp([0.0, 0.2, -0.3])
    outcomes = latent[:, None] * np.array([1.0, 1.5, 0.3]) + noise
    model = LinearFactor(
        coef=jnp.array([1.5, 0.3]), log_std_e=jnp.array([0.0, 0.2, -0.3])
    )
    supp = jnp.linspace(-6.0, 6.0, n_supp)
    return model, {"outcomes": jnp.asarray(outcomes)}, supp


def report(estimate):
    assert estimate.optima is not None
    return estimate.optima


@pytest.fixture(scope="module")
def searched():
    model, data, supp = linear_factor()
    starts = [
        LinearFactor(coef=model.coef * 0.7, log_std_e=model.log_std_e + 0.3),
        LinearFactor(coef=model.coef, log_std_e=model.log_std_e * jnp.nan),
        LinearFactor(coef=model.coef * 1.1, log_std_e=model.log_std_e),
    ]
    estimate = fit(model, data, supp, starts=starts, support="grid")
    return estimate, model, data, supp, starts


@pytest.mark.thorough
def test_starts_that_agree_are_one_optimum(searched):
    estimate, model, data, supp, _ = searched
    alone = fit(model, data, supp, support="grid")
    assert estimate.theta == approx(alone.theta, 1e-8)
    assert report(estimate).theta[0] == approx(alone.theta, 1e-8)
    assert report(estimate).num_optima == 1
    assert alone.optima is None
    assert estimate.standard_errors().coef == approx(alone.standard_errors().coef, 1e-7)


@pytest.mark.thorough
def test_a_failed_start_is_reported(searched):
    estimate = searched[0]
    assert estimate.result == RESULTS.successful
    assert report(estimate).code.tolist() == [0, 0, CODES["non_finite"], 0]
    assert report(estimate).optimum.tolist() == [0, 0, -1, 0]
    text = estimate.summary()
    assert "4 starts, 1 local optimum" in text
    assert "1 ended as non_finite" in text


@pytest.mark.thorough
def test_starts_can_be_one_stacked_model(searched):
    estimate, model, data, supp, starts = searched
    stack = jax.tree.map(lambda *leaves: jnp.stack(leaves), *starts)
    again = fit(model, data, supp, starts=stack, support="grid")
    assert jnp.array_equal(report(again).theta, report(estimate).theta, equal_nan=True)


@pytest.mark.thorough
def test_fixed_leaves_come_from_the_first_model(searched):
    _, model, data, supp, starts = searched
    held = fit(
        model, data, supp, starts=starts[:1], fixed=lambda m: m.coef, throw=False
    )
    assert jnp.array_equal(held.model.coef, model.coef)
    assert report(held).theta.shape == (2, 3)


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("starts", "message"),
    [
        ([LinearFactor(coef=jnp.ones(3), log_std_e=jnp.zeros(4))], r"starts\[0\]"),
        (LinearFactor(coef=jnp.ones(2), log_std_e=jnp.zeros(3)), "a leading axis"),
        (
            LinearFactor(coef=jnp.ones((4, 2)), log_std_e=jnp.zeros((5, 3))),
            "a leading axis",
        ),
    ],
)
def test_wrong_starts_are_refused(searched, starts, message):
    _, model, data, supp, _ = searched
    with pytest.raises(ValueError, match=message):
        fit(model, data, supp, starts=starts)


@pytest.mark.thorough
def test_the_interior_maximum_is_chosen_over_a_higher_degenerate_one():
    model, data, supp = normal_sample(5000)
    narrow = LinearFactor(coef=model.coef, log_std_e=model.log_std_e.at[1].set(-2.0))
    both = fit(narrow, data, supp, starts=[model], support="grid")
    degenerate, interior = report(both).log_likelihood
    assert degenerate > interior + 5.0
    assert report(both).flagged.tolist() == [True, False]
    assert report(both).code.tolist() == [0, 0]
    assert report(both).num_optima == 2
    assert both.log_likelihood == interior
    assert not both.flagged
    text = both.summary()
    assert "2 starts, 2 local optima" in text
    assert f"{float(degenerate):.4f}" in text
    assert "degenerate" in text
    with pytest.warns(RuntimeWarning, match="degenerate maximum"):
        alone = fit(narrow, data, supp, support="grid")
    assert alone.log_likelihood == approx(degenerate, 1e-6)
    assert "Warning: this looks like a degenerate maximum" in said(alone.summary())


def test_choice_prefers_success_then_interior_then_criterion():
    value = jnp.array([-90.0, -100.0, -101.0, jnp.nan])
    atoms = jnp.array([40, 9, 5, 3])
    fine = jnp.zeros(4, int).at[3].set(4)
    none = jnp.zeros(4, bool)
    assert choose_start(value, atoms, none, fine) == 2
    assert choose_start(value, atoms, none.at[2].set(True), fine) == 1
    assert choose_start(value, atoms, none, fine.at[2].set(1)) == 1
    assert choose_start(value, atoms, none, jnp.full(4, 4)) == 2
    assert choose_start(jnp.full(4, jnp.nan), atoms, none, jnp.full(4, 4)) == 0


def test_optima_are_numbered_by_their_first_start():
    theta = jnp.array([[1.0], [2.0], [1.0 + 1e-6], [2.0]])
    code = jnp.array([0, 0, 0, 7])
    numbers = number_optima(theta, jnp.ones((4, 1)), code)
    assert numbers.tolist() == [0, 1, 0, -1]


@pytest.mark.thorough
def test_starts_work_under_jit_and_vmap(searched):
    estimate, model, data, supp, starts = searched
    run = jax.jit(
        jax.vmap(
            lambda y: fit(
                model,
                {"outcomes": y},
                supp,
                starts=starts[:1],
                support="grid",
                throw=False,
            )
        )
    )
    batch = jnp.stack([data["outcomes"], data["outcomes"][::-1]])
    together = run(batch)
    assert together.theta == approx(jnp.stack([estimate.theta] * 2), 1e-7)
    assert report(together).optimum.tolist() == [[0, 0], [0, 0]]


class Started(LinearFactor):
    """A model that knows a consistent start; here the truth."""

    def starting_values(self, data):
        return Started(
            coef=jnp.array([1.5, 0.3]), log_std_e=jnp.array([0.0, 0.2, -0.3])
        )


@pytest.mark.thorough
def test_the_model_own_start_is_searched_too():
    _, data, supp = linear_factor()
    flipped = Started(coef=jnp.array([-1.0, 2.0]), log_std_e=jnp.zeros(3))
    alone = fit(flipped, data, supp, starts=(), throw=False)
    both = fit(flipped, data, supp, support="grid")
    own = flipped.starting_values(data)
    best = fit(own, data, supp, support="grid")
    assert jnp.max(jnp.abs(alone.theta - best.theta)) > 0.1
    assert both.theta == approx(best.theta, 1e-7)
    assert report(both).chosen == 1
    # A start that is there twice is searched once, and reported twice.
    assert report(best).num_steps[0] == report(best).num_steps[1]
    assert report(best).num_optima == 1
    assert jnp.array_equal(report(best).theta[0], report(best).theta[1])
    assert best.num_steps < 10


class StartedByHand(SimulatedFactor):
    """A model whose start is computed by NumPy, which can't be traced."""

    def starting_values(self, data):
        outcomes = np.asarray(data["outcomes"])
        if not np.isfinite(outcomes).all():
            raise ValueError("outcomes: not finite")
        slopes = np.cov(outcomes.T)[2, :2] / np.cov(outcomes.T)[0, 1]
        return dataclasses.replace(
            self,
            coef=jnp.asarray([slopes[1] / slopes[0] * 1.5, slopes[1]]),
            log_std_e=jnp.zeros(3),
        )


def test_a_start_may_be_computed_by_numpy():
    shape, data, supp = linear_factor(n_obs=90)
    model = StartedByHand(coef=shape.coef, log_std_e=shape.log_std_e)
    start = model.starting_values(data)
    found = gather_starts(model, None, data, (True, True))[0]
    assert found[1] == approx(flat(start)[0], 0.0)
    # Also where the efficient score is searched for from it.
    estimate = efficient_estimate(model, data, supp, throw=False)
    plain = SimulatedFactor(coef=start.coef, log_std_e=start.log_std_e)
    best = efficient_estimate(plain, data, supp, throw=False)
    error = jnp.sqrt(jnp.diagonal(best.covariance()))
    assert jnp.max(jnp.abs(estimate.theta - best.theta) / error) < 0.1
    with pytest.raises(ValueError, match="outcomes: not finite"):
        fit(model, {"outcomes": data["outcomes"] * jnp.inf}, supp)


@pytest.mark.thorough
def test_random_starts_spread_around_the_first_end(searched):
    estimate, model, data, supp, _ = searched
    many = fit(model, data, supp, starts=4, support="grid")
    assert report(many).theta.shape == (5, 5)
    assert report(many).num_optima == 1
    assert report(many).code.tolist() == [0] * 5
    assert many.theta == approx(estimate.theta, 1e-7)
    assert "5 starts, 1 local optimum" in many.summary(kind="observed")
    with pytest.raises(ValueError, match="starts=-1"):
        fit(model, data, supp, starts=-1)


def test_rather_narrow_kernels_on_a_rather_crowded_grid_are_flagged():
    def flag(atoms, n_supp, resolution):
        probs = (jnp.arange(n_supp) < atoms) / atoms
        return bool(is_degenerate(probs, jnp.array(resolution)))

    assert not flag(20, 50, 2.4)
    assert flag(31, 50, 2.4)
    assert flag(10, 50, 0.5)
    assert flag(21, 50, 1.3)
    assert not flag(19, 50, 1.3)
    assert not flag(12, 25, 1.2)
    assert not flag(8, 10, 2.4)
    assert not flag(10, 10, jnp.inf)


def test_a_number_of_starts_may_be_one_of_numpy():
    model, data, supp = linear_factor(n_obs=20, n_supp=8)
    thetas, n_random = gather_starts(model, np.int64(2), data, (True, True))
    assert thetas.shape == (1, 5)
    assert n_random == 2
