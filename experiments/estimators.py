"""Every estimator behind one call: model, data, grid in, a dictionary of arrays out."""

import dataclasses
from typing import Any, Protocol, runtime_checkable

import jax.numpy as jnp
import jax.scipy as jsp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float

import spmlex
from experiments.dgp import Data, Model

RAISED = 100
"""Result code of replications whose estimator raised an error instead of returning."""


@runtime_checkable
class Estimator(Protocol):
    """An estimator of a study: hashable, and pure under `jax.jit`."""

    @property
    def label(self) -> str:
        """How tables and figures call the estimator."""
        ...

    @property
    def kinds(self) -> tuple[str, ...]:
        """Kinds of standard error, in the order of the results."""
        ...

    @property
    def default_kind(self) -> str:
        """The kind that tables show."""
        ...

    def estimate(self, model: Model, data: Data, supp: Any) -> dict[str, Array]:
        """Estimate the model's parameters.

        Args:
            model: The model with NaN for parameters: only its structure may be used.
            data: The data of one replication.
            supp: Support grid, (n_supp,).

        Returns:
            `estimate` (parameter), `standard_error`, `lower` and `upper`
            (kind, parameter), `probs` and `supp` (point), and the scalars `code`,
            `flagged`, `gap`, `gradient_norm`, `log_likelihood`, `num_steps`,
            `num_atoms`. NaN stands for a value that could not be computed.
        """
        ...


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
        lower, upper = _wald_interval(fit.theta, standard_error, self.level)
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


def _wald_interval(
    estimate: Float[Array, " parameter"],
    standard_error: Float[Array, "kind parameter"],
    level: float,
) -> tuple[Float[Array, "kind parameter"], Float[Array, "kind parameter"]]:
    critical = jsp.special.ndtri(0.5 + 0.5 * level)
    return estimate - critical * standard_error, estimate + critical * standard_error
