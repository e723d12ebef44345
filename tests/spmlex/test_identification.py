"""Which parameters a movement of F can take the place of: these and no others."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree
from panels import (
    FreeLoadings,
    LinearPanel,
    PiecewiseHazard,
    draw,
    latent,
    make_problem,
)
from problems import approx
from test_efficient import bell, plug_in

from experiments.models.linear_factor import LinearFactor
from experiments.models.panel_binary import PanelBinary
from experiments.models.poisson import MixedPoisson
from spmlex import RESULTS, efficient_estimate
from spmlex._adequacy.identification import split_directions

slow = pytest.mark.slow  # each compiles estimates and intervals of its own
SHAPES = ("two", "normal")


def estimate(model, data, supp, **settings) -> Any:
    return efficient_estimate(model, data, supp, throw=False, **settings)


def with_covariate(data, more):
    """Return data with another covariate."""
    x = data["covariates"]
    more = jnp.broadcast_to(more, x.shape)
    return data | {"covariates": jnp.concatenate([x, more], axis=2)}


def check(found, identified, at_least_finite=True):
    """Hold what is identified, and intervals accordingly."""
    assert np.array_equal(found.identified, identified)
    known = np.array(identified)
    errors = np.asarray(found.standard_errors())
    lower, upper = map(np.asarray, found.score_limits(0.95))
    assert np.all(np.isnan(errors[~known]))
    assert np.all(lower[~known] == -np.inf)
    assert np.all(upper[~known] == np.inf)
    assert np.all(errors[known] > 0)
    if at_least_finite:
        assert np.all(np.isfinite((upper - lower)[known]))
        assert np.all(lower < found.theta)
        assert np.all(found.theta < upper)


@pytest.mark.thorough
def test_a_constant_is_a_shift_of_the_mixing_distribution():
    _, data, supp = make_problem("poisson", 300)
    data = with_covariate(data, 1.0)
    check(estimate(MixedPoisson([0.5, 0.0]), data, supp), [True, False])


@slow
@pytest.mark.parametrize("shape", SHAPES)
def test_a_difference_that_all_share_is_a_shift(shape):
    _, data, supp = make_problem("poisson", shape=shape)
    model = MixedPoisson([0.5, 0.0])
    x = data["covariates"]
    check(estimate(model, with_covariate(data, x + 1.7), supp), [False, False])
    # Where it varies between units, whose F is the same, both are identified.
    own = jr.normal(jr.key(77), (x.shape[0], 1, 1))
    check(estimate(model, with_covariate(data, x + own), supp), [True, True])


@slow
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("names", [("shift",), ("scale",), ("shift", "scale")])
def test_mixing_distribution_absorbs_intercept_and_scale(names, shape):
    model, data, supp = make_problem("linear", shape=shape)
    extra = {"shift": jnp.array(0.0), "scale": jnp.array(1.0)}
    chosen = {name: extra[name] for name in names}
    model = LinearPanel(model.coef, model.log_std_e, **chosen)
    check(estimate(model, data, supp), [True, True] + [False] * len(names))


@slow
@pytest.mark.parametrize("shape", SHAPES)
def test_level_of_a_free_hazard_is_not_identified(shape):
    model = PiecewiseHazard(jnp.array([0.0, 0.3, -0.2]), jnp.array([0.6]))
    _, data, supp = make_problem("duration")
    effect = latent(jr.key(3), 500, shape)
    data = draw(model, {"covariates": data["covariates"]}, effect, jr.key(4))
    check(estimate(model, data, supp), [False, False, False, True])


@slow
@pytest.mark.parametrize("shape", SHAPES)
def test_loadings_need_a_normalisation(shape):
    model, data, supp = make_problem("linear factor", shape=shape)
    free = FreeLoadings(jnp.array([1.0, 1.5, 0.3]), model.log_std_e)
    check(estimate(free, data, supp), [False] * 3 + [True] * 3, False)


@slow
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    "name", ["linear factor", "poisson", "logit", "duration", "linear"]
)
def test_identified_models_stay_silent(name, shape):
    model, data, supp = make_problem(name, shape=shape)
    found = estimate(model, data, supp)
    assert found.result == RESULTS.successful
    check(found, [True] * found.theta.size, name != "linear factor")
    if name == "poisson":
        again = estimate(*make_problem(name, mean=4.0, shape=shape))
        check(again, [True])


@slow
@pytest.mark.parametrize("seed", range(4))
def test_weakly_identified_is_identified(seed):
    model = LinearFactor(coef=[0.7, -0.5], log_std_e=[-0.5, 0.5, 0.3])
    effect = 2.0 * jr.normal(jr.key(seed), (500,))
    data = draw(model, {}, effect, jr.key(100 + seed))
    found = estimate(model, data, jnp.linspace(-6.0, 10.0, 66))
    check(found, [True] * 5, False)


def test_share_does_not_depend_on_the_mean_of_a_covariate():
    shares = []
    for mean in (0.0, 4.0, 1000.0):
        model, data, supp = make_problem("poisson", mean=mean)
        found = plug_in(model, data, supp, bell(supp), 2048).found
        given = (found.information, found.remaining, found.parametric)
        split = split_directions(*given)
        assert np.all(split.identified)
        shares.append(split.share)
    # The floor of `identification.py` is relative to what grows with the mean.
    assert shares[1] == approx(shares[0], 1e-6)
    assert shares[2] == approx(shares[0], 1e-2)


@slow
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", ["poisson", "logit", "duration", "linear"])
def test_estimate_does_not_depend_on_the_mean_of_a_covariate(name, shape):
    # With the sample's product of efficient and plain scores as the slope, standard
    # errors were 1.3 to 3 times as large with a mean of four: seeds 1.
    here = estimate(*make_problem(name, seed=1, shape=shape))
    there = estimate(*make_problem(name, mean=4.0, seed=1, shape=shape))
    errors = here.standard_errors()
    assert jnp.abs((there.theta - here.theta) / errors).max() < 0.05
    assert there.standard_errors() / errors == approx(np.ones(errors.size), 0.05)


@slow
def test_draws_move_an_estimate_by_little():
    problem = make_problem("poisson", seed=1, shape="normal")
    found = [estimate(*problem, seed=seed) for seed in range(8)]
    theta = np.array([each.theta[0] for each in found])
    assert theta.std(ddof=1) < 0.1 * float(found[0].standard_errors()[0])


@slow
def test_disagreement_of_simulation_and_likelihood_is_told():
    class Noisier(LinearFactor):
        def simulate(self, data, *, rng):
            louder = LinearFactor(self.coef, self.log_std_e + np.log(1.2))
            return louder.simulate(data, rng=rng)

    model, data, supp = make_problem("linear factor")
    found = estimate(Noisier(model.coef, model.log_std_e), data, supp)
    assert found.result == RESULTS.simulation_disagrees
    with pytest.raises(RuntimeError, match="simulate"):
        efficient_estimate(Noisier(model.coef, model.log_std_e), data, supp)


@slow
def test_jit_and_vmap_change_nothing():
    model, data, supp = make_problem("poisson", 200)
    _, other, _ = make_problem("poisson", 200, seed=1)

    def summarise(data):
        found = estimate(model, data, supp)
        return found.theta, found.standard_errors(), *found.score_limits(0.95)

    plain = [summarise(data), summarise(other)]
    within = jax.jit(summarise)(data)
    both = jax.tree.map(lambda *x: jnp.stack(x), data, other)
    side_by_side = jax.vmap(summarise)(both)
    for k in range(4):
        assert within[k] == approx(plain[0][k], 1e-8)
        for number in range(2):
            assert side_by_side[k][number] == approx(plain[number][k], 1e-6)


@slow
def test_weight_zero_leaves_out():
    model, data, supp = make_problem("poisson", 300)
    some = jax.tree.map(lambda leaf: leaf[:200], data)
    weights = jnp.where(jnp.arange(300) < 200, 1.0, 0.0)
    # The start is the model's own, of all observations: stop at the same root.
    here, there = (
        estimate(model, some, supp),
        estimate(model, data, supp, weights=weights),
    )
    errors = here.standard_errors()
    assert jnp.abs((there.theta - here.theta) / errors).max() < 0.05
    assert there.standard_errors() == approx(errors, 0.02 * float(errors[0]))


@slow
def test_clusters_of_copies_have_the_errors_of_the_originals():
    model, data, supp = make_problem("poisson", 300)
    twice = jax.tree.map(lambda leaf: jnp.repeat(leaf, 2, axis=0), data)
    clusters = jnp.repeat(jnp.arange(300), 2)
    here, there = estimate(model, data, supp), estimate(model, twice, supp)
    errors = here.standard_errors()
    clustered, plain = there.standard_errors(clusters), there.standard_errors()
    # The price of atoms weighs half as much in twice the sample: F differs a little.
    assert clustered / errors == approx(np.ones(1), 0.05)
    assert plain / errors == approx(np.full(1, np.sqrt(0.5)), 0.05)
    reach = np.asarray(here.score_limits(0.95)) - here.theta
    assert np.asarray(there.score_limits(0.95, clusters)) - there.theta == approx(
        reach, 0.05 * float(reach[1, 0])
    )


@slow
def test_groups_are_summed():
    model, data, supp = make_problem("poisson", 300)
    effect = latent(jr.key(5), 300, "normal") + 0.5
    other = draw(model, {"covariates": data["covariates"]}, effect, jr.key(6))
    both = jax.tree.map(lambda *x: jnp.concatenate(x), data, other)
    groups = jnp.repeat(jnp.arange(2), 300)
    found = estimate(model, both, supp, groups=groups, n_groups=2)
    assert found.result == RESULTS.successful
    assert found.probs.shape == (supp.size, 2)

    # Each group's own equation, at the same theta and bandwidth.
    def anew(equation):
        return dataclasses.replace(equation, offset=jnp.zeros(1))

    theta, carried = found.root.here.theta, found.root.here.carried
    parts = []
    for number, rows in enumerate((data, other)):
        alone = estimate(model, rows, supp)
        own = jax.tree.map(
            lambda leaf, k=number: leaf[k : k + 1], (carried.mixing, carried.rows)
        )
        carries = carried._replace(mixing=own[0], rows=own[1])
        parts.append(anew(alone.equation).at(theta, carries, refined=True))
    mean = 0.5 * (parts[0].mean + parts[1].mean)
    scores = jnp.concatenate([part.scores for part in parts])
    information = 0.5 * (parts[0].information + parts[1].information)
    assert found.root.here.mean == approx(mean, 1e-5)
    # Draws are paired with all observations' covariates.
    assert found.scores == approx(scores, 0.2)
    assert found.information / information == approx(np.ones((1, 1)), 0.02)


@slow
def test_fixed_leaves_stay():
    model, data, supp = make_problem("linear")
    found = estimate(model, data, supp, fixed=lambda model: model.log_std_e)
    assert found.theta.shape == (1,)
    assert found.model.log_std_e == model.log_std_e
    assert abs(found.theta[0] - 0.5) < 4 * found.standard_errors()[0]


@slow
def test_two_random_coefficients():
    model, data, _ = make_problem("logit", 300)
    x = data["covariates"]
    given = {"covariates": jnp.concatenate([x[:, ::-1], x], axis=2)}
    truth = PanelBinary(model.coef, n_random=2)
    effect = jr.normal(jr.key(8), (300, 2))
    data = draw(truth, given, effect, jr.key(9))
    line = jnp.linspace(-3.0, 3.0, 7)
    supp = jnp.stack(jnp.meshgrid(line, line), axis=-1).reshape(-1, 2)
    found = estimate(truth, data, supp)
    assert found.result == RESULTS.successful
    theta, _ = ravel_pytree(truth)
    assert jnp.abs((found.theta - theta) / found.standard_errors()).max() < 4.0
