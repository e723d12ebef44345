"""Models of a newcomer, each with its own fault, and one without."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np


class Logit(eqx.Module):
    """One binary outcome an observation, a slope, a random intercept.

    With traps: a slope below zero has no likelihood and zero no derivative, and an x
    far from a support point is impossible there.
    """

    slope: Any

    def lclk(self, data, supp):
        x = data["x"][:, None]
        lclk = jax.nn.log_sigmoid(data["sign"][:, None] * (self.slope * x + supp))
        lclk = lclk + 0.0 * jnp.sqrt(self.slope)
        return jnp.where(jnp.abs(x - supp) > 6.0, -jnp.inf, lclk)


class Settings(Logit):
    scale: Any = 2


class NoLikelihood(eqx.Module):
    slope: Any


class NoPytree:
    slope = jnp.array(0.5)
    lclk = Logit.lclk


class Sideways(Logit):
    def lclk(self, data, supp):
        return super().lclk(data, supp).T


class Summed(Logit):
    def lclk(self, data, supp):
        return super().lclk(data, supp).sum(axis=1)


class Silent(Logit):
    def lclk(self, data, supp):
        super().lclk(data, supp)


class Pair(Logit):
    def lclk(self, data, supp):
        return super().lclk(data, supp), supp


class InNumpy(Logit):
    def lclk(self, data, supp):
        return np.log(np.asarray(self.slope * data["x"])[:, None] + supp)


class SwappedArguments(Logit):
    def lclk(self, supp, data):
        return super().lclk(data, supp)


class Unnormed(Logit):
    """Complex numbers."""

    def lclk(self, data, supp):
        return super().lclk(data, supp) + 0j
