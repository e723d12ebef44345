"""One smooth estimate of F: mixtures of normals whose bandwidths the data weigh.

Where F is smooth, its maximum-likelihood estimate is not: a few atoms follow the
sample. Here F is a mixture of normals with a common bandwidth on the grid (Magder and
Zeger 1996), from almost normal to unrestricted. Equation (12) of
`spmlex/README.md`.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from spmlex._inner import InnerSolver, solve_probs
from spmlex._inner.mixture import mix_columns, posterior_weights
from spmlex._profile.profile import on_face
from spmlex._programs.compile import on_host
from spmlex._words.types import (
    AnyArray,
    Kernel,
    LogCondLik,
    Probs,
    Scalar,
    Support,
    Weights,
)

BANDWIDTHS = (0.0, 0.2, 0.4, 0.65, 0.9)
"""In standard deviations of F; zero leaves F unrestricted, and comes first."""

_PRICE = 2
"""Nats that an effective support point costs: a place and a mass (Akaike 1973)."""

_LEAST_SHARE = 0.02
"""Bandwidths with less than that of the best one's share are left out."""

_FLOOR = 1e-10
"""Below it bandwidths, distances and variances count as zero."""


class SmoothMixing(NamedTuple):
    """A smooth estimate of F at one theta.

    Attributes:
        probs: Its probabilities on the grid.
        shares: Of the bandwidths, with sum one.
        spread: The distribution whose spread is the unit of the bandwidths: F fitted
            without smoothing.
    """

    probs: Float[Array, "*n_groups n_supp"]
    shares: Float[Array, "*n_groups n_bandwidths"]
    spread: Float[Array, "*n_groups n_supp"]


def no_mixing(probs: Float[Array, "n_groups n_supp"]) -> SmoothMixing:
    """Return what stands for an estimate before there is one."""
    shares = jnp.zeros((*probs.shape[:-1], len(BANDWIDTHS)))
    return SmoothMixing(probs, shares, probs)


_State = tuple[Float[Array, "k n_supp"], Float[Array, " k"], Probs]
"""For each bandwidth F and what it is worth; and the spread."""


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
        given: Gives shares and spread where the data do not choose them.
        chooses: Whether the data choose the shares of the bandwidths: `exp(-AIC / 2)`,
            scaled. The best one alone would change with rounding where two are as good.
        solver: The inner solver.
    """

    def fit(bandwidth: Scalar, spread: Probs) -> tuple[Probs, Scalar]:
        kernel = smoothing_kernel(supp, bandwidth, spread)
        columns = mix_columns(lclk, kernel)
        found = solve_probs(columns, weights=weights, solver=solver, throw=False)
        count = jax.lax.cond(
            chooses,
            lambda: count_effective(columns, found.probs, weights, n_obs),
            lambda: jnp.array(0.0),
        )
        return kernel @ found.probs, -n_obs * found.value - _PRICE * count

    bandwidths = jnp.array(BANDWIDTHS)
    wanted = chooses | (given.shares > 0)
    # Those wanted first, in their order: the loop ends where they do.
    order = jnp.argsort(~wanted, stable=True)

    def add(number: Array, state: _State) -> _State:
        each, worth, spread = state
        which = order[number]
        probs, value = fit(bandwidths[which], spread)
        # The first is not smoothed: its spread is the unit of the others.
        first = chooses & (which == 0)
        spread = jnp.where(first, probs, spread)
        return each.at[which].set(probs), worth.at[which].set(value), spread

    # A bound known at run time only: mostly one or two have a share.
    none = jnp.zeros((bandwidths.size, given.probs.size))
    start = (none, jnp.full(bandwidths.size, -jnp.inf), given.spread)
    each, worth, spread = jax.lax.fori_loop(0, jnp.sum(wanted), add, start)
    # One that can't be fitted has no share, and does not spoil the others.
    worth: Float[Array, " k"] = jnp.where(jnp.isfinite(worth), worth, -jnp.inf)
    relative = jnp.exp(worth - jnp.max(worth))
    relative = jnp.where(relative >= _LEAST_SHARE, relative, 0.0)
    shares = jnp.where(chooses, relative / jnp.sum(relative), given.shares)
    each: Float[Array, "k n_supp"] = jnp.where((shares > 0)[:, None], each, 0.0)
    return SmoothMixing(shares @ each, shares, spread)


def count_effective(
    columns: LogCondLik, probs: Probs, weights: Weights, n_obs: Scalar
) -> Scalar:
    """Return how many masses the data tell apart: at most the points with mass.

    `tr H (H + I)^{-1}`, H the information for the logarithms of the masses: two
    neighbours on the grid that stand for one atom count as one.
    """
    posterior = posterior_weights(columns, probs)
    # Rows without weight may be anything, nan included.
    posterior = jnp.where(weights[:, None] > 0, posterior, 0.0)

    def count_on(points: Int[Array, " k"]) -> Scalar:
        # Points without mass have no information, and count as none.
        own = posterior[:, points]
        information = n_obs * (own.T @ (weights[:, None] * own))
        inverse = jnp.linalg.inv(information + jnp.eye(points.size))
        return points.size - jnp.trace(inverse)

    return on_face(probs, count_on, first=96)


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
    # A distribution on one point has no spread that could be factorised.
    floor = _FLOOR * jnp.eye(points.shape[1])
    root = jnp.linalg.cholesky(spread + floor)
    white = jax.scipy.linalg.solve_triangular(root, points.T, lower=True).T
    apart = jnp.sum((white[:, None] - white) ** 2, axis=2)
    # With the floor bandwidth zero gives the identity, and not 0/0.
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


@on_host
def find_edge_mass(
    xp: Any,
    rows: Float[AnyArray, "n_supp d"],
    probs: Float[AnyArray, "..."],
    numbers: Bool[AnyArray, " d"],
) -> Any:
    """Return the largest mass on an end of the grid, of any coordinate and group.

    Args:
        xp: What computes.
        rows: Points of the grid.
        probs: Their masses.
        numbers: Which coordinates are numbers, not labels.
    """
    each = probs.reshape(rows.shape[0], -1)
    faces = xp.stack([rows == xp.min(rows, axis=0), rows == xp.max(rows, axis=0)])
    # By end, coordinate and group.
    return xp.max(xp.einsum("evd,vg->edg", (faces & numbers).astype(float), each))
