"""Recognise degenerate maxima: F that reproduces single observations."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Real

from spmlex._inner.mixture import scale_rows
from spmlex._inner.weights import weighted_median
from spmlex._programs.compile import on_host
from spmlex._words.types import AnyArray, LogCondLik, Scalar, Weights

MIN_RESOLUTION = 0.6
"""Kernel widths below this many grid steps: F follows single observations."""

MAX_GRID_SHARE = 0.6
"""A larger share of the grid with positive mass is the other mark of degeneracy."""

MAX_RIPPLE = 0.5
"""Nats: a log-likelihood that ripples by more has maxima a standard error apart."""

_NARROW = 1.5
_CROWDED = 0.4
"""Kernels and share of the grid that are a mark only together."""

_LINE = 3
"""Points on a line of a grid from which on they have a spacing."""

_MIN_ATOMS = 8
_MIN_CROWD = 12
"""Fewer support points with positive mass are no crowd, on however coarse a grid."""


def grid_resolution(
    lclk: LogCondLik,
    weights: Weights,
    rows: Float[Array, "n_supp d"],
    numbers: tuple[bool, ...] | None = None,
) -> Scalar:
    """Return the median width of `v -> G(w_i, v)` in grid steps.

    For a normal kernel of standard deviation s on a uniform grid with spacing h the
    effective number of points `(sum_j A_ij)² / sum_j A_ij²` is `2 sqrt(pi) s / h`; the
    width returned is s / h. Infinite for a single point, which makes no grid. In
    several dimensions that of the coordinate in which it is least, along the line of
    grid points through each observation's likeliest one; where a grid has no lines of
    three points and more, that of a dimension on average.

    Args:
        lclk: Log conditional likelihoods.
        weights: Observation weights.
        rows: The support points.
        numbers: Which coordinates are numbers, not labels; by default all.
    """
    return width_in_steps(scale_rows(lclk)[0], weights, rows, numbers)


def width_in_steps(
    scaled: LogCondLik,
    weights: Weights,
    rows: Float[Array, "n_supp d"],
    numbers: tuple[bool, ...] | None = None,
) -> Scalar:
    """Return `grid_resolution` from the likelihoods, each row in any unit."""
    if rows.shape[0] == 1:
        return jnp.array(jnp.inf)
    return median_width(effective_points(scaled, rows, numbers), weights)


def effective_points(
    scaled: LogCondLik,
    rows: Float[Array, "n_supp d"],
    numbers: tuple[bool, ...] | None = None,
) -> Float[Array, "n_obs k"]:
    """Return how many points of the grid each observation sees.

    Along each coordinate that is a number, infinite where its line has too few points,
    and in the last column on average over the dimensions.
    """
    n_supp, dimension = rows.shape

    def count_points(some: Float[Array, "n_obs k"]) -> Float[Array, " n_obs"]:
        # As products, so that the exponentials are computed once for both sums.
        total = some @ jnp.ones(n_supp)
        square = jnp.einsum("ij,ij->i", some, some)
        return total**2 / square

    if dimension == 1:
        return count_points(scaled)[:, None]
    best = jnp.argmax(scaled, axis=1)
    same = [rows[best, k][:, None] == rows[:, k] for k in range(dimension)]
    counted: list[Array] = []
    for k in range(dimension):
        if numbers is not None and not numbers[k]:
            continue
        line = jnp.ones(scaled.shape, bool)
        for other in range(dimension):
            line = line & (same[other] if other != k else True)
        along = count_points(jnp.where(line, scaled, 0.0))
        counted.append(jnp.where(jnp.sum(line, axis=1) >= _LINE, along, jnp.inf))
    counted.append(count_points(scaled) ** (1.0 / dimension))
    return jnp.stack(counted, axis=1)


def median_width(points: Float[Array, "n_obs k"], weights: Weights) -> Scalar:
    """Return the median width in grid steps, of the points observations see."""

    def width(effective: Float[Array, " n_obs"]) -> Scalar:
        return weighted_median(effective, weights) / (2.0 * jnp.sqrt(jnp.pi))

    least = jnp.array(jnp.inf)
    for k in range(points.shape[1] - 1):
        least = jnp.minimum(least, width(points[:, k]))
    return jnp.where(jnp.isfinite(least), least, width(points[:, -1]))


def grid_ripple(resolution: Scalar, n_obs: int | Scalar | Int[Array, ""]) -> Scalar:
    """Return how much the log-likelihood can ripple with the spacing, in nats.

    An atom half-way between two points of spacing h is represented by both, with a
    variance larger by h²/4; a normal kernel of standard deviation s then loses
    `(h / s)⁴ / 64` an observation. As theta moves, atoms move past the points of the
    grid, and the profile log-likelihood of all observations rises and falls by up to n
    times that: by more than half a nat, and it has local maxima a standard error apart.

    Args:
        resolution: s / h, infinite without a grid.
        n_obs: Number of observations.
    """
    return _ripple(resolution, n_obs)


@on_host
def _ripple(_: Any, resolution: Float[AnyArray, ""], n_obs: Real[AnyArray, ""]) -> Any:
    return n_obs / (64.0 * resolution**4)


def is_degenerate(
    probs: Float[Array, " n_supp *n_groups"], resolution: Scalar
) -> Bool[Array, ""]:
    """Tell whether F on a grid reproduces single observations; see `Fit.flagged`.

    Args:
        probs: Mixing probabilities, a column for each group where there are.
        resolution: Width of the kernels in grid steps; infinite without a grid.
    """
    return (resolution < MIN_RESOLUTION) | is_crowded(probs, resolution)


def is_crowded(
    probs: Float[Array, " n_supp *n_groups"], resolution: Scalar
) -> Bool[Array, ""]:
    """Tell whether much of the grid has mass: the mark that free support has too."""
    n_supp = probs.shape[0]
    largest = jnp.max(jnp.sum(probs > 0, axis=0))
    crowded = largest > max(MAX_GRID_SHARE * n_supp, _MIN_ATOMS)
    rather_crowded = largest > max(_CROWDED * n_supp, _MIN_CROWD)
    both = rather_crowded & (resolution < _NARROW)
    on_grid = jnp.isfinite(resolution)
    return on_grid & (crowded | both)
