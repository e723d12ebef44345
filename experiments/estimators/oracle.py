"""The oracle: the mixing distribution is known, only theta is estimated."""

import dataclasses
from collections.abc import Callable
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array

from experiments.dgp import Data, Model
from experiments.estimands import stack
from experiments.estimators.base import GridUse, LikelihoodEstimator, check_counts
from experiments.estimators.derivatives import NodeSum
from experiments.estimators.likelihood import maximise, report, split_model
from experiments.estimators.outcome import Outcome
from experiments.mixing import AbstractMixing
from experiments.mixing.quadrature import DISCRETE, place_nodes


@dataclasses.dataclass(frozen=True, kw_only=True)
class Oracle(LikelihoodEstimator):
    """Maximum likelihood with the process's own mixing distribution.

    What no estimator has in practice: the bound that the others are compared with. A
    discrete distribution is summed over its atoms, a continuous one integrated over
    cells (`cell_rule`), two dependent ones by the trapezoidal rule in their normal
    scores. F is known, so neither it nor what depends on it alone is reported.

    Attributes:
        nodes: Number of nodes for continuous distributions, in each dimension.
        needs_mixing: `estimate` has to be given the true distribution.
    """

    grid_use: ClassVar[GridUse] = "nothing"
    needs_mixing: ClassVar[bool] = True

    nodes: int = 128

    def __post_init__(self):
        """Refuse numbers that allow no fit."""
        check_counts(self, nodes=8, max_steps=1)

    @property
    def default_kind(self) -> str:
        """The observed information: the model is right."""
        return "observed"

    def estimate(
        self, model: Model, data: Data, supp: Any, mixing: AbstractMixing | None = None
    ) -> Outcome:
        """Fit once; failures are codes, never exceptions.

        Args:
            model: The model with NaN for parameters.
            data: The data of one replication.
            supp: Not used.
            mixing: The true distribution of the latent variable.
        """
        if mixing is None:
            raise ValueError(
                "mixing=None: the oracle knows the true mixing distribution; give it."
            )
        nodes, log_mass = place_nodes(mixing, self.nodes)
        theta0, build = split_model(model.starting_values(data))
        likelihood = NodeSum(
            lambda theta, _: build(theta).lclk(data, nodes),
            lambda _: (nodes.reshape(log_mass.size, -1), log_mass),
            theta0.size,
        )
        reported: Callable[[Array], Array] | None = None
        if self.estimands:
            function, probs = stack(self.estimands), jnp.exp(log_mass)
            slopes = jax.jacrev(lambda t: function(build(t), nodes, probs))(theta0)
            known = jnp.all(slopes == 0, axis=1)  # what depends on F alone

            def behind(theta: Array) -> Array:
                return jnp.where(known, jnp.nan, function(build(theta), nodes, probs))

            reported = behind

        return report(
            maximise(likelihood, theta0, self.max_steps),
            theta0.size,
            self.level,
            reported,
            num_atoms=log_mass.size if isinstance(mixing, DISCRETE) else -1,
        )
