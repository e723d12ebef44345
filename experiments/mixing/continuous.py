"""Continuous distributions of a scalar unobservable."""

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
import jax.scipy as jsp
from jaxtyping import Array, Float, PRNGKeyArray

from experiments.fields import as_float, check_positive, check_weights
from experiments.mixing.base import AbstractScalarMixing, draw_index


class Normal(AbstractScalarMixing):
    """A normal distribution with mean `loc` and standard deviation `scale`."""

    loc: Float[Array, ""] = eqx.field(converter=as_float)
    scale: Float[Array, ""] = eqx.field(converter=as_float)

    def __check_init__(self):
        """Refuse a scale that is not positive."""
        check_positive("scale", self.scale)

    def simulate(self, *, rng: PRNGKeyArray, n: int) -> dict[str, Float[Array, " n"]]:
        """Draw standard normals, scaled and shifted."""
        return {"latent": self.loc + self.scale * jr.normal(rng, (n,))}

    def cdf(self, x: Float[Array, " n"]) -> Float[Array, " n"]:
        """Evaluate Pr(X <= x)."""
        return jsp.stats.norm.cdf(x, self.loc, self.scale)

    def quantile(self, level: Float[Array, " n"]) -> Float[Array, " n"]:
        """Return the x with Pr(X <= x) = level."""
        return self.from_normal(jsp.special.ndtri(level))

    def from_normal(self, z: Float[Array, " n"]) -> Float[Array, " n"]:
        """Scale and shift standard normal values."""
        return self.loc + self.scale * z

    def mean(self) -> Float[Array, ""]:
        """Return the expectation."""
        return self.loc

    def variance(self) -> Float[Array, ""]:
        """Return the variance."""
        return self.scale**2


class NormalMixture(AbstractScalarMixing):
    """Normals with means `locs` and deviations `scales`, mixed by `weights`."""

    locs: Float[Array, " n_components"] = eqx.field(converter=as_float)
    scales: Float[Array, " n_components"] = eqx.field(converter=as_float)
    weights: Float[Array, " n_components"] = eqx.field(converter=as_float)

    def __check_init__(self):
        """Refuse lists of different lengths and scales that are not positive."""
        if not self.locs.shape == self.scales.shape == self.weights.shape:
            raise ValueError(
                f"locs, scales and weights have shapes {self.locs.shape}, "
                f"{self.scales.shape}, {self.weights.shape}: give lists of one length."
            )
        check_positive("scales", self.scales)
        check_weights(self.weights)

    def simulate(self, *, rng: PRNGKeyArray, n: int) -> dict[str, Float[Array, " n"]]:
        """Draw a component, then a normal within it."""
        index = draw_index(jr.fold_in(rng, 0), self.weights, n)
        normal = jr.normal(jr.fold_in(rng, 1), (n,))
        return {"latent": self.locs[index] + self.scales[index] * normal}

    def cdf(self, x: Float[Array, " n"]) -> Float[Array, " n"]:
        """Evaluate Pr(X <= x)."""
        cdfs = jsp.stats.norm.cdf(x[:, None], self.locs, self.scales)
        return cdfs @ self.weights

    def mean(self) -> Float[Array, ""]:
        """Return the expectation."""
        return self.weights @ self.locs

    def variance(self) -> Float[Array, ""]:
        """Return the variance: within components and between them."""
        return self.weights @ (self.scales**2 + (self.locs - self.mean()) ** 2)


