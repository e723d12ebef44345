"""Fit with support points that are free to move: no grid.

On a fixed grid the profile likelihood can have many local maxima about a grid spacing
apart, because its atoms cannot follow theta. Here they can; `_atom_search` says how.
An adaptive grid, which adds points where the gradient function exceeds one and keeps
the others, is this search without its joint climb: it needs points ever closer together
(and a face ever closer to singular) to reach what the climb reaches in a few Newton
steps, and theta meanwhile moves on a grid. So there is one of the two.
"""

from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, Int

from spmlex._adequacy import Adequacy, bound_gradient
from spmlex._atom_search import GAP_TOL, Outcome, Problem, search_from
from spmlex._continuum import box_of
from spmlex._explain import explain_failure
from spmlex._inputs import cast_to_float64, conditional_likelihoods, read_inputs
from spmlex._likelihood import normalise_weights
from spmlex._parameters import free_leaves
from spmlex._result import Fit
from spmlex._scale import unbounded_parameters
from spmlex._solution import RESULTS, raise_if_failed
from spmlex._types import Data, Model, Support, Weights

_SAME_OPTIMUM = 1e-5
"""Log-likelihoods closer than this, in nats, are one local optimum."""

_FATAL = (
    RESULTS.non_finite,
    RESULTS.zero_likelihood,
    RESULTS.parameter_diverging,
    RESULTS.stalled,
)
"""Ends of a joint climb that explain why a search did not settle."""


class FreeSupportFit(eqx.Module):
    """A fit without a grid, with its certificate over the continuum.

    Attributes:
        fit: The best of the fits; its `supp` holds the atoms, its `hessian` and
            `scores` are those of theta with the atoms and masses profiled out.
        adequacy: What any distribution on the range could still gain, theta held.
        optima: Log-likelihood reached from each start; `nan` where the search did not
            settle.
        num_rounds: Rounds of all searches together.
    """

    fit: Fit
    adequacy: Adequacy
    optima: Float[Array, " n_starts"]
    num_rounds: Int[Array, ""]

    @property
    def num_optima(self) -> int:
        """How many distinct local optima the starts led to."""
        found = np.sort(np.asarray(self.optima))
        found = found[np.isfinite(found)]
        return int(np.sum(np.diff(found, prepend=-np.inf) > _SAME_OPTIMUM))

    def summary(self, level: float = 0.95, kind: str = "sandwich") -> str:
        """Return the fit as a printed table, with its support and certificate."""
        lines = [self.fit.summary(level, kind), "support point          mass"]
        leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(self.fit.supp)]
        for k, mass in enumerate(np.asarray(self.fit.probs)):
            point = np.concatenate([np.ravel(leaf[k]) for leaf in leaves])
            place = " ".join(f"{value:.5f}" for value in point)
            lines.append(f"{place:>13} {mass:13.5f}")
        proof = "proved" if bool(self.adequacy.is_proof) else "numerical"
        lines.append(
            "no distribution on the range gains more than "
            f"{max(float(self.adequacy.gap), 0.0):.1e} nats per observation ({proof})"
        )
        plural = "start" if self.optima.size == 1 else "starts"
        lines.append(
            f"{self.optima.size} {plural}, distinct local optima {self.num_optima}, "
            f"rounds {int(self.num_rounds)}"
        )
        edge = float(self.adequacy.edge_mass)
        if edge > 0:
            lines.append(
                f"Warning: {100 * edge:.1f}% of the mass is on the edge of the range; "
                "widen it."
            )
        return "\n".join(lines)


