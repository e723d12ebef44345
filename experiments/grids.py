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


Grid = Uniform | Points
