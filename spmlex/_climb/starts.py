"""Several starting values: the local optima they lead to, and the choice among them.

With noise scales free the best local maximum of the likelihood can be a degenerate one,
which spends a support point on every few observations. So the choice is by
log-likelihood minus support points with positive mass, Akaike's criterion up to a
constant, and all optima are reported.
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Bool, Float, Int

from spmlex._programs.compile import compile_together
from spmlex._words.parameters import parameter_names, split_model
from spmlex._words.types import Data, Model

_SAME_OPTIMUM = 1e-3
"""Optima are one where theta differs by less, times the root of its curvature."""


def choose_start(
    log_likelihood: Float[Array, " n_starts"],
    num_atoms: Int[Array, " n_starts"],
    flagged: Bool[Array, " n_starts"],
    code: Int[Array, " n_starts"],
) -> Int[Array, ""]:
    """Return the start whose end is the fit.

    Successful before failed, unflagged before flagged, then by log-likelihood minus
    support points with positive mass.
    """
    tier = jnp.where(code == 0, jnp.where(flagged, 1, 2), 0)
    criterion = log_likelihood - num_atoms
    # A failed search may have no height: it then comes last among those that failed.
    known = jnp.where(jnp.isfinite(criterion), criterion, -jnp.finfo(float).max)
    return jnp.argmax(jnp.where(tier == jnp.max(tier), known, -jnp.inf))


def number_optima(
    theta: Float[Array, "n_starts p"],
    scale: Float[Array, "n_starts p"],
    code: Int[Array, " n_starts"],
) -> Int[Array, " n_starts"]:
    """Number local optima by the first start that reached each; -1 for failures.

    Args:
        theta: Where each search ended.
        scale: Root of the curvature in each parameter there.
        code: Integers of the result codes.
    """
    unit = jnp.maximum(scale[:, None], scale[None, :])
    apart = jnp.abs(theta[:, None] - theta[None, :]) * unit
    apart = jnp.max(apart, axis=2, initial=0.0)
    same = (apart < _SAME_OPTIMUM) & (code == 0)[None, :]
    # Of truth values `argmax` is the first that is true.
    return jnp.where(code == 0, jnp.argmax(same, axis=1), -1)


def gather_starts(
    model0: Model,
    starts: Sequence[Model] | Model | int | None,
    data: Data,
    free: tuple[bool, ...],
) -> tuple[Float[Array, "n_starts p"], int]:
    """Return theta at `model0` and every start given, and how many to draw.

    Raises:
        ValueError: A start is not a model like `model0`, or the number is negative.
    """
    is_array = isinstance(starts, np.ndarray | jax.Array)
    if is_array and np.ndim(starts) == 0 and not isinstance(starts, Tracer):
        starts = np.asarray(starts)[()]
    if isinstance(starts, int | np.integer):
        starts = starts if isinstance(starts, bool) else int(starts)
        if starts < 0 or isinstance(starts, bool):
            raise ValueError(f"starts={starts}: give 0 or more, or a list of models.")
        # F alone has no other local optima.
        number = starts if any(free) else 0
        return gather_starts(model0, None, data, free)[0], number
    if starts is None:
        own = getattr(model0, "starting_values", None)
        starts = () if own is None else (start_of(model0, data),)
    return _stack_starts(model0, starts, free), 0


def start_of(model0: Any, data: Data) -> Model:
    """Return the start that a model computes from the data, in one program if it can.

    Operation by operation it would be dozens of small ones.
    """
    try:
        return _compute_start(model0, data)
    except jax.errors.JAXTypeError:
        # Written with NumPy, or with conditions on values.
        return model0.starting_values(data)


@compile_together
def _compute_start(model0: Any, data: Data) -> Model:
    return model0.starting_values(data)


def _stack_starts(
    model0: Model, starts: Sequence[Model] | Model, free: tuple[bool, ...]
) -> Float[Array, "n_starts p"]:
    theta0, _ = ravel_pytree(split_model(model0, free)[0])
    theta0 = theta0.astype(float)  # that of no parameter is float32
    if hasattr(starts, "lclk"):
        return jnp.vstack([theta0, _theta_of_stack(model0, starts, free)])
    if not isinstance(starts, Sequence) or isinstance(starts, str):
        raise ValueError(
            f"starts={starts!r}: give a number, a list of models, or one model whose "
            "parameters have a leading axis."
        )
    rows = [theta0]
    for number, start in enumerate(starts):
        if _shapes(start) != _shapes(model0):
            raise ValueError(
                f"starts[{number}] is not a model like model0: parameters "
                f"{_describe(start)} instead of {_describe(model0)}. Make it from "
                "model0, for example with dataclasses.replace."
            )
        rows.append(ravel_pytree(split_model(start, free)[0])[0])
    return jnp.stack(rows)


def _theta_of_stack(
    model0: Model, starts: Model, free: tuple[bool, ...]
) -> Float[Array, "n_starts p"]:
    variable, _ = split_model(model0, free)
    same_tree = jax.tree.structure(starts) == jax.tree.structure(model0)
    stack = split_model(starts, free)[0] if same_tree else None
    shapes = [jnp.shape(leaf) for leaf in jax.tree.leaves(stack)]
    wanted = [jnp.shape(leaf) for leaf in jax.tree.leaves(variable)]
    counts = {shape[:1] for shape in shapes}
    if [shape[1:] for shape in shapes] != wanted or len(counts) != 1:
        raise ValueError(
            "starts is one model, so its parameters need a leading axis, the same for "
            f"all, in front of model0's {_describe(model0)}; they are "
            f"{_describe(starts)}. Or pass a list of models."
        )
    return jax.vmap(lambda model: ravel_pytree(model)[0])(stack)


def _shapes(model: Model) -> tuple[Any, list[tuple[int, ...]]]:
    shapes = [jnp.shape(leaf) for leaf in jax.tree.leaves(model)]
    return jax.tree.structure(model), shapes


def _describe(model: Model) -> str:
    return ", ".join(parameter_names(model)) or "none"


__all__ = ["choose_start", "gather_starts", "number_optima"]
