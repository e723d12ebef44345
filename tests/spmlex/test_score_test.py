"""The test of one parameter by its efficient score: which variance it takes."""

import jax.numpy as jnp
import numpy as np
import pytest
from problems import approx

from spmlex._adequacy.identification import Directions
from spmlex._efficient.score_at import ScoreAt
from spmlex._efficient.score_test import test_parameter as try_parameter

INFORMATION = np.array([[2.0, 0.6, 0.0], [0.6, 1.0, 0.2], [0.0, 0.2, 3.0]])
MEAN = np.array([0.05, -0.02, 0.1])
N_OBS = 400


def at(mean):
    """Return an evaluation with this mean score."""
    nothing, vector = jnp.zeros((N_OBS, 3)), jnp.zeros(3)
    return ScoreAt(
        theta=vector,
        scores=nothing,
        raw=nothing,
        mean=jnp.asarray(mean),
        information=jnp.asarray(INFORMATION),
        parametric=jnp.asarray(INFORMATION),
        directions=Directions(vector, jnp.eye(3), vector > 0, jnp.eye(3)),
        carried=None,  # pyright: ignore[reportArgumentType]
        misfit=jnp.array(0.0),
    )


def scores_with(covariance):
    """Return scores with mean zero and exactly this covariance."""
    drawn = np.random.default_rng(3).standard_normal((N_OBS, 3))
    drawn = drawn - drawn.mean(axis=0)
    white = drawn @ np.linalg.inv(np.linalg.cholesky(drawn.T @ drawn / N_OBS)).T
    return white @ np.linalg.cholesky(covariance).T


def left_over(k):
    """Return the model's regression of a score on the others: what is left of it."""
    others = [j for j in range(3) if j != k]
    along = np.linalg.solve(INFORMATION[np.ix_(others, others)], INFORMATION[k, others])
    combination = np.eye(3)[k]
    combination[others] = -along
    return combination


@pytest.mark.parametrize("k", range(3))
@pytest.mark.parametrize(
    ("ratio", "counted"), [(1.7, 1.7), (1.0, 1.0), (0.6, 0.8), (0.0, 0.5)]
)
def test_variance_is_the_samples_or_the_mean_of_both_where_that_is_larger(
    k, ratio, counted
):
    scores = scores_with(INFORMATION) * np.sqrt(ratio)
    found = try_parameter(at(MEAN), jnp.array(k), jnp.asarray(scores), jnp.array(400.0))
    combination = left_over(k)
    variance = counted * combination @ INFORMATION @ combination
    expected = combination @ MEAN / np.sqrt(variance / N_OBS)
    assert found.deviate == approx(expected, 1e-10)
    # The others want what their own scores say.
    others = [j for j in range(3) if j != k]
    step = np.linalg.solve(INFORMATION[np.ix_(others, others)], MEAN[others])
    assert np.delete(np.asarray(found.others), k) == approx(step, 1e-10)
    assert found.others[k] == 0


def test_clusters_that_depend_count_as_the_sample_says():
    scores = scores_with(INFORMATION)
    # Each observation three times more, as sums within clusters.
    summed = np.concatenate([4 * scores, np.zeros((3 * N_OBS, 3))])
    n_obs = jnp.array(4.0 * N_OBS)
    alone = try_parameter(at(MEAN), jnp.array(0), jnp.asarray(scores), n_obs / 4)
    found = try_parameter(at(MEAN), jnp.array(0), jnp.asarray(summed), n_obs)
    assert found.deviate == approx(alone.deviate, 1e-10)
