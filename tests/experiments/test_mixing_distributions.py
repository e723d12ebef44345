"""The mixing distributions: draws, cdf, quantiles and moments are those announced."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
import scipy.stats

from experiments import mixing

SCALARS = {
    "discrete": mixing.Discrete(supp=[-3, 0, 5], weights=[0.3, 0.5, 0.2]),
    "normal": mixing.Normal(loc=1, scale=2),
    "mixture": mixing.NormalMixture(
        locs=[-2, 1], scales=[0.5, 1], weights=[0.25, 0.75]
    ),
    "gamma": mixing.ShiftedGamma(shape=2, loc=0.5, scale=2),
    "uniform": mixing.Uniform(low=-1, high=3),
    "t": mixing.StudentT(df=3, loc=1, scale=2),
}
JOINT = {
    "normals": mixing.GaussianCopula([SCALARS["normal"], mixing.Normal(0, 0.5)], 0.6),
    "others": mixing.GaussianCopula([SCALARS["uniform"], SCALARS["discrete"]], -0.7),
    "discrete": mixing.JointDiscrete([[0, 1], [1, 1], [2, -1]], [0.2, 0.3, 0.5]),
}
SCIPY = {
    "normal": scipy.stats.norm(1, 2),
    "gamma": scipy.stats.gamma(2, 0.5 - 2**0.5 * 2, 2 / 2**0.5),
    "uniform": scipy.stats.uniform(-1, 4),
    "t": scipy.stats.t(3, 1, 2),
}
LEVELS = np.array([1e-6, 0.01, 0.1, 0.29, 0.31, 0.5, 0.79, 0.9, 0.999, 1 - 1e-6])


def draw(distribution, n, seed=7):
    with jax.threefry_partitionable(True):
        return np.asarray(distribution.simulate(rng=jr.key(seed), n=n)["latent"])


@pytest.mark.parametrize("name", SCIPY)
def test_cdf_quantiles_and_moments_are_those_of_scipy(name):
    ours, theirs = SCALARS[name], SCIPY[name]
    x = theirs.ppf(LEVELS)
    np.testing.assert_allclose(ours.cdf(jnp.asarray(x)), LEVELS, rtol=1e-9)
    np.testing.assert_allclose(ours.quantile(jnp.asarray(LEVELS)), x, rtol=1e-9)
    assert float(ours.mean()) == pytest.approx(theirs.mean())
    assert float(ours.variance()) == pytest.approx(theirs.var())


@pytest.mark.parametrize("name", SCALARS)
def test_quantile_is_the_least_value_that_reaches_the_level(name):
    ours = SCALARS[name]
    x = ours.quantile(jnp.asarray(LEVELS))
    reached = ours.cdf(x) - LEVELS
    assert float(reached.min()) > -1e-12
    nudge = 1e-9 * (1 + jnp.abs(x))
    assert bool((ours.cdf(x - nudge) < LEVELS + 1e-12).all())


@pytest.mark.parametrize("df", [0.8, 1, 1.5, 2, 2.5])
def test_moments_that_do_not_exist_are_not_given(df):
    heavy = mixing.StudentT(df=df, loc=1, scale=2)
    assert bool(jnp.isnan(heavy.mean())) == (df <= 1)
    assert bool(jnp.isnan(heavy.variance())) == (df <= 1)
    assert bool(jnp.isinf(heavy.variance())) == (1 < df <= 2)


@pytest.mark.parametrize("name", SCALARS)
def test_draws_follow_the_distribution(name):
    n = 20_000
    x, ours = draw(SCALARS[name], n), SCALARS[name]
    if name != "discrete":
        cdf = lambda x: np.asarray(ours.cdf(jnp.asarray(x)))  # noqa: E731
        assert scipy.stats.kstest(x, cdf).pvalue > 1e-3
    else:
        shares = (x[:, None] == np.asarray(ours.supp)).mean(axis=0)
        np.testing.assert_allclose(shares, ours.weights, atol=4 * 0.5 / n**0.5)


@pytest.mark.parametrize("name", ["uniform", "t"])
def test_draws_have_the_stated_mean(name):
    x, ours = draw(SCALARS[name], 20_000), SCALARS[name]
    assert abs(x.mean() - ours.mean()) < 4 * float(ours.variance() / x.size) ** 0.5


@pytest.mark.parametrize("ours", [*SCALARS.values(), *JOINT.values()])
def test_first_draws_of_a_larger_sample_equal_a_smaller_one(ours):
    np.testing.assert_array_equal(draw(ours, 500), draw(ours, 20_000)[:500])


def test_draws_of_distributions_increasing_in_one_uniform_move_together():
    columns = [draw(SCALARS[name], 500) for name in ("discrete", "normal", "uniform")]
    order = np.argsort(columns[1])
    for column in columns:
        assert (np.diff(column[order]) >= 0).all()


@pytest.mark.parametrize("name", JOINT)
def test_joint_draws_have_the_stated_margins_and_moments(name):
    n, ours = 20_000, JOINT[name]
    x = draw(ours, n)
    assert x.shape == (n, len(ours.list_margins()))
    error = 4 * np.sqrt(np.asarray(ours.variance()) / n)
    assert (np.abs(x.mean(axis=0) - ours.mean()) < error).all()
    for column, margin in zip(x.T, ours.list_margins(), strict=True):
        points = np.sort(column)[:: n // 50]
        share = (column <= points[:, None]).mean(axis=1)
        assert np.abs(share - margin.cdf(jnp.asarray(points))).max() < 2 / n**0.5


def test_copula_has_the_dependence_of_normals():
    n = 20_000
    normals = draw(JOINT["normals"], n)
    assert np.corrcoef(normals.T)[0, 1] == pytest.approx(0.6, abs=4 * 0.64 / n**0.5)


@pytest.mark.parametrize(
    "other", ["mixture", pytest.param("t", marks=pytest.mark.slow)]
)
def test_copula_has_the_rank_correlation_of_normals(other):
    # Spearman's correlation under a Gaussian copula (Kruskal 1958).
    n = 20_000
    both = mixing.GaussianCopula([SCALARS["uniform"], SCALARS[other]], -0.7)
    ranks = scipy.stats.spearmanr(*draw(both, n).T).statistic
    assert ranks == pytest.approx(6 / np.pi * np.arcsin(-0.35), abs=4 / n**0.5)


def test_joint_discrete_draws_have_the_stated_masses():
    x, ours = draw(JOINT["discrete"], 20_000), JOINT["discrete"]
    same = (x[:, None, :] == np.asarray(ours.supp)).all(axis=2)
    assert same.any(axis=1).all()
    np.testing.assert_allclose(same.mean(axis=0), ours.weights, atol=0.015)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: mixing.Uniform(1, 1), "give low < high"),
        (lambda: mixing.StudentT(0, 0, 1), "df=0.0: give positive"),
        (lambda: mixing.StudentT(3, 0, -1), "scale=-1.0: give positive"),
        (lambda: mixing.GaussianCopula([SCALARS["t"]], 0.5), "1 entries: give two"),
        (lambda: mixing.GaussianCopula([SCALARS["t"]] * 2, 1.5), "from -1 to 1"),
        (lambda: mixing.JointDiscrete([[0, 1]], [0.5, 0.5]), "as many weights"),
        (lambda: mixing.JointDiscrete([[0, 1], [1, 1]], [0.5, 0.6]), "add up to 1.1"),
    ],
)
def test_impossible_distributions_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