def fit_free_support(
    model0: Model,
    data: Data,
    supp: Support,
    *,
    starts: Sequence[Model] = (),
    weights: Weights | None = None,
    fixed: Callable[[Any], Any] | None = None,
    max_rounds: int = 40,
    throw: bool = True,
) -> FreeSupportFit:
    """Estimate a model over all mixing distributions on a range, not on a grid.

    Newton's method over theta and the atoms, with the masses profiled out, and atoms
    added, merged and dropped by the gradient function over the continuum. Not for use
    under `jit`; calls with the same shapes share compiled code.

    Args:
        model0: The model at the starting values, for example that of a `fit` on `supp`.
        data: A pytree of arrays with leading axis n_obs.
        supp: A trial grid. Its range bounds the atoms; its points only start the search
            for local maxima, so its spacing should not exceed the width of the kernels.
        starts: Further starting values. The best local optimum wins, and all are in
            `optima`.
        weights: Nonnegative observation weights; their scale does not matter.
        fixed: Picks the leaves that keep their starting values, as in `fit`.
        max_rounds: Limit on the rounds from each start.
        throw: Raise where the best fit is not successful; else only say so in `result`.

    Returns:
        The best fit, its certificate on the continuum, and the local optima seen.

    Raises:
        ValueError: A noise scale is free, so that without a grid the likelihood is
            unbounded; or the call is wrong.
        RuntimeError: Under `throw`, with the sentence of the result code.
    """
    if any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves((model0, data, supp))):
        raise ValueError(
            "model0, data or supp are traced: fit_free_support decides in Python how "
            "many atoms there are, so it can't run under jit, vmap or grad."
        )
    if max_rounds < 1:
        raise ValueError(f"max_rounds={max_rounds}: give at least one round.")
    model0, data, supp = read_inputs(model0, data, supp)
    models = [model0, *(cast_to_float64(model) for model in starts)]
    box, trial = box_of(supp)
    free = free_leaves(model0, fixed)
    unbounded = unbounded_parameters(model0, free, data, box, trial)
    if unbounded:
        raise ValueError(
            f"model0={type(model0).__name__}: with support points free to move, the "
            f"likelihood grows without bound in {', '.join(unbounded)}. Hold noise "
            "scales at known values by `fixed`, or use `fit` on a grid, where the "
            "spacing keeps them away from zero."
        )
    n_obs = jax.eval_shape(lambda: conditional_likelihoods(model0, data, supp)).shape[0]
    weights = normalise_weights(weights, n_obs)
    problem = Problem(data, box, trial, weights, free, max_rounds)
    outcomes = [search_from(problem, model) for model in models]
    best, certificate, extra = _certify(problem, max(outcomes, key=_rank))
    estimate = _assemble(problem, best, certificate)
    if throw:
        estimate = raise_if_failed(
            estimate, estimate.result, lambda: explain_failure(estimate, data)
        )
    reached = [o.climbed.log_likelihood if o.settled else jnp.nan for o in outcomes]
    return FreeSupportFit(
        fit=estimate,
        adequacy=certificate,
        optima=jnp.array(reached),
        num_rounds=jnp.asarray(extra + sum(o.num_rounds for o in outcomes)),
    )


def _rank(outcome: Outcome) -> tuple[bool, float]:
    value = float(outcome.climbed.log_likelihood)
    return outcome.settled, value if np.isfinite(value) else -np.inf


def _certify(problem: Problem, best: Outcome) -> tuple[Outcome, Adequacy, int]:
    """Bound the gap over the continuum; go on where the trial grid missed a maximum.

    Returns:
        The outcome, its certificate, and the rounds it took to repair it.
    """
    extra = 0
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
        if not (best.settled and missed) or extra >= problem.max_rounds:
            return best, certificate, extra
        at, _ = ravel_pytree(certificate.at)
        best = search_from(problem, best.model, jnp.vstack([best.points, at]))
        extra += best.num_rounds


def _assemble(problem: Problem, best: Outcome, certificate: Adequacy) -> Fit:
    """Profile the atoms out of the joint fit: a `Fit` of theta alone.

    With H the Hessian in (theta, atoms), that of theta is the Schur complement of the
    block of the atoms, and the score of theta is the part that the atoms' scores do not
    explain at that block. Atoms without mass or on the edge do not move with theta.
    """
    joint = best.climbed
    size = joint.theta.size - joint.model.points.size
    points, probs = np.asarray(best.points), np.asarray(best.probs)
    moving = (probs > 0)[:, None] & ~np.asarray(best.held)
    atoms = size + np.flatnonzero(moving)
    full, scores = np.asarray(joint.hessian), np.asarray(joint.scores)
    block, cross = full[np.ix_(atoms, atoms)], full[atoms, :size]
    response = -_solve_symmetric(block, cross)
    hessian = full[:size, :size] + cross.T @ response
    order = np.lexsort(points.T[::-1])
    order = order[probs[order] > 0]
    return Fit(
        model=best.model,
        probs=jnp.asarray(probs[order]),
        supp=problem.box.to_supp(jnp.asarray(points[order])),
        theta=joint.theta[:size],
        log_likelihood=joint.log_likelihood,
        gradient=joint.gradient[:size],
        hessian=jnp.asarray(0.5 * (hessian + hessian.T)),
        scores=jnp.asarray(scores[:, :size] + scores[:, atoms] @ response),
        weights=problem.weights,
        gap=certificate.gap,
        residual=joint.residual,
        num_steps=joint.num_steps,
        inner_steps=joint.inner_steps,
        fallbacks=joint.fallbacks,
        num_atoms=jnp.asarray(len(order)),
        # The limit of ever finer grids: no kernel is narrower than the spacing.
        resolution=jnp.asarray(jnp.inf),
        result=_judge(best, certificate, _is_singular(block) or _is_singular(hessian)),
        free=problem.free,
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
    """Turn the end of the search into a result code."""
    result = best.climbed.result
    if not best.settled:
        explained = any(bool(result == failure) for failure in _FATAL)
        return result if explained else RESULTS.max_steps_reached
    if float(certificate.gap) > GAP_TOL:
        return RESULTS.inner_not_certified
    if singular:
        return RESULTS.singular_hessian
    # Atoms that the last climb left without mass make its own Hessian singular.
    if bool(result == RESULTS.singular_hessian):
        return RESULTS.successful
    return result


__all__ = ["FreeSupportFit", "fit_free_support"]
