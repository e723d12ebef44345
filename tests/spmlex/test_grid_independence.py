"""Where the grid lies does not matter: support points with positive mass move."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from experiments.models.duration import WeibullHazard
from experiments.models.panel_binary import PanelBinary
from experiments.models.poisson import MixedPoisson
from spmlex import RESULTS, efficient_estimate, fit, product_grid
from spmlex._atoms.joint import make_joint
from tests.spmlex.problems import DATA, approx, central_differences, linear_factor

N_OBS, SLOPE = 500, 0.7


class LinearPanel(eqx.Module):
    """Outcomes `x_it b + v_i + e_it` with normal errors of a free scale."""

    slope: jax.Array
    log_std: jax.Array

    def lclk(self, data, supp):
        rest = data["outcomes"] - data["covariates"][..., 0] * self.slope
        n_periods = rest.shape[1]
        mean = rest.mean(axis=1)
        within = jnp.sum((rest - mean[:, None]) ** 2, axis=1)
        square = within[:, None] + n_periods * (mean[:, None] - supp) ** 2
        constant = n_periods * (0.5 * jnp.log(2 * jnp.pi) + self.log_std)
        return -0.5 * square * jnp.exp(-2 * self.log_std) - constant

    def simulate(self, data, *, rng):
        mean = data["covariates"][..., 0] * self.slope + data["latent"][:, None]
        noise = jnp.exp(self.log_std) * jr.normal(rng, mean.shape)
        return {"outcomes": mean + noise, "covariates": data["covariates"]}


class Counts(eqx.Module):
    """A Poisson regression with a random intercept, of one count."""

    slope: jax.Array

    def lclk(self, data, supp):
        index = self.slope * data["x"][:, None] + supp
        y = data["y"][:, None]
        return y * index - jnp.exp(index) - jax.scipy.special.gammaln(y + 1)


CASES = {
    "one count": (MixedPoisson([SLOPE]), 1, (-9.0, 5.0), 100),
    "three counts": (MixedPoisson([SLOPE]), 3, (-9.0, 5.0), 100),
    "logit": (PanelBinary([SLOPE]), 5, (-6.0, 6.0), 80),
    "durations": (WeibullHazard(0.2, [SLOPE], 6.0), 2, (-7.0, 4.0), 100),
    "linear": (LinearPanel(jnp.array(SLOPE), jnp.array(-0.3)), 3, (-5.0, 5.0), 100),
}


def draw(name, kind, seed, n_obs=N_OBS):
    """Return a start, data with a covariate of mean zero, and a grid."""
    truth, n_periods, (low, high), n_supp = CASES[name]
    latent_key, covariate_key, key = jr.split(jr.key(seed), 3)
    latent = jr.normal(latent_key, (n_obs,))
    if kind == "two points":
        latent = jnp.where(latent < 0.5, -0.8, 1.0)
    covariates = jr.normal(covariate_key, (n_obs, n_periods, 1))
    data = truth.simulate({"latent": latent, "covariates": covariates}, rng=key)
    start = jax.tree.map(lambda leaf: 0.8 * leaf, truth)
    return start, data, jnp.linspace(low, high, n_supp)


def shift(data, supp, constant):
    """Add a constant to the covariate, and move the grid along at the truth."""
    moved = {**data, "covariates": data["covariates"] + constant}
    return moved, supp - SLOPE * constant


def errors(estimate):
    return np.sqrt(np.diagonal(estimate.covariance("observed")))


@pytest.mark.thorough
@pytest.mark.parametrize("kind", ["two points", "normal"])
@pytest.mark.parametrize("name", CASES)
def test_mean_of_a_covariate_does_not_matter(name, kind):
    start, data, supp = draw(name, kind, 0)
    centred = fit(start, data, supp)
    moved = fit(start, *shift(data, supp, 5.0))
    assert centred.support == moved.support == "free"
    apart = np.abs(centred.theta - moved.theta) / errors(centred)
    assert np.max(apart) < 0.05
    assert np.max(np.abs(errors(moved) / errors(centred) - 1.0)) < 0.05


@pytest.mark.thorough
@pytest.mark.parametrize("kind", ["two points", "normal"])
@pytest.mark.parametrize("name", [name for name in CASES if name != "one count"])
def test_a_mean_of_a_hundred_deviations_does_not_matter(name, kind):
    """As that of a calendar year: the grid follows the coefficient.

    Not with one count a unit: where F is normal the lower end of the grid then lies
    within F at the maximum, which no score tells from a lower F: no root is found, or
    one that is off, and the table says of F that it goes on.
    """
    start, data, supp = draw(name, kind, 0)
    centred = fit(start, data, supp).efficient()
    far = fit(start, *shift(data, supp, 100.0)).efficient()
    assert not bool(centred.nearly_shifted.any())
    assert bool(far.nearly_shifted.any())
    expected, found = centred.standard_errors(), far.standard_errors()
    np.testing.assert_allclose(found, expected, rtol=0.05)
    # Not equal: draws differ, and so does where points lie between those of F.
    assert np.max(np.abs(far.theta - centred.theta) / expected) < 0.15
    limits = zip(far.score_limits(0.95), centred.score_limits(0.95), strict=True)
    assert max(float(np.max(np.abs(a - b) / expected)) for a, b in limits) < 0.4
    # F lies where the covariate's coefficient puts it, and so does its grid.
    moved = float(far.probs @ far.supp - centred.probs @ centred.supp)
    slope = far.theta[np.argmax(far.nearly_shifted)]
    assert moved == pytest.approx(-100.0 * float(slope), rel=0.02)


@pytest.mark.thorough
def test_an_f_that_goes_on_beyond_the_grid_is_told_at_a_root_too():
    start, data, supp = draw("one count", "normal", 0)
    centred = efficient_estimate(start, data, supp)
    assert float(centred.edge_mass) < 0.01
    assert "lies on an end" not in str(centred)
    # The grid of the root ends within F: no score tells.
    far = efficient_estimate(start, *shift(data, supp, 100.0))
    assert float(far.edge_mass) > 0.2
    assert "of F lies on an end of the grid" in str(far)


def test_labels_have_no_ends():
    start, data, supp = draw("logit", "two points", 0)
    found = efficient_estimate(start, data, jnp.array([-0.8, 1.0]))
    assert float(found.edge_mass) > 0.4
    labelled = dataclasses.replace(found, supp=jnp.array([0, 1]))
    assert float(labelled.edge_mass) == 0.0


@pytest.mark.thorough
def test_a_root_that_is_not_found_beside_a_large_mean_is_told_with_its_cure():
    start, data, _ = draw("three counts", "normal", 0)
    narrow = jnp.linspace(-0.5, 0.5, 20)
    with pytest.raises(
        RuntimeError, match=r"of coef\[0\]: subtract the mean"
    ) as raised:
        efficient_estimate(start, *shift(data, narrow, 100.0))
    assert "did not settle" in str(raised.value)
    assert "max_steps" not in str(raised.value)


@pytest.fixture(scope="module")
def faults():
    """Faults in rolls of fabric (Hinde 1982)."""
    table = np.loadtxt(DATA / "fabric.csv", delimiter=",", skiprows=1)
    return {"y": jnp.asarray(table[:, 1]), "x": jnp.asarray(table[:, 2])}


POISSON = Counts(jnp.array(1.0))


@pytest.mark.thorough
@pytest.mark.parametrize("n_supp", [51, 101, 201, 401, 801])
def test_known_maximum_is_reached_on_every_grid(faults, n_supp):
    found = fit(POISSON, faults, jnp.linspace(-7.0, 1.0, n_supp))
    assert found.support == "free"
    assert float(found.theta[0]) == pytest.approx(0.7991, abs=1e-4)
    assert -2 * float(found.log_likelihood) == pytest.approx(172.66217, abs=1e-5)
    assert errors(found)[0] == pytest.approx(0.235, rel=0.005)
    held = found.probs > 0
    assert np.sort(found.supp[held]) == approx([-3.12807, -2.36213], 1e-4)
    assert np.sort(found.probs[held]) == approx([0.2026, 0.7974], 1e-4)


def test_fit_is_the_same_compiled_and_in_a_batch(faults):
    supp = jnp.linspace(-7.0, 1.0, 51)
    plain = fit(POISSON, faults, supp)

    def run(data):
        found = fit(POISSON, data, supp, throw=False)
        return found.theta, found.hessian, found.supp, found.moved

    compiled = jax.jit(run)(faults)
    batch = jax.vmap(run)(jax.tree.map(lambda leaf: jnp.stack([leaf, leaf]), faults))
    second = jax.tree.map(lambda leaf: leaf[1], batch)
    for theta, hessian, points, moved in (compiled, second):
        assert np.asarray(theta) == approx(plain.theta, 1e-8)
        assert np.asarray(hessian) == approx(plain.hessian, 1e-8)
        assert np.asarray(points) == approx(plain.supp, 1e-7)
        assert bool(moved)


def test_derivatives_are_those_of_points_that_move_with_theta(faults):
    found = fit(POISSON, faults, jnp.linspace(-7.0, 1.0, 51))
    assert found.problem is not None
    there = found.problem.evaluate(found.theta, found.probs, found.weights)
    assert np.asarray(there.hessian) == approx(found.hessian, 1e-8)
    assert np.asarray(there.scores) == approx(found.scores, 1e-6)
    nailed = fit(POISSON, faults, jnp.linspace(-7.0, 1.0, 51), support="grid")
    assert nailed.moved is None
    assert float(nailed.hessian[0, 0]) > 20 * float(found.hessian[0, 0])


def test_joint_derivatives_are_right():
    model, data, supp = linear_factor(n_obs=60, n_supp=20)
    problem = fit(model, data, supp, support="grid", throw=False).problem
    assert problem is not None
    joint = make_joint(problem, jnp.full(60, 1 / 60))
    present = jnp.array([True, True, True, False])
    places = joint.to_places(jnp.array([[-3.1], [0.1], [4.8], [0.0]]))
    theta = jnp.concatenate([model.coef, model.log_std_e, places.ravel()])
    probs = present / 3.0
    evaluate = jax.jit(lambda theta: joint.evaluate(theta, probs, present))
    there = evaluate(theta)
    slope = central_differences(lambda z: evaluate(z).value, theta)
    assert np.asarray(there.gradient) == approx(slope, 1e-6)
    bend = central_differences(lambda z: evaluate(z).gradient, theta)
    bend = bend.at[-1, -1].set(1.0)  # an empty slot stays where it is
    assert np.asarray(there.hessian) == approx(bend, 1e-5)
    mean = joint.weights @ there.scores
    assert np.asarray(mean) == approx(-there.gradient, 1e-12)


@pytest.mark.parametrize("beyond", [0.0, 1e-18, -1e-18])
def test_an_atom_on_the_edge_stays_there_whatever_the_rounding(beyond):
    # Steps are zero there but for rounding: an atom that they let go by 1e-18 was one
    # of the middle, with a slope out of the range that no step could follow.
    model, data, supp = linear_factor(n_obs=60, n_supp=20)
    problem = fit(model, data, supp, support="grid", throw=False).problem
    assert problem is not None
    joint = make_joint(problem, jnp.full(60, 1 / 60))
    present = jnp.array([True, True, True])
    for edge in (0.0, 1.0):
        places = jnp.array([edge, 0.4, 0.6]).at[0].add(beyond)
        theta = jnp.concatenate([model.coef, model.log_std_e, places])
        there = joint.evaluate(theta, present / 3.0, present)
        number = theta.size - 3
        assert there.gradient[number] == 0.0
        assert there.hessian[number].tolist() == jnp.eye(theta.size)[number].tolist()
        assert float(jnp.abs(there.gradient[number + 1])) > 0.0


@pytest.mark.thorough
def test_atoms_on_the_edge_do_not_hold_a_search_up():
    rng = np.random.default_rng(6)
    x, v = rng.normal(size=(300, 4, 2)), rng.normal(size=(300, 2)) * 0.7 + 0.5
    index = v[:, :1] + v[:, 1:] * x[:, :, 0] - 0.5 * x[:, :, 1]
    chosen = index + rng.logistic(size=index.shape) > 0
    line = jnp.linspace(-1.0, 2.0, 10)
    start = PanelBinary(jnp.zeros(1), n_random=2)
    data = {"outcomes": chosen, "covariates": x}
    found = fit(start, data, product_grid(line, line))
    assert found.support == "free"
    assert found.num_steps <= 20  # it took 48, most of them without a change


def test_what_a_shift_of_the_atoms_can_replace_is_not_identified(faults):
    ones = {**faults, "x": jnp.ones(faults["x"].shape)}
    found = fit(POISSON, ones, jnp.linspace(-7.0, 4.0, 51), throw=False)
    assert found.result == RESULTS.singular_hessian


def test_groups_stay_on_the_grid(faults):
    groups = jnp.arange(faults["y"].size) % 2
    found = fit(POISSON, faults, jnp.linspace(-7.0, 1.0, 51), groups=groups)
    assert found.support == "grid"
    assert found.moved is None
