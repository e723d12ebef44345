"""The corrected centre in a sieve of smooth mixing distributions.

Where F is smooth, its maximum-likelihood estimate is not: a few atoms follow the sample
and theta with them. Here F is a mixture of normals with a common bandwidth (Magder and
Zeger 1996), from almost normal to unrestricted, and the data choose the bandwidth.
Section "The corrected centre" of `spmlex/README.md`, equation (11).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from spmlex._correction import (
    Correction,
    measure_tilt,
    penalise,
    take_penalty_off,
)
from spmlex._degenerate import grid_resolution, is_degenerate
from spmlex._design import covariance_root, normal_design
from spmlex._evaluation import Evaluation, nowhere
from spmlex._newton import climb
from spmlex._outer import OuterProblem
from spmlex._types import Kernel, Scalar, Support, Weights

_BANDWIDTHS = (0.9, 0.7, 0.5, 0.35, 0.2, 0.0)
"""In standard deviations of F; zero leaves F unrestricted."""

_POINTS = 40
"""Points at which atoms are counted."""

_MAX_STEPS = 30

_TOL = 1e-3
"""Of the climbs that only compare sieves: their maxima are off by n TOL² / 2 nats."""

_SLACK = 4.0
"""Nats below the best criterion at which rougher sieves are no longer tried."""

_PRICE = 2
"""Nats that a support point costs: it has a place and a mass (Akaike 1973)."""

_FLOOR = 1e-10
"""Below it bandwidths, distances and variances count as zero."""


class _Sieve(NamedTuple):
    """The maximum within the sieve of one bandwidth."""

    bandwidth: Scalar
    theta: Float[Array, " p"]
    probs: Float[Array, "*n_groups n_supp"]
    hessian: Float[Array, "p p"]
    criterion: Scalar


class _State(NamedTuple):
    number: Int[Array, ""]
    best: _Sieve
    theta: Float[Array, " p"]
    here: Evaluation
    slope: Float[Array, " p"]
    mean_atoms: Scalar
    converged: Bool[Array, ""]


def correct_smoothed(
    problem: OuterProblem,
    theta0: Float[Array, " p"],
    probs0: Float[Array, "*n_groups n_supp"],
    weights: Weights,
    tol: float,
) -> Correction:
    """Maximise over theta and smooth F, less the tilt. Equation (11).

    The sieves are climbed from the smoothest to the roughest, each from the maximum
    before, so that degenerate maxima are never near. The one with the largest
    log-likelihood less atoms is taken (Akaike 1973); in it the tilt is measured and
    removed.

    Args:
        problem: The outer problem.
        theta0: Starting values.
        probs0: A mixing distribution whose spread is the unit of the bandwidths.
        weights: Observation weights with sum one.
        tol: As in `fit`.
    """
    size, n_obs = theta0.size, weights.shape[0]
    count = len(_BANDWIDTHS)
    bandwidths = jnp.array(_BANDWIDTHS)
    uniform = problem.uniform_probs()

    def restrict(bandwidth: Scalar) -> OuterProblem:
        return problem.within(smoothing_kernel(problem.supp, bandwidth, probs0))

    def measure(best: _Sieve) -> tuple[Float[Array, " p"], Scalar]:
        root = covariance_root(best.hessian, n_obs)
        design = normal_design(size, _POINTS)
        sieve = restrict(best.bandwidth)
        return measure_tilt(sieve, best.theta, root, design, best.probs, weights)

    def run(state: _State) -> _State:
        # The last pass is another climb in the best sieve, without the tilt.
        number, best = state.number, state.best
        last = number == count
        slope, mean = jax.lax.cond(
            last, lambda: measure(best), lambda: (state.slope, state.mean_atoms)
        )
        bandwidth = jnp.where(last, best.bandwidth, bandwidths[number])
        theta = jnp.where(last, best.theta, state.theta)
        probs = jnp.where(last, best.probs, uniform)
        at = penalise(restrict(bandwidth), slope, theta, weights)
        enough = jnp.where(last, tol, _TOL)
        end = climb(at, n_obs, theta, probs, enough, _MAX_STEPS)
        here = take_penalty_off(end.here, slope, end.theta - theta)
        criterion = -n_obs * here.value - _PRICE * jnp.sum(here.probs > 0)
        criterion = jnp.where(end.converged, criterion, -jnp.inf)
        found = _Sieve(bandwidth, end.theta, here.probs, here.hessian, criterion)
        better = ~last & (criterion > best.criterion)
        best = jax.tree.map(lambda a, b: jnp.where(better, a, b), found, best)
        worse = end.converged & (criterion < best.criterion - _SLACK)
        number = jnp.where(worse & ~last, count, number + 1)
        # A sieve that was not climbed to its maximum is no start for the next one.
        theta = jnp.where(end.converged, end.theta, theta)
        return _State(number, best, theta, here, slope, mean, end.converged)

    nothing = _Sieve(
        jnp.array(0.0), theta0, uniform, jnp.eye(size), jnp.array(-jnp.inf)
    )
    start = _State(
        jnp.array(0),
        nothing,
        theta0,
        nowhere(n_obs, theta0, uniform),
        jnp.zeros(size),
        jnp.array(0.0),
        jnp.array(False),
    )
    end = jax.lax.while_loop(lambda state: state.number <= count, run, start)
    resolution = grid_resolution(problem.lclk(end.theta))
    return Correction(
        theta=end.theta,
        slope=end.slope,
        mean_atoms=end.mean_atoms,
        converged=end.converged & jnp.isfinite(end.best.criterion),
        maximum=end.here,
        flagged=is_degenerate(end.here.probs.T, resolution),
        bandwidth=end.best.bandwidth,
        kernel=smoothing_kernel(problem.supp, end.best.bandwidth, probs0),
    )


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
