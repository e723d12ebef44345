"""Functions of theta and F: influence by brute force, and in closed form."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.scipy.stats import norm
from problems import approx, central_differences

from spmlex import delta_method, efficient_estimate, fit

N_OBS = 300
SUPP = jnp.linspace(-4.0, 5.0, 46)


class Line(eqx.Module):
    """y = slope x + v + e, two of them, with standard normal errors."""

    slope: jnp.ndarray

    def simulate(self, data, *, rng):
        """Draw the outcomes."""
        noise = jax.random.normal(rng, data["x"].shape)
        y = data["latent"][:, None] + self.slope * data["x"] + noise
        return {"x": data["x"], "y": y}

    def lclk(self, data, supp):
        """Return the log-densities."""
        residual = (data["y"] - self.slope * data["x"])[:, :, None] - supp
        return norm.logpdf(residual).sum(axis=1)


def moments(model, supp, probs):
    """Return the mean of F, a share of it, and the slope over the mean."""
    mean = probs @ supp
    return {"mean": mean, "share": probs @ (supp > 1.0), "ratio": model.slope / mean}


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(4)
    latent = rng.choice([-1.0, 2.5], N_OBS, p=[0.4, 0.6])
    x = rng.normal(size=(N_OBS, 2))
    y = latent[:, None] + 0.7 * x + rng.normal(size=x.shape)
    return {"x": jnp.asarray(x), "y": jnp.asarray(y)}


@pytest.fixture(scope="module")
def free(data):
    return fit(Line(jnp.array(0.5)), data, SUPP, support="free")


@pytest.mark.thorough
def test_influence_counts_the_places_of_the_atoms(data, free):
    found = delta_method(free, moments)
    rows = jnp.array([0, 57])

    def moved(shift):
        weights = jnp.ones(N_OBS).at[rows].add(shift)
        there = fit(free.model, data, SUPP, support="free", weights=weights)
        values = moments(there.model, there.supp, there.probs)
        return jnp.stack([values[name] for name in sorted(values)])

    slopes = central_differences(moved, jnp.zeros(2), 1e-3)
    assert found.value == approx(moved(jnp.zeros(2)), 1e-7)
    assert found.influence[rows] / N_OBS == approx(slopes.T, 2e-6)
    shares = float(found.standard_errors[2])
    binomial = np.sqrt(0.24 / N_OBS)  # with the two groups known
    assert binomial < shares < 1.3 * binomial


@pytest.mark.thorough
def test_a_fit_moved_off_its_grid_tells_the_same_as_one_without(data, free):
    polished = fit(Line(jnp.array(0.5)), data, SUPP)
    assert polished.support == "free"
    here, there = delta_method(polished, moments), delta_method(free, moments)
    assert here.value == approx(there.value, 1e-3)
    assert here.standard_errors == approx(there.standard_errors, 1e-3)


@pytest.mark.thorough
def test_compiled_code_decides_where_the_fit_was_moved(data, free):
    @jax.jit
    def compiled(data):
        start = Line(jnp.array(0.5))
        found = delta_method(fit(start, data, SUPP, throw=False), moments)
        return found.value, found.standard_errors

    value, errors = compiled(data)
    plain = delta_method(fit(Line(jnp.array(0.5)), data, SUPP), moments)
    assert value == approx(plain.value, 1e-7)
    assert errors == approx(plain.standard_errors, 1e-7)


@pytest.mark.thorough
def test_under_the_model_the_mean_of_f_is_that_of_the_residuals(data):
    """The mean of F is identified by y - slope x alone: its influence is known."""
    found = efficient_estimate(Line(jnp.array(0.5)), data, SUPP)
    mean = delta_method(found, lambda model, supp, probs: probs @ supp)
    residual = np.asarray(data["y"] - found.theta[0] * data["x"]).mean(axis=1)
    error = float(mean.standard_errors[0])
    assert float(mean.value[0]) == pytest.approx(residual.mean(), abs=0.1 * error)
    # The slope is nearly orthogonal to it: the error is that of a mean.
    plain = residual.std() / np.sqrt(N_OBS)
    assert error == pytest.approx(plain, rel=0.05)
    both = delta_method(found, moments)
    truth = {"mean": 1.1, "ratio": 0.7 / 1.1, "share": 0.6}
    apart = np.asarray(both.value) - [truth[name] for name in sorted(truth)]
    assert (np.abs(apart) < 3 * np.asarray(both.standard_errors)).all()


@pytest.fixture(scope="module")
def grouped(data):
    """Two groups, the second moved up by one."""
    groups = jnp.arange(N_OBS) % 3 == 0
    moved = data | {"y": data["y"] + groups[:, None]}
    groups = groups.astype(int)
    return moved, groups, fit(Line(jnp.array(0.5)), moved, SUPP, groups=groups)


def moments_by_group(model, supp, probs):
    """Return means of both distributions, and of one a share over the slope."""
    return {"mean": supp @ probs, "ratio": (supp > 1.0) @ probs[:, 1] / model.slope}


@pytest.mark.thorough
def test_with_groups_influence_is_by_brute_force_too(grouped):
    data, groups, estimate = grouped
    found = delta_method(estimate, moments_by_group)
    rows = jnp.array([0, 57, 1])

    def moved(shift):
        weights = jnp.ones(N_OBS).at[rows].add(shift)
        there = fit(estimate.model, data, SUPP, groups=groups, weights=weights)
        values = moments_by_group(there.model, there.supp, there.probs)
        return jnp.concatenate([values["mean"], values["ratio"][None]])

    slopes = central_differences(moved, jnp.zeros(3), 1e-3)
    assert found.value == approx(moved(jnp.zeros(3)), 1e-7)
    assert found.influence[rows] / N_OBS == approx(slopes.T, 2e-6)


@pytest.mark.thorough
def test_under_the_model_groups_have_the_means_of_their_residuals(grouped):
    data, groups, estimate = grouped
    found = efficient_estimate(Line(jnp.array(0.5)), data, SUPP, groups=groups)
    mean = delta_method(found, lambda model, supp, probs: supp @ probs)
    residual = np.asarray(data["y"] - found.theta[0] * data["x"]).mean(axis=1)
    for g in (0, 1):
        own = residual[groups == g]
        plain = own.std() / np.sqrt(own.size)
        error = float(mean.standard_errors[g])
        assert float(mean.value[g]) == pytest.approx(own.mean(), abs=0.1 * error)
        assert error == pytest.approx(plain, rel=0.05)
