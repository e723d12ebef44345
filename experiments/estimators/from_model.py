"""Estimators that a model brings along: moments, fixed effects, pooled."""

import dataclasses
from typing import Any, ClassVar

import jax.numpy as jnp

from experiments.dgp import Data, Model
from experiments.estimators.base import GridUse, wald_interval
from experiments.estimators.likelihood import split_model
from experiments.estimators.outcome import Outcome

METHODS = ("moment_estimate", "fixed_effects_estimate", "pooled_estimate")


@dataclasses.dataclass(frozen=True)
class FromModel:
    """An estimator that is a method of the model, without a mixing distribution.

    The method takes the data and returns theta and its covariance; NaN for parameters
    that it does not estimate, and everywhere if it failed.

    Attributes:
        method: "moment_estimate", "fixed_effects_estimate" or "pooled_estimate".
        level: Confidence level of the Wald intervals.
        label: How tables and figures call the estimator.
    """

    grid_use: ClassVar[GridUse] = "nothing"

    method: str
    level: float = 0.95
    label: str = ""

    def __post_init__(self):
        """Refuse an unknown method."""
        if self.method not in METHODS:
            raise ValueError(
                f"method={self.method!r}: choose one of {', '.join(METHODS)}."
            )

    @property
    def kinds(self) -> tuple[str, ...]:
        """The one kind of standard error that the methods return."""
        return ("sandwich",)

    @property
    def default_kind(self) -> str:
        """The sandwich."""
        return "sandwich"

    def estimate(self, model: Model, data: Data, supp: Any) -> Outcome:
        """Call the model's method; a failure is a code, never an exception.

        Raises:
            ValueError: The model has no such method.
        """
        method = getattr(model, self.method, None)
        if method is None:
            offered = [name for name in METHODS if hasattr(model, name)]
            raise ValueError(
                f"method={self.method!r}: {type(model).__name__} does not offer it; "
                f"it offers {', '.join(offered) or 'none of these'}. Leave this "
                "estimator out, or add the method to the model."
            )
        theta, covariance = method(data)
        size = split_model(model)[0].size
        if theta.shape != (size,) or covariance.shape != (size, size):
            raise ValueError(
                f"{self.method} of {type(model).__name__} returns shapes "
                f"{theta.shape} and {covariance.shape} for {size} parameters."
            )
        errors = jnp.sqrt(jnp.diagonal(covariance))[None]
        lower, upper = wald_interval(theta, errors, self.level)
        return Outcome(theta, lower, upper, errors)
