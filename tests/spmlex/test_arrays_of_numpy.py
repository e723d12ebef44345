"""Arrays of NumPy do wherever arrays of JAX do, also where shapes are checked."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_fits import N_OBS, SUPP, Logit, data

import spmlex

RNG = np.random.default_rng(0)
GROUPS = np.arange(N_OBS) % 2
WEIGHTS = RNG.uniform(0.5, 2.0, N_OBS)
START = Logit(jnp.zeros(2))
LCLK = np.asarray(START.lclk(data(), SUPP))
PROBS = np.full(7, 1 / 7)


def how(**given):
    return {"support": "grid", "max_steps": 2, "throw": False} | given


def same(made, other):
    """Tell whether two results hold the same numbers."""
    pairs = zip(jax.tree.leaves(made), jax.tree.leaves(other), strict=True)
    return all(np.array_equal(a, b, equal_nan=True) for a, b in pairs)


ARGUMENTS = {
    "groups": GROUPS,
    "groups of int8": GROUPS.astype(np.int8),
    "weights": WEIGHTS,
    "weights of float32": WEIGHTS.astype(np.float32),
    "weights of whole numbers": np.ones(N_OBS, int),
    "weights of truth values": np.arange(N_OBS) > 3,
    "counts": RNG.integers(1, 4, N_OBS),
    "counts of float32": np.full(N_OBS, 2.0, np.float32),
}


@pytest.mark.parametrize("name", ARGUMENTS)
def test_a_fit_takes_them(name):
    key, value = name.split()[0], ARGUMENTS[name]
    made, other = (
        spmlex.fit(START, data(), SUPP, **how(**{key: each}))
        for each in (value, jnp.asarray(value))
    )
    assert same(made.theta, other.theta)
    assert same(made.probs, other.probs)


def test_the_profile_takes_them():
    given = START, data(), SUPP
    made = spmlex.profile_ll(*given, groups=GROUPS, weights=WEIGHTS)
    of_jax = jnp.asarray(GROUPS), jnp.asarray(WEIGHTS)
    other = spmlex.profile_ll(*given, groups=of_jax[0], weights=of_jax[1])
    assert same(made, other)
    lclk, weights, probs0 = (jnp.asarray(x) for x in (LCLK, WEIGHTS, PROBS))
    made = spmlex.profile(LCLK, WEIGHTS, probs0=PROBS)
    assert same(made, spmlex.profile(lclk, weights, probs0=probs0))
    made = spmlex.solve_probs(LCLK, weights=WEIGHTS, probs0=PROBS)
    assert same(made, spmlex.solve_probs(lclk, weights=weights, probs0=probs0))


def test_what_is_asked_of_a_grid_and_of_f_takes_them():
    assert spmlex.gradient_on(START, data(), SUPP, PROBS, SUPP[:2]).shape == (2,)
    weighted = spmlex.gradient_on(START, data(), SUPP, PROBS, SUPP[:2], weights=WEIGHTS)
    assert not same(weighted, spmlex.gradient_on(START, data(), SUPP, PROBS, SUPP[:2]))
    assert spmlex.posterior(START, data(), SUPP, PROBS).mean().shape == (N_OBS,)
    two = np.column_stack([PROBS, PROBS])
    found = spmlex.posterior(START, data(), SUPP, two, groups=GROUPS)
    assert found.mean().shape == (N_OBS,)
    assert spmlex.most_likely_points(START, data(), SUPP).shape == (N_OBS,)
    low, high = spmlex.data_range(START, data(), np.array(-9.0), np.array(9.0))
    assert low < high
    grid = spmlex.quantile_grid(RNG.normal(size=50), 5, weights=np.ones(50))
    assert grid.shape == (5,)
    assert spmlex.product_grid(SUPP, SUPP).shape == (49, 2)
    assert spmlex.halton_grid(np.zeros(2), np.ones(2), 5).shape == (5, 2)


@pytest.fixture(scope="module")
def grouped():
    return spmlex.fit(START, data(), SUPP, **how(groups=GROUPS, weights=WEIGHTS))


def test_what_is_asked_of_a_fit_takes_them(grouped):
    clusters = np.arange(N_OBS) // 2
    assert grouped.covariance("sandwich", clusters=clusters).shape == (2, 2)
    assert grouped.intervals(kind="opg", clusters=clusters).lower.shape == (2,)
    few = {name: values[:5] for name, values in data().items()}
    assert grouped.posterior(few, groups=GROUPS[:5]).mean().shape == (5,)
    assert spmlex.log_likelihoods(grouped, few, groups=GROUPS[:5]).shape == (5,)
    test = spmlex.wald_test(grouped, "coef[0]", 0.0, kind="opg", clusters=clusters)
    assert np.isfinite(float(test.p_value))
    gap = spmlex.adequacy(grouped, data(), np.array(-3.0), np.array(3.0), tol=0.1).gap
    assert np.isfinite(float(gap))
    assert grouped.mixing.cdf(np.array([0.0, 1.0])).value.shape == (4,)


@pytest.mark.thorough
def test_refits_take_them(grouped):
    clusters = np.arange(N_OBS) // 2
    for refit in (spmlex.jackknife(grouped, n_groups=3, clusters=clusters),):
        assert refit.theta.shape == (3, 2)
    drawn = spmlex.bootstrap(grouped, n_draws=2, clusters=clusters)
    assert drawn.theta.shape == (2, 2)


def test_models_may_hold_them_and_starts_too():
    held = Logit(np.zeros(2))  # pyright: ignore[reportArgumentType]
    starts = [dataclasses.replace(held, coef=np.full(2, 0.1))]
    made = spmlex.fit(held, data(), SUPP, **how(starts=starts))
    other = spmlex.fit(START, data(), SUPP, **how(starts=[Logit(jnp.full(2, 0.1))]))
    assert same(made.theta, other.theta)


def test_a_grid_of_whole_numbers_is_one_of_labels():
    labels = np.arange(-3, 4)
    found = spmlex.fit(START, data(), labels, max_steps=2, throw=False)
    assert found.support == "grid"
    assert found.mixing.mean.value.shape == (1,)
