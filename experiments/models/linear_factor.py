"""The linear factor model for panel data with one permanent latent factor."""

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float, PRNGKeyArray


def _as_float(value: object) -> Float[Array, "..."]:
    return jnp.asarray(value, dtype=float)


class LinearFactor(eqx.Module):
    r"""Outcomes of T periods, each loading on one unobserved permanent factor.

    .. math:: Y_{it} = \lambda_t X_i + e_{it}, \quad e_{it} \sim N(0, \sigma_t^2),

    with errors independent of each other and of X, and the first loading normalised
    to one. The factor's distribution is left open.

    Attributes:
        coef: Loadings of periods 2 to T; the first is one.
        log_std_e: Logarithm of the errors' standard deviations, periods 1 to T.
    """

    coef: Float[Array, " n_loadings"] = eqx.field(converter=_as_float)
    log_std_e: Float[Array, " n_periods"] = eqx.field(converter=_as_float)

    def __check_init__(self):
        """Refuse parameters whose lengths don't belong together."""
        coef, log_std_e = jnp.shape(self.coef), jnp.shape(self.log_std_e)
        if len(coef) != 1 or len(log_std_e) != 1 or coef[0] + 1 != log_std_e[0]:
            raise ValueError(
                f"coef has shape {coef} and log_std_e {log_std_e}: give a list of "
                "T - 1 loadings and one of T log standard deviations."
            )

    def simulate(
        self, data: dict[str, Array], *, rng: PRNGKeyArray
    ) -> dict[str, Array]:
        """Draw the outcomes given the latent factor.

        Args:
            data: `latent`, (n_obs,): the factor X.
            rng: Random key.

        Returns:
            `outcomes`, (n_obs, n_periods); without the latent factor.
        """
        latent = data["latent"]
        shape = (latent.shape[0], self.log_std_e.shape[0])
        errors = jr.normal(rng, shape) * jnp.exp(self.log_std_e)
        return {"outcomes": latent[:, None] * self._loadings() + errors}

    def lclk(
        self, data: dict[str, Array], supp: Float[Array, " n_supp"]
    ) -> Float[Array, "n_obs n_supp"]:
        r"""Evaluate the log-density of every observation at every support point.

        With precisions `w_t = 1/sigma_t^2`, the sum of squares
        `sum_t w_t (y_t - lambda_t v)^2` equals `a (v - x)^2 + r`, where
        `a = sum_t w_t lambda_t^2`, x is the generalised least-squares estimate of the
        factor and r what it leaves unexplained: the matrix costs the same for any T.

        Args:
            data: `outcomes`, (n_obs, n_periods).
            supp: Support points of the latent factor.

        Returns:
            Log-densities in nats, every constant included.
        """
        outcomes = data["outcomes"]
        loadings = self._loadings()
        precisions = jnp.exp(-2 * self.log_std_e)
        information = (precisions * loadings**2).sum()
        factor = outcomes @ (precisions * loadings) / information
        residuals = outcomes - factor[:, None] * loadings
        unexplained = residuals**2 @ precisions
        n_periods = self.log_std_e.shape[0]
        constant = 0.5 * n_periods * jnp.log(2 * jnp.pi) + self.log_std_e.sum()
        distance = information * (supp - factor[:, None]) ** 2
        return -0.5 * (distance + unexplained[:, None]) - constant

    def starting_values(self, data: dict[str, Array]) -> "LinearFactor":
        r"""Estimate the parameters from the covariances of the outcomes.

        For t != s, `cov(Y_t, Y_s) = lambda_t lambda_s var(X)`. Each loading is the
        least-squares slope of period t's covariances on period 1's; with three periods
        these are the exact ratios `c23/c13` and `c23/c12`. Slopes and variances are
        kept where the likelihood is well behaved, so the values are always finite.

        Args:
            data: `outcomes`, (n_obs, n_periods), at least two periods.

        Returns:
            A model of the same kind, at the moment estimates.
        """
        n_periods = self.log_std_e.shape[0]
        outcomes = data["outcomes"]
        centred = outcomes - outcomes.mean(axis=0)
        cov = centred.T @ centred / outcomes.shape[0]
        tiny = jnp.finfo(cov.dtype).tiny ** 0.5
        variances = jnp.diag(cov) + tiny
        # Work with correlations: guards then mean the same in any unit.
        scale = jnp.sqrt(variances)
        cor = cov / (scale[:, None] * scale[None, :])
        off = cor * (1 - jnp.eye(n_periods))

        # Row t regressed on row 1 over the other periods: s != t, s != 1.
        on_first = off.at[:, 0].set(0.0)
        first = off[0]
        cross = on_first @ first
        squares = (first**2).sum() - first**2
        if n_periods == 2:
            # Second moments don't identify two loadings: take equal signal shares.
            slopes = jnp.where(first < 0, -1.0, 1.0)
        else:
            slopes = cross / jnp.maximum(squares, 1e-6)
        slopes = jnp.clip(slopes, -10.0, 10.0).at[0].set(1.0)

        products = slopes[:, None] * slopes[None, :] * (1 - jnp.eye(n_periods))
        signal = (off * products).sum() / jnp.maximum((products**2).sum(), 1e-6)
        share = 1 - jnp.maximum(signal, 0.0) * slopes**2
        noise = jnp.clip(share, 0.05, 1.0) * variances
        return LinearFactor(
            coef=(slopes * scale / scale[0])[1:], log_std_e=0.5 * jnp.log(noise)
        )

    def _loadings(self) -> Float[Array, " n_periods"]:
        return jnp.concatenate([jnp.ones(1, self.coef.dtype), self.coef])
