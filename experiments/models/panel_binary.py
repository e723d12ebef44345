"""Binary choice in panel data with random coefficients: logit and probit."""

import dataclasses
from typing import cast

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float, PRNGKeyArray

from experiments.fields import as_float
from experiments.models.parts.fixed_effects import conditional_logit, pooled_binary
from experiments.models.parts.links import sum_log_logistic, sum_log_normal
from experiments.models.parts.masks import known_covariates
from experiments.models.parts.named import Named
from experiments.models.parts.starts import fit_pairs

LINKS = ("logit", "probit")

_SURE = 40.0
"""An index at which a choice has probability one: of periods not seen."""

_LOGIT_PER_PROBIT = 1.702
"""The normal cdf at z is near the logistic one at 1.702 z (Johnson and Kotz 1970)."""


def _index(
    period: tuple[Array, Array | None, Array, Array],
    points: Float[Array, "n_supp n_random"],
) -> Float[Array, "n_obs n_supp"]:
    """Return `(2 y - 1) eta` of one period, very large where that is not seen."""
    signs, seen, fixed, slopes = period
    random = points[:, 0]
    for k in range(slopes.shape[1]):
        random = random + slopes[:, k, None] * points[:, k + 1]
    index = signs[:, None] * (fixed[:, None] + random)
    return index if seen is None else jnp.where(seen[:, None] > 0, index, _SURE)


