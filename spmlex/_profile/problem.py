"""The problem that a call poses: its arguments read, checked and put together."""

import dataclasses
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.core import Tracer

from spmlex._inner import InnerSolver, get_solver
from spmlex._inner.weights import fill_rows_without_weight, read_sample
from spmlex._profile.outer import OuterProblem
from spmlex._words.inputs import (
    conditional_likelihoods,
    read_count,
    read_groups,
    read_inputs,
)
from spmlex._words.parameters import Names, free_leaves, parameter_names
from spmlex._words.types import (
    Counts,
    Data,
    GivenGroups,
    GivenWeights,
    Model,
    Support,
    Weights,
)

_ROUNDING = 4.0 * float(np.finfo(float).eps)
"""Of the largest coordinate: what rounding leaves of a zero."""


def pose_problem(
    model0: Model,
    data: Data,
    supp: Support,
    groups: GivenGroups | None,
    n_groups: int | None,
    fixed: Callable[[Any], Any] | None,
    solver: InnerSolver,
    names: Names | None = None,
) -> OuterProblem:
    """Return the problem of arguments as users pass them, each row counting the same.

    Raises:
        ValueError: The message names the argument.
    """
    model0, data, supp = read_inputs(model0, data, supp)
    supp = jax.tree.map(_zero_rounding, supp)
    free = free_leaves(model0, fixed)
    n_obs = eqx.filter_eval_shape(conditional_likelihoods, model0, data, supp).shape[0]
    if n_groups is not None:
        n_groups = read_count("n_groups", n_groups, 2)
    if groups is not None:
        groups, n_groups = read_groups(groups, n_groups, n_obs)
    solver = get_solver(solver)
    labels = _label(model0, free, names)
    return OuterProblem(
        model0, data, supp, groups, n_groups, free, solver, labels=labels
    )


def _zero_rounding(leaf: Any) -> Any:
    """Return the coordinates of a grid with zero where they are zero but for rounding.

    The middle of `linspace(-0.06, 0.06, 75)` is 1e-17. Where F has its mass there only,
    any parameter that multiplies the latent can reach for it, and grow to 1e13.
    """
    if not jnp.issubdtype(jnp.result_type(leaf), jnp.floating):
        return leaf
    xp = jnp if isinstance(leaf, Tracer) else np
    size = xp.abs(leaf)
    largest = xp.max(xp.where(xp.isfinite(size), size, 0.0), axis=0)
    rounding = xp.where(size <= _ROUNDING * largest, leaf, 0.0)
    if xp is np:
        return jnp.asarray(np.asarray(leaf) - rounding)
    # So that the derivatives with respect to the points stay what they are.
    return leaf - lax.stop_gradient(rounding)


def _label(
    model0: Model, free: tuple[bool, ...], names: Names | None
) -> tuple[str, ...] | None:
    """Return what the user calls the parameters, by the call or by the model."""
    if names is not None:
        return tuple(parameter_names(model0, free, names))
    own = getattr(model0, "names", None)
    if own is None:
        return None
    try:
        return tuple(parameter_names(model0, free, own))
    except ValueError as error:
        raise ValueError(
            f"model0={type(model0).__name__} has an attribute `names`, which is to say "
            f"what its parameters are called: {error}"
        ) from error


def weigh_rows(
    problem: OuterProblem, weights: GivenWeights | None, counts: Counts | None
) -> tuple[OuterProblem, Weights]:
    """Return the problem with counts, and the share of each row in the sample.

    Data of rows without weight are replaced by those of a row with some.

    Raises:
        ValueError: The message names the argument.
    """
    is_weighted = weights is not None or counts is not None
    weights, counts = read_sample(weights, counts, problem.n_obs)
    if not is_weighted:
        return problem, weights
    data = fill_rows_without_weight(problem.data, weights)
    return dataclasses.replace(problem, data=data, counts=counts), weights
