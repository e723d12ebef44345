"""The oracle: the mixing distribution is known, only theta is estimated."""

import dataclasses
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from experiments.dgp import Data, Model
from experiments.estimators.likelihood import (
    KINDS,
    as_rows,
    like_grid,
    maximise,
    report,
    split_model,
)
from experiments.estimators.quadrature import cell_masses, cell_rule, normal_rule
from experiments.mixing import (
    AbstractMixing,
    AbstractScalarMixing,
    Discrete,
    GaussianCopula,
    JointDiscrete,
)

_REACH = 6.0
_DISCRETE = (Discrete, JointDiscrete)


@dataclasses.dataclass(frozen=True)
class Oracle:
    """Maximum likelihood with the process's own mixing distribution.

    What no estimator has in practice: the bound that the others are compared with. A
    discrete distribution is summed over its atoms, a continuous one integrated over
    cells (`cell_rule`), two dependent ones by the trapezoidal rule in their normal
    scores.

    Attributes:
        nodes: Number of nodes for continuous distributions, in each dimension.
        max_steps: Limit on the evaluations of the likelihood.
        level: Confidence level of the Wald intervals.
        label: How tables and figures call the estimator.
        needs_mixing: `estimate` has to be given the true distribution.
    """

    nodes: int = 128
    max_steps: int = 100
    level: float = 0.95
    label: str = ""
    needs_mixing: bool = dataclasses.field(default=True, init=False)

    def __post_init__(self):
        """Refuse numbers that allow no fit."""
        if self.nodes < 8:
            raise ValueError(f"nodes={self.nodes}: give 8 or more.")
        if self.max_steps < 1:
            raise ValueError(f"max_steps={self.max_steps}: give 1 or more.")

    @property
    def kinds(self) -> tuple[str, ...]:
        """Kinds of standard error, in the order of the results."""
        return KINDS

    @property
    def default_kind(self) -> str:
        """The observed information: the model is right."""
        return "observed"

    def estimate(
        self, model: Model, data: Data, supp: Any, mixing: AbstractMixing | None = None
    ) -> dict[str, Array]:
        """Fit once; failures are codes, never exceptions.

        `supp` is the grid, `probs` the true mass of the cell around each of its points;
        NaN in several dimensions.

        Args:
            model: The model with NaN for parameters.
            data: The data of one replication.
            supp: Support grid; only `probs` depends on it.
            mixing: The true distribution of the latent variable.
        """
        if mixing is None:
            raise ValueError(
                "mixing=None: the oracle knows the true mixing distribution; give it."
            )
        grid = as_rows(supp)
        nodes, log_mass = self._place(mixing, grid.shape[1])
        nodes = like_grid(nodes.reshape(-1, grid.shape[1]), supp)
        theta0, build = split_model(model.starting_values(data))

        def log_terms(theta):
            return build(theta).lclk(data, nodes) + log_mass

        if isinstance(mixing, AbstractScalarMixing):
            probs = cell_masses(grid[:, 0], mixing.cdf)
        else:
            probs = jnp.full(grid.shape[0], jnp.nan)
        return report(
            maximise(log_terms, theta0, self.max_steps),
            theta0.size,
            self.level,
            probs=probs,
            supp=supp,
            num_atoms=log_mass.size if isinstance(mixing, _DISCRETE) else -1,
        )

    def _place(
        self, mixing: AbstractMixing, dims: int
    ) -> tuple[Float[Array, "k ..."], Float[Array, " k"]]:
        """Return nodes and the logs of their masses."""
        if len(mixing.list_margins()) != dims:
            raise ValueError(
                f"supp has points of {dims} dimensions, mixing of "
                f"{len(mixing.list_margins())}: give a grid for the process's latent "
                "variable."
            )
        if isinstance(mixing, _DISCRETE):
            return mixing.supp, jnp.log(mixing.weights)
        if isinstance(mixing, AbstractScalarMixing):
            return cell_rule(mixing, self.nodes)
        if isinstance(mixing, GaussianCopula):
            z, log_mass = normal_rule("trapezoid", self.nodes, dims, _REACH)
            return mixing.from_normal(z), log_mass
        raise ValueError(
            f"mixing={type(mixing).__name__}: the oracle has no quadrature for it. "
            "Leave the oracle out."
        )