class ShiftedGamma(AbstractScalarMixing):
    """A gamma distribution of given `shape`, shifted and scaled to mean and std.

    Skewness is `2 / sqrt(shape)`; support from `loc - sqrt(shape) * scale` upwards.

    Attributes:
        shape: Shape of the gamma distribution.
        loc: Mean after the shift.
        scale: Standard deviation after scaling.
    """

    shape: Float[Array, ""] = eqx.field(converter=as_float)
    loc: Float[Array, ""] = eqx.field(converter=as_float)
    scale: Float[Array, ""] = eqx.field(converter=as_float)

    def __check_init__(self):
        """Refuse a shape or a scale that is not positive."""
        check_positive("shape", self.shape)
        check_positive("scale", self.scale)

    def simulate(self, *, rng: PRNGKeyArray, n: int) -> dict[str, Float[Array, " n"]]:
        """Draw standard gammas, scaled and shifted."""
        standard = jr.gamma(rng, self.shape, (n,))
        deviation = (standard - self.shape) / jnp.sqrt(self.shape)
        return {"latent": self.loc + self.scale * deviation}

    def cdf(self, x: Float[Array, " n"]) -> Float[Array, " n"]:
        """Evaluate Pr(X <= x)."""
        standard = (x - self.loc) / self.scale * jnp.sqrt(self.shape) + self.shape
        # Below the support `gammainc` is NaN.
        return jsp.special.gammainc(self.shape, jnp.maximum(standard, 0.0))

    def mean(self) -> Float[Array, ""]:
        """Return the expectation."""
        return self.loc

    def variance(self) -> Float[Array, ""]:
        """Return the variance."""
        return self.scale**2


class Uniform(AbstractScalarMixing):
    """The uniform distribution from `low` to `high`."""

    low: Float[Array, ""] = eqx.field(converter=as_float)
    high: Float[Array, ""] = eqx.field(converter=as_float)

    def __check_init__(self):
        """Refuse an empty range."""
        if not float(self.low) < float(self.high):
            raise ValueError(
                f"low={float(self.low)}, high={float(self.high)}: give low < high."
            )

    def simulate(self, *, rng: PRNGKeyArray, n: int) -> dict[str, Float[Array, " n"]]:
        """Draw uniforms, scaled and shifted."""
        return {"latent": self.quantile(jr.uniform(rng, (n,)))}

    def cdf(self, x: Float[Array, " n"]) -> Float[Array, " n"]:
        """Evaluate Pr(X <= x)."""
        return jnp.clip((x - self.low) / (self.high - self.low), 0.0, 1.0)

    def quantile(self, level: Float[Array, " n"]) -> Float[Array, " n"]:
        """Return the x with Pr(X <= x) = level."""
        return self.low + (self.high - self.low) * level

    def mean(self) -> Float[Array, ""]:
        """Return the expectation."""
        return 0.5 * (self.low + self.high)

    def variance(self) -> Float[Array, ""]:
        """Return the variance."""
        return (self.high - self.low) ** 2 / 12.0


class StudentT(AbstractScalarMixing):
    """Student's t distribution, shifted by `loc` and multiplied by `scale`.

    Attributes:
        df: Degrees of freedom: moments of this order and higher don't exist.
        loc: Median.
        scale: The standard deviation is `scale * sqrt(df / (df - 2))`, for df > 2.
    """

    df: Float[Array, ""] = eqx.field(converter=as_float)
    loc: Float[Array, ""] = eqx.field(converter=as_float)
    scale: Float[Array, ""] = eqx.field(converter=as_float)

    def __check_init__(self):
        """Refuse degrees of freedom or a scale that are not positive."""
        check_positive("df", self.df)
        check_positive("scale", self.scale)

    def simulate(self, *, rng: PRNGKeyArray, n: int) -> dict[str, Float[Array, " n"]]:
        """Draw standard t values, scaled and shifted."""
        return {"latent": self.loc + self.scale * jr.t(rng, self.df, (n,))}

    def cdf(self, x: Float[Array, " n"]) -> Float[Array, " n"]:
        """Evaluate Pr(X <= x), from the incomplete beta function."""
        z = (x - self.loc) / self.scale
        half, square = 0.5 * self.df, z**2
        share = square / (self.df + square)
        # Each of the two equal forms is exact where the other one cancels.
        near = 0.5 - 0.5 * jsp.special.betainc(0.5, half, share)
        far = 0.5 * jsp.special.betainc(half, 0.5, self.df / (self.df + square))
        below = jnp.where(share < 0.5, near, far)
        return jnp.where(z < 0, below, 1.0 - below)

    def mean(self) -> Float[Array, ""]:
        """Return the expectation; NaN up to one degree of freedom."""
        return jnp.where(self.df > 1, self.loc, jnp.nan)

    def variance(self) -> Float[Array, ""]:
        """Return the variance; infinite up to two degrees of freedom, NaN up to one."""
        finite = self.scale**2 * self.df / jnp.maximum(self.df - 2.0, 0.0)
        return jnp.where(self.df > 1, finite, jnp.nan)
