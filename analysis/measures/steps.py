"""Many fitted distributions at once, on plain arrays: one a row, a step function each.

A row has masses on points, which may be in any order and padded with missing values.
"""

from collections.abc import Callable, Iterator

import numpy as np
from jaxtyping import Bool, Float, Int

Rows = Float[np.ndarray, "rows point"]
Grid = Float[np.ndarray, " grid"]


def apply_by_rows(
    kernel: Callable[..., np.ndarray],
    probs: np.ndarray,
    supp: np.ndarray,
    *grids: Grid,
) -> np.ndarray:
    """Apply a kernel to chunks of distributions, one a row, to bound the memory."""
    shape = probs.shape[:-1]
    probs, supp = np.broadcast_arrays(probs, supp)
    probs = probs.reshape(-1, probs.shape[-1])
    supp = supp.reshape(-1, supp.shape[-1])
    step = max(1, 2_000_000 // grids[0].size)
    chunks = [
        kernel(probs[i : i + step], supp[i : i + step], *grids)
        # Once at least: without rows the result still has its columns.
        for i in range(0, max(1, len(probs)), step)
    ]
    found = np.concatenate(chunks)
    return found.reshape(*shape, found.shape[-1])


def evaluate(probs: Rows, supp: Rows, at: Grid) -> Float[np.ndarray, "rows grid"]:
    """Add up the mass at or below every grid value; missing without any mass."""
    cells = at.size + 1  # the last one holds what lies above the grid
    known = np.isfinite(probs) & np.isfinite(supp)
    first = np.searchsorted(at, np.where(known, supp, np.inf), side="left")
    # One count for all: every row has bins of its own.
    rows: Int[np.ndarray, "rows 1"] = np.arange(len(probs))[:, None]
    mass = np.bincount(
        (first + rows * cells).ravel(),
        weights=np.where(known, probs, 0.0).ravel(),
        minlength=len(probs) * cells,
    )
    cdf = np.cumsum(mass.reshape(len(probs), cells)[:, :-1], axis=1)
    return np.where(known.any(1, keepdims=True), cdf, np.nan)


def measure_distances(
    probs: Rows, supp: Rows, at: Grid, truth: Grid
) -> Float[np.ndarray, "rows 3"]:
    """Add up the distances over the steps of every fitted cdf.

    A step goes from one point with positive mass to the next. Along it the fitted cdf
    is constant and the truth rises, so that sums over grid cells, kept once and for
    all, give each integral: |D| changes sign where the truth passes the fitted value.
    """
    known = np.isfinite(probs) & np.isfinite(supp)
    mass, place = np.where(known, probs, 0.0), np.where(known, supp, np.inf)
    # Mostly they are in order, and to look takes less than to sort.
    if (place[:, 1:] < place[:, :-1]).any():
        order = np.argsort(place, axis=1)
        mass, place = (np.take_along_axis(x, order, axis=1) for x in (mass, place))
    # Before the first point with positive mass there is a step of height zero.
    left: Float[np.ndarray, "rows 1"] = np.zeros((len(mass), 1))
    level = np.concatenate([left, np.cumsum(mass, axis=1)], axis=1)
    # From here on flat: rows have different numbers of steps, one after the other.
    keep = np.concatenate([left == 0, mass > 0], axis=1)
    height = level[keep]
    start = np.concatenate([left - np.inf, place], axis=1)[keep]
    first = np.flatnonzero(np.isneginf(start))  # of every row
    last = np.append(first[1:], start.size) - 1

    def next_of(values: np.ndarray, end: float | int) -> np.ndarray:
        following = np.append(values[1:], end)
        following[last] = end
        return following

    stop = next_of(start, np.inf)
    width, middle = np.diff(at), (truth[:-1] + truth[1:]) / 2
    # A cell of the grid belongs to the step that holds its middle.
    a = np.searchsorted(at[:-1] + width / 2, start)
    b = next_of(a, width.size)
    # From this cell on the truth is above the fitted value.
    cross = np.clip(np.searchsorted(middle, height), a, b)
    # Integrals up to every cell: over a step each is a difference of two of them.
    zeroth, one, two = (
        np.append(0.0, np.cumsum(width * middle**power)) for power in (0, 1, 2)
    )
    area = height * (2 * zeroth[cross] - zeroth[a] - zeroth[b])
    area += one[a] + one[b] - 2 * one[cross]
    square = height**2 * (zeroth[b] - zeroth[a]) + two[b] - two[a]
    square -= 2 * height * (one[b] - one[a])
    # The truth rises along a step: |D| is largest at its first or last grid point.
    i = np.searchsorted(at, start)
    j = next_of(i, at.size)
    ends = np.stack([truth[np.minimum(i, at.size - 1)], truth[j - 1]])
    largest = np.where(i < j, abs(height - ends).max(axis=0), 0.0)
    for beyond, value, reach in _list_ends(start, stop, at, truth):
        apart = abs(height[beyond] - value)
        area[beyond] += apart * reach[beyond]
        square[beyond] += apart**2 * reach[beyond]
        largest[beyond] = np.maximum(largest[beyond], apart)
    found = np.stack(
        [
            np.add.reduceat(area, first),
            np.maximum.reduceat(largest, first),
            # A difference of sums, which rounding may leave below zero.
            np.maximum(np.add.reduceat(square, first), 0.0),
        ],
        axis=1,
    )
    return np.where(known.any(1, keepdims=True), found, np.nan)


def _list_ends(
    start: Float[np.ndarray, " step"],
    stop: Float[np.ndarray, " step"],
    at: Grid,
    truth: Grid,
) -> Iterator[tuple[Bool[np.ndarray, " step"], float, Float[np.ndarray, " step"]]]:
    """Yield which steps reach beyond an end of the grid, the truth there, and how far.

    Beyond its grid the truth is constant.
    """
    low, high = (start < at[0]) & (start > -np.inf), (stop > at[-1]) & (stop < np.inf)
    yield low, float(truth[0]), np.minimum(stop, at[0]) - start
    yield high, float(truth[-1]), stop - np.maximum(start, at[-1])
