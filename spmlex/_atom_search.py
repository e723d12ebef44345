"""The search for theta and freely moving support points ("atoms") from one start.

With K atoms the log-likelihood is smooth in theta, the atoms and their masses. A round

1. climbs jointly: Newton's method on a model whose parameters are theta and the atoms,
   the masses profiled out, so its Hessian is that of the profile in (theta, atoms);
2. climbs the gradient function over the continuum from every atom and from every local
   maximum on the trial grid. The maxima where it is not below one are the next atoms:
   atoms that meet merge, those without mass go, and points are added where the gradient
   function exceeds one (Lindsay 1983; Lesperance and Kalbfleisch 1992).

The search has settled when a round leaves the atoms as they were.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Bool, Float

from spmlex._continuum import (
    Box,
    distinct_points,
    log_gradient,
    log_ratios,
    maximise_gradient,
)
from spmlex._inner import get_solver, solve_probs
from spmlex._inputs import conditional_likelihoods
from spmlex._outer import OuterProblem
from spmlex._parameters import free_leaves, split_model
from spmlex._result import Fit
from spmlex._search import maximise_on_grid
from spmlex._types import Data, Model, Probs, Support, Weights

GAP_TOL = 1e-9
"""Largest `log g` over the continuum at which a search has settled, in nats."""

_MERGE = 1e-6
"""Atoms closer than this share of the range are one."""

_NEAR_ONE = 1e-7
"""Maxima of `log g` above minus this are candidates; surplus ones get no mass."""

_ATOM_LADDER = 16
_SEED_LADDER = 32
"""Rows are padded to a multiple of these, so that few shapes are compiled."""


class Problem(eqx.Module):
    """What stays the same over all searches.

    Attributes:
        data: The data.
        box: Range of the atoms.
        trial: The trial grid, as rows.
        weights: Observation weights with sum one.
        free: For each leaf of the model whether it belongs to theta.
        max_steps: Limit on the evaluations of one climb.
        max_rounds: Limit on the rounds of one search.
    """

    data: Data
    box: Box
    trial: Float[Array, "n_supp d"]
    weights: Weights
    free: tuple[bool, ...] = eqx.field(static=True)
    max_steps: int = eqx.field(static=True)
    max_rounds: int = eqx.field(default=40, static=True)

    def log_ratio(
        self, model: Model, points: Float[Array, "k d"], probs: Float[Array, " k"]
    ) -> Float[Array, " n_obs"]:
        """Return `log w_i - log l_i` of atoms and their masses."""
        supp = self.box.to_supp(points)
        return _log_ratios(model, self.data, supp, probs, self.weights)


class Outcome(eqx.Module):
    """Where a search ended.

    Attributes:
        climbed: The last joint fit; its parameters are theta and the padded atoms.
        model: The model there.
        points: Its atoms.
        probs: Their masses; zero for atoms about to be dropped.
        held: Coordinates held on the edge of the range.
        num_rounds: Rounds taken.
        num_steps: Evaluations of the profile likelihood in all of them.
        settled: Whether the last round left the atoms as they were.
    """

    climbed: Fit
    model: Model
    points: Float[Array, "k d"]
    probs: Float[Array, " k"]
    held: Bool[Array, "k d"]
    num_rounds: int
    num_steps: int
    settled: bool

    @property
    def theta(self) -> Float[Array, " p"]:
        """The free parameters of the model alone."""
        joint = self.climbed
        return joint.theta[: joint.theta.size - joint.model.points.size]


class _Atoms(eqx.Module):
    """A model whose parameters are theta and the atoms; its support are indices.

    Attributes:
        model: The free leaves of the model; the others come with the data.
        points: The atoms, padded.
    """

    model: Any
    points: Float[Array, "k d"]

    def lclk(self, data, supp):
        """Return the columns of the atoms `supp`; absent atoms have no likelihood."""
        data, constant, box, present, held = data
        still = jax.lax.stop_gradient(self.points)
        points = jnp.where(held, still, self.points)
        lclk = conditional_likelihoods(
            eqx.combine(self.model, constant), data, box.to_supp(points[supp])
        )
        lclk = jnp.where(present[supp], lclk, -jnp.inf)
        # Zero, with a unit Hessian: held coordinates stay, and nothing is singular.
        rest = 0.5 * jnp.sum(jnp.where(held, (self.points - still) ** 2, 0.0))
        return lclk - rest


def search_from(
    problem: Problem, model: Model, points: Float[Array, "n d"] | None = None
) -> Outcome:
    """Repeat rounds from a start until the atoms no longer change.

    Args:
        problem: What to search.
        model: Where theta starts.
        points: Support points that the first masses are put on; by default the trial
            grid.
    """
    box = problem.box
    _, constant = split_model(model, problem.free)
    points = problem.trial if points is None else points
    masses = _solve_masses(model, problem.data, box.to_supp(points), problem.weights)
    points, _ = _next_atoms(problem, model, points, masses)
    steps = 0
    for count in range(1, problem.max_rounds + 1):
        climbed, held = _climb_padded(problem, model, points)
        model = eqx.combine(climbed.model.model, constant)
        moved = np.asarray(climbed.model.points)[: len(points)]
        inside = jnp.asarray(np.clip(moved, box.low, box.high))
        probs = jnp.asarray(np.asarray(climbed.probs)[: len(points)])
        steps += int(climbed.num_steps)
        finite = bool(np.isfinite(climbed.log_likelihood))
        settled = False
        if finite:
            points, gap = _next_atoms(problem, model, inside, probs)
            same = len(points) == len(inside) and _match(points, inside, box)
            settled = same and gap <= GAP_TOL and np.array_equal(inside, moved)
        if settled or not finite or count == problem.max_rounds:
            return Outcome(climbed, model, inside, probs, held, count, steps, settled)
    raise AssertionError("there is at least one round")


def _climb_padded(
    problem: Problem, model: Model, points: Float[Array, "k d"]
) -> tuple[Fit, Bool[Array, "k d"]]:
    """Climb jointly from these atoms; those on the edge of the range stay there."""
    box = problem.box
    padded = _pad_rows(np.asarray(points), _ATOM_LADDER)
    present = np.arange(len(padded)) < len(points)
    held = (padded <= np.asarray(box.low)) | (padded >= np.asarray(box.high))
    still = jnp.asarray(held | ~present[:, None])
    variable, constant = split_model(model, problem.free)
    climbed = _climb(
        _Atoms(variable, jnp.asarray(padded)),
        (problem.data, constant, box, jnp.asarray(present), still),
        problem.weights,
        problem.max_steps,
    )
    return climbed, jnp.asarray(held[: len(points)])


def _climb(atoms: _Atoms, data: Data, weights: Weights, max_steps: int) -> Fit:
    """Maximise over theta and the atoms jointly."""
    free = free_leaves(atoms, None)
    supp = jnp.arange(atoms.points.shape[0])
    solver = get_solver("interior_point")
    problem = OuterProblem(atoms, data, supp, None, None, free, solver)
    theta, _ = ravel_pytree(split_model(atoms, free)[0])
    limit = jnp.asarray(max_steps)
    return maximise_on_grid(problem, theta[None], 0, weights, None, 1e-8, limit)


@eqx.filter_jit
def _solve_masses(model: Model, data: Data, supp: Support, weights: Weights) -> Probs:
    lclk = conditional_likelihoods(model, data, supp)
    solver = "interior_point"
    return solve_probs(lclk, weights=weights, solver=solver, throw=False).probs


_log_ratios = eqx.filter_jit(log_ratios)
_log_gradient = eqx.filter_jit(log_gradient)


def _next_atoms(
    problem: Problem, model: Model, points: Float[Array, "k d"], probs: Probs
) -> tuple[Float[Array, "m d"], float]:
    """Return the local maxima of `log g` near or above zero, and the largest value."""
    box = problem.box
    span = np.asarray(box.high - box.low)
    log_ratio = problem.log_ratio(model, points, probs)
    on_trial = _log_gradient(model, problem.data, box, log_ratio, problem.trial)
    trial = np.asarray(problem.trial)
    peaks = _local_maxima(trial, np.asarray(on_trial), span)
    seeds = np.concatenate([np.asarray(points)[np.asarray(probs) > 0], trial[peaks]])
    found, values = maximise_gradient(
        model,
        problem.data,
        box,
        log_ratio,
        jnp.asarray(_pad_rows(seeds, _SEED_LADDER)),
        jnp.asarray(span / len(trial) ** (1.0 / span.size)),
    )
    heights = np.asarray(values)
    kept = distinct_points(np.asarray(found), heights, _MERGE * span)
    kept = kept[heights[kept] >= -_NEAR_ONE]
    return jnp.asarray(np.asarray(found)[kept]), float(np.max(heights))


def _local_maxima(
    points: np.ndarray, values: np.ndarray, span: np.ndarray
) -> np.ndarray:
    """Return the positions of grid points not below their nearest neighbours."""
    count = min(3**span.size - 1, len(points) - 1)
    distance = np.sum(((points[:, None] - points[None]) / span) ** 2, axis=2)
    np.fill_diagonal(distance, np.inf)
    near = np.argsort(distance, axis=1)[:, :count]
    return np.flatnonzero(values >= np.max(values[near], axis=1))


def _match(points: Float[Array, "k d"], others: Float[Array, "k d"], box: Box) -> bool:
    """Tell whether two sets of atoms are the same, in any order."""
    span = np.asarray(box.high - box.low)
    distance = np.abs(np.asarray(points)[:, None] - np.asarray(others)[None]) / span
    return bool(np.all(np.min(np.max(distance, axis=2), axis=1) <= _MERGE))


def _pad_rows(rows: np.ndarray, ladder: int) -> np.ndarray:
    """Repeat the last row up to the next multiple of a number."""
    return np.pad(rows, ((0, -len(rows) % ladder), (0, 0)), mode="edge")
