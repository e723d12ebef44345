"""What an estimator reports of one replication: every number, said once.

A field of `Outcome` says its axes, how it is stored, in which unit, and what it is; the
block files, the merged file, the action `rerun` and the page `experiments/REPORTED.md`
take it from there. A number more is a field more.
"""

import dataclasses
from typing import Any, NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

import spmlex

PARAMETER = ("parameter",)
LIMITS = ("kind", "parameter")
POINTS = ("point",)
ROWS = ("point", "coordinate")
"""Of a scalar latent variable the points have no coordinates."""

PARAMETER_UNIT = "unit of the parameter"
LATENT_UNIT = "unit of the latent variable"
NAT_PER_OBSERVATION = "nat per observation"


class Quantity(NamedTuple):
    """What a file says of a number that an estimator reports.

    Attributes:
        dtype: How it is stored, as NumPy calls it.
        axes: Its axes beside those of the study.
        unit: Its unit, "1" without one.
        description: What it is, in a few words.
    """

    dtype: str
    axes: tuple[str, ...]
    unit: str
    description: str

    @property
    def missing(self) -> float | int:
        """What stands where it is not known."""
        return np.nan if np.dtype(self.dtype).kind == "f" else -1


def _reported(
    description: str,
    unit: str = "1",
    *,
    dtype: str = "f8",
    axes: tuple[str, ...] = (),
    default: Any = dataclasses.MISSING,
) -> Any:
    """Declare a number; None as its default leaves it out of the file."""
    quantity = Quantity(dtype, axes, unit, description)
    default = {} if default is dataclasses.MISSING else {"default": default}
    return dataclasses.field(metadata={"quantity": quantity}, **default)


class Outcome(eqx.Module):
    """What an estimator reports of one replication.

    Estimate and interval are enough. What is None is not in the block's file; a number
    that could not be computed is NaN, of counts -1.

    Attributes:
        estimate: Theta, (parameter,).
        lower: Lower limits, (kind, parameter), or (parameter,) of a single kind.
        upper: Upper limits. An infinite limit is one that the data do not set.
        standard_error: Shaped as the limits.
        code: Result code; by default 0 if any entry of the estimate is finite.
        flagged: Whether a degenerate maximum is suspected.
        gap: Bound on what the mixing probabilities leave to gain.
        gradient_norm: Largest entry of the gradient.
        log_likelihood: Of the sample.
        grid_ripple: How much the log-likelihood moves with the grid's spacing.
        adequacy: What any F could gain over the fitted one.
        num_steps: Steps of the search; those of an iteration that was not one are -1.
        num_atoms: Number of support points with positive mass.
        probs: Mixing probabilities, (point,).
        supp: The points they are on, (point,) or (point, coordinate).
        statistics: Numbers of its own, by name: a test statistic, a count.
        p_values: Of tests of its own, by name; a summary has how often they reject.
    """

    estimate: Any = _reported("estimate", PARAMETER_UNIT, axes=PARAMETER)
    lower: Any = _reported("lower limit", PARAMETER_UNIT, axes=LIMITS)
    upper: Any = _reported("upper limit", PARAMETER_UNIT, axes=LIMITS)
    standard_error: Any = _reported(
        "standard error", PARAMETER_UNIT, axes=LIMITS, default=np.nan
    )
    code: Any = _reported("result code", dtype="i1", default=None)
    flagged: Any = _reported("degenerate maximum suspected", dtype="i1", default=0)
    gap: Any = _reported(
        "optimality gap of the inner problem", NAT_PER_OBSERVATION, default=np.nan
    )
    gradient_norm: Any = _reported(
        "largest entry of the profile gradient",
        f"{NAT_PER_OBSERVATION} and {PARAMETER_UNIT}",
        default=np.nan,
    )
    log_likelihood: Any = _reported("log-likelihood", "nat", default=np.nan)
    grid_ripple: Any = _reported(
        "ripple of the log-likelihood with the spacing", "nat", default=None
    )
    adequacy: Any = _reported(
        "most that another F could gain at this theta",
        NAT_PER_OBSERVATION,
        default=None,
    )
    num_steps: Any = _reported("outer steps", dtype="i4", default=-1)
    num_atoms: Any = _reported(
        "support points with positive mass", dtype="i4", default=-1
    )
    probs: Any = _reported("mixing probability", axes=POINTS, default=None)
    supp: Any = _reported("support point", LATENT_UNIT, axes=ROWS, default=None)
    statistics: dict[str, Any] = dataclasses.field(default_factory=dict)
    p_values: dict[str, Any] = dataclasses.field(default_factory=dict)


