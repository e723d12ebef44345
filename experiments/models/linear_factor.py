"""The linear factor model for panel data with one permanent latent factor."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float, Int, PRNGKeyArray

from experiments.fields import as_float
from experiments.models.parts.named import Named

_MOMENT_STEPS = 30
"""Gauss-Newton steps of the moment estimator, far more than a good start needs."""


class LinearFactor(Named):
    r"""Outcomes of T periods, each loading on one unobserved permanent factor.

    .. math:: Y_{it} = \lambda_t X_i + e_{it}, \quad e_{it} \sim N(0, \sigma_t^2),

    with errors independent of each other and of X, and the first loading normalised
    to one. The factor's distribution is left open.

    Attributes:
        coef: Loadings of periods 2 to T; the first is one.
        log_std_e: Logarithm of the errors' standard deviations, periods 1 to T.
    """

    coef: Float[Array, " n_loadings"] = eqx.field(converter=as_float)
    log_std_e: Float[Array, " n_periods"] = eqx.field(converter=as_float)

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
        coef = (slopes * scale / scale[0])[1:]
        return dataclasses.replace(self, coef=coef, log_std_e=0.5 * jnp.log(noise))

    def moment_estimate(
        self, data: dict[str, Array]
    ) -> tuple[Float[Array, " n_theta"], Float[Array, "n_theta n_theta"]]:
        r"""Estimate the parameters by minimum distance to the outcomes' covariances.

        With `m` the distinct entries of `cov(Y)`, `m_ts = lambda_t lambda_s var(X) +
        1{t=s} sigma_t^2`, and V their estimated covariance, minimises the distance
        `(m - m(phi))' V^{-1} (m - m(phi))`, the optimal one (Chamberlain 1984, Handbook
        of Econometrics 2, section 4.2). Three periods identify the parameters exactly:
        the estimates are `c23/c13`, `c23/c12` and what these imply. F is left open. The
        covariance is `(G' V^{-1} G)^{-1} / n`, G the derivative of `m(phi)`: that of
        the estimator's influence function.

        Args:
            data: `outcomes`, (n_obs, n_periods), at least three periods.

        Returns:
            Theta and its covariance, in the order of the model's parameters; NaN where
            a variance estimate is not positive or the search does not settle.

        Raises:
            ValueError: There are less than three periods.
        """
        n_periods = self.log_std_e.shape[0]
        if n_periods < 3:
            raise ValueError(
                f"log_std_e has {n_periods} entries: covariances identify the loadings "
                "from three periods on."
            )
        n_obs = data["outcomes"].shape[0]
        rows, columns = jnp.triu_indices(n_periods)
        centred = data["outcomes"] - data["outcomes"].mean(axis=0)
        moments, whitener = _average(centred[:, rows] * centred[:, columns])

        def implied(phi: Float[Array, " p"]) -> Float[Array, " n_moments"]:
            loadings = jnp.concatenate([jnp.ones(1), phi[: n_periods - 1]])
            common = phi[-1] * loadings[:, None] * loadings
            return (common + jnp.diag(phi[n_periods - 1 : -1]))[rows, columns]

        def step(
            _: Int[Array, ""], state: tuple[Float[Array, " p"], Float[Array, ""]]
        ) -> tuple[Float[Array, " p"], Float[Array, ""]]:
            phi, _ = state
            slope = whitener @ jax.jacfwd(implied)(phi)
            # Columns of one length: the product squares the units, which differ.
            unit = jnp.sqrt((slope**2).sum(axis=0))
            slope = slope / unit
            residual = whitener @ (moments - implied(phi))
            moved = jnp.linalg.solve(slope.T @ slope, slope.T @ residual)
            return phi + moved / unit, jnp.abs(moved).max()

        start = self.starting_values(data)
        noise = jnp.exp(2 * start.log_std_e)
        signal = jnp.maximum(centred[:, 0].var() - noise[0], 0.05 * noise[0])
        phi = jnp.concatenate([start.coef, noise, signal[None]])
        phi, moved = jax.lax.fori_loop(
            0, _MOMENT_STEPS, step, (phi, jnp.array(jnp.inf))
        )
        noise = phi[n_periods - 1 : -1]
        slope = whitener @ jax.jacfwd(implied)(phi)
        # Noise variances to logarithms of standard deviations.
        turn = jnp.concatenate([jnp.ones(n_periods - 1), 0.5 / noise])
        covariance = jnp.linalg.inv(slope.T @ slope)[:-1, :-1] / n_obs
        covariance = turn[:, None] * covariance * turn
        theta = jnp.concatenate([phi[: n_periods - 1], 0.5 * jnp.log(noise)])
        settled = jnp.all(noise > 0) & (moved < 1e-6)
        missing = jnp.where(settled, 0.0, jnp.nan)
        return theta + missing, covariance + missing

    def _loadings(self) -> Float[Array, " n_periods"]:
        return jnp.concatenate([jnp.ones(1, self.coef.dtype), self.coef])


def _average(
    products: Float[Array, "n_obs n_moments"],
) -> tuple[Float[Array, " n_moments"], Float[Array, "n_moments n_moments"]]:
    """Return means over the observations, and what makes their covariance one."""
    moments = products.mean(axis=0)
    deviations = products - moments
    # Scaled first: products of outcomes in different units differ by far.
    scale = jnp.sqrt((deviations**2).mean(axis=0))
    correlation = (deviations / scale).T @ (deviations / scale) / products.shape[0]
    return moments, jnp.linalg.inv(jnp.linalg.cholesky(correlation)) / scale
