"""The continuum of support points: a box, and the gradient function on it.

Points of the box are rows of a matrix `(k, d)` here, whatever the model calls a support
point: a number, a vector or a pytree. With `log_ratio_i = log w_i - log l_i` the
gradient function of equation (3) at any point v is `g(v) = sum_i exp(log_ratio_i +
lclk_i(v))`; a column of `lclk` depends on its own point only, so one forward pass
differentiates all points at once.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Bool, Float

from spmlex._inner.mixture import log_mixture
from spmlex._programs.compile import compile_together
from spmlex._programs.rows import Blocks
from spmlex._words.arguments import read_floats
from spmlex._words.inputs import cast_to_float64, conditional_likelihoods
from spmlex._words.types import Data, Model, Point, Probs, Support, Weights

FINE = 2
"""In more dimensions a grid has too few points in each to be finer than atoms lie."""

# Newton's method takes a handful; the rest is for seeds far from a maximum.
_MAX_STEPS = 80


class Box(eqx.Module):
    """A range of support points.

    Attributes:
        low: Least value of every coordinate.
        high: Largest value of every coordinate.
        unravel: Turns a row of coordinates into one support point.
    """

    low: Float[Array, " d"]
    high: Float[Array, " d"]
    unravel: Any = eqx.field(static=True)

    def to_supp(self, points: Float[Array, "k d"]) -> Support:
        """Return rows of coordinates as the support a model expects."""
        return jax.vmap(self.unravel)(points)


def make_box(low: Point, high: Point) -> Box:
    """Return the box between two support points.

    Args:
        low: The least support point: a number, a vector or a pytree.
        high: The largest, of the same structure.

    Raises:
        ValueError: The two do not fit together, or the range is empty or not finite.
    """
    first, unravel = ravel_pytree(_as_floats("low", low))
    last, _ = ravel_pytree(_as_floats("high", high))
    if jax.tree.structure(low) != jax.tree.structure(high) or first.shape != last.shape:
        raise ValueError(
            f"low={low} and high={high} have {first.size} and {last.size} coordinates; "
            "give both in the form of one support point."
        )
    ends = np.asarray(first), np.asarray(last)
    if not (np.isfinite(ends).all() and (ends[0] < ends[1]).all()):
        raise ValueError(
            f"low={low}, high={high} is not a range: give finite numbers with low < "
            "high in every coordinate."
        )
    return Box(first, last, unravel)


def box_of(supp: Support) -> tuple[Box, Float[Array, "n_supp d"]]:
    """Return the range of a grid, and its points as rows.

    Raises:
        ValueError: The grid has no extension in some coordinate.
    """
    supp = cast_to_float64(supp)
    low, high = (
        jax.tree.map(lambda leaf, pick=pick: pick(leaf, axis=0), supp)
        for pick in (jnp.min, jnp.max)
    )
    return make_box(low, high), rows_of(supp)


def range_of(supp: Support) -> tuple[Box, Float[Array, "n_supp d"]]:
    """Return the range of a grid and its points as rows, unchecked, under `jit` too."""
    supp = cast_to_float64(supp)
    rows, low, high = _ends_of(supp)
    point = jax.tree.map(lambda leaf: np.zeros(leaf.shape[1:], leaf.dtype), supp)
    return Box(low, high, ravel_pytree(point)[1]), rows


@compile_together
def _ends_of(supp: Support):
    """Return the points of a grid as rows, and their least and largest coordinates."""
    rows = rows_of(supp)
    return rows, jnp.min(rows, axis=0), jnp.max(rows, axis=0)


@compile_together
def rows_of(supp: Support) -> Float[Array, "n_supp d"]:
    """Return support points as rows of coordinates."""
    rows = jax.vmap(lambda point: ravel_pytree(point)[0])(cast_to_float64(supp))
    return rows.astype(float)  # whole numbers alone stay whole numbers


def coordinates(supp: Support) -> list[tuple[str, bool]]:
    """Return the name of each coordinate, and whether it is a number that can move.

    Whole numbers are labels, of types for example. The name is the expression for it,
    empty for the only one of a vector.
    """
    found = []
    for path, leaf in jax.tree_util.tree_leaves_with_path(supp):
        stem = "supp" + jax.tree_util.keystr(path)
        is_number = bool(jnp.issubdtype(leaf.dtype, jnp.floating))
        for index in np.ndindex(*jnp.shape(leaf)[1:]):
            inner = ",".join([":", *map(str, index)])
            found.append((f"{stem}[{inner}]" if index else stem, is_number))
    return [("", found[0][1])] if len(found) == 1 else found


def _as_floats(name: str, point: Point) -> Point:
    return jax.tree.map(
        lambda leaf: read_floats(name, leaf, "-3.0"),
        point,
        is_leaf=lambda leaf: leaf is None or isinstance(leaf, list),
    )


def log_ratios(
    model: Model, data: Data, supp: Support, probs: Probs, weights: Weights
) -> Float[Array, " n_obs"]:
    """Return `log w_i - log l_i` at a mixing distribution; `-inf` without weight."""
    terms = log_mixture(conditional_likelihoods(model, data, supp), probs)
    return jnp.where(weights > 0, jnp.log(weights) - terms, -jnp.inf)


def log_gradient(
    model: Model,
    data: Data | Blocks,
    box: Box,
    log_ratio: Float[Array, " n_obs"] | None,
    points: Float[Array, "k d"],
) -> Float[Array, " k"]:
    """Return `log g` at points of the box. Equation (3).

    With blocks, whose data are pairs of data and `log_ratio`, there is no other one.
    """
    if isinstance(data, Blocks):

        def measure(pair: tuple[Data, Array], _: Weights) -> Float[Array, " k"]:
            lclk = conditional_likelihoods(model, pair[0], box.to_supp(points))
            return jnp.sum(jnp.exp(pair[1][:, None] + lclk), axis=0)

        return jnp.log(data.add_up(measure))
    assert log_ratio is not None
    lclk = conditional_likelihoods(model, data, box.to_supp(points))
    terms = log_ratio[:, None] + lclk
    largest = jnp.max(jax.lax.stop_gradient(terms), axis=0)
    largest = jnp.where(jnp.isfinite(largest), largest, 0.0)
    # As a product: XLA compiles no code for one, and much for the sum of a column.
    return jnp.log(jnp.ones(len(terms)) @ jnp.exp(terms - largest)) + largest


class _Slopes(NamedTuple):
    """Derivatives of `log g` at some points, and its values: what `jax.jvp` returns."""

    gradient: Float[Array, "k d"]
    hessian: Float[Array, "k d d"]
    value: Float[Array, " k"]


@eqx.filter_jit
def maximise_gradient(
    model: Model,
    data: Data | Blocks,
    box: Box,
    log_ratio: Float[Array, " n_obs"] | None,
    seeds: Float[Array, "k d"],
    reach: Float[Array, " d"],
) -> tuple[Float[Array, "k d"], Float[Array, " k"]]:
    """Climb from each seed to a local maximum of `log g` in the box.

    Newton's method on `|Hessian|` with a bound on the step that shrinks when a step
    fails; coordinates on the edge that want to leave are held there.

    Args:
        model: Gives `lclk`.
        data: Passed to `lclk`; or blocks of pairs of data and `log_ratio`.
        box: Where to search.
        log_ratio: From `log_ratios`; `None` with blocks.
        seeds: Where to start.
        reach: Longest first step in every coordinate, such as the spacing of a grid.

    Returns:
        The maxima and `log g` there.
    """
    directions = jnp.eye(seeds.shape[1])

    def values_at(points: Array) -> Array:
        return log_gradient(model, data, box, log_ratio, points)

    def climb(state: Any) -> Any:
        points, here, radius, _, count = state
        leaving = ((points <= box.low) & (here.gradient < 0)) | (
            (points >= box.high) & (here.gradient > 0)
        )
        step = _newton_step(here, ~leaving, reach, radius)
        proposed = jnp.clip(points + step, box.low, box.high)
        there = _differentiate(values_at, proposed, directions)
        # At the top values differ by rounding alone: a step between them is no failure.
        better = (there.value >= here.value - 1e-15) | (count == 0)
        now = jax.tree.map(
            lambda new, old: jnp.where(
                better.reshape((-1,) + (1,) * (new.ndim - 1)), new, old
            ),
            there,
            here,
        )
        taken = jnp.max(jnp.abs(proposed - points) / reach, axis=1)
        points = jnp.where(better[:, None], proposed, points)
        radius = jnp.where(better, 2.0 * radius, 0.25 * jnp.minimum(radius, taken))
        longest = jnp.where(count == 0, jnp.inf, jnp.max(taken))
        return points, now, radius, longest, count + 1

    def is_running(state: Any) -> Bool[Array, ""]:
        # In steps of the grid: the place, and more so the height, is then exact to
        # rounding.
        return (state[3] > 1e-9) & (state[4] <= _MAX_STEPS)

    points: Float[Array, "k d"] = jnp.clip(seeds, box.low, box.high)
    # The first pass, with a step of zero from nowhere, is what evaluates the seeds:
    # so the model is differentiated, and compiled, in one place.
    flat = jnp.zeros_like(points)
    nowhere = _Slopes(flat, flat[:, :, None] * flat[:, None], flat[:, 0] - jnp.inf)
    state = points, nowhere, jnp.full(points.shape[0], 0.5), jnp.inf, 0
    end: Any = jax.lax.while_loop(is_running, climb, state)
    return end[0], end[1].value


def _differentiate(
    values_at: Callable[[Array], Array],
    points: Float[Array, "k d"],
    directions: Float[Array, "d d"],
) -> _Slopes:
    """Return values and derivatives; every point has its own.

    Forwards twice: next to no dimensions, and half the code of backwards.
    """

    def slope(points: Array) -> tuple[Array, Array]:
        """Return the derivatives and the values: every point has its own."""

        def each(direction: Array) -> tuple[Array, Array]:
            tangent = jnp.broadcast_to(direction, points.shape)
            return jax.jvp(values_at, (points,), (tangent,))

        values, slopes = jax.vmap(each, out_axes=(None, 1))(directions)
        return slopes, values

    def along(direction: Array) -> tuple[Array, Array, Array]:
        tangent = jnp.broadcast_to(direction, points.shape)
        return jax.jvp(slope, (points,), (tangent,), has_aux=True)

    return _Slopes(*jax.vmap(along, out_axes=(None, 1, None))(directions))


def _newton_step(
    here: _Slopes,
    stays: Bool[Array, "k d"],
    reach: Float[Array, " d"],
    radius: Float[Array, " k"],
) -> Float[Array, "k d"]:
    """Return ascent steps, no coordinate longer than `radius * reach`."""
    both = stays[:, :, None] & stays[:, None, :]
    hessian = jnp.where(both, here.hessian, 0.0) * (reach[:, None] * reach)
    scaled = jnp.where(stays, here.gradient, 0.0) * reach
    bent = jnp.where(jnp.isfinite(hessian), -hessian, 0.0)
    # One after the other: LAPACK hands a batch to the threads of XLA's pool, and where
    # it runs on these itself, all of them can wait for each other for ever.
    curvatures, axes = jax.lax.map(jnp.linalg.eigh, bent)
    along = jnp.einsum("kij,ki->kj", axes, jnp.where(jnp.isfinite(scaled), scaled, 0.0))
    along = along / jnp.maximum(jnp.abs(curvatures), 1e-12)
    step = jnp.einsum("kij,kj->ki", axes, along)
    length: Float[Array, " k"] = jnp.max(jnp.abs(step), axis=1)
    shrink = jnp.minimum(1.0, radius / jnp.maximum(length, 1e-300))
    return step * shrink[:, None] * reach
