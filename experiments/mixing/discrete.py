"""Discrete distributions of a scalar unobservable."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from experiments.fields import as_float, check_weights
from experiments.mixing.base import AbstractScalarMixing, draw_index


class Discrete(AbstractScalarMixing):
    """Mass `weights[k]` on the point `supp[k]`; nonnegative weights that sum to 1."""

    supp: Float[Array, " n_atoms"] = eqx.field(converter=as_float)
    weights: Float[Array, " n_atoms"] = eqx.field(converter=as_float)

    def __check_init__(self):
        """Refuse weights that are no distribution on the points."""
        if self.supp.ndim != 1 or self.supp.shape != self.weights.shape:
            raise ValueError(
                f"supp has shape {self.supp.shape} and weights {self.weights.shape}: "
                "give two lists of the same length."
            )
        if not np.all(np.diff(self.supp) > 0):
            raise ValueError(f"supp={self.supp.tolist()}: give it in increasing order.")
        check_weights(self.weights)

    def simulate(self, *, rng: PRNGKeyArray, n: int) -> dict[str, Float[Array, " n"]]:
        """Draw by inversion of the distribution function."""
        return {"latent": self.supp[draw_index(rng, self.weights, n)]}

    def cdf(self, x: Float[Array, " n"]) -> Float[Array, " n"]:
        """Evaluate Pr(X <= x), a step function."""
        return ((self.supp <= x[:, None]) * self.weights).sum(axis=1)

    def quantile(self, level: Float[Array, " n"]) -> Float[Array, " n"]:
        """Return the least point with a distribution function of level or more."""
        index = jnp.searchsorted(jnp.cumsum(self.weights), level, side="left")
        return self.supp[jnp.minimum(index, self.supp.shape[0] - 1)]

    def atoms(self) -> Float[Array, " n_atoms"]:
        """Return the support points, all of positive mass."""
        return self.supp

    def mean(self) -> Float[Array, ""]:
        """Return the expectation."""
        return self.weights @ self.supp

    def variance(self) -> Float[Array, ""]:
        """Return the variance."""
        return self.weights @ (self.supp - self.mean()) ** 2
