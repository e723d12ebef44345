"""Support grids of a study: objects that make the grid for a number of points.

Each has a trial grid as well, for estimators that only have to know where the latent
variable may lie.
"""

import dataclasses
from typing import Any

import jax.numpy as jnp
import jax.scipy as jsp
import numpy as np
from jaxtyping import Array, Float

import spmlex

_TRIAL_POINTS = 101
_TRIAL_POINTS_IN_BOX = 225


@dataclasses.dataclass(frozen=True)
class _Line:
    """What grids on an interval share."""

    low: int | float
    high: int | float

    def __post_init__(self):
        """Refuse a range that is empty or not finite."""
        if not -np.inf < self.low < self.high < np.inf:
            raise ValueError(
                f"low={self.low}, high={self.high} give no increasing grid: "
                "choose finite numbers with low < high."
            )

    def make(self, n_supp: int) -> np.ndarray:
        """Return the grid of n_supp points; one point lies in the middle."""
        if n_supp == 1:
            return np.array([0.5 * (self.low + self.high)])
        return np.linspace(self.low, self.high, n_supp)

    def trial(self) -> np.ndarray:
        """Return points that fill the range, whatever the study's numbers of points."""
        return self.make(_TRIAL_POINTS)


@dataclasses.dataclass(frozen=True)
class Uniform(_Line):
    """Equally spaced points from `low` to `high`, both included.

    Attributes:
        shift: All points are moved by so many steps: 0.5 puts them half-way between
            those of the grid that is not moved.
        label: How tables and figures call the grid.
    """

    shift: int | float = 0.0
    label: str = ""

    def make(self, n_supp: int) -> np.ndarray:
        """Return the grid of n_supp points; one point lies in the middle."""
        points = _Line.make(self, n_supp)
        return points + self.shift * (self.high - self.low) / max(n_supp - 1, 1)


@dataclasses.dataclass(frozen=True)
class Bell(_Line):
    """Points from `low` to `high` that lie as densely as a normal distribution.

    Attributes:
        loc: Mean of the normal distribution.
        scale: Its standard deviation.
        label: How tables and figures call the grid.
    """

    loc: int | float
    scale: int | float
    label: str = ""

    def make(self, n_supp: int) -> np.ndarray:
        """Return n_supp quantiles, at even levels from that of `low` on."""
        if not self.scale > 0:
            raise ValueError(f"scale={self.scale}: give a positive number.")
        ends = (np.array([self.low, self.high]) - self.loc) / self.scale
        first, last = np.asarray(jsp.special.ndtr(ends))
        levels = np.linspace(first, last, n_supp)
        return self.loc + self.scale * np.asarray(jsp.special.ndtri(levels))


@dataclasses.dataclass(frozen=True)
class DataRange(_Line):
    """Equally spaced points over the range in which the data put the latent variable.

    From the least to the largest point of greatest likelihood of an observation, at the
    model's starting values, and a margin beyond. At that theta a maximum likelihood F
    has no mass outside the range of these points (Lindsay 1983). `low` and `high` are
    limits: where the data lie beyond, the grid ends there, and the mass on its ends
    (`edge_mass`) says so. Keep them wide.

    Attributes:
        margin: How far the grid goes beyond these points, as a share of their range.
        label: How tables and figures call the grid.
    """

    margin: int | float = 0.1
    label: str = ""

    def adapt(
        self, start: Any, data: Any, supp: Float[Array, " n_supp"]
    ) -> Float[Array, " n_supp"]:
        """Return a grid of as many points, given the model at its starting values."""
        at = spmlex.most_likely_points(start, data, jnp.asarray(self.trial()))
        first, last = jnp.min(at), jnp.max(at)
        beyond = self.margin * (last - first)
        return jnp.linspace(
            jnp.maximum(first - beyond, self.low),
            jnp.minimum(last + beyond, self.high),
            supp.shape[0],
        )


