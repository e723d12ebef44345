"""Predictions and average partial effects, their errors by the delta method."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from spmlex._answers.posterior import Groups, choose_data, own_masses
from spmlex._efficient.efficient_estimate import EfficientEstimate
from spmlex._efficient.expansion import Expansion
from spmlex._evidence.evidence import Estimated, Evidence, evidence_of
from spmlex._inference.delta_method import expand
from spmlex._inner.mixture import posterior_weights
from spmlex._inner.weights import share_of_square
from spmlex._profile.outer import OuterProblem
from spmlex._words.arguments import check_function, check_truth
from spmlex._words.inputs import conditional_likelihoods
from spmlex._words.printing import Printed, write
from spmlex._words.table import Table
from spmlex._words.types import Data, Weights

Outcome = Callable[[Any, Any, Any], Any]
"""Of model, data and supp: a value of each observation at each support point."""

_BATCH = 256
_SHOWN = 10  # values that are printed
_EXAMPLE = "`lambda model, data, supp: model.expected_outcome(data, supp)`"


class Prediction(Printed):
    """Predicted values, with the standard errors that theta and F leave them.

    Attributes:
        value: One for each observation, or an array for each.
        standard_errors: Theirs; what outcomes vary around their means is not in them.
    """

    value: Float[Array, "n_obs ..."]
    standard_errors: Float[Array, "n_obs ..."]

    def _tabulate(self) -> Table:
        values, errors = np.asarray(self.value), np.asarray(self.standard_errors)
        places = list(np.ndindex(values.shape))[:_SHOWN]
        rows = tuple(
            (", ".join(map(str, at)), write(values[at]), write(errors[at]))
            for at in places
        )
        left = values.size - len(rows)
        notes = (f"and {left} more",) if left else ()
        return Table("Predicted values", ("", "value", "std. error"), rows, notes)


def predict(
    estimate: Estimated | EfficientEstimate,
    function: Outcome | None = None,
    data: Data | None = None,
    *,
    groups: Groups = None,
    posterior: bool = False,
) -> Prediction:
    """Predict a function of each observation and its unobservable.

    Its mean over F, that of the observation's group where there are groups; or over
    the observation's own posterior. The posterior depends on theta and F as well, and
    so do the standard errors.

    Args:
        estimate: A fit, or what `efficient_estimate` returns.
        function: Of model, data and supp, (n_obs, n_supp) or (n_obs, n_supp, ...):
            by default `model.expected_outcome(data, supp)`.
        data: Of other observations; by default those of the fit.
        groups: Group of each of them, where the fit has groups.
        posterior: Whether the mean is over the posterior, which the outcomes in the
            data decide; else over F.

    Returns:
        A value for each observation, in the shape that `function` gives it.

    Raises:
        ValueError: There is no function, or its value has no axes for observations
            and support points.

    Examples:
        >>> index = lambda model, data, supp: model.coef * data["x"][:, :1] + supp
        >>> predict(estimate, index).standard_errors.shape
        (60,)
    """
    check_truth("posterior", posterior)
    source, problem, _ = open_estimate(estimate)
    data, own = choose_data(problem, source.probs, data, groups)
    function = choose_function(function, problem)
    check_value(function, problem, data)
    value, errors = _predict(expand(source), data, own, function, posterior)
    return Prediction(value, errors)


@eqx.filter_jit
def _predict(
    expansion: Expansion,
    data: Data,
    groups: Array | None,
    function: Outcome,
    posterior: bool,
) -> tuple[Array, Array]:
    shares = share_of_square(expansion.weights, expansion.counts)
    moves = shares[:, None] * expansion.moves
    # Once for all rows: each then costs a product with its slopes, not with n_obs
    # moves.
    covariance = moves.T @ moves

    def one(item: tuple[Data, Array | None]) -> tuple[Array, Array]:
        row, group = item

        def value(vector: Array) -> Array:
            model, supp, probs = expansion.build(vector)
            masses = own_masses(probs, group)
            if posterior:
                lclk = conditional_likelihoods(model, row, supp)
                masses = posterior_weights(lclk, masses[0])
            return jnp.tensordot(masses[0], function(model, row, supp)[0], axes=1)

        # Backwards: few values of a vector with an entry for every support point.
        slopes = jax.jacrev(value)(expansion.vector)
        found = value(expansion.vector) + slopes @ expansion.shift
        variance = jnp.sum((slopes @ covariance) * slopes, axis=-1)
        return found, jnp.sqrt(jnp.maximum(variance, 0.0))

    # One row at a time: a prediction depends on its own observation only.
    rows = jax.tree.map(lambda leaf: leaf[:, None], (data, groups))
    found: tuple[Array, Array] = jax.lax.map(one, rows, batch_size=_BATCH)
    return found


def open_estimate(
    estimate: Estimated | EfficientEstimate,
) -> tuple[Evidence | EfficientEstimate, OuterProblem, Weights]:
    """Return what is to be expanded, the problem with the data, and the weights."""
    if isinstance(estimate, EfficientEstimate):
        return estimate, estimate.equation.problem, estimate.equation.weights
    evidence = evidence_of("estimate", estimate)
    return evidence, evidence.given, evidence.weights


def _expected_outcome(model: Any, data: Data, supp: Any) -> Array:
    return model.expected_outcome(data, supp)


def choose_function(function: Outcome | None, problem: OuterProblem) -> Outcome:
    """Return a function of model, data and supp: the user's, or the model's own."""
    if function is None:
        if not hasattr(problem.model, "expected_outcome"):
            raise ValueError(
                f"function is missing, and {type(problem.model).__name__} has no "
                "method `expected_outcome(data, supp)`: give a function of model, "
                "data and supp."
            )
        return _expected_outcome
    check_function("function", function, _EXAMPLE)
    return function


def check_value(
    function: Outcome, problem: OuterProblem, data: Data
) -> tuple[int, ...]:
    """Return the shape of a function's value, without support points."""
    try:
        # By shapes alone: a wrong function is refused before anything is computed.
        made = eqx.filter_eval_shape(function, problem.model, data, problem.supp)
    except Exception as error:
        error.add_note("Raised by function(model, data, supp).")
        raise
    n_obs = jax.tree.leaves(data)[0].shape[0]
    wanted, shape = (n_obs, problem.n_supp), getattr(made, "shape", None)
    if shape is None or shape[:2] != wanted:
        raise ValueError(
            f"function returned {'no array' if shape is None else f'shape {shape}'}; "
            f"its first axes must be observations and support points, {wanted}."
        )
    return shape[:1] + shape[2:]
