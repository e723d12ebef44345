"""Functions of F alone: moments, shares, quantiles of one coordinate."""

import dataclasses
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from experiments.dgp import Process
from experiments.estimands.base import Estimand, coordinate_of
from experiments.mixing import AbstractScalarMixing


@dataclasses.dataclass(frozen=True, kw_only=True)
class OfCoordinate(Estimand):
    """What estimands of one coordinate of the unobservable share.

    Attributes:
        coordinate: Which one, from 0.
    """

    coordinate: int = 0

    def margin(self, process: Process) -> AbstractScalarMixing:
        """Return the true distribution of the coordinate."""
        margins = process.mixing.list_margins()
        if not 0 <= self.coordinate < len(margins):
            raise ValueError(
                f"coordinate={self.coordinate}: the unobservable has {len(margins)}; "
                "the first is 0."
            )
        return margins[self.coordinate]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Mean(OfCoordinate):
    """The mean of the unobservable."""

    def value(self, model: Any, supp: Any, probs: Array):
        """Return the mean."""
        return probs @ coordinate_of(supp, self.coordinate)

    def truth(self, process: Process) -> Float[Array, "..."]:
        """Return the true mean."""
        return self.margin(process).mean()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Variance(OfCoordinate):
    """The variance of the unobservable."""

    def value(self, model: Any, supp: Any, probs: Array):
        """Return the variance."""
        points = coordinate_of(supp, self.coordinate)
        return probs @ (points - probs @ points) ** 2

    def truth(self, process: Process) -> Float[Array, "..."]:
        """Return the true variance."""
        return self.margin(process).variance()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Share(OfCoordinate):
    """The share Pr(v > c) of the unobservable above a number.

    Smooth in the masses alone: where an atom of F is near c it may be on either side,
    and no interval by the delta method knows.

    Attributes:
        above: The number c.
    """

    above: float = 0.0

    def value(self, model: Any, supp: Any, probs: Array):
        """Return the mass above c."""
        return probs @ (coordinate_of(supp, self.coordinate) > self.above)

    def truth(self, process: Process) -> Float[Array, "..."]:
        """Return one less the distribution function at c."""
        margin = self.margin(process)
        return 1.0 - margin.cdf(jnp.array([float(self.above)]))[0]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Quantile(OfCoordinate):
    """The least v with Pr(V <= v) of `level` or more.

    It is an atom of the fitted F, and has an interval where that atom moves: not where
    F is on a fixed grid.

    Attributes:
        level: Between 0 and 1.
    """

    level: float = 0.5

    def __post_init__(self):
        """Refuse a level that is none."""
        super().__post_init__()
        if not 0 < self.level < 1:
            raise ValueError(f"level={self.level}: give a share, such as 0.5.")

    def value(self, model: Any, supp: Any, probs: Array) -> Float[Array, ""]:
        """Return the quantile."""
        points = coordinate_of(supp, self.coordinate)
        order = jnp.argsort(points)
        reached = jnp.cumsum(probs[order]) >= self.level - _ROUNDING
        return points[order][jnp.argmax(reached)]

    def truth(self, process: Process) -> Float[Array, "..."]:
        """Return the true quantile."""
        return self.margin(process).quantile(jnp.array([float(self.level)]))[0]


_ROUNDING = 1e-12
"""Masses that sum to a level up to this reach it."""
