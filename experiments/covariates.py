"""Observed covariates of a process."""

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from experiments.fields import as_float


class NormalCovariates(eqx.Module):
    r"""Normal covariates of variance one in every period, independent of each other.

    .. math::
        x_{itk} = \sqrt{s} a_{ik} + \sqrt{1 - s} b_{itk} + c v_i + m_k,
        \quad a, b \sim N(0, 1),

    where v is the latent variable, or its first coordinate.

    Attributes:
        n_periods: Periods.
        n_covariates: Covariates in each.
        share: s, the share of the variance that is constant over periods.
        on_latent: c, the dependence on the latent variable. A likelihood that
            integrates the latent out by one distribution for all is wrong unless it is
            zero.
        mean: m, one number for all covariates or one for each: their mean where c is
            zero.
    """

    n_periods: int = eqx.field(static=True)
    n_covariates: int = eqx.field(static=True)
    share: Float[Array, ""] = eqx.field(converter=as_float, default=0.0)
    on_latent: Float[Array, ""] = eqx.field(converter=as_float, default=0.0)
    mean: Float[Array, "..."] = eqx.field(converter=as_float, default=0.0)

    def __check_init__(self):
        """Refuse empty shapes, a share that is none and means that don't fit."""
        for name in ("n_periods", "n_covariates"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)}: give 1 or more.")
        if not 0 <= float(self.share) <= 1:
            raise ValueError(f"share={float(self.share)}: give a number from 0 to 1.")
        fits = self.mean.shape in ((), (self.n_covariates,))
        if not fits or not np.isfinite(self.mean).all():
            raise ValueError(
                f"mean={self.mean.tolist()}: give one finite number, or a list of "
                f"n_covariates={self.n_covariates}."
            )

    def simulate(
        self, latent: Float[Array, "n_obs ..."], *, rng: PRNGKeyArray
    ) -> dict[str, Float[Array, "n_obs n_periods n_covariates"]]:
        """Draw `covariates`; the first observations don't depend on their number."""
        n_obs, shape = latent.shape[0], (self.n_periods, self.n_covariates)
        constant = jr.normal(jr.fold_in(rng, 0), (n_obs, 1, self.n_covariates))
        varying = jr.normal(jr.fold_in(rng, 1), (n_obs, *shape))
        first = latent.reshape(n_obs, -1)[:, :1, None]
        return {
            "covariates": jnp.sqrt(self.share) * constant
            + jnp.sqrt(1 - self.share) * varying
            + self.on_latent * first
            + self.mean.reshape(1, 1, -1)
        }
