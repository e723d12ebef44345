"""How support grids are made.

A grid should cover the range where the observations put the latent variable
(`data_range`) with a spacing below the width of the kernels `v -> G(w_i, v)`: about a
third of it where noise scales are known. Where they are free a finer grid is no
improvement, see `spmlex/README.md`. `adequacy` judges the result.
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from spmlex._programs.compile import compile_together
from spmlex._support.continuum import make_box
from spmlex._words.arguments import read_floats, read_number
from spmlex._words.inputs import conditional_likelihoods, read_inputs
from spmlex._words.types import Data, LogCondLik, Model, Point, Support

_Values = Array | np.ndarray

_PRIMES = (2, 3, 5, 7, 11, 13, 17, 19)


def uniform_grid(low: float | int, high: float | int, n: int) -> Float[Array, " n"]:
    """Return n equally spaced points from `low` to `high`, both included.

    Raises:
        ValueError: The range is empty or not finite, or n is below two.

    Examples:
        >>> uniform_grid(-1.0, 1.0, 3).tolist()
        [-1.0, 0.0, 1.0]
    """
    _check_count(n, 2)
    read_number("low", low, "-3.0")
    read_number("high", high, "3.0")
    make_box(low, high)
    return jnp.linspace(low, high, n, dtype=jnp.float64)


def quantile_grid(
    values: Float[_Values, " n_values"],
    n: int,
    *,
    weights: Float[_Values, " n_values"] | None = None,
) -> Float[Array, " n"]:
    """Return n points at equally spaced quantiles of a pilot distribution.

    The least and the largest value are included. Between the midpoints of the steps of
    the distribution function the quantile function is interpolated linearly.

    Args:
        values: Draws or support points of the pilot distribution of the latent, or
            what `most_likely_points` returns.
        n: Number of points.
        weights: Probabilities of `values`; equal by default.

    Raises:
        ValueError: The values are not finite, or have fewer than two distinct ones.

    Examples:
        >>> quantile_grid(jnp.array([0.0, 1.0, 2.0, 6.0]), 3).tolist()
        [0.0, 1.5, 6.0]
    """
    _check_count(n, 2)
    points = np.asarray(read_floats("values", values, "np.arange(5.0)")).ravel()
    mass = np.ones(points.size)
    if weights is not None:
        mass = np.asarray(read_floats("weights", weights, "np.ones(5)"))
    if mass.shape != points.shape or not (mass >= 0).all() or not mass.sum() > 0:
        raise ValueError(
            f"weights has shape {mass.shape} for {points.size} values; give one "
            "nonnegative weight for each value, not all zero."
        )
    if not np.isfinite(points).all():
        raise ValueError(
            "values holds nan or infinite entries; drop them, or locate the "
            "observations on a bounded grid with `most_likely_points`."
        )
    distinct, position = np.unique(points[mass > 0], return_inverse=True)
    if distinct.size < 2:
        raise ValueError(
            f"values has {distinct.size} distinct value with weight, which has no "
            "quantiles to place points at. Use `uniform_grid` over a range instead."
        )
    mass = np.bincount(position, weights=mass[mass > 0])
    # At the middle of each step, so that ties and weights change nothing but heights.
    middle = np.cumsum(mass) - 0.5 * mass
    level = (middle - middle[0]) / (middle[-1] - middle[0])
    return jnp.asarray(np.interp(np.linspace(0.0, 1.0, n), level, distinct))


def product_grid(*axes: Any) -> Support:
    """Return every combination of the points of several axes, the last one fastest.

    Args:
        axes: One grid for each coordinate of the latent; or a dictionary of them, for a
            dictionary of coordinates.

    Returns:
        A matrix (n, d), or a dictionary of vectors (n,).

    Raises:
        ValueError: No axis is given, or one is not a vector.

    Examples:
        >>> product_grid(jnp.array([0.0, 1.0]), jnp.array([5.0, 6.0])).tolist()
        [[0.0, 5.0], [0.0, 6.0], [1.0, 5.0], [1.0, 6.0]]
        >>> product_grid({"level": jnp.zeros(3), "slope": jnp.ones(4)})["slope"].shape
        (12,)
    """
    if len(axes) == 1 and isinstance(axes[0], Mapping):
        points = product_grid(*axes[0].values())
        return dict(zip(axes[0], points.T, strict=True))
    if not axes or any(np.ndim(axis) != 1 or np.size(axis) == 0 for axis in axes):
        shapes = ", ".join(str(np.shape(axis)) for axis in axes)
        raise ValueError(
            f"axes have shapes ({shapes}); give one nonempty vector for each "
            "coordinate, such as uniform_grid(-3, 3, 20)."
        )
    columns = [read_floats("axes", axis, "np.linspace(-3, 3, 20)") for axis in axes]
    mesh = jnp.meshgrid(*columns, indexing="ij")
    return jnp.stack([column.ravel() for column in mesh], axis=1)


def halton_grid(
    low: Point,
    high: Point,
    n: int,
) -> Support:
    """Return n points that fill a box evenly in several dimensions.

    The Halton sequence (Halton 1960) in the first d primes, without its first point,
    which is a corner. Needs far fewer points than a product grid of the same fineness
    from three dimensions on.

    Args:
        low: Least value of every coordinate; or a dictionary of them, for a dictionary
            of coordinates.
        high: Largest value of every coordinate, in the same form.
        n: Number of points.

    Returns:
        A matrix (n, d), or a dictionary of vectors (n,).

    Raises:
        ValueError: The box is empty, or has more than eight dimensions.

    Examples:
        >>> halton_grid(jnp.zeros(2), jnp.ones(2), 100).shape
        (100, 2)
    """
    _check_count(n, 1)
    if isinstance(low, Mapping):
        box = make_box(dict(low), high)
    else:
        ends = read_floats("low", low, "np.zeros(2)"), read_floats("high", high, "1.0")
        box = make_box(*(jnp.atleast_1d(end).ravel() for end in ends))
    size = box.low.size
    if size > len(_PRIMES):
        raise ValueError(
            f"low has {size} coordinates; the Halton sequence is even in at most "
            f"{len(_PRIMES)}. Give the latent fewer dimensions."
        )
    unit = np.stack([_radical_inverse(n, base) for base in _PRIMES[:size]], axis=1)
    return box.to_supp(box.low + jnp.asarray(unit) * (box.high - box.low))


def _radical_inverse(n: int, base: int) -> np.ndarray:
    """Mirror the digits of 1..n at the point."""
    rest = np.arange(1, n + 1)
    value, unit = np.zeros(n), 1.0
    while rest.any():
        unit /= base
        rest, digit = np.divmod(rest, base)
        value += unit * digit
    return value


def most_likely_points(model: Model, data: Data, supp: Support) -> Support:
    """Return for each observation the point at which it is most likely.

    Args:
        model: The model at a value of theta.
        data: A pytree of arrays with leading axis n_obs.
        supp: A wide trial grid.

    Returns:
        Support points, one an observation, in the form of `supp`. Where F is known
        `posterior` says more.

    Examples:
        >>> most_likely_points(model0, data, supp).shape
        (60,)
    """
    model, data, supp = read_inputs(model, data, supp)
    return _locate(model, data, supp)


@compile_together
def _locate(model: Model, data: Data, supp: Support) -> Support:
    best = jnp.argmax(conditional_likelihoods(model, data, supp), axis=1)
    return jax.tree.map(lambda leaf: leaf[best], supp)


@compile_together
def _evaluate(model: Model, data: Data, supp: Support) -> LogCondLik:
    return conditional_likelihoods(model, data, supp)


def data_range(
    model: Model,
    data: Data,
    low: Point,
    high: Point,
    *,
    n_trial: int = 400,
    widths: float = 3.0,
) -> tuple[Point, Point]:
    """Return the range in which the observations put the latent.

    From the least to the largest point of greatest likelihood of an observation,
    extended by some kernel widths. At this theta, and where the kernels have one peak,
    no maximum likelihood F has positive mass outside the range of these points: beyond
    it every kernel falls (Lindsay 1983). The extension leaves room for theta to move.

    Args:
        model: The model at a value of theta, such as a start.
        data: A pytree of arrays with leading axis n_obs.
        low: Lower end of a wide trial range: a number, or one for each coordinate, in
            an array or a dictionary.
        high: Upper end.
        n_trial: Points of the trial grid, over all dimensions.
        widths: Kernel widths to extend by; the width is the median over observations of
            the standard deviation of `v -> G(w_i, v)`.

    Returns:
        Lower and upper end, within the trial range and in its form.

    Raises:
        ValueError: The trial range is empty.

    Examples:
        >>> low, high = data_range(model0, data, -20.0, 20.0)
        >>> -20.0 < low < high < 20.0
        True
    """
    _check_count(n_trial, 2, "n_trial")
    widths = float(read_number("widths", widths, "3.0"))
    box = make_box(low, high)
    size = box.low.size
    # As many along each axis: the product is what the user asked for.
    count = max(2, round(n_trial ** (1.0 / size)))
    least, most = np.asarray(box.low), np.asarray(box.high)
    axes = [np.linspace(least[k], most[k], count) for k in range(size)]
    points = product_grid(*axes)
    lclk = np.asarray(_evaluate(*read_inputs(model, data, box.to_supp(points))))
    points = np.asarray(points)
    located = points[np.argmax(lclk, axis=1)]
    # Each kernel scaled by its own peak, as a distribution over the trial points.
    shares = np.exp(lclk - np.max(lclk, axis=1, keepdims=True))
    shares /= np.sum(shares, axis=1, keepdims=True)
    # A kernel between two trial points is about as wide as their spacing.
    spacing = (most - least) / (count - 1)
    spread = np.maximum(shares @ points**2 - (shares @ points) ** 2, 0.0)
    width = np.median(np.sqrt(spread + spacing**2 / 12.0), axis=0)
    first = np.maximum(np.min(located, axis=0) - widths * width, least)
    last = np.minimum(np.max(located, axis=0) + widths * width, most)
    ends = (box.unravel(jnp.asarray(end)) for end in (first, last))
    low, high = (
        jax.tree.map(lambda x: x if jnp.ndim(x) else float(x), end) for end in ends
    )
    return low, high


def _check_count(n: int, least: int, name: str = "n") -> None:
    whole = isinstance(n, int | np.integer) and not isinstance(n, bool)
    if not whole or n < least:
        raise ValueError(
            f"{name}={n!r} points make no grid; give an integer >= {least}."
        )
