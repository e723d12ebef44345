"""Estimands behind theta: their values and intervals, where an estimator has some.

The axis `parameter` holds theta, then the estimands of the study. An estimator with a
field `estimands` is given those of its cell and reports all of the axis; of one without
theirs are missing.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

import spmlex
from experiments.estimands import Estimand, stack
from experiments.estimators.base import wald_interval

Limits = Float[Array, "kind parameter"]


class Reported(NamedTuple):
    """Theta and what is behind it.

    Attributes:
        estimate: (parameter,).
        lower: (kind, parameter).
        upper: (kind, parameter).
        standard_error: (kind, parameter).
    """

    estimate: Float[Array, " parameter"]
    lower: Limits
    upper: Limits
    standard_error: Limits


def append_values(
    theta: Reported,
    value: Float[Array, " k"],
    errors: Float[Array, "kind k"],
    level: float,
) -> Reported:
    """Put estimands with normal intervals behind theta.

    Args:
        theta: What is reported of theta.
        value: The estimands.
        errors: Their standard errors by kind of interval; one of zero says that the
            delta method knows nothing, and there is no interval.
        level: Confidence level.
    """
    errors = jnp.where(errors > 0, errors, jnp.nan)
    behind = Reported(value, *wald_interval(value, errors, level), errors)
    pairs = zip(theta, behind, strict=True)
    return Reported(*(jnp.concatenate(pair, axis=-1) for pair in pairs))


def append_estimands(
    theta: Reported,
    estimate: spmlex.Fit | spmlex.EfficientEstimate,
    estimands: tuple[Estimand, ...],
    level: float,
    kind: int = 0,
) -> Reported:
    """Put estimands behind theta, by the delta method of `spmlex`.

    They have one standard error, whatever the kind of interval: it stands under the
    one that tables show.

    Args:
        theta: What is reported of theta.
        estimate: What it was taken from.
        estimands: None of them: nothing is added.
        level: Confidence level.
        kind: Position of the kind of interval that tables show.
    """
    if not estimands:
        return theta
    found = spmlex.delta_method(estimate, stack(estimands))
    errors = jnp.full((len(theta.lower), found.value.size), jnp.nan)
    errors = errors.at[kind].set(found.standard_errors)
    return append_values(theta, found.value, errors, level)
