"""The differentiable primitive: equations (1) to (5)."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from problems import approx, central_differences, flat, linear_factor, random_lclk

from spmlex import profile, profile_ll, solve_probs
from spmlex._inner import EM
from spmlex._inner.mixture import posterior_weights

LCLK = random_lclk(60, 12, spread=0.7)


@pytest.fixture(scope="module")
def example():
    model, data, supp = linear_factor()
    theta, build = flat(model)

    def value(theta):
        return profile_ll(build(theta), data, supp)[0]

    def probs(theta):
        return profile_ll(build(theta), data, supp)[1]

    return theta + 0.05, jax.jit(value), jax.jit(probs)


@pytest.mark.thorough
def test_value_is_the_same_with_and_without_differentiation(example):
    theta, value, _ = example
    plain = value(theta)
    differentiated, _ = jax.value_and_grad(value)(theta)
    (linearised, _) = jax.jvp(value, (theta,), (theta,))
    assert abs(plain - differentiated) <= 1e-14 * abs(plain)
    assert abs(plain - linearised) <= 1e-14 * abs(plain)


def test_value_is_the_mean_log_likelihood_at_the_returned_probs():
    value, probs = profile(LCLK)
    direct = -np.mean(np.log(np.exp(np.asarray(LCLK)) @ np.asarray(probs)))
    assert value == approx(direct, abs=1e-13)
    assert jnp.sum(probs) == approx(1.0, abs=1e-14)
    assert jnp.all(probs >= 0)


@pytest.mark.thorough
def test_gradient_agrees_with_differences(example):
    theta, value, _ = example
    assert jax.grad(value)(theta) == approx(central_differences(value, theta), abs=1e-8)


@pytest.mark.thorough
def test_hessian_agrees_with_differences_of_the_gradient(example):
    theta, value, _ = example
    gradient = jax.jit(jax.grad(value))
    assert jax.jit(jax.hessian(value))(theta) == approx(
        central_differences(gradient, theta), abs=2e-6
    )


@pytest.mark.thorough
def test_hessian_is_the_same_forwards_and_backwards(example):
    theta, value, _ = example
    both = jax.jit(jax.jacfwd(jax.jacfwd(value)))(theta)
    backwards = jax.jit(jax.jacrev(jax.jacrev(value)))(theta)
    assert jax.jit(jax.hessian(value))(theta) == approx(both, abs=1e-10)
    assert backwards == approx(both, abs=1e-10)


@pytest.mark.thorough
def test_tangent_of_probs_agrees_with_differences_of_solved_probs(example):
    theta, _, probs = example
    forward = jax.jit(jax.jacfwd(probs))(theta)
    assert jax.jit(jax.jacrev(probs))(theta) == approx(forward, abs=1e-9)
    assert forward == approx(central_differences(probs, theta), abs=1e-5)
    assert jnp.max(jnp.abs(forward)) > 0.1
    assert jnp.sum(forward, axis=0) == approx(jnp.zeros(5), abs=1e-9)


def test_constants_added_to_rows_change_nothing_but_the_value():
    shift = jnp.linspace(-300.0, 500.0, LCLK.shape[0])[:, None]
    value, probs = profile(LCLK)
    shifted_value, shifted_probs = profile(LCLK + shift)
    assert shifted_value + jnp.mean(shift) == approx(value, abs=1e-12)
    assert shifted_probs == approx(probs, abs=1e-9)
    gradient = jax.grad(lambda lclk: profile(lclk)[0])
    assert gradient(LCLK + shift) == approx(gradient(LCLK), abs=1e-10)


@pytest.mark.thorough
def test_derivatives_are_correct_under_vmap():
    batch = jnp.stack([LCLK, 0.5 * LCLK, LCLK[::-1]])
    gradient = jax.grad(lambda lclk: profile(lclk)[0])
    together = jax.jit(jax.vmap(gradient))(batch)
    for one, lclk in zip(together, batch, strict=True):
        assert one == approx(gradient(lclk), abs=1e-10)


@pytest.mark.thorough
def test_derivative_in_the_weights_agrees_with_differences():
    weights = jnp.linspace(0.5, 2.0, LCLK.shape[0])
    gradient = jax.grad(lambda weights: profile(LCLK, weights)[0])(weights)
    differences = central_differences(
        lambda weights: profile(LCLK, weights)[0], weights, 1e-4
    )
    assert gradient == approx(differences, abs=1e-8)


@pytest.mark.thorough
def test_duplicated_support_points_give_finite_derivatives():
    model, data, supp = linear_factor()
    doubled = jnp.concatenate([supp, supp])
    theta, build = flat(model)

    def value(theta, supp):
        return profile_ll(build(theta), data, supp)[0]

    def probs(theta):
        return profile_ll(build(theta), data, doubled)[1]

    assert value(theta, doubled) == approx(value(theta, supp), abs=1e-12)
    hessian = jax.jit(jax.hessian(value))
    assert hessian(theta, doubled) == approx(hessian(theta, supp), abs=1e-6)
    assert jnp.all(jnp.isfinite(jax.jacfwd(probs)(theta)))


@pytest.mark.thorough
def test_more_support_points_than_observations_give_finite_derivatives():
    lclk = random_lclk(5, 40, spread=0.3)
    hessian = jax.hessian(lambda scale: profile(scale * lclk)[0])(1.0)
    assert jnp.isfinite(hessian)
    assert jnp.all(jnp.isfinite(jax.jacfwd(lambda s: profile(s * lclk)[1])(1.0)))


def test_minus_infinity_entries_give_finite_derivatives():
    lclk = LCLK.at[:, :3].set(-jnp.inf)

    def value(scale):
        return profile(jnp.maximum(scale * LCLK, -1e300).at[:, :3].set(-jnp.inf))[0]

    slope = jax.grad(value)(1.0)
    assert slope == approx((value(1 + 1e-5) - value(1 - 1e-5)) / 2e-5, abs=1e-8)
    assert jnp.all(profile(lclk)[1][:3] == 0)


def test_zero_likelihood_is_infinite_and_nan_stays_nan():
    assert profile(LCLK.at[3].set(-jnp.inf))[0] == jnp.inf
    assert jnp.isnan(profile(LCLK.at[3, 2].set(jnp.nan))[0])


def test_one_observation_puts_all_mass_on_its_best_point():
    lclk = jnp.array([[-3.0, -1.0, -2.0]])
    value, probs = profile(lclk)
    assert value == 1.0
    assert jnp.array_equal(probs, jnp.array([0.0, 1.0, 0.0]))


@pytest.mark.thorough
def test_two_points_have_the_closed_form():
    # Three observations see the first point only, one the second.
    lclk = jnp.log(jnp.array([[1.0, 0.0]] * 3 + [[0.0, 1.0]]))
    value, probs = profile(lclk)
    assert probs == approx(jnp.array([0.75, 0.25]), abs=1e-10)
    assert value == approx(-(0.75 * np.log(0.75) + 0.25 * np.log(0.25)), abs=1e-12)


def test_gap_bounds_what_is_left_to_gain():
    best = solve_probs(LCLK).value
    rng = np.random.default_rng(1)
    likelihood = np.exp(LCLK)
    for _ in range(20):
        start = jnp.asarray(rng.dirichlet(np.ones(LCLK.shape[1])))
        rough = solve_probs(LCLK, probs0=start, solver=EM(max_steps=0), throw=False)
        assert 0 < rough.value - best <= rough.gap
        mixed = likelihood @ rough.probs
        gradient = (likelihood / mixed[:, None]).mean(axis=0)
        assert rough.value == approx(-np.log(mixed).mean(), abs=1e-12)
        assert rough.gap == approx(np.log(gradient.max()), abs=1e-12)
        assert gradient @ rough.probs == approx(1.0, abs=1e-12)


def test_posterior_weights_are_distributions():
    posterior = posterior_weights(LCLK, solve_probs(LCLK).probs)
    assert posterior.sum(axis=1) == approx(jnp.ones(LCLK.shape[0]), abs=1e-13)


@pytest.mark.thorough
def test_float32_inputs_are_cast_up():
    model, data, supp = linear_factor()
    low = jax.tree.map(lambda x: x.astype(jnp.float32), (model, data, supp))
    value, probs = profile_ll(*low)
    assert value.dtype == jnp.float64
    assert probs.dtype == jnp.float64
    exact = jax.tree.map(lambda x: x.astype(jnp.float64), low)
    assert value == profile_ll(*exact)[0]


@pytest.mark.thorough
def test_scaling_weights_changes_nothing_and_integers_repeat_rows():
    model, data, supp = linear_factor(n_obs=40)
    counts = jnp.asarray(np.random.default_rng(2).integers(0, 4, 40))
    value, probs = profile_ll(model, data, supp, weights=counts.astype(float))
    scaled, _ = profile_ll(model, data, supp, weights=7.5 * counts)
    repeated = {"outcomes": jnp.repeat(data["outcomes"], counts, axis=0)}
    again, repeated_probs = profile_ll(model, repeated, supp)
    assert scaled == approx(value, abs=1e-13)
    assert again == approx(value, abs=1e-12)
    assert repeated_probs == approx(probs, abs=1e-8)


@pytest.mark.thorough
def test_groups_are_separate_problems():
    model, data, supp = linear_factor()
    groups = jnp.arange(200) % 3
    value, probs = profile_ll(model, data, supp, groups=groups)
    parts = [
        profile_ll(model, {"outcomes": data["outcomes"][groups == g]}, supp)
        for g in range(3)
    ]
    share = [float(np.mean(np.asarray(groups) == g)) for g in range(3)]
    expected = sum(s * part[0] for s, part in zip(share, parts, strict=True))
    assert value == approx(expected, abs=1e-12)
    assert probs.shape == (30, 3)
    for g in range(3):
        assert probs[:, g] == approx(parts[g][1], abs=1e-8)


@pytest.mark.thorough
def test_groups_have_derivatives_to_second_order():
    model, data, supp = linear_factor()
    groups = jnp.arange(200) % 2
    theta, build = flat(model)

    def value(theta):
        return profile_ll(build(theta), data, supp, groups=groups)[0]

    value, gradient = jax.jit(value), jax.jit(jax.grad(value))
    assert gradient(theta) == approx(central_differences(value, theta), abs=1e-8)
    assert jax.jit(jax.hessian(value))(theta) == approx(
        central_differences(gradient, theta), abs=2e-6
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"solver": "actve_set"}, "Did you mean 'active_set'"),
        ({"groups": jnp.zeros(3, int)}, "groups has shape"),
        ({"groups": jnp.full(200, 2)}, "groups holds"),
    ],
)
def test_a_wrong_call_names_the_argument(arguments, message):
    with pytest.raises(ValueError, match=message):
        profile_ll(*linear_factor(), **arguments)


def test_a_model_without_lclk_is_refused():
    with pytest.raises(ValueError, match="no method `lclk`"):
        profile_ll(jnp.zeros(2), jnp.zeros(3), jnp.zeros(4))


def test_a_wrong_shape_is_refused_while_testing():
    with pytest.raises(Exception, match="lclk"):
        solve_probs(jnp.zeros(3))
