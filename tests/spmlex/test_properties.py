"""What holds for every inner problem, on problems that nobody thought of."""

import functools

import hypothesis.extra.numpy as hnp
import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from problems import approx

from spmlex import RESULTS, profile, solve_probs

N_OBS, N_SUPP = 12, 6

# One shape, so that all examples share one compiled program.
logs = st.floats(-40.0, 40.0)
matrices = hnp.arrays(np.float64, (N_OBS, N_SUPP), elements=logs)
matrices_with_zeros = hnp.arrays(
    np.float64, (N_OBS, N_SUPP), elements=st.one_of(logs, st.just(-np.inf))
)
weights = hnp.arrays(np.float64, N_OBS, elements=st.floats(0.1, 10.0))
distributions = hnp.arrays(
    np.float64, N_SUPP, elements=st.floats(0.01, 1.0), unique=False
).map(lambda mass: mass / mass.sum())
examples = settings(max_examples=40, deadline=None)


@functools.cache
def compiled():
    """Return the solve, and the profile value with its gradient."""

    def value(lclk, weights):
        return profile(lclk, weights)[0]

    solve = jax.jit(lambda lclk, w: solve_probs(lclk, weights=w, throw=False))
    return solve, jax.jit(jax.value_and_grad(value))


def mean_log_mixture(lclk, weights, probs):
    top = lclk.max(axis=1)
    terms = np.log(np.exp(lclk - top[:, None]) @ probs) + top
    return -np.average(terms, weights=weights)


@examples
@given(matrices_with_zeros, weights)
def test_every_solve_is_a_certified_distribution_or_says_why_not(lclk, w):
    solution = compiled()[0](lclk, w)
    probs = np.asarray(solution.probs)
    assert (probs >= 0).all()
    assert probs.sum() == approx(1.0, 1e-12)
    if np.isneginf(lclk).all(axis=1).any():
        assert solution.result == RESULTS.zero_likelihood
    else:
        assert solution.result == RESULTS.successful
        assert solution.gap <= 1e-9
        assert solution.residual <= 1e-9


@examples
@given(matrices, weights, distributions)
def test_no_distribution_beats_a_certified_one_by_more_than_its_gap(lclk, w, other):
    solution = compiled()[0](lclk, w)
    best = float(solution.value)
    assert best == approx(mean_log_mixture(lclk, w, solution.probs), 1e-10)
    assert best <= mean_log_mixture(lclk, w, other) + max(float(solution.gap), 1e-10)


@examples
@given(matrices, weights, st.randoms(use_true_random=False))
def test_order_and_units_of_the_likelihood_do_not_matter(lclk, w, random):
    rows, columns = list(range(N_OBS)), list(range(N_SUPP))
    random.shuffle(rows)
    random.shuffle(columns)
    shift = np.array([random.uniform(-50.0, 50.0) for _ in rows])
    solve, _ = compiled()
    value = solve(lclk, w).value
    moved = solve((lclk + shift[:, None])[rows][:, columns], w[rows]).value
    assert moved == approx(value - np.average(shift, weights=w), 1e-8)


@examples
@given(matrices, weights)
def test_a_support_point_twice_adds_nothing(lclk, w):
    solve, _ = compiled()
    lclk = lclk.copy()
    lclk[:, 1] = lclk[:, 0]
    again = lclk.copy()
    again[:, 1] = -np.inf
    assert solve(lclk, w).value == approx(solve(again, w).value, 2e-9)


@examples
@given(matrices, matrices, weights)
def test_the_envelope_gradient_is_a_supergradient(lclk, other, w):
    # The profile value is concave in lclk: a minimum over p of concave functions.
    _, value_and_gradient = compiled()
    value, gradient = value_and_gradient(lclk, w)
    there, _ = value_and_gradient(other, w)
    assert there <= value + jnp.sum(gradient * (other - lclk)) + 1e-7


@examples
@given(matrices, weights)
def test_the_envelope_gradient_spreads_each_weight_over_the_points(lclk, w):
    _, gradient = compiled()[1](lclk, w)
    assert (np.asarray(gradient) <= 1e-15).all()
    assert gradient.sum(axis=1) == approx(-w / w.sum(), 1e-9)
