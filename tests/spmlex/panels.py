"""Panel models beside an unrestricted F, identified and not."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
import jax.scipy as jsp
from jaxtyping import Array, Float, PRNGKeyArray

from experiments.models.duration import WeibullHazard
from experiments.models.linear_factor import LinearFactor
from experiments.models.panel_binary import PanelBinary
from experiments.models.poisson import MixedPoisson


class LinearPanel(eqx.Module):
    """y_it = shift + scale * v_i + x_it' coef + exp(log_std_e) e_it, e normal.

    A shift and a scale are movements of F; the others are identified.

    Attributes:
        coef: One for each covariate.
        log_std_e: Logarithm of the standard deviation of the noise.
        shift: Not identified; `None` leaves it out.
        scale: Not identified; `None` leaves it out.
    """

    coef: Float[Array, " k"]
    log_std_e: Float[Array, ""]
    shift: Float[Array, ""] | None = None
    scale: Float[Array, ""] | None = None

    def _index(self, data: dict[str, Array]) -> Float[Array, "n_obs n_periods"]:
        shift = 0.0 if self.shift is None else self.shift
        return data["covariates"] @ self.coef + shift

    def _scaled(self, latent: Float[Array, " k"]) -> Float[Array, " k"]:
        return latent if self.scale is None else latent * self.scale

    def simulate(
        self, data: dict[str, Array], *, rng: PRNGKeyArray
    ) -> dict[str, Array]:
        """Draw the outcomes given the latent effect."""
        index = self._index(data) + self._scaled(data["latent"])[:, None]
        noise = jnp.exp(self.log_std_e) * jr.normal(rng, index.shape)
        return {"outcomes": index + noise, "covariates": data["covariates"]}

    def lclk(
        self, data: dict[str, Array], supp: Float[Array, " n_supp"]
    ) -> Float[Array, "n_obs n_supp"]:
        """Evaluate the log-density at every support point."""
        residual = data["outcomes"] - self._index(data)
        apart = residual[:, :, None] - self._scaled(supp)
        density = jsp.stats.norm.logpdf(apart, scale=jnp.exp(self.log_std_e))
        return density.sum(axis=1)


class FreeLoadings(eqx.Module):
    """y_it = loading_t v_i + e_it: no loading is normalised, so none is identified.

    Attributes:
        loading: One for each outcome, such as a wage equation's.
        log_std_e: Logarithms of the standard deviations of the noise.
    """

    loading: Float[Array, " n_periods"]
    log_std_e: Float[Array, " n_periods"]

    def simulate(
        self, data: dict[str, Array], *, rng: PRNGKeyArray
    ) -> dict[str, Array]:
        """Draw the outcomes given the latent factor."""
        mean = data["latent"][:, None] * self.loading
        noise = jr.normal(rng, mean.shape) * jnp.exp(self.log_std_e)
        return {"outcomes": mean + noise}

    def lclk(
        self, data: dict[str, Array], supp: Float[Array, " n_supp"]
    ) -> Float[Array, "n_obs n_supp"]:
        """Evaluate the log-density at every support point."""
        apart = data["outcomes"][:, :, None] - self.loading[:, None] * supp
        std = jnp.exp(self.log_std_e)[:, None]
        return jsp.stats.norm.logpdf(apart, scale=std).sum(axis=1)


CUTS = jnp.array([0.4, 1.0])


class PiecewiseHazard(eqx.Module):
    """A hazard that is constant between cuts, times exp(v + x' coef).

    Attributes:
        log_hazard: Of each of the three pieces; one of them has to be normalised.
        coef: One for each covariate.
    """

    log_hazard: Float[Array, " 3"]
    coef: Float[Array, " k"]

    def simulate(
        self, data: dict[str, Array], *, rng: PRNGKeyArray
    ) -> dict[str, Array]:
        """Draw the spells given the frailty."""
        index = data["covariates"] @ self.coef + data["latent"][:, None]
        needed = jr.exponential(rng, index.shape) / jnp.exp(index)
        rate = jnp.exp(self.log_hazard)
        first = rate[0] * CUTS[0]
        second = first + rate[1] * (CUTS[1] - CUTS[0])
        late = CUTS[1] + (needed - second) / rate[2]
        middle = CUTS[0] + (needed - first) / rate[1]
        ended = jnp.where(needed < second, middle, late)
        ended = jnp.where(needed < first, needed / rate[0], ended)
        return {"outcomes": ended, "covariates": data["covariates"]}

    def lclk(
        self, data: dict[str, Array], supp: Float[Array, " n_supp"]
    ) -> Float[Array, "n_obs n_supp"]:
        """Evaluate the log-density at every support point."""
        time = data["outcomes"]
        index = data["covariates"] @ self.coef
        edges = jnp.concatenate([jnp.zeros(1), CUTS, jnp.full(1, jnp.inf)])
        inside = jnp.clip(time[:, :, None] - edges[:-1], 0.0, jnp.diff(edges))
        hazard = (inside @ jnp.exp(self.log_hazard) * jnp.exp(index)).sum(axis=1)
        piece = jnp.searchsorted(CUTS, time)
        constant = (self.log_hazard[piece] + index).sum(axis=1)
        n_spells = time.shape[1]
        return constant[:, None] + n_spells * supp - hazard[:, None] * jnp.exp(supp)


def covariates(
    key: PRNGKeyArray, n_obs: int, n_periods: int, mean: float = 0.0, count: int = 1
) -> Float[Array, "n_obs n_periods count"]:
    """Return normal covariates with some mean and a component of the unit."""
    for_unit, for_period = jr.split(key)
    own = jr.normal(for_unit, (n_obs, 1, count))
    return mean + 0.6 * own + 0.8 * jr.normal(for_period, (n_obs, n_periods, count))


def latent(key: PRNGKeyArray, n_obs: int, shape: str = "two") -> Float[Array, " n_obs"]:
    """Return draws from a mixing distribution: of two points, or normal."""
    if shape == "normal":
        return 0.8 * jr.normal(key, (n_obs,))
    return jnp.where(jr.uniform(key, (n_obs,)) < 0.4, -0.9, 0.6)


def draw(
    model: Any, given: dict[str, Array], effect: Float[Array, " n_obs"], key
) -> dict[str, Array]:
    """Return data of a model at the truth."""
    return given | model.simulate(given | {"latent": effect}, rng=key)


def make_problem(
    name: str, n_obs: int = 500, mean: float = 0.0, seed: int = 0, shape: str = "two"
) -> tuple[Any, dict[str, Array], Float[Array, " n_supp"]]:
    """Return a model at the truth, data and a grid; all parameters are identified.

    Args:
        name: Of the model.
        n_obs: Number of observations.
        mean: Of the covariate; the latent effect makes up for it, so that outcomes
            are the same.
        seed: Of the data.
        shape: Of F.
    """
    keys = jr.split(jr.key(seed), 3)
    if name == "linear factor":
        model = LinearFactor(coef=[1.5, 0.3], log_std_e=[0.0, 0.2, -0.3])
        effect = 2.0 * latent(keys[1], n_obs, shape)
        data = draw(model, {}, effect, keys[2])
        return model, data, jnp.linspace(-7.0, 7.0, 57)
    slope = {"poisson": 0.5, "logit": 0.7, "duration": 0.6, "linear": 0.5}[name]
    n_periods = {"poisson": 2, "logit": 4, "duration": 2, "linear": 3}[name]
    coef = jnp.array([slope])
    model = {
        "poisson": MixedPoisson(coef),
        "logit": PanelBinary(coef),
        "duration": WeibullHazard(0.2, coef),
        "linear": LinearPanel(coef, jnp.array(-0.2)),
    }[name]
    given = {"covariates": covariates(keys[0], n_obs, n_periods)}
    data = draw(model, given, latent(keys[1], n_obs, shape), keys[2])
    data["covariates"] = data["covariates"] + mean
    half = {"poisson": 3.0, "logit": 4.0, "duration": 4.0, "linear": 4.0}[name]
    return model, data, jnp.linspace(-half, half, 41) - slope * mean
