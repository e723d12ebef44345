"""Durations: a Weibull proportional hazard with unobserved heterogeneity."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float, PRNGKeyArray

from experiments.fields import as_float
from experiments.models.parts.masks import known_covariates
from experiments.models.parts.named import Named
from experiments.models.parts.starts import maximise_concave

_ALPHA_RANGE = (0.05, 20.0)
"""Where alpha starts: wherever else the data put it, they hardly say anything."""


class WeibullHazard(Named):
    r"""Spells with a Weibull proportional hazard and a permanent frailty, censored.

    .. math::
        h(t | x_{is}, v_i) = \alpha t^{\alpha - 1} \exp(x_{is}' \beta + v_i) \qquad (1)

    for spells s of an observation, independent given v, and v independent of x. Its
    distribution is left open (Heckman and Singer 1984, Econometrica 52, equation 2.1).
    A spell longer than `censored_at` is seen to last that long. With d = 1 for a spell
    that ended,

    .. math::
        \log f(t_i, d_i | x_i, v) = v D_i - e^v H_i + \sum_s d_{is}
        \{\log \alpha + (\alpha - 1) \log t_{is} + x_{is}' \beta\}, \qquad (2)

    .. math::
        D_i = \sum_s d_{is}, \quad
        H_i = \sum_s t_{is}^{\alpha} \exp(x_{is}' \beta),

    so the matrix costs the same for any number of spells. The mean of v is free, so
    there is no intercept in beta. From a single spell alpha is identified only through
    the tail of the frailty, and not estimable at the root-n rate (Hahn 1994,
    Econometrica 62); two spells are enough (Honore 1993, Review of Economic Studies
    60).

    Attributes:
        log_alpha: Logarithm of the Weibull shape alpha.
        coef: beta, one for each covariate.
        censored_at: Longest duration seen.
    """

    log_alpha: Float[Array, ""] = eqx.field(converter=as_float)
    coef: Float[Array, " n_covariates"] = eqx.field(converter=as_float)
    censored_at: float = eqx.field(static=True, converter=float, default=float("inf"))

    def __check_init__(self):
        """Refuse coefficients that are no list, and censoring from the start."""
        if jnp.ndim(self.coef) != 1 or jnp.size(self.coef) == 0:
            raise ValueError(
                f"coef has shape {jnp.shape(self.coef)}: give a list of one number or "
                "more."
            )
        if not self.censored_at > 0:
            raise ValueError(f"censored_at={self.censored_at}: give a positive number.")

    def simulate(
        self, data: dict[str, Array], *, rng: PRNGKeyArray
    ) -> dict[str, Array]:
        """Draw the spells given the frailty.

        Args:
            data: `latent`, (n_obs,), and `covariates`, (n_obs, n_spells,
                n_covariates).
            rng: Random key.

        Returns:
            `outcomes`, (n_obs, n_spells), durations; `ended`, false where they are
            censored; `covariates`.
        """
        index = known_covariates(data) @ self.coef + data["latent"][:, None]
        log_hazard = jnp.log(jr.exponential(rng, index.shape))
        duration = jnp.exp((log_hazard - index) * jnp.exp(-self.log_alpha))
        return {
            "outcomes": jnp.minimum(duration, self.censored_at),
            "ended": duration < self.censored_at,
            "covariates": data["covariates"],
        }

    def lclk(
        self, data: dict[str, Array], supp: Float[Array, " n_supp"]
    ) -> Float[Array, "n_obs n_supp"]:
        """Evaluate equation (2) at every support point.

        Args:
            data: `outcomes`, (n_obs, n_spells), positive, `ended` and `covariates`;
                where some have fewer spells also `mask`, true where there is one.
            supp: Support points of the frailty v.

        Returns:
            Log-densities in nats; log-probabilities of censored spells.
        """
        data = _known(data)
        ended = data["ended"].astype(float)
        log_density, hazard = _add_up(self.log_alpha, self.coef, data)
        varying = ended.sum(axis=1)[:, None] * supp - hazard[:, None] * jnp.exp(supp)
        return varying + log_density[:, None]

    def starting_values(self, data: dict[str, Array]) -> "WeibullHazard":
        """Estimate the parameters as if the frailty were the same for all.

        The frailty is taken into account by one constant only, whose maximum likelihood
        value is known: alpha and beta come out too small in size, more so the more the
        frailty varies. From there the likelihood rises to its maximum.

        Args:
            data: `outcomes`, (n_obs, n_spells), `ended` and `covariates`.

        Returns:
            A model of the same kind; finite whatever the data.
        """
        data = _known(data)
        n_ended = jnp.maximum(data["ended"].sum(), 1)

        # Concave in alpha and beta, though not in log alpha. The unit of time is
        # taken out, on which alpha and beta don't depend.
        log_duration = _log_duration(data)
        centred = log_duration - log_duration.mean(where=data["mask"] > 0)
        ended = data["ended"].astype(float)

        def objective(theta: Float[Array, " p"]) -> Float[Array, ""]:
            index = theta[0] * centred + data["covariates"] @ theta[1:]
            density = (ended * (jnp.log(theta[0]) + index)).sum() / n_ended
            return density - jax.nn.logsumexp(index, b=data["mask"])

        theta0 = jnp.concatenate([jnp.ones(1), jnp.zeros(self.coef.shape)])
        theta = maximise_concave(objective, theta0)
        log_alpha = jnp.log(jnp.clip(theta[0], *_ALPHA_RANGE))
        return dataclasses.replace(self, log_alpha=log_alpha, coef=theta[1:])


def _known(data: dict[str, Array]) -> dict[str, Array]:
    """Return data with a mask of numbers; what is not seen did not end, at time one.

    It may be anything, `nan` included.
    """
    outcomes = data["outcomes"]
    if "mask" not in data:
        return data | {"mask": jnp.ones(outcomes.shape)}
    seen = data["mask"] > 0
    return data | {
        "outcomes": jnp.where(seen, outcomes, 1.0),
        "ended": data["ended"].astype(bool) & seen,
        "covariates": known_covariates(data),
        "mask": seen.astype(float),
    }


def _log_duration(data: dict[str, Array]) -> Float[Array, "n_obs n_spells"]:
    """Return the log of the durations; zero counts as the least positive number."""
    return jnp.log(jnp.maximum(data["outcomes"], jnp.finfo(float).tiny))


def _add_up(
    log_alpha: Float[Array, ""],
    coef: Float[Array, " n_covariates"],
    data: dict[str, Array],
) -> tuple[Float[Array, " n_obs"], Float[Array, " n_obs"]]:
    """Return the sum in equation (2) and the integrated hazard H."""
    log_duration = _log_duration(data)
    index = data["covariates"] @ coef
    alpha = jnp.exp(log_alpha)
    terms = log_alpha + (alpha - 1) * log_duration + index
    hazard = (data["mask"] * jnp.exp(alpha * log_duration + index)).sum(axis=1)
    return jnp.where(data["ended"].astype(bool), terms, 0.0).sum(axis=1), hazard
