"""Binary choice in panels without a mixing distribution: conditional and pooled."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import jax.scipy as jsp
from jaxtyping import Array, Bool, Float, Int

_NEWTON_STEPS = 25


def conditional_logit(
    chosen: Bool[Array, "n_obs n_periods"],
    covariates: Float[Array, "n_obs n_periods n_covariates"],
) -> tuple[Float[Array, " n_covariates"], Float[Array, "n_covariates n_covariates"]]:
    r"""Estimate a logit with an intercept for each observation.

    Given the number of periods chosen, the intercept drops out (Chamberlain 1980,
    Review of Economic Studies 47, section 3):

    .. math:: \log \Pr(y_i | \textstyle\sum_t y_{it}) = \sum_t y_{it} x_{it}' \beta -
        \log \sum_{d: \sum d = \sum y_i} \exp(\sum_t d_t x_{it}' \beta),

    where the sum is an elementary symmetric function of `exp(x_it' beta)`, built up
    period by period.

    Returns:
        Slopes and their sandwich covariance; NaN where the likelihood has no maximum.
    """
    count = chosen.sum(axis=1)

    def log_density(coef: Float[Array, " n_covariates"]) -> Float[Array, " n_obs"]:
        index = covariates @ coef
        # Cancels given the number chosen, and keeps the products from overflowing.
        index = index - index.mean(axis=1, keepdims=True)
        sums = jnp.zeros((index.shape[0], index.shape[1] + 1)).at[:, 0].set(1.0)
        # After period t column k holds the sum over choices of k of the first t.
        for odds in jnp.exp(index).T:
            sums = sums.at[:, 1:].add(odds[:, None] * sums[:, :-1])
        total = jnp.take_along_axis(sums, count[:, None], axis=1)[:, 0]
        return (chosen * index).sum(axis=1) - jnp.log(total)

    return _maximise(log_density, jnp.zeros(covariates.shape[2]))


def pooled_binary(
    chosen: Bool[Array, "n_obs n_periods"],
    covariates: Float[Array, "n_obs n_periods n_covariates"],
    link: str,
) -> tuple[Float[Array, " n_covariates"], Float[Array, "n_covariates n_covariates"]]:
    """Estimate a binary choice with one intercept for all, periods independent.

    Slopes are too small where the intercepts differ; their covariance allows for
    dependence between the periods of an observation.

    Args:
        chosen: The choices.
        covariates: The covariates.
        link: "logit" or "probit".

    Returns:
        Slopes and their sandwich covariance; NaN where the likelihood has no maximum.
    """
    log_cdf = jax.nn.log_sigmoid if link == "logit" else jsp.special.log_ndtr
    signs = jnp.where(chosen, 1.0, -1.0)

    def log_density(theta: Float[Array, " p"]) -> Float[Array, " n_obs"]:
        return log_cdf(signs * (covariates @ theta[1:] + theta[0])).sum(axis=1)

    theta, covariance = _maximise(log_density, jnp.zeros(covariates.shape[2] + 1))
    return theta[1:], covariance[1:, 1:]


def _maximise(
    log_density: Callable[[Float[Array, " p"]], Float[Array, " n_obs"]],
    theta0: Float[Array, " p"],
) -> tuple[Float[Array, " p"], Float[Array, "p p"]]:
    """Maximise a concave log-likelihood; return its maximum and sandwich covariance."""

    def mean(theta: Float[Array, " p"]) -> Float[Array, ""]:
        return log_density(theta).mean()

    def step(_: Int[Array, ""], theta: Float[Array, " p"]) -> Float[Array, " p"]:
        rise = jnp.linalg.solve(-jax.hessian(mean)(theta), jax.grad(mean)(theta))
        # Probits are steep far out: halve the step until it gains.
        shares = 0.5 ** jnp.arange(6.0)
        values = jax.lax.map(lambda share: mean(theta + share * rise), shares)
        # A step too long may give NaN, which `argmax` would take for the largest.
        return theta + shares[jnp.nanargmax(values)] * rise

    theta = jax.lax.fori_loop(0, _NEWTON_STEPS, step, theta0)
    scores = jax.jacfwd(log_density)(theta)
    bread = jnp.linalg.inv(-jax.hessian(mean)(theta))
    covariance = bread @ (scores.T @ scores) @ bread / scores.shape[0] ** 2
    settled = jnp.abs(scores.mean(axis=0)).max() < 1e-8
    # Where outcomes are separated theta runs off, and the score vanishes on the way.
    settled &= jnp.isfinite(covariance).all() & (jnp.abs(theta).max() < 1e2)
    missing = jnp.where(settled, 0.0, jnp.nan)
    return theta + missing, covariance + missing
