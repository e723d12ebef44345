"""Functions that take the model: means of its methods over F, ratios of parameters."""

import dataclasses
from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array

import spmlex
from experiments.estimands.base import Estimand


@dataclasses.dataclass(frozen=True, kw_only=True)
class Average(Estimand):
    """The mean over F of what a method of the model returns at each support point.

    A probability of the model, a partial effect: `model.choice_probability(supp, at)`
    returns (m,), `model.partial_effect(supp, at)` (m, k), an entry each.

    Attributes:
        method: Name of the method.
        at: What it is called with beside the support points, such as a value of the
            covariates; left out where empty.
    """

    method: str
    at: tuple[float, ...] | list[float] = ()

    def value(self, model: Any, supp: Any, probs: Array):
        """Return the mean."""
        method = getattr(model, self.method, None)
        if method is None:
            raise ValueError(f"{type(model).__name__} has no method {self.method}.")
        given = (jnp.asarray(self.at, float),) if self.at else ()
        return probs @ method(supp, *given)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ratio(Estimand):
    """The ratio of two parameters, such as a willingness to pay.

    Attributes:
        numerator: Name of a parameter.
        denominator: Name of another.
    """

    numerator: str
    denominator: str

    def value(self, model: Any, supp: Any, probs: Array):
        """Return the ratio."""
        names = list(spmlex.parameter_names(model))
        for name in (self.numerator, self.denominator):
            if name not in names:
                raise ValueError(
                    f"{name} is no parameter; they are {', '.join(names)}."
                )
        theta, _ = ravel_pytree(eqx.filter(model, eqx.is_inexact_array))
        return theta[names.index(self.numerator)] / theta[names.index(self.denominator)]