class PanelBinary(Named):
    r"""Choices of T periods with a random intercept, or random slopes beside it.

    .. math::
        y_{it} = 1\{\eta_{it} + e_{it} > 0\}, \quad
        \eta_{it} = z_{it}' v_i + w_{it}' \beta, \qquad (1)

    .. math::
        \Pr(y_i | x_i, v) = \prod_t H\{(2 y_{it} - 1) \eta_{it}\}, \qquad (2)

    where e has the symmetric distribution function H, logistic or standard normal. With
    one random coefficient z = 1 and w = x; with r of them z is one and the first r - 1
    covariates, w the others. The errors are independent of each other, of x and of v,
    and v is independent of x. Its distribution is left open: a nonparametric mixture of
    binary choices in the spirit of Heckman and Singer (1984, Econometrica 52). Means of
    v are free, so there is no intercept in beta, and no slope of z.

    Attributes:
        coef: beta, one for each covariate in w.
        link: "logit" or "probit".
        n_random: Number r of random coefficients, the intercept included.
    """

    coef: Float[Array, " n_coef"] = eqx.field(converter=as_float)
    link: str = eqx.field(static=True, default="logit")
    n_random: int = eqx.field(static=True, default=1)

    def __check_init__(self):
        """Refuse unknown links and coefficients that are no list."""
        if self.link not in LINKS:
            raise ValueError(f"link={self.link!r}: choose one of {', '.join(LINKS)}.")
        if self.n_random < 1:
            raise ValueError(f"n_random={self.n_random}: give 1 or more.")
        if jnp.ndim(self.coef) != 1 or jnp.size(self.coef) == 0:
            raise ValueError(
                f"coef has shape {jnp.shape(self.coef)}: give a list of one number or "
                "more, for the covariates without a random slope."
            )

    def simulate(
        self, data: dict[str, Array], *, rng: PRNGKeyArray
    ) -> dict[str, Array]:
        """Draw the choices given the random coefficients.

        Args:
            data: `latent`, (n_obs,) or (n_obs, n_random), and `covariates`, (n_obs,
                n_periods, n_random - 1 + n_coef).
            rng: Random key.

        Returns:
            `outcomes`, (n_obs, n_periods), true where the choice is one, and false
            where `mask` is; `covariates`.
        """
        fixed, slopes = self._split(known_covariates(data))
        latent = data["latent"].reshape(-1, self.n_random)
        index = fixed + latent[:, :1] + (slopes * latent[:, None, 1:]).sum(axis=2)
        draw = jr.logistic if self.link == "logit" else jr.normal
        chosen = index + draw(rng, index.shape) > 0
        chosen = chosen & data["mask"] if "mask" in data else chosen
        return {"outcomes": chosen, "covariates": data["covariates"]}

    def lclk(
        self, data: dict[str, Array], supp: Float[Array, "n_supp ..."]
    ) -> Float[Array, "n_obs n_supp"]:
        """Evaluate the log of equation (2) at every support point.

        Args:
            data: `outcomes`, (n_obs, n_periods), and `covariates`; where periods are
                missing also `mask`, true where there is one. Outcomes not seen are
                zero: one is impossible, so that `outcomes` counts each sequence once.
            supp: Support points, (n_supp,) or (n_supp, n_random).

        Returns:
            Log-probabilities in nats.
        """
        mask = data.get("mask")
        fixed, slopes = self._split(known_covariates(data))
        signs = jnp.where(data["outcomes"].astype(bool), 1.0, -1.0)
        points = supp.reshape(-1, self.n_random)
        seen = None if mask is None else mask.astype(float)
        periods = jax.tree.map(
            lambda leaf: jnp.swapaxes(leaf, 0, 1), (signs, seen, fixed, slopes)
        )
        add = sum_log_logistic if self.link == "logit" else sum_log_normal
        # What pyright takes a `jax.custom_jvp` to return is any of a tuple.
        values = cast(Array, add(_index, periods, points))
        if mask is None:
            return values
        impossible = (data["outcomes"].astype(bool) & ~mask).any(axis=1)
        return jnp.where(impossible[:, None], -jnp.inf, values)

    def outcomes(self, data: dict[str, Array]) -> dict[str, Array]:
        """List every sequence of choices that an observation could make.

        Args:
            data: `covariates`, (n_obs, n_periods, n_random - 1 + n_coef).

        Returns:
            `outcomes`, (2^n_periods, n_obs, n_periods), and the other data, the same
            for each of them.
        """
        covariates = data["covariates"]
        n_obs, n_periods = covariates.shape[:2]
        numbers = jnp.arange(2**n_periods)
        chosen = (numbers[:, None] >> jnp.arange(n_periods)) % 2 == 1
        shape = (numbers.size, n_obs, n_periods)
        same = {
            name: jnp.broadcast_to(values, (numbers.size, *values.shape))
            for name, values in data.items()
        }
        return same | {"outcomes": jnp.broadcast_to(chosen[:, None], shape)}

    def expected_outcome(
        self, data: dict[str, Array], supp: Float[Array, "n_supp ..."]
    ) -> Float[Array, "n_obs n_supp n_periods"]:
        """Return Pr(y = 1 | x, v) in each period, at every support point."""
        fixed, slopes = self._split(known_covariates(data))
        points = supp.reshape(-1, self.n_random)
        index = fixed[:, None] + points[:, :1]
        index = index + jnp.einsum("ntk,mk->nmt", slopes, points[:, 1:])
        link = jax.nn.sigmoid if self.link == "logit" else jax.scipy.special.ndtr
        return link(index)

    def choice_probability(
        self, supp: Float[Array, "m ..."], at: Float[Array, " n_covariates"]
    ) -> Float[Array, " m"]:
        """Return Pr(y = 1 | x, v) at support points, x given: `H(z' v + w' beta)`.

        Args:
            supp: Support points, (m,) or (m, n_random).
            at: Covariates of one period.
        """
        n_slopes = self.n_random - 1
        points = supp.reshape(-1, self.n_random)
        index = points[:, 0] + points[:, 1:] @ at[:n_slopes] + at[n_slopes:] @ self.coef
        link = jax.nn.sigmoid if self.link == "logit" else jax.scipy.special.ndtr
        return link(index)

    def partial_effect(
        self, supp: Float[Array, "m ..."], at: Float[Array, " n_covariates"]
    ) -> Float[Array, "m n_covariates"]:
        """Return the derivatives of `choice_probability` with the covariates."""
        return jax.jacfwd(self.choice_probability, argnums=1)(supp, at)

    def starting_values(self, data: dict[str, Array]) -> "PanelBinary":
        """Estimate beta from the periods in which an observation chose differently.

        Given one random intercept, logit estimates are consistent for fixed T, whatever
        the distribution of v (Chamberlain 1980); those for the probit are scaled by
        what makes the two links alike. Random slopes are taken to be the same for all.

        Args:
            data: `outcomes`, (n_obs, n_periods), and `covariates`.

        Returns:
            A model of the same kind; finite whatever the data.
        """
        chosen = data["outcomes"].astype(bool).astype(int)
        seen = data["mask"] if "mask" in data else jnp.ones(chosen.shape, bool)

        def differ(s: int, t: int) -> Array:
            both = seen[:, s] & seen[:, t]
            return jnp.where(both, chosen[:, s] - chosen[:, t], 0)

        coef = fit_pairs(known_covariates(data), differ)
        scale = 1.0 if self.link == "logit" else _LOGIT_PER_PROBIT
        return dataclasses.replace(self, coef=coef[self.n_random - 1 :] / scale)

    def fixed_effects_estimate(
        self, data: dict[str, Array]
    ) -> tuple[Float[Array, " n_coef"], Float[Array, "n_coef n_coef"]]:
        """Estimate beta by the conditional logit, with an intercept per observation.

        Args:
            data: `outcomes`, (n_obs, n_periods), and `covariates`.

        Returns:
            The estimate and its covariance.

        Raises:
            ValueError: The link is not the logit, or slopes are random.
        """
        if self.link != "logit" or self.n_random != 1:
            raise ValueError(
                f"link={self.link!r}, n_random={self.n_random}: only a logit with a "
                "random intercept and nothing else random has fixed effects that drop "
                "out. Leave this estimator out."
            )
        return conditional_logit(data["outcomes"].astype(bool), data["covariates"])

    def pooled_estimate(
        self, data: dict[str, Array]
    ) -> tuple[Float[Array, " n_coef"], Float[Array, "n_coef n_coef"]]:
        """Estimate beta as if the random coefficients were the same for all.

        Args:
            data: `outcomes`, (n_obs, n_periods), and `covariates`.

        Returns:
            The estimate and its covariance.
        """
        coef, covariance = pooled_binary(
            data["outcomes"].astype(bool), data["covariates"], self.link
        )
        own = slice(self.n_random - 1, None)
        return coef[own], covariance[own, own]

    def _split(
        self, covariates: Float[Array, "n_obs n_periods n_covariates"]
    ) -> tuple[
        Float[Array, "n_obs n_periods"], Float[Array, "n_obs n_periods n_slopes"]
    ]:
        """Return `w' beta` and the covariates with a random slope."""
        n_slopes = self.n_random - 1
        wanted = n_slopes + self.coef.shape[0]
        if covariates.shape[2] != wanted:
            raise ValueError(
                f"covariates has shape {covariates.shape}: {n_slopes} random slopes "
                f"and {self.coef.shape[0]} entries of coef need {wanted} a period."
            )
        return covariates[:, :, n_slopes:] @ self.coef, covariates[:, :, :n_slopes]
