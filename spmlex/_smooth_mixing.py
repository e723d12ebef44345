"""One smooth estimate of F: a mixture of normals whose bandwidth the data choose.

Where F is smooth, its maximum-likelihood estimate is not: a few atoms follow the
sample. Here F is a mixture of normals with a common bandwidth on the grid (Magder and
Zeger 1996), from almost normal to unrestricted. Equation (12) of
`spmlex/README.md`.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from spmlex._inner import InnerSolver, solve_probs
from spmlex._mixture import mix_columns
from spmlex._types import Kernel, LogCondLik, Probs, Scalar, Support, Weights

BANDWIDTHS = (0.0, 0.2, 0.4, 0.65, 0.9)
"""In standard deviations of F; zero leaves F unrestricted, and comes first."""

_PRICE = 2
"""Nats that a support point costs: it has a place and a mass (Akaike 1973)."""

_FLOOR = 1e-10
"""Below it bandwidths, distances and variances count as zero."""


class SmoothMixing(NamedTuple):
    """A smooth estimate of F at one theta.

    Attributes:
        probs: Its probabilities on the grid.
        bandwidth: Of the normals, in standard deviations of F; zero: not smoothed.
        spread: The distribution whose spread is the unit: F fitted without smoothing.
    """

    probs: Probs
    bandwidth: Scalar
    spread: Probs


_State = tuple[SmoothMixing, Scalar, Probs]
"""The best estimate so far, its criterion, and the spread."""


def estimate_mixing(
    lclk: LogCondLik,
    supp: Support,
    weights: Weights,
    n_obs: Scalar,
    given: SmoothMixing,
    chooses: Bool[Array, ""],
    solver: InnerSolver,
) -> SmoothMixing:
    """Estimate F with theta held. Equation (12).

    Args:
        lclk: Log conditional likelihoods on the grid.
        supp: The support grid.
        weights: Observation weights with sum one.
        n_obs: What the mean log-likelihood is multiplied by.
        given: Gives bandwidth and spread where they are not chosen.
        chooses: Whether the data choose the bandwidth: the one with the largest
            log-likelihood less twice the points with mass.
        solver: The inner solver.
    """
    bandwidths = jnp.array(BANDWIDTHS)

    def add(number: Array, state: _State) -> _State:
        best, criterion, spread = state
        bandwidth = jnp.where(chooses, bandwidths[number], given.bandwidth)
        kernel = smoothing_kernel(supp, bandwidth, spread)
        solution = solve_probs(
            mix_columns(lclk, kernel), weights=weights, solver=solver, throw=False
        )
        price = _PRICE * jnp.sum(solution.probs > 0)
        worth = -n_obs * solution.value - price
        better = (worth > criterion) | (number == 0)
        # The first is not smoothed: its spread is the unit of the others.
        spread: Probs = jnp.where(chooses & (number == 0), solution.probs, spread)
        found = SmoothMixing(kernel @ solution.probs, bandwidth, spread)
        best = jax.tree.map(lambda a, b: jnp.where(better, a, b), found, best)
        return best, jnp.where(better, worth, criterion), spread

    # A bound known at run time only: where nothing is chosen the loop runs once.
    count = jnp.where(chooses, bandwidths.size, 1)
    start = (given, jnp.array(-jnp.inf), given.spread)
    best, _, spread = jax.lax.fori_loop(0, count, add, start)
    return best._replace(spread=spread)


def smoothing_kernel(
    supp: Support, bandwidth: Scalar, probs: Float[Array, "*n_groups n_supp"]
) -> Kernel:
    """Return the normal distribution around each support point, on the grid.

    Args:
        supp: The support grid. In one dimension its spacing is accounted for; in more
            the points are taken to be equally dense.
        bandwidth: In standard deviations of a mixing distribution; in several
            dimensions the covariance is its square times that of the distribution.
        probs: That distribution; with groups their mean covariance counts.

    Returns:
        A column for each support point, each with sum one; the identity for bandwidth
        zero.
    """
    leaves = jax.tree.leaves(supp)
    points = jnp.concatenate(
        [leaf.reshape(leaf.shape[0], -1) for leaf in leaves], axis=1
    )
    points = points - jnp.mean(points, axis=0)
    scale = jnp.std(points, axis=0)
    points = points / jnp.where(scale > 0, scale, 1.0)
    each = probs.reshape(-1, probs.shape[-1])
    mean = each @ points
    second = jnp.einsum("gk,ki,kj->ij", each, points, points) / each.shape[0]
    spread = second - mean.T @ mean / each.shape[0]
    floor = _FLOOR * jnp.eye(points.shape[1])
    root = jnp.linalg.cholesky(spread + floor)
    white = jax.scipy.linalg.solve_triangular(root, points.T, lower=True).T
    apart = jnp.sum((white[:, None] - white) ** 2, axis=2)
    log_kernel = -0.5 * apart / jnp.maximum(bandwidth, _FLOOR) ** 2
    return jax.nn.softmax(log_kernel + _log_spacing(points)[:, None], axis=0)


def _log_spacing(points: Float[Array, "n_supp d"]) -> Float[Array, " n_supp"]:
    """Return the log length of the line that each point stands for."""
    n_supp, dimension = points.shape
    if dimension > 1 or n_supp == 1:
        return jnp.zeros(n_supp)
    order = jnp.argsort(points[:, 0])
    steps = jnp.diff(points[order, 0])
    steps = jnp.concatenate([steps[:1], steps, steps[-1:]])
    lengths = jnp.zeros(n_supp).at[order].set(0.5 * (steps[1:] + steps[:-1]))
    return jnp.log(jnp.maximum(lengths, _FLOOR))
