"""Profile maximum likelihood, the estimator of `spmlex`."""

import dataclasses
from typing import Any

import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array

import spmlex
from experiments.dgp import Data, Model
from experiments.estimators.base import wald_interval


@dataclasses.dataclass(frozen=True)
class Profile:
    """Profile maximum likelihood from the model's own starting values.

    Attributes:
        solver: Solver of the inner problem, as in `spmlex.fit`.
        max_steps: Limit on the outer steps.
        level: Confidence level of the Wald intervals.
        label: How tables and figures call the estimator.
    """

    solver: str = "active_set"
    max_steps: int = 100
    level: float = 0.95
    label: str = ""

    def __post_init__(self):
        """Refuse an unknown solver and a number of steps that allows no fit."""
        if self.solver not in spmlex.SOLVERS:
            raise ValueError(
                f"solver={self.solver!r}: choose one of {', '.join(spmlex.SOLVERS)}."
            )
        if self.max_steps < 1:
            raise ValueError(f"max_steps={self.max_steps}: give 1 or more.")

    @property
    def kinds(self) -> tuple[str, ...]:
        """Kinds of standard error, in the order of the results."""
        return tuple(spmlex.COVARIANCE_KINDS)

    @property
    def default_kind(self) -> str:
        """The sandwich: right also where F is continuous."""
        return "sandwich"

    def estimate(self, model: Model, data: Data, supp: Any) -> dict[str, Array]:
        """Fit once; failures are codes, never exceptions."""
        start = model.starting_values(data)
        fit = spmlex.fit(
            start,
            data,
            supp,
            solver=self.solver,
            max_steps=self.max_steps,
            throw=False,
        )
        standard_error = jnp.stack(
            [ravel_pytree(fit.standard_errors(kind))[0] for kind in self.kinds]
        )
        lower, upper = wald_interval(fit.theta, standard_error, self.level)
        return {
            "estimate": fit.theta,
            "standard_error": standard_error,
            "lower": lower,
            "upper": upper,
            "code": spmlex.result_code(fit.result).astype(jnp.int8),
            "flagged": fit.flagged.astype(jnp.int8),
            "gap": fit.gap,
            "gradient_norm": fit.gradient_norm,
            "log_likelihood": fit.log_likelihood,
            "num_steps": fit.num_steps.astype(jnp.int32),
            "num_atoms": fit.num_atoms.astype(jnp.int32),
            "probs": fit.probs,
            "supp": supp,
        }
