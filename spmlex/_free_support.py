"""Fit with support points that are free to move: no grid.

On a fixed grid the profile likelihood can have many local maxima about a grid spacing
apart, because its atoms cannot follow theta. Here they can; `_atom_search` says how.
An adaptive grid, which adds points where the gradient function exceeds one and keeps
the others, is this search without its joint climb: it needs points ever closer together
(and a face ever closer to singular) to reach what the climb reaches in a few Newton
steps, and theta meanwhile moves on a grid. So there is one of the two.
"""

import dataclasses

import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, Int

from spmlex._adequacy import Adequacy, bound_gradient
from spmlex._atom_search import GAP_TOL, Outcome, Problem, search_from
from spmlex._continuum import box_of
from spmlex._design import covariance_root, normal_design
from spmlex._outer import OuterProblem
from spmlex._result import Fit, Optima
from spmlex._search import REACH
from spmlex._solution import RESULTS, result_code
from spmlex._types import Weights

_SAME_OPTIMUM = 1e-5
"""Log-likelihoods closer than this, in nats, are one local optimum."""

_FATAL = (
    RESULTS.non_finite,
    RESULTS.zero_likelihood,
    RESULTS.parameter_diverging,
    RESULTS.stalled,
)
"""Ends of a joint climb that explain why a search did not settle."""


def search_free_support(
    outer: OuterProblem,
    thetas: Float[Array, "n_given p"],
    n_random: int,
    weights: Weights,
    max_steps: int | Int[Array, ""],
) -> Fit:
    """Maximise over theta and all mixing distributions on the range of the grid.

    Newton's method over theta and the atoms, with the masses profiled out, and atoms
    added, merged and dropped by the gradient function over the continuum. Not for use
    under `jit`; calls with the same shapes share compiled code.

    Args:
        outer: The outer problem. The range of its grid bounds the atoms; the points
            only start the search for local maxima, so their spacing should not be much
            wider than the kernels.
        thetas: Starts; one that was there before is not searched again.
        n_random: Further starts to be drawn around the best end of those given.
        weights: Observation weights with sum one.
        max_steps: Limit on the evaluations of one climb.

    Returns:
        The end with the largest log-likelihood, with its certificate on the continuum,
        and in `optima` all of them.
    """
    box, trial = box_of(outer.supp)
    problem = Problem(outer.data, box, trial, weights, outer.free, int(max_steps))
    starts = list(dict.fromkeys(tuple(theta.tolist()) for theta in thetas))
    outcomes = [search_from(problem, outer.build(jnp.array(t))) for t in starts]
    if n_random:
        best = _assemble(problem, *_certify(problem, max(outcomes, key=_rank)))
        root = covariance_root(best.hessian, weights.shape[0])
        for z in normal_design(best.theta.size, n_random)[:n_random]:
            theta = best.theta + REACH * root @ z
            outcomes.append(search_from(problem, outer.build(theta)))
    chosen = max(range(len(outcomes)), key=lambda k: _rank(outcomes[k]))
    estimate = _assemble(problem, *_certify(problem, outcomes[chosen]))
    if len(outcomes) == 1:
        return estimate
    return dataclasses.replace(estimate, optima=_report(outcomes, chosen))


def _rank(outcome: Outcome) -> tuple[bool, float]:
    value = float(outcome.climbed.log_likelihood)
    return outcome.settled, value if np.isfinite(value) else -np.inf


def _report(outcomes: list[Outcome], chosen: int) -> Optima:
    """Describe the end of every search."""
    heights = np.array([_rank(outcome)[1] for outcome in outcomes])
    settled = np.array([outcome.settled for outcome in outcomes])
    same = np.abs(heights[:, None] - heights[None, :]) <= _SAME_OPTIMUM
    same &= settled[None, :]
    results = [_explain(outcome) for outcome in outcomes]
    return Optima(
        theta=jnp.stack([outcome.theta for outcome in outcomes]),
        log_likelihood=jnp.array([o.climbed.log_likelihood for o in outcomes]),
        num_atoms=jnp.array([jnp.sum(o.probs > 0) for o in outcomes]),
        flagged=jnp.zeros(len(outcomes), bool),
        code=jnp.stack([result_code(result) for result in results]),
        num_steps=jnp.array([outcome.num_steps for outcome in outcomes]),
        optimum=jnp.array(np.where(settled, np.argmax(same, axis=1), -1)),
        chosen=jnp.array(chosen),
    )