QUANTITIES: dict[str, Quantity] = {
    field.name: field.metadata["quantity"]
    for field in dataclasses.fields(Outcome)
    if "quantity" in field.metadata
}
"""What an estimator may report, by name."""

OWN = {
    "reported": ("statistics", "statistic", Quantity("f8", (), "1", "statistic")),
    "p_value": ("p_values", "reported_test", Quantity("f8", (), "1", "p-value")),
}
"""Numbers that estimators name themselves: how a file calls them, the field they are
in, the axis that their names are on, and what they are. A block has one as
`reported:name`."""

SCALARS = tuple(name for name, of in QUANTITIES.items() if not of.axes)
"""Those that are one number a replication."""


def find_own(name: str) -> tuple[str, str] | None:
    """Return what a number is that an estimator named itself, and its name.

    Example:
        >>> find_own("p_value:Hausman")
        ('p_value', 'Hausman')
    """
    what, colon, own = name.partition(":")
    return (what, own) if colon and what in OWN and own else None


def as_arrays(outcome: Any, n_parameters: int | None = None) -> dict[str, Array]:
    """Return what is reported as it is stored: by name, of the type declared.

    Args:
        outcome: What an estimator returned.
        n_parameters: Length of the axis `parameter`; what was not reported at its end
            is missing there. None: as long as what was.

    Raises:
        TypeError: The estimator returned something else.
    """
    if not isinstance(outcome, Outcome):
        raise TypeError(
            f"an estimator returned {type(outcome).__name__}: return "
            "experiments.estimators.Outcome(estimate, lower, upper, ...)."
        )
    values = {
        name: jnp.asarray(value).astype(quantity.dtype)
        for name, quantity in QUANTITIES.items()
        if (value := getattr(outcome, name)) is not None
    }
    rows = jnp.atleast_2d(values["lower"]).shape
    for name, quantity in QUANTITIES.items():
        if quantity.axes == LIMITS:
            values[name] = jnp.broadcast_to(values[name], rows)
    for what, (field, _, quantity) in OWN.items():
        for name, value in getattr(outcome, field).items():
            if "/" in name or not name:
                raise ValueError(f"{field}: {name!r} is no name: leave the slash out.")
            if jnp.ndim(value):
                raise ValueError(
                    f"{field}: {name} has shape {jnp.shape(value)}: give one number."
                )
            values[f"{what}:{name}"] = jnp.asarray(value).astype(quantity.dtype)
    if outcome.code is None:
        values["code"] = judge(values["estimate"]).astype(QUANTITIES["code"].dtype)
    for name, quantity in QUANTITIES.items():
        if n_parameters is not None and "parameter" in quantity.axes:
            lacking = n_parameters - values[name].shape[-1]
            if lacking > 0:
                ends = [(0, 0)] * (values[name].ndim - 1) + [(0, lacking)]
                values[name] = jnp.pad(values[name], ends, constant_values=jnp.nan)
    return values


def judge(estimate: Array) -> Array:
    """Return the result code of an estimate of which nothing else is known."""
    codes = spmlex.RESULTS
    found = jnp.any(jnp.isfinite(estimate))
    return spmlex.result_code(codes.where(found, codes.successful, codes.non_finite))
