"""What a failed fit can say beyond its code: which observations, which parameters."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array

from spmlex._result.result import Fit
from spmlex._words.codes import RESULTS
from spmlex._words.inputs import conditional_likelihoods, describe_non_finite
from spmlex._words.parameters import split_model
from spmlex._words.types import Data, LogCondLik, Support

_FLAT = 1e-6
"""Curvature of the profile in units of that with F held, below which there is none."""


def explain_failure(estimate: Fit, data: Data) -> str:
    """Say where a likelihood is zero or not finite, what is flat; else nothing.

    Args:
        estimate: A fit that is not successful.
        data: What it was fitted to.
    """
    if estimate.result == RESULTS.singular_hessian:
        return _explain_singularity(estimate, data)
    if estimate.result not in (RESULTS.zero_likelihood, RESULTS.non_finite):
        return ""
    parameters = describe_non_finite("model", estimate.model)
    if parameters:
        return " ".join(parameters)
    lclk = np.asarray(conditional_likelihoods(estimate.model, data, estimate.supp))
    if estimate.result == RESULTS.zero_likelihood:
        wrong = np.all(lclk == -np.inf, axis=1)
        sentences = [f"That is so in {_list_rows(wrong)}."]
    else:
        wrong = np.any(np.isnan(lclk) | (lclk == np.inf), axis=1)
        sentences = [f"`lclk` is nan or infinite in {_list_rows(wrong)}."]
        if not wrong.any():
            return _explain_derivatives(estimate, data)
    return " ".join([*sentences, *describe_non_finite("data", data)])


def _explain_singularity(estimate: Fit, data: Data) -> str:
    """Say which parameters can move without any change of the likelihood."""
    has_mass = np.reshape(estimate.probs, (-1, estimate.probs.shape[-1])).max(0) > 0
    supp = jax.tree.map(lambda leaf: leaf[has_mass], estimate.supp)
    lclk, count = _along(estimate, data, supp), estimate.theta.size
    units = np.empty(count)
    for k, direction in enumerate(np.eye(count)):
        slopes = np.asarray(jax.jvp(lclk, (jnp.zeros(count),), (direction,))[1])
        units[k] = np.sqrt(np.mean(np.where(np.isfinite(slopes), slopes, 0.0) ** 2))
    units = np.where(units > 0, units, 1.0)
    scaled = np.asarray(estimate.hessian) / (units[:, None] * units)
    if not np.isfinite(scaled).all():
        return ""
    values, vectors = np.linalg.eigh(scaled)
    # Where the curvature is negative the likelihood does change: that is a saddle.
    flat = np.abs(vectors[:, np.abs(values) < _FLAT])
    if not flat.size:
        return ""
    moved = np.any(flat > 0.1 * flat.max(axis=0), axis=1)
    names = ", ".join(np.array(estimate.names)[moved])
    what = "a combination of " if moved.sum() > flat.shape[1] else ""
    return f"Nothing changes along {what}{names}."


def _explain_derivatives(estimate: Fit, data: Data) -> str:
    """Say in which parameters and observations a derivative is not finite."""
    names = estimate.names
    gradient, hessian = np.asarray(estimate.gradient), np.asarray(estimate.hessian)
    theta = np.asarray(estimate.theta)
    first = [n for n, g in zip(names, gradient, strict=True) if not np.isfinite(g)]
    second = [n for k, n in enumerate(names) if not np.isfinite(hessian[k, k])]
    if np.isfinite(gradient).all() and np.isfinite(hessian).all():
        return (
            "At the last point, where "
            + ", ".join(f"{n} = {t:.6g}" for n, t in zip(names, theta, strict=True))
            + ", likelihood and derivatives are finite, but not a step further: it is "
            "at the edge of where `lclk` is defined. Express the parameter by one "
            "without bounds, such as its logarithm."
        )
    which, order = (first, "first") if first else (second or names, "second")
    rows = _rows_without_derivative(estimate, data, names.index(which[0]), order)
    where = f" in {_list_rows(rows)}" if rows is not None and rows.any() else ""
    return (
        f"`lclk` itself is finite, its derivatives are not: the {order} in "
        f"{', '.join(which)} is nan or infinite{where}. Look for a root or a logarithm "
        "of zero, also in the branch that a `where` does not take."
    )


def _rows_without_derivative(
    estimate: Fit, data: Data, index: int, order: str
) -> np.ndarray | None:
    """Return for which observations a derivative in one parameter is not finite."""
    direction = jnp.zeros(estimate.theta.size).at[index].set(1.0)
    along = _along(estimate, data, estimate.supp)

    def lclk(length: Array | float) -> Array:
        return along(length * direction)

    def slope(length: Array) -> Array:
        return jax.jvp(lclk, (length,), (jnp.ones(()),))[1]

    derivative = slope if order == "first" else jax.jacfwd(slope)
    try:
        found = np.asarray(derivative(jnp.zeros(())))
    except Exception:  # noqa: BLE001 - only an explanation: the failure has its sentence
        return None
    carries = np.isfinite(np.asarray(lclk(0.0)))
    return np.any(~np.isfinite(found) & carries, axis=1)


def _along(estimate: Fit, data: Data, supp: Support) -> Callable[[Array], LogCondLik]:
    """Return the log conditional likelihoods as a function of a step of theta."""
    variable, constant = split_model(estimate.model, estimate.free)
    theta, unravel = ravel_pytree(variable)

    def lclk(step: Array) -> LogCondLik:
        model = eqx.combine(unravel(theta + step), constant)
        return conditional_likelihoods(model, data, supp)

    return lclk


def _list_rows(wrong: np.ndarray) -> str:
    rows = np.flatnonzero(wrong)
    word = "row" if rows.size == 1 else "rows"
    listed = ", ".join(map(str, rows[:5])) + (", ..." if rows.size > 5 else "")
    return f"{rows.size} of {wrong.size} observations ({word} {listed})"