@dataclasses.dataclass(frozen=True)
class Points:
    """The points given, in increasing order; `n_supp` has to be their number."""

    points: list[int | float]
    label: str = ""

    def __post_init__(self):
        """Refuse an empty, unsorted or duplicated grid."""
        points = np.asarray(self.points, dtype=float)
        if points.size == 0:
            raise ValueError("points=[] is an empty grid: give at least one number.")
        if points.ndim != 1 or not np.isfinite(points).all():
            raise ValueError(f"points={self.points}: give one list of finite numbers.")
        if len(np.unique(points)) < points.size:
            raise ValueError(f"points={self.points} holds a point twice: drop one.")
        if not (np.diff(points) > 0).all():
            raise ValueError(
                f"points={self.points} is unsorted: write {sorted(self.points)}."
            )

    def make(self, n_supp: int) -> np.ndarray:
        """Return the points."""
        if n_supp != len(self.points):
            raise ValueError(
                f"the grid has {len(self.points)} points, n_supp asks for {n_supp}: "
                f"set n_supp=[{len(self.points)}]."
            )
        return self.trial()

    def trial(self) -> np.ndarray:
        """Return the points."""
        return np.asarray(self.points, dtype=float)


@dataclasses.dataclass(frozen=True)
class Product:
    """Every combination of equally spaced points in several coordinates.

    Attributes:
        low: Lower end of each coordinate.
        high: Upper end of each coordinate.
        sizes: Number of points along each coordinate; None: the same along all, so
            that `n_supp` has to be a square, a cube and so on.
        label: How tables and figures call the grid.
    """

    low: list[int | float]
    high: list[int | float]
    sizes: list[int] | None = None
    label: str = ""

    def __post_init__(self):
        """Refuse lists that don't belong together, and empty ranges."""
        lengths = {len(x) for x in (self.low, self.high, self.sizes) if x is not None}
        if len(lengths) != 1 or min(lengths) < 2:
            raise ValueError(
                f"low={self.low}, high={self.high}, sizes={self.sizes}: give lists of "
                "one length, two or more, with an entry for each coordinate."
            )
        if self.sizes is not None and min(self.sizes) < 1:
            raise ValueError(f"sizes={self.sizes}: give 1 or more for each coordinate.")
        self._axes()

    def make(self, n_supp: int) -> np.ndarray:
        """Return n_supp points, (n_supp, d), the last coordinate fastest."""
        sizes = self.sizes or [self._root(n_supp)] * len(self.low)
        if int(np.prod(sizes)) != n_supp:
            raise ValueError(
                f"sizes={sizes} make {int(np.prod(sizes))} points, n_supp asks for "
                f"{n_supp}: set n_supp=[{int(np.prod(sizes))}]."
            )
        axes = [axis.make(size) for axis, size in zip(self._axes(), sizes, strict=True)]
        return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(n_supp, -1)

    def trial(self) -> np.ndarray:
        """Return points that fill the box, whatever the study's numbers of points."""
        along = round(_TRIAL_POINTS_IN_BOX ** (1 / len(self.low)))
        return dataclasses.replace(self, sizes=None).make(along ** len(self.low))

    def _axes(self) -> list[Uniform]:
        return [Uniform(*ends) for ends in zip(self.low, self.high, strict=True)]

    def _root(self, n_supp: int) -> int:
        """Return the number of points along each coordinate."""
        size = len(self.low)
        # Rounded, since 64 ** (1 / 3) is a little below 4.
        root = round(n_supp ** (1 / size))
        if root**size != n_supp:
            near = sorted(
                {max(1, int(n_supp ** (1 / size)) + k) ** size for k in (0, 1)}
            )
            raise ValueError(
                f"n_supp={n_supp} points can't be shared equally by {size} "
                f"coordinates: take {' or '.join(map(str, near))}, or give sizes."
            )
        return root


Grid = Uniform | Bell | DataRange | Points | Product
