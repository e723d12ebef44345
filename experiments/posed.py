"""What `spmlex.fit` is called with, from the arrays of a panel: starts and a grid."""

from typing import Any, NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

import spmlex

N_SUPP = 60
"""Points of the grid."""

WIDEST = (-20.0, 20.0)
"""The trial range of an unobservable that an exponential is taken of."""

_N_SLOPES, _N_TRIAL = 15, 400


class Problem(NamedTuple):
    """What `spmlex.fit` is called with: `spmlex.fit(*problem)`.

    Attributes:
        model0: The model at its starting values; coefficients in the order of the
            covariates.
        data: Arrays with a leading axis for units, in the order of their labels,
            `np.unique(frame[unit])`, and one for periods; with a `mask`, false for
            those that a unit lacks, where some do.
        supp: A support grid over the range where the data put the unobservable.
    """

    model0: Any
    data: dict[str, Array]
    supp: Array


def pose(
    model: Any,
    arrays: dict[str, np.ndarray],
    ends: tuple[float, float],
    n_random: int = 1,
) -> Problem:
    """Start the model at its own estimate, and put the grid where the data are."""
    data = {name: jnp.asarray(values) for name, values in arrays.items()}
    model = _start(model, data)
    if n_random == 1:
        low, high = spmlex.data_range(
            model, _leave_extremes_out(model, arrays, ends), *ends
        )
        supp = spmlex.uniform_grid(float(low), float(high), N_SUPP)
    else:
        # Where several coefficients are random no single range is read off the data.
        axis = jnp.linspace(-6.0, 6.0, _N_SLOPES)
        supp = spmlex.product_grid(*[axis] * n_random)
    return Problem(model, data, supp)


# Operation by operation it would be dozens of small programs.
@eqx.filter_jit
def _start(model: Any, data: dict[str, Array]) -> Any:
    return model.starting_values(data)


def _leave_extremes_out(
    model: Any, data: dict[str, np.ndarray], ends: tuple[float, float]
) -> dict[str, np.ndarray]:
    """Return the data without units that are the likelier the further out F is.

    Such as those that always chose the same: the kernels of the others, and their
    widths beyond these, say how far a grid has to reach.
    """
    trial = np.linspace(*ends, _N_TRIAL)
    at = np.asarray(spmlex.most_likely_points(model, data, trial))
    inside = (at > trial[0]) & (at < trial[-1])
    if not inside.any():
        return data
    return {name: values[inside] for name, values in data.items()}
