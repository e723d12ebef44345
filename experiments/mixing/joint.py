"""Joint distributions of several unobservables."""

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from experiments.fields import as_float, check_weights
from experiments.mixing.base import AbstractMixing, AbstractScalarMixing, draw_index
from experiments.mixing.discrete import Discrete


class GaussianCopula(AbstractMixing):
    r"""Two unobservables with any margins, dependent like normal variates.

    .. math:: v_k = F_k^{-1}(\Phi(z_k)), \quad z \sim N(0, R),

    with ones on the diagonal of R. With normal margins the distribution is bivariate
    normal.

    Attributes:
        margins: The distributions F of both coordinates.
        correlation: The correlation of the normal variates z, that of v where the
            margins are normal.
    """

    margins: tuple[AbstractScalarMixing, ...] = eqx.field(converter=tuple)
    correlation: Float[Array, ""] = eqx.field(converter=as_float)

    def __check_init__(self):
        """Refuse other than two margins, and a correlation that is none."""
        if len(self.margins) != 2:
            raise ValueError(f"margins has {len(self.margins)} entries: give two.")
        if not -1 <= float(self.correlation) <= 1:
            raise ValueError(
                f"correlation={float(self.correlation)}: give a number from -1 to 1."
            )

    def list_margins(self) -> tuple[AbstractScalarMixing, ...]:
        """Return the distributions of both coordinates."""
        return self.margins

    def simulate(self, *, rng: PRNGKeyArray, n: int) -> dict[str, Float[Array, "n d"]]:
        """Draw two standard normals each, and map them to the distribution."""
        return {"latent": self.from_normal(jr.normal(rng, (n, 2)))}

    def from_normal(self, z: Float[Array, "n 2"]) -> Float[Array, "n 2"]:
        """Map independent standard normal values to the distribution.

        The first coordinate depends on the first value only.
        """
        alone = jnp.sqrt(1 - self.correlation**2)
        second = self.correlation * z[:, 0] + alone * z[:, 1]
        columns = zip(self.margins, (z[:, 0], second), strict=True)
        return jnp.stack([margin.from_normal(x) for margin, x in columns], axis=1)

    def mean(self):
        """Return the expectation of both coordinates."""
        return jnp.stack([margin.mean() for margin in self.margins])

    def variance(self):
        """Return the variance of both coordinates."""
        return jnp.stack([margin.variance() for margin in self.margins])


class JointDiscrete(AbstractMixing):
    """Mass `weights[k]` on the point `supp[k]` of d coordinates."""

    supp: Float[Array, "n_atoms d"] = eqx.field(converter=as_float)
    weights: Float[Array, " n_atoms"] = eqx.field(converter=as_float)

    def __check_init__(self):
        """Refuse weights that are no distribution on the points."""
        if self.supp.ndim != 2 or self.supp.shape[:1] != self.weights.shape:
            raise ValueError(
                f"supp has shape {self.supp.shape} and weights {self.weights.shape}: "
                "give a list of points, each with its coordinates, and as many weights."
            )
        check_weights(self.weights)

    def list_margins(self) -> tuple[AbstractScalarMixing, ...]:
        """Return the distribution of each coordinate."""
        found: list[AbstractScalarMixing] = []
        for column in np.asarray(self.supp).T:
            points, index = np.unique(column, return_inverse=True)
            found.append(Discrete(points, np.bincount(index, self.weights)))
        return tuple(found)

    def simulate(self, *, rng: PRNGKeyArray, n: int) -> dict[str, Float[Array, "n d"]]:
        """Draw positions by inversion of their distribution function."""
        return {"latent": self.supp[draw_index(rng, self.weights, n)]}

    def mean(self):
        """Return the expectation of each coordinate."""
        return self.weights @ self.supp

    def variance(self):
        """Return the variance of each coordinate."""
        return self.weights @ (self.supp - self.mean()) ** 2
