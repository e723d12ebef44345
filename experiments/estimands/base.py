"""What every estimand is: a function of theta and F, with its true value.

An estimand stands on the axis `parameter`, behind theta: whatever is measured, printed
or drawn of a parameter is so of it.
"""

import abc
import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from experiments.dgp import Model, Process
from experiments.mixing.quadrature import place_nodes

# In two dimensions 70 are 4900 combinations, of the 5000 that `normal_rule` allows.
_NODES, _NODES_OF_SEVERAL = 4000, 70

Function = Callable[[Any, Any, Any], Float[Array, " k"]]
"""Of the model, the support points of F and their masses."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Estimand(abc.ABC):
    """A function of theta and F; one number or a list of them.

    Attributes:
        symbol: How it is written, in LaTeX; a list for a list of numbers.
    """

    symbol: str | tuple[str, ...] | list[str] = ""

    def __post_init__(self):
        """Make lists of a configuration hashable, as compiled code wants them."""
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if isinstance(value, list):
                object.__setattr__(self, field.name, tuple(value))

    @abc.abstractmethod
    def value(
        self, model: Model, supp: Float[Array, "m ..."], probs: Float[Array, " m"]
    ) -> Float[Array, "..."]:
        """Return its value, of shape () or (k,).

        Args:
            model: The model.
            supp: Support points of F, (m,) or (m, d).
            probs: Their masses. Differentiable in these and in the support points:
                intervals are by the delta method.
        """

    def truth(self, process: Process) -> Float[Array, "..."]:
        """Return its value at the truth; by default a sum over many points of F."""
        several = len(process.mixing.list_margins()) > 1
        count = _NODES_OF_SEVERAL if several else _NODES
        nodes, log_mass = place_nodes(process.mixing, count)
        return self.value(process.truth, nodes, jnp.exp(log_mass))


def list_estimands(
    estimands: Mapping[str, Estimand], process: Process
) -> tuple[list[str], Float[np.ndarray, " k"]]:
    """Return the entries of all estimands of a process: their names, and true values.

    One of several numbers has the entries `name[0]`, `name[1]`, ...

    Raises:
        ValueError: One does not fit the process; its name is said.
    """
    names: list[str] = []
    values: list[float] = []
    for name, estimand in estimands.items():
        try:
            value = np.asarray(estimand.truth(process), float)
        except (ValueError, TypeError, AttributeError, IndexError) as error:
            raise ValueError(f"{name}: {error}") from error
        if value.ndim > 1:
            raise ValueError(f"{name}: its value has shape {value.shape}: give a list.")
        ends = [""] if value.ndim == 0 else [f"[{i}]" for i in range(value.size)]
        names += [f"{name}{end}" for end in ends]
        values += np.atleast_1d(value).tolist()
    return names, np.array(values)


def stack(estimands: tuple[Estimand, ...]) -> Function:
    """Return the function whose values are those of all estimands, one after another.

    Args:
        estimands: One or more.
    """

    def function(model: Any, supp: Any, probs: Array) -> Array:
        values = (each.value(model, supp, probs) for each in estimands)
        return jnp.concatenate([jnp.atleast_1d(value) for value in values])

    return function


def coordinate_of(supp: Float[Array, "m ..."], coordinate: int) -> Float[Array, " m"]:
    """Return one coordinate of support points.

    Raises:
        ValueError: They have no such coordinate.
    """
    rows = supp.reshape(supp.shape[0], -1)
    if not 0 <= coordinate < rows.shape[1]:
        raise ValueError(
            f"coordinate={coordinate}: the unobservable has {rows.shape[1]}; the first "
            "is 0."
        )
    return rows[:, coordinate]
