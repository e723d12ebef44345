"""Bounds on the gradient function over a cell of the continuum.

With t the distance from the centre c of a cell, `lclk_i(c + t) <= lclk_i(c) + s_i t`
where `v -> lclk_i(v)` is concave and s_i its slope at c.

- First order: `u(t) = sum_i exp(log_ratio_i + lclk_i(c) + s_i t)` is convex, so that
  its maximum over the cell is at a corner. Off by the square of the radius: around an
  atom, where `log g` is flat, hundreds of cells remain at every radius, the more the
  more dimensions.
- Second order: concavity also gives `lclk_i(c + t) <= lclk_i(c) + s_i t + r_i t'L_i t /
  2` with L_i the Hessian at c and r_i the share of it that is left anywhere in the
  cell: one for normal kernels, `exp(-k)` where the third derivative is at most k times
  the second, as with logistic and Poisson kernels (Bach 2010). What k is anywhere in
  the cell is not known: it is taken as twice its value at the centre, a heuristic. No
  violation was found, but where k more than doubles within a cell the bound may not
  hold; as cells shrink the factor of two does more and more. With
  `exp(x) <= 1 + x + x²/2 + |x|³ e^|x| / 6` the sum over i is a quadratic function of t
  and a remainder of third order, so that a few cells remain around an atom. Q is its
  Hessian, G its slope: where Q is negative definite, the rise is at most
  `G'(-Q)^{-1} G / 2`, and it is never more than the sum of |G| and what the largest
  eigenvalue of Q adds.

Bach, F. (2010). Self-concordant analysis for logistic regression. *Electronic Journal
of Statistics* 4.
"""

import itertools
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from spmlex._support.continuum import Box, log_gradient
from spmlex._words.inputs import conditional_likelihoods
from spmlex._words.types import Data, Model

_OfPoints = Callable[[Array], Array]

_SLACK = 2.0
"""The third derivative in a cell is taken to be so many times that at its centre."""


@eqx.filter_jit
def bound_cells(
    model: Model,
    data: Data,
    box: Box,
    log_ratio: Float[Array, " n_obs"],
    centres: Float[Array, "cells d"],
    radii: Float[Array, "cells d"],
) -> tuple[Float[Array, " cells"], Float[Array, " cells"], Bool[Array, " cells"]]:
    """Return a bound on `log g` over each cell, its value at the centre, concavity."""

    def lclk_at(points: Array) -> Array:
        return conditional_likelihoods(model, data, box.to_supp(points))

    lclk = lclk_at(centres)
    finite = jnp.isfinite(lclk)

    def known(values: Array):
        return jnp.where(finite, values, 0.0)

    signs = _list_diagonals(centres.shape[1])
    slopes: list[Array] = []
    curvatures: list[Array] = []
    bends: list[Array] = []
    for sign in signs:
        slope = _along(lclk_at, sign, radii)
        curvature = _along(slope, sign, radii)
        slopes.append(known(slope(centres)))
        curvatures.append(known(curvature(centres)))
        bends.append(known(jnp.abs(_along(curvature, sign, radii)(centres))))
    base, upper, concave = _bound_at_corners(
        lclk, finite, log_ratio, slopes, curvatures
    )
    axes = jnp.eye(centres.shape[1])
    slope = [_along(lclk_at, axis, radii) for axis in axes]
    bent = jnp.max(jnp.stack(bends), axis=0)
    curved = jnp.max(jnp.abs(jnp.stack(curvatures)), axis=0)
    ratio = bent / jnp.maximum(curved, 1e-300)
    left = jnp.exp(-_SLACK * ratio)
    closer = _bound_by_quadratic(
        base,
        jnp.stack([known(one(centres)) for one in slope]),
        jnp.stack(
            [
                jnp.stack(
                    [known(_along(one, axis, radii)(centres)) * left for axis in axes]
                )
                for one in slope
            ]
        ),
    )
    closer = jnp.where(concave & ~jnp.isnan(closer), closer, jnp.inf)
    values = log_gradient(model, data, box, log_ratio, centres)
    return jnp.minimum(upper, closer), values, concave


def _list_diagonals(size: int) -> list[Float[Array, " d"]]:
    """Return one diagonal of a cell for each pair of opposite corners."""
    return [
        jnp.array((1.0, *rest))
        for rest in itertools.product((1.0, -1.0), repeat=size - 1)
    ]


