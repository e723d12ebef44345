"""A row that stands for many equal observations counts as all of them."""

import itertools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from problems import approx

import spmlex
from spmlex import fit
from spmlex._inner.weights import read_sample

SUPP = np.linspace(-4.0, 4.0, 17)
CELLS = np.array(list(itertools.product((-1.0, 1.0), repeat=3)))


class Choices(eqx.Module):
    """Three binary choices with a random intercept; a sign says what was chosen."""

    slope: jax.Array

    def lclk(self, data, supp):
        index = self.slope * data["x"][:, :, None] + supp
        return jax.nn.log_sigmoid(data["sign"][:, :, None] * index).sum(axis=1)

    def outcomes(self, data):
        """Return all eight outcomes of each observation."""
        shape = (8, *data["x"].shape)
        return {
            "x": jnp.broadcast_to(data["x"], shape),
            "sign": jnp.broadcast_to(CELLS[:, None], shape),
        }


def draw(n_obs=300):
    """Return patterns of choices and covariates, and how often each was seen."""
    rng = np.random.default_rng(0)
    designs = np.array([[-1.0, 0, 1], [1, 0, -1], [0, 0, 1], [1, 1, 0]])
    x = designs[rng.integers(4, size=n_obs)]
    index = x + rng.choice([-1.0, 1.5], size=n_obs)[:, None]
    chosen = rng.uniform(size=index.shape) < 1 / (1 + np.exp(-index))
    rows = np.hstack([x, np.where(chosen, 1.0, -1.0)])
    return np.unique(rows, axis=0, return_counts=True)


def to_data(rows):
    return {"x": jnp.asarray(rows[:, :3]), "sign": jnp.asarray(rows[:, 3:])}


PATTERNS, REPEATS = draw()
EVERY = np.repeat(PATTERNS, REPEATS, axis=0)
CLUSTERS = np.arange(len(REPEATS)) // 3
START = Choices(jnp.array(1.0))


@pytest.fixture(scope="module")
def pair():
    """Return the fit to all the observations, and that to the patterns."""
    return (
        fit(START, to_data(EVERY), SUPP, support="grid"),
        fit(START, to_data(PATTERNS), SUPP, counts=REPEATS, support="grid"),
    )


def test_patterns_with_counts_are_the_observations(pair):
    every, patterns = pair
    assert len(REPEATS) < 40
    assert patterns.n_obs == 300
    assert patterns.theta == approx(every.theta, 1e-10)
    assert patterns.log_likelihood == approx(every.log_likelihood, 1e-8)
    assert patterns.resolution == approx(every.resolution, 1e-10)
    assert patterns.grid_ripple == approx(every.grid_ripple, 1e-10)
    for kind in spmlex.COVARIANCE_KINDS:
        assert patterns.covariance(kind) == approx(every.covariance(kind), 1e-10)
    within = patterns.covariance("sandwich", clusters=CLUSTERS)
    repeated = np.repeat(CLUSTERS, REPEATS)
    assert within == approx(every.covariance("sandwich", clusters=repeated), 1e-10)
    assert "observations 300" in patterns.summary(kind="sandwich")


def test_weights_alone_say_nothing_of_the_size_of_the_sample(pair):
    _, patterns = pair
    share = jnp.asarray(REPEATS, float)
    weighted = fit(START, to_data(PATTERNS), SUPP, weights=share, support="grid")
    assert weighted.theta == approx(patterns.theta, 1e-10)
    assert weighted.n_obs == len(REPEATS)
    ratio = weighted.covariance("observed") / patterns.covariance("observed")
    assert ratio == approx([[300 / len(REPEATS)]], 1e-8)


def test_both_kinds_are_multiplied(pair):
    every, _ = pair
    twice = np.where(PATTERNS[:, 0] > 0, 2.0, 1.0)
    one = fit(
        START,
        to_data(PATTERNS),
        SUPP,
        counts=REPEATS,
        weights=jnp.asarray(twice),
        support="grid",
    )
    all_rows = jnp.asarray(np.repeat(twice, REPEATS))
    other = fit(START, to_data(EVERY), SUPP, weights=all_rows, support="grid")
    assert one.theta == approx(other.theta, 1e-9)
    assert one.covariance("sandwich") == approx(other.covariance("sandwich"), 1e-10)
    assert not np.allclose(one.theta, every.theta, atol=1e-3)


@pytest.mark.thorough
def test_refits_draw_the_observations(pair):
    every, patterns = pair
    for refit in (
        spmlex.jackknife,
        lambda estimate: spmlex.bootstrap(estimate, n_draws=4),
        lambda estimate: spmlex.bootstrap(
            estimate, n_draws=4, weights="exponential", seed=3
        ),
    ):
        assert refit(patterns).theta == approx(refit(every).theta, 1e-7)
    test = [spmlex.likelihood_ratio_test(each, "slope", 0.8) for each in pair]
    assert test[0].statistic == approx(test[1].statistic, 1e-7)
    assert spmlex.jackknife(patterns, n_groups=300).theta.shape == (300, 1)
    mean = [spmlex.delta_method(each, lambda m, v, probs: probs @ v) for each in pair]
    assert mean[0].covariance == approx(mean[1].covariance, 1e-9)


@pytest.mark.thorough
def test_the_efficient_estimate_is_that_of_the_observations(pair):
    every, patterns = (each.efficient() for each in pair)
    assert patterns.theta == approx(every.theta, 1e-9)
    assert patterns.covariance() == approx(every.covariance(), 1e-10)
    repeated = np.repeat(CLUSTERS, REPEATS)
    assert patterns.covariance(CLUSTERS) == approx(every.covariance(repeated), 1e-10)
    for here, there in zip(
        patterns.score_limits(0.9), every.score_limits(0.9), strict=True
    ):
        assert here == approx(there, 1e-8)
    data = to_data(PATTERNS)
    plain = spmlex.efficient_estimate(START, data, SUPP, counts=REPEATS)
    assert plain.covariance() == approx(patterns.covariance(), 1e-4)


@pytest.mark.thorough
@pytest.mark.parametrize("support", [None, "free"])
def test_points_that_move_count_them_too(support):
    every = fit(START, to_data(EVERY), SUPP, support=support)
    patterns = fit(START, to_data(PATTERNS), SUPP, support=support, counts=REPEATS)
    assert patterns.log_likelihood == approx(every.log_likelihood, 1e-6)
    assert patterns.theta == approx(every.theta, 1e-4)
    found = patterns.covariance("sandwich")
    assert found == approx(every.covariance("sandwich"), 1e-5)


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        (REPEATS + 0.5, "counts holds .* give whole numbers"),
        (-REPEATS, "counts holds .* nonnegative"),
        (REPEATS[:-1], "counts has shape"),
        (0 * REPEATS, "counts are all zero"),
    ],
)
def test_counts_that_are_none_are_refused(counts, message):
    with pytest.raises(ValueError, match=message):
        read_sample(None, counts, len(REPEATS))
