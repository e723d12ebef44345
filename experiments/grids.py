"""Support grids of a study: objects that make the grid for a number of points."""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Uniform:
    """Equally spaced points from `low` to `high`, both included."""

    low: int | float
    high: int | float
    label: str = ""

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

    def _axes(self) -> list[Uniform]:
        return [Uniform(*ends) for ends in zip(self.low, self.high, strict=True)]

    def _root(self, n_supp: int) -> int:
        """Return the number of points along each coordinate."""
        size = len(self.low)
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


Grid = Uniform | Points | Product