def _along(
    function: _OfPoints, direction: Float[Array, " d"], radii: Float[Array, "cells d"]
) -> _OfPoints:
    """Return the derivative of a function of the centres in units of the radii."""

    def slope(points: Array) -> Array:
        moved: Array
        _, moved = jax.jvp(function, (points,), (direction * radii,))
        return moved

    return slope


def _bound_at_corners(
    lclk: Float[Array, "n_obs cells"],
    finite: Bool[Array, "n_obs cells"],
    log_ratio: Float[Array, " n_obs"],
    slopes: list[Array],
    curvatures: list[Array],
) -> tuple[Float[Array, "n_obs cells"], Float[Array, " cells"], Bool[Array, " cells"]]:
    """Return the first-order bound, the terms of g at the centres, and concavity.

    Args:
        lclk: At the centres.
        finite: Where it is.
        log_ratio: Weight over likelihood of every observation, in logs.
        slopes: Of `lclk` along every diagonal, in units of the radii.
        curvatures: Likewise.

    Returns:
        Logarithms of the terms; the bound on `log g`; whether every kernel is concave.
    """
    largest = jnp.max(jnp.stack(curvatures), axis=0)
    # The rounding of a linear kernel's second derivative is not a convex kernel.
    rounding = 1e-13 * (1.0 + jnp.abs(jnp.where(finite, lclk, 0.0)))
    bulge = jnp.where(largest > rounding, largest, 0.0)
    base = log_ratio[:, None] + lclk
    corners = [
        jax.nn.logsumexp(base + bulge + side * slope, axis=0)
        for slope in slopes
        for side in (1.0, -1.0)
    ]
    upper = jnp.max(jnp.stack(corners), axis=0)
    carries = log_ratio[:, None] > -jnp.inf
    concave = jnp.all(jnp.where(carries, finite & (bulge == 0.0), True), axis=0)
    return base, upper, concave


def _bound_by_quadratic(
    base: Float[Array, "n_obs cells"],
    slope: Float[Array, "d n_obs cells"],
    curvature: Float[Array, "d d n_obs cells"],
) -> Float[Array, " cells"]:
    """Return the second-order bound; derivatives in units of the radii.

    Args:
        base: Logarithms of the terms of g at the centres.
        slope: Of `lclk`.
        curvature: Of `lclk`, the share that is left in the cell.
    """
    shift = jnp.max(jnp.where(jnp.isfinite(base), base, -jnp.inf), axis=0)
    shift = jnp.where(jnp.isfinite(shift), shift, 0.0)
    terms = jnp.exp(base - shift)
    first = jnp.sum(jnp.abs(slope), axis=0)
    second = jnp.sum(jnp.abs(curvature), axis=(0, 1))
    longest = first + 0.5 * second
    rest = 0.5 * first * second + 0.125 * second**2
    rest = rest + longest**3 * jnp.exp(jnp.minimum(longest, 50.0)) / 6.0
    rest = jnp.where(longest > 50.0, jnp.inf, rest)
    remainder = jnp.sum(jnp.where(terms > 0, terms * rest, 0.0), axis=0)
    gradient = jnp.einsum("ic,kic->ck", terms, slope)
    hessian = jnp.einsum("ic,kic,lic->ckl", terms, slope, slope)
    hessian = hessian + jnp.einsum("ic,klic->ckl", terms, curvature)
    values: Float[Array, "cells d"]
    values, vectors = jnp.linalg.eigh(jnp.where(jnp.isfinite(hessian), hessian, 0.0))
    turned = jnp.einsum("ckl,ck->cl", vectors, gradient)
    largest = values[:, -1]
    rise = jnp.sum(jnp.abs(gradient), axis=1)
    rise = rise + 0.5 * slope.shape[0] * jnp.maximum(largest, 0.0)
    down = jnp.where(largest[:, None] < 0, values, -1.0)
    peak = -0.5 * jnp.sum(turned**2 / down, axis=1)
    rise = jnp.where(largest < 0, jnp.minimum(rise, peak), rise)
    return shift + jnp.log(jnp.sum(terms, axis=0) + rise + remainder)
