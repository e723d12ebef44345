"""The delta method for functions of theta and of the mixing distribution."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
from jax.core import Tracer
from jaxtyping import Array, Float

from spmlex._efficient.efficient_estimate import EfficientEstimate
from spmlex._efficient.efficient_functional import expand_under_model
from spmlex._efficient.expansion import (
    Expansion,
    evaluate_function,
    expand_on_grid,
    expand_with_atoms,
)
from spmlex._evidence.covariance import errors_of
from spmlex._evidence.evidence import Estimated, Evidence, evidence_of
from spmlex._evidence.limits import Intervals
from spmlex._inner.weights import share_of_square
from spmlex._programs.compile import compile_together
from spmlex._words.arguments import check_function, check_level
from spmlex._words.printing import Printed, write
from spmlex._words.table import Table
from spmlex._words.types import Weights

Function = Callable[[Any, Any, Float[Array, " n_supp"]], Any]
"""Of the model, the support points and their masses."""


class Functional(Printed):
    """An estimated function of theta and F.

    Attributes:
        value: The function at the estimate, flattened.
        influence: What moving all the weight to an observation would change it by,
            to first order.
        weights: Share of each row in the sample, sum one.
        counts: How many observations each row of data stands for; `None`: one.
        names: What its entries are called; empty where they have no names.
    """

    value: Float[Array, " k"]
    influence: Float[Array, "n_obs k"]
    weights: Weights
    counts: Float[Array, " n_obs"] | None = None
    names: tuple[str, ...] = eqx.field(static=True, default=())

    @property
    def covariance(self) -> Float[Array, "k k"]:
        """Covariance of the value."""
        return _sum_squares(self.influence, self.weights, self.counts)

    @property
    def standard_errors(self) -> Float[Array, " k"]:
        """Standard errors of the value."""
        return errors_of(self.covariance)

    def intervals(self, level: float | int = 0.95) -> Intervals:
        """Return normal confidence intervals: with `to_frame`, `to_latex` and others.

        Args:
            level: Confidence level.

        Examples:
            >>> mean = delta_method(estimate, lambda model, supp, probs: probs @ supp)
            >>> list(mean.intervals(0.9).to_frame()["term"])
            ['[0]']
        """
        check_level(level)
        made = Intervals.symmetric(self.value, self.standard_errors, level)
        return made.named(self._called(), level, "normal, by the delta method")

    def _called(self) -> tuple[str, ...]:
        return self.names or tuple(f"[{k}]" for k in range(self.value.size))

    def _tabulate(self) -> Table:
        pairs = zip(self.value.tolist(), self.standard_errors.tolist(), strict=True)
        named = zip(self._called(), pairs, strict=True)
        rows = tuple((name, *map(write, pair)) for name, pair in named)
        return Table("Function of theta and F", ("", "value", "std. error"), rows)


def delta_method(
    estimate: Estimated | EfficientEstimate, function: Function
) -> Functional:
    """Estimate `function(model, supp, probs)` and its covariance. Equation (16).

    For example the mean of F: `lambda model, supp, probs: probs @ supp`. The influence
    of an observation on theta moves the function directly, and through the atoms and
    masses of F; its influence on these given theta adds to that. First-order, with the
    atoms found and free to move where the fit moved them: for smooth functionals such
    as means, and for the mass on one side of a point that no atom is near. What moves
    with no parameter, such as a quantile on a grid, has a standard error of zero.

    At an `EfficientEstimate` the function is taken at its smooth F, and corrected by
    the mean of its influence under the model. Equation (20).

    Args:
        estimate: A fit, or what `efficient_estimate` returns.
        function: Of the model, the support points and the mixing probabilities,
            (n_supp,) or, with groups, (n_supp, n_groups); differentiable, returns
            arrays.

    Raises:
        ValueError: `estimate` is none, or `function` no function.

    Examples:
        >>> mean = delta_method(estimate, lambda model, supp, probs: probs @ supp)
        >>> mean.value.shape, mean.standard_errors.shape
        ((1,), (1,))
    """
    check_function("function", function, "`lambda model, supp, probs: probs @ supp`")
    if isinstance(estimate, EfficientEstimate):
        return apply_function(expand_under_model(estimate), function)
    evidence = evidence_of("estimate", estimate)
    if isinstance(evidence.moved, Tracer):  # under `jit`, where the fit decides
        return jax.lax.cond(
            evidence.moved,
            lambda: apply_function(expand_with_atoms(evidence), function),
            lambda: apply_function(expand_on_grid(evidence), function),
        )
    return apply_function(expand(evidence), function)


def expand(estimate: Evidence | EfficientEstimate) -> Expansion:
    """Return how observations move the theta and F of an estimate that is not traced.

    Args:
        estimate: An efficient-score estimate, or what inference needs of another.
    """
    if isinstance(estimate, EfficientEstimate):
        return expand_under_model(estimate)
    moved = estimate.problem is None or bool(estimate.moved)
    return expand_with_atoms(estimate) if moved else expand_on_grid(estimate)


def apply_function(expansion: Expansion, function: Function) -> Functional:
    """Return a function of theta and F from an expansion made before."""
    value, influence = evaluate_function(expansion, function)
    return Functional(value, influence, expansion.weights, expansion.counts)


@compile_together
def _sum_squares(
    influence: Float[Array, "n_obs k"],
    weights: Weights,
    counts: Float[Array, " n_obs"] | None,
) -> Float[Array, "k k"]:
    weighted = share_of_square(weights, counts)[:, None] * influence
    return weighted.T @ weighted
