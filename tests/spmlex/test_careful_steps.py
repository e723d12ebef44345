"""Scores far from linear, where a noise has almost no variance: roots and limits."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from problems import approx

from experiments.models.linear_factor import LinearFactor
from spmlex import INTERVAL_KINDS, RESULTS, efficient_estimate
from spmlex._adequacy.identification import Directions
from spmlex._efficient import score_test
from spmlex._efficient.careful_steps import begin_carefully, is_nearer, learn
from spmlex._efficient.score_at import ScoreAt
from spmlex._efficient.score_inversion import Centre, advance_limits, begin_limits

TRUTH = LinearFactor(coef=jnp.array([0.7, -0.5]), log_std_e=jnp.array([-0.5, 0.5, 0.3]))
ROOT = np.array([0.3, -0.2, 0.1])


def evaluate(theta, units):
    """Return a score with this root, and an information that is not its slope."""
    moved = np.asarray(theta) / units - ROOT
    turned = np.array([[1.0, 0.3, 0.1], [0.2, 1.0, 0.0], [0.0, 0.1, 0.8]]) @ moved
    mean = -(turned + np.array([20.0, 0.0, 0.0]) * moved[0] + 5 * moved**3)
    inverse = np.diag(units) @ np.eye(3) @ np.diag(units)
    vector, matrix = jnp.zeros(3), jnp.zeros((3, 3))
    return ScoreAt(
        theta=jnp.asarray(theta),
        scores=matrix,
        raw=matrix,
        mean=jnp.asarray(mean / units),
        information=matrix,
        parametric=matrix,
        directions=Directions(vector, matrix, vector > 0, jnp.asarray(inverse)),
        carried=None,  # pyright: ignore[reportArgumentType]
        misfit=jnp.array(0.0),
    )


def search(units, num_steps):
    """Take careful steps from the origin; return where each evaluation was."""
    best = evaluate(np.zeros(3), units)
    steps = begin_carefully(best)
    visited = []
    for _ in range(num_steps):
        step = steps.step(best, jnp.asarray(units), 3.0)
        here = evaluate(best.theta + steps.damping * step, units)
        better = is_nearer(best, here)
        steps = learn(steps, best, here, better)
        best = here if better else best
        visited.append(here.theta)
    return visited, best


def test_careful_steps_find_a_root_whose_slope_is_not_the_information():
    _, best = search(np.ones(3), 25)
    assert best.theta == approx(ROOT, abs=1e-6)


def test_careful_steps_do_not_depend_on_units():
    units = np.array([100.0, 0.01, 3.0])
    plain, _ = search(np.ones(3), 12)
    scaled, _ = search(units, 12)
    for one, other in zip(plain, scaled, strict=True):
        assert other / units == approx(one, abs=1e-9)


def test_an_evaluation_that_is_not_a_number_teaches_nothing():
    best = evaluate(np.zeros(3), np.ones(3))
    steps = begin_carefully(best)
    here = evaluate(np.full(3, 0.1), np.ones(3))
    here = here._replace(mean=here.mean * jnp.nan)
    after = learn(steps, best, here, is_nearer(best, here))
    assert after.inverse == approx(steps.inverse, abs=0)
    assert after.damping < steps.damping


def humped(theta):
    """Return a deviate that is critical three times above its root."""
    return np.interp(theta, [-10, 0, 1, 3, 6, 50], [20, 0, -3, -0.5, -5, -100])


@pytest.mark.parametrize("careful", [False, True])
def test_careful_limits_reach_as_far_as_values_are_not_rejected(careful):
    centre = Centre(
        theta=jnp.zeros(1),
        inverse=jnp.ones((1, 1)),
        errors=jnp.full(1, 0.5),
        critical=jnp.array(1.96),
        careful=jnp.array(careful),
    )
    state, one = begin_limits(centre), jnp.ones(1)
    while state.running:
        deviate = jnp.asarray(humped(state.search.theta[0]))
        alone = score_test.Tested(
            deviate, 0 * one, jnp.array(0.0), jnp.abs(deviate), one
        )
        state = advance_limits(centre, state, alone)
    first, last = 1.96 / 3, 3 + 3 * (1.96 - 0.5) / 4.5
    assert state.limits == approx([-1.96 / 2, last if careful else first], abs=0.02)


@pytest.mark.thorough
@pytest.mark.parametrize("seed", [1, 5, 71, 90, 96])
def test_root_and_limits_are_found_where_a_noise_has_almost_no_variance(seed):
    # Normal F: only second moments tell the first noise from F, and in these samples
    # its best variance is about zero. Steps of information went back and forth; where
    # they end near zero the test rejects, and farther up it does not any more.
    rng = np.random.default_rng(seed)
    v = 2 * rng.standard_normal((500, 1))
    noise = np.exp(TRUTH.log_std_e) * rng.standard_normal((500, 3))
    data = {"outcomes": jnp.asarray(v * np.array([1.0, 0.7, -0.5]) + noise)}

    @jax.jit
    def estimate(data):
        grid = jnp.linspace(-9.0, 14.0, 66)
        start = TRUTH.starting_values(data)
        found = efficient_estimate(start, data, grid, throw=False)
        return found, INTERVAL_KINDS["efficient"].make(found, 0.95, None, None)

    found, intervals = estimate(data)
    assert found.result == RESULTS.successful
    assert np.all(np.isfinite(intervals.lower))
    assert np.all(np.isfinite(intervals.upper))
    assert np.all(intervals.lower < found.theta)
    assert np.all(found.theta < intervals.upper)
    assert intervals.upper[2] > TRUTH.log_std_e[0]