def _certify(problem: Problem, best: Outcome) -> tuple[Outcome, Adequacy]:
    """Bound the gap over the continuum; go on where the trial grid missed a maximum."""
    rounds = best.num_rounds
    while True:
        log_ratio = problem.log_ratio(best.model, best.points, best.probs)
        certificate = bound_gradient(
            best.model,
            problem.data,
            problem.box,
            log_ratio,
            best.points,
            best.probs,
            tol=0.1 * GAP_TOL,
            max_cells=100_000,
        )
        missed = float(certificate.found) > GAP_TOL
        if not (best.settled and missed) or rounds >= problem.max_rounds:
            return best, certificate
        at, _ = ravel_pytree(certificate.at)
        best = search_from(problem, best.model, jnp.vstack([best.points, at]))
        rounds += best.num_rounds


def _assemble(problem: Problem, best: Outcome, certificate: Adequacy) -> Fit:
    """Profile the atoms out of the joint fit: a `Fit` of theta alone.

    With H the Hessian in (theta, atoms), that of theta is the Schur complement of the
    block of the atoms, and the score of theta is the part that the atoms' scores do not
    explain at that block; so is the gradient, which takes out to first order what the
    climb left at the atoms. Atoms without mass or on the edge do not move with theta.
    """
    joint, size = best.climbed, best.theta.size
    points, probs = np.asarray(best.points), np.asarray(best.probs)
    moving = (probs > 0)[:, None] & ~np.asarray(best.held)
    atoms = size + np.flatnonzero(moving)
    full, scores = np.asarray(joint.hessian), np.asarray(joint.scores)
    slope = np.asarray(joint.gradient)
    block, cross = full[np.ix_(atoms, atoms)], full[atoms, :size]
    response = -_solve_symmetric(block, cross)
    hessian = full[:size, :size] + cross.T @ response
    order = np.lexsort(points.T[::-1])
    order = order[probs[order] > 0]
    return Fit(
        model=best.model,
        probs=jnp.asarray(probs[order]),
        supp=problem.box.to_supp(jnp.asarray(points[order])),
        theta=best.theta,
        log_likelihood=joint.log_likelihood,
        gradient=jnp.asarray(slope[:size] + slope[atoms] @ response),
        hessian=jnp.asarray(0.5 * (hessian + hessian.T)),
        scores=jnp.asarray(scores[:, :size] + scores[:, atoms] @ response),
        weights=problem.weights,
        gap=certificate.gap,
        residual=joint.residual,
        num_steps=jnp.asarray(best.num_steps),
        inner_steps=joint.inner_steps,
        fallbacks=joint.fallbacks,
        num_atoms=jnp.asarray(len(order)),
        # The limit of ever finer grids: no kernel is narrower than the spacing.
        resolution=jnp.asarray(jnp.inf),
        result=_judge(best, certificate, _is_singular(block) or _is_singular(hessian)),
        free=problem.free,
        certificate=certificate,
    )


def _is_singular(matrix: np.ndarray) -> bool:
    """Tell whether a matrix scaled to a unit diagonal is not positive definite."""
    if matrix.size == 0:
        return False
    scale = np.sqrt(np.abs(np.diagonal(matrix)))
    if not (np.isfinite(matrix).all() and (scale > 0).all()):
        return True
    return float(np.linalg.eigvalsh(matrix / np.outer(scale, scale))[0]) <= 1e-10


def _solve_symmetric(matrix: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Solve, with `nan` where `_is_singular` will say so."""
    if _is_singular(matrix):
        return np.full_like(right, np.nan)
    return np.linalg.solve(matrix, right)


def _judge(best: Outcome, certificate: Adequacy, singular: bool):
    """Turn the end of the search and its certificate into a result code."""
    result = _explain(best)
    if not best.settled:
        return result
    if float(certificate.gap) > GAP_TOL:
        return RESULTS.inner_not_certified
    return RESULTS.singular_hessian if singular else result


def _explain(outcome: Outcome):
    """Turn the end of a search alone into a result code."""
    result = outcome.climbed.result
    if not outcome.settled:
        explained = any(bool(result == failure) for failure in _FATAL)
        return result if explained else RESULTS.max_steps_reached
    # Atoms that the last climb left without mass make its own Hessian singular.
    if bool(result == RESULTS.singular_hessian):
        return RESULTS.successful
    return result
