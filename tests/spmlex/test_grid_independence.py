"""Where the grid lies does not matter: its points with mass are free to move."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from experiments.models.duration import WeibullHazard
from experiments.models.panel_binary import PanelBinary
from experiments.models.poisson import MixedPoisson
from spmlex import RESULTS, fit

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
    "one count": (MixedPoisson([SLOPE]), 1, (-9.0, 3.0), 100),
    "three counts": (MixedPoisson([SLOPE]), 3, (-9.0, 3.0), 100),
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
