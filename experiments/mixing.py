"""Distributions of the unobservable: draws, distribution function, atoms, moments.

Every `simulate` draws arrays with leading axis n from one key, so that the first draws
of a larger sample equal a smaller sample. Distributions that are monotone in one
uniform or normal variate give draws that move together, for the same key.
"""

import abc

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
import jax.scipy as jsp
from jaxtyping import Array, Float, Int, PRNGKeyArray


def _as_float(value: object) -> Float[Array, "..."]:
    return jnp.asarray(value, dtype=float)


class AbstractMixing(eqx.Module):
    """A distribution of a scalar unobservable."""

    @abc.abstractmethod
    def simulate(self, *, rng: PRNGKeyArray, n: int) -> dict[str, Float[Array, " n"]]:
        """Draw n independent values, under the name `latent`."""

    @abc.abstractmethod
    def cdf(self, x: Float[Array, " n"]) -> Float[Array, " n"]:
        """Evaluate Pr(X <= x)."""

    @abc.abstractmethod
    def atoms(self) -> Float[Array, " n_atoms"]:
        """Return the points with mass, none for a continuous distribution."""

    @abc.abstractmethod
    def mean(self) -> Float[Array, ""]:
        """Return the expectation."""

    @abc.abstractmethod
    def variance(self) -> Float[Array, ""]:
        """Return the variance."""


class Discrete(AbstractMixing):
    """Mass `weights[k]` on the point `supp[k]`; nonnegative weights that sum to 1."""

    supp: Float[Array, " n_atoms"] = eqx.field(converter=_as_float)
    weights: Float[Array, " n_atoms"] = eqx.field(converter=_as_float)

    def __check_init__(self):
        """Refuse weights that are no distribution on the points."""
        if self.supp.ndim != 1 or self.supp.shape != self.weights.shape:
            raise ValueError(
                f"supp has shape {self.supp.shape} and weights {self.weights.shape}: "
                "give two lists of the same length."
            )
        if not bool(jnp.all(jnp.diff(self.supp) > 0)):
            raise ValueError(f"supp={self.supp.tolist()}: give it in increasing order.")
        _check_weights(self.weights)

    def simulate(self, *, rng, n):
        """Draw by inversion of the distribution function."""
        return {"latent": self.supp[_draw_index(rng, self.weights, n)]}

    def cdf(self, x):
        """Evaluate Pr(X <= x), a step function."""
        return ((self.supp <= x[:, None]) * self.weights).sum(axis=1)

    def atoms(self):
        """Return the points with mass."""
        return self.supp

    def mean(self):
        """Return the expectation."""
        return self.weights @ self.supp

    def variance(self):
        """Return the variance."""
        return self.weights @ (self.supp - self.mean()) ** 2


class Normal(AbstractMixing):
    """A normal distribution with mean `loc` and standard deviation `scale`."""

    loc: Float[Array, ""] = eqx.field(converter=_as_float)
    scale: Float[Array, ""] = eqx.field(converter=_as_float)

    def __check_init__(self):
        """Refuse a scale that is not positive."""
        _check_positive("scale", self.scale)

    def simulate(self, *, rng, n):
        """Draw standard normals, scaled and shifted."""
        return {"latent": self.loc + self.scale * jr.normal(rng, (n,))}

    def cdf(self, x):
        """Evaluate Pr(X <= x)."""
        return jsp.stats.norm.cdf(x, self.loc, self.scale)

    def atoms(self):
        """Return no point: the distribution is continuous."""
        return jnp.zeros(0)

    def mean(self):
        """Return the expectation."""
        return self.loc

    def variance(self):
        """Return the variance."""
        return self.scale**2


class NormalMixture(AbstractMixing):
    """Normals with means `locs` and deviations `scales`, mixed by `weights`."""

    locs: Float[Array, " n_components"] = eqx.field(converter=_as_float)
    scales: Float[Array, " n_components"] = eqx.field(converter=_as_float)
    weights: Float[Array, " n_components"] = eqx.field(converter=_as_float)

    def __check_init__(self):
        """Refuse lists of different lengths and scales that are not positive."""
        if not self.locs.shape == self.scales.shape == self.weights.shape:
            raise ValueError(
                f"locs, scales and weights have shapes {self.locs.shape}, "
                f"{self.scales.shape}, {self.weights.shape}: give lists of one length."
            )
        _check_positive("scales", self.scales)
        _check_weights(self.weights)

    def simulate(self, *, rng, n):
        """Draw a component, then a normal within it."""
        index = _draw_index(jr.fold_in(rng, 0), self.weights, n)
        normal = jr.normal(jr.fold_in(rng, 1), (n,))
        return {"latent": self.locs[index] + self.scales[index] * normal}

    def cdf(self, x):
        """Evaluate Pr(X <= x)."""
        cdfs = jsp.stats.norm.cdf(x[:, None], self.locs, self.scales)
        return cdfs @ self.weights

    def atoms(self):
        """Return no point: the distribution is continuous."""
        return jnp.zeros(0)

    def mean(self):
        """Return the expectation."""
        return self.weights @ self.locs

    def variance(self):
        """Return the variance: within components and between them."""
        return self.weights @ (self.scales**2 + (self.locs - self.mean()) ** 2)


class ShiftedGamma(AbstractMixing):
    """A gamma distribution of given `shape`, shifted and scaled to mean and std.

    Skewness is `2 / sqrt(shape)`; support from `loc - sqrt(shape) * scale` upwards.

    Attributes:
        shape: Shape of the gamma distribution.
        loc: Mean after the shift.
        scale: Standard deviation after scaling.
    """

    shape: Float[Array, ""] = eqx.field(converter=_as_float)
    loc: Float[Array, ""] = eqx.field(converter=_as_float)
    scale: Float[Array, ""] = eqx.field(converter=_as_float)

    def __check_init__(self):
        """Refuse a shape or a scale that is not positive."""
        _check_positive("shape", self.shape)
        _check_positive("scale", self.scale)

    def simulate(self, *, rng, n):
        """Draw standard gammas, scaled and shifted."""
        standard = jr.gamma(rng, self.shape, (n,))
        deviation = (standard - self.shape) / jnp.sqrt(self.shape)
        return {"latent": self.loc + self.scale * deviation}

    def cdf(self, x):
        """Evaluate Pr(X <= x)."""
        standard = (x - self.loc) / self.scale * jnp.sqrt(self.shape) + self.shape
        return jsp.special.gammainc(self.shape, jnp.maximum(standard, 0.0))

    def atoms(self):
        """Return no point: the distribution is continuous."""
        return jnp.zeros(0)

    def mean(self):
        """Return the expectation."""
        return self.loc

    def variance(self):
        """Return the variance."""
        return self.scale**2


def _check_positive(name: str, value: Float[Array, "..."]) -> None:
    if not bool(jnp.all(value > 0)):
        raise ValueError(f"{name}={value.tolist()}: give positive numbers.")


def _check_weights(weights: Float[Array, " n"]) -> None:
    total = float(weights.sum())
    if bool(jnp.any(weights < 0)) or not abs(total - 1) < 1e-9:
        raise ValueError(
            f"weights={weights.tolist()} add up to {total:g}: give nonnegative weights "
            "that add up to 1."
        )


def _draw_index(
    rng: PRNGKeyArray, weights: Float[Array, " n_points"], n: int
) -> Int[Array, " n"]:
    """Draw positions with the given probabilities, increasing in one uniform each."""
    uniform = jr.uniform(rng, (n,))
    index = jnp.searchsorted(jnp.cumsum(weights), uniform, side="right")
    return jnp.minimum(index, weights.shape[0] - 1)
