"""What every estimator of a study looks like: one call, arrays out."""

from typing import Any, Protocol, runtime_checkable

import jax.scipy as jsp
from jaxtyping import Array, Float

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


def wald_interval(
    estimate: Float[Array, " parameter"],
    standard_error: Float[Array, "kind parameter"],
    level: float,
) -> tuple[Float[Array, "kind parameter"], Float[Array, "kind parameter"]]:
    """Return the limits of normal intervals, for every kind of standard error."""
    critical = jsp.special.ndtri(0.5 + 0.5 * level)
    return estimate - critical * standard_error, estimate + critical * standard_error
