"""Fit with support points that are free to move: no grid, and a certificate.

On a fixed grid the profile likelihood can have many local maxima about a grid spacing
apart, because its atoms cannot follow theta. Here they can; `atom_search` says how.
By default `fit` moves the atoms from the maximum on the grid. Here the search begins at
the start itself, and a branch and bound over the continuum proves its end.
"""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from spmlex._adequacy.adequacy import Adequacy
from spmlex._atoms.free_search import (
    Outcome,
    certify,
    explain_outcome,
    judge_outcome,
    search_from,
)
from spmlex._climb.normal_points import covariance_root, normal_design
from spmlex._climb.optima import Optima
from spmlex._fit.grid_search import REACH
from spmlex._inner.mixture import count_observations
from spmlex._profile.outer import OuterProblem
from spmlex._result.result import Fit
from spmlex._support.continuum import Box, box_of
from spmlex._words.codes import result_code
from spmlex._words.types import Weights

_SAME_OPTIMUM = 1e-5
"""Log-likelihoods closer than this, in nats, are one local optimum."""


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
    box, _ = box_of(outer.supp)
    n_obs = count_observations(weights, outer.counts)

    def search(theta: Float[Array, " p"]) -> Outcome:
        return search_from(outer, weights, theta, max_steps)

    # Without repetitions, in their order: the first is the user's.
    starts = list(dict.fromkeys(tuple(theta.tolist()) for theta in thetas))
    outcomes = [search(jnp.array(theta)) for theta in starts]

    def finish(outcome: Outcome) -> Fit:
        ended = certify(outer, box, weights, outcome, jnp.asarray(max_steps))
        return _assemble(outer, box, weights, *ended)

    if n_random:
        best = finish(max(outcomes, key=lambda outcome: outcome.rank))
        root = covariance_root(best.hessian, n_obs)
        for z in normal_design(best.theta.size, n_random)[:n_random]:
            outcomes.append(search(best.theta + REACH * root @ z))
    chosen = max(range(len(outcomes)), key=lambda k: outcomes[k].rank)
    estimate = finish(outcomes[chosen])
    if len(outcomes) == 1:
        return estimate
    optima = _report(outcomes, chosen, float(n_obs))
    return eqx.tree_at(
        lambda fit: fit.optima, estimate, optima, is_leaf=lambda leaf: leaf is None
    )


def _report(outcomes: list[Outcome], chosen: int, n_obs: float) -> Optima:
    """Describe the end of every search."""
    heights = n_obs * np.array([outcome.rank[1] for outcome in outcomes])
    settled = np.array([outcome.settled for outcome in outcomes])
    same = np.abs(heights[:, None] - heights[None, :]) <= _SAME_OPTIMUM
    same &= settled[None, :]
    ends = [outcome.search for outcome in outcomes]
    return Optima(
        theta=jnp.stack([outcome.theta for outcome in outcomes]),
        log_likelihood=jnp.asarray(heights),
        num_atoms=jnp.array([jnp.sum(end.state.here.probs > 0) for end in ends]),
        flagged=jnp.zeros(len(outcomes), bool),
        code=jnp.stack([result_code(explain_outcome(outcome)) for outcome in outcomes]),
        num_steps=jnp.array([end.num_steps for end in ends]),
        optimum=jnp.array(np.where(settled, np.argmax(same, axis=1), -1)),
        chosen=jnp.array(chosen),
    )


def _assemble(
    outer: OuterProblem,
    box: Box,
    weights: Weights,
    best: Outcome,
    certificate: Adequacy,
) -> Fit:
    """Return the fit, its support the atoms alone."""
    here = best.search.state.here
    points, probs = np.asarray(best.points), np.asarray(here.probs)
    # By the first coordinate, then the next, as people read them.
    order = np.lexsort(points.T[::-1])
    order = order[probs[order] > 0]
    return Fit(
        model=best.model,
        probs=jnp.asarray(probs[order]),
        supp=box.to_supp(jnp.asarray(points[order])),
        theta=best.theta,
        log_likelihood=-here.value * count_observations(weights, outer.counts),
        gradient=best.moved.gradient,
        hessian=best.moved.hessian,
        scores=best.moved.scores,
        weights=weights,
        counts=outer.counts,
        gap=certificate.gap,
        residual=here.residual,
        num_steps=best.search.num_steps,
        inner_steps=best.search.inner_steps,
        fallbacks=best.search.fallbacks,
        num_atoms=jnp.asarray(len(order)),
        # The limit of ever finer grids: no kernel is narrower than the spacing.
        resolution=jnp.asarray(jnp.inf),
        result=judge_outcome(best, certificate),
        free=outer.free,
        certificate=certificate,
    )
