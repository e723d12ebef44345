"""Fit with support points that are free to move: no grid, and a certificate.

On a fixed grid the profile likelihood can have many local maxima about a grid spacing
apart, because its atoms cannot follow theta. Here they can; `_atom_search` says how.
By default `fit` moves the atoms from the maximum on the grid. Here the search begins at
the start itself, and a branch and bound over the continuum proves its end.
"""

from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from spmlex._adequacy import Adequacy, bound_gradient
from spmlex._atom_search import GAP_TOL, Search, merge_neighbours, search_atoms
from spmlex._continuum import Box, box_of, log_ratios, rows_of
from spmlex._design import covariance_root, normal_design
from spmlex._inner import solve_probs
from spmlex._joint import Atoms, make_joint
from spmlex._likelihood import count_observations
from spmlex._newton import judge
from spmlex._outer import OuterProblem
from spmlex._polish import Moved, is_singular, profile_atoms
from spmlex._result import Fit, Optima
from spmlex._search import REACH
from spmlex._solution import RESULTS, result_code
from spmlex._types import Model, Weights

_SAME_OPTIMUM = 1e-5
"""Log-likelihoods closer than this, in nats, are one local optimum."""

_SLOTS = (24, 64)
"""Atoms that a search has room for: where the first are too few, the second."""

_MAX_ROUNDS = 40

_TOL = 1e-8
"""As in `climb`."""

_FATAL = (
    RESULTS.non_finite,
    RESULTS.zero_likelihood,
    RESULTS.parameter_diverging,
    RESULTS.stalled,
)
"""Ends of a joint climb that explain why a search did not settle."""


class _Outcome(NamedTuple):
    """Where a search ended, and what it says about theta.

    Attributes:
        model: The model there.
        theta: Its free parameters.
        points: The atoms, as rows.
        search: The search.
        moved: The derivatives in theta.
        singular: Whether theta is not identified there.
        result: How the last climb ended.
    """

    model: Model
    theta: Float[Array, " p"]
    points: Float[Array, "k d"]
    search: Search
    moved: Moved
    singular: Array
    result: RESULTS  # pyright: ignore[reportInvalidTypeForm]

    @property
    def settled(self) -> bool:
        """Whether it is a maximum over theta and all distributions."""
        return bool(self.search.settled)

    @property
    def rank(self) -> tuple[bool, float]:
        """Orders outcomes: the larger the better."""
        value = -float(self.search.state.here.value)
        return self.settled, value if np.isfinite(value) else -np.inf


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

    def search(theta: Float[Array, " p"]) -> _Outcome:
        for n_slots in _SLOTS:
            outcome = _search(outer, weights, theta, n_slots, jnp.asarray(max_steps))
            if bool(outcome.search.fits):
                break
        return outcome

    starts = list(dict.fromkeys(tuple(theta.tolist()) for theta in thetas))
    outcomes = [search(jnp.array(theta)) for theta in starts]

    def finish(outcome: _Outcome) -> Fit:
        ended = _certify(outer, box, weights, outcome, jnp.asarray(max_steps))
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


@eqx.filter_jit
def _search(
    outer: OuterProblem,
    weights: Weights,
    theta0: Float[Array, " p"],
    n_slots: int,
    max_steps: Int[Array, ""],
) -> _Outcome:
    """Search from theta, with the masses that are best on the grid there."""
    problem = make_joint(outer, weights)
    solver = "interior_point"
    solved = solve_probs(
        outer.lclk(theta0), weights=weights, solver=solver, throw=False
    )
    atoms, fits = merge_neighbours(problem, solved.probs, n_slots)
    args = (fits, _TOL, max_steps, _MAX_ROUNDS)
    return _describe(outer, weights, search_atoms(problem, theta0, atoms, *args))


@eqx.filter_jit
def _go_on(
    outer: OuterProblem,
    weights: Weights,
    before: Search,
    place: Float[Array, " d"],
    max_steps: Int[Array, ""],
) -> _Outcome:
    """Search again with one more atom."""
    problem = make_joint(outer, weights)
    count = before.present.size
    size = before.state.theta.size - count * place.size
    theta = before.state.theta[:size]
    places = before.state.theta[size:].reshape(count, -1)
    probs = before.state.here.probs
    slot = jnp.argmin(probs)
    atoms = Atoms(
        jnp.clip(places, 0.0, 1.0).at[slot].set(problem.to_places(place[None])[0]),
        (probs > 0).at[slot].set(True),
        probs.at[slot].set(0.0),
    )
    args = (probs[slot] == 0.0, _TOL, max_steps, _MAX_ROUNDS)
    search = search_atoms(problem, theta, atoms, *args)
    search = search._replace(num_steps=search.num_steps + before.num_steps)
    return _describe(outer, weights, search)


def _describe(outer: OuterProblem, weights: Weights, search: Search) -> _Outcome:
    problem = make_joint(outer, weights)
    count, dimension = search.present.size, problem.trial.shape[1]
    size = search.state.theta.size - count * dimension
    theta = search.state.theta[:size]
    moved = profile_atoms(search, size)
    return _Outcome(
        model=outer.build(theta),
        theta=theta,
        points=problem.to_rows(search.state.theta[size:].reshape(count, dimension)),
        search=search,
        moved=moved,
        singular=is_singular(search, moved),
        result=judge(search.state, weights, jnp.array(jnp.inf), _TOL),
    )


def _report(outcomes: list[_Outcome], chosen: int, n_obs: float) -> Optima:
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
        code=jnp.stack([result_code(_explain(outcome)) for outcome in outcomes]),
        num_steps=jnp.array([end.num_steps for end in ends]),
        optimum=jnp.array(np.where(settled, np.argmax(same, axis=1), -1)),
        chosen=jnp.array(chosen),
    )


def _certify(
    outer: OuterProblem,
    box: Box,
    weights: Weights,
    best: _Outcome,
    max_steps: Int[Array, ""],
) -> tuple[_Outcome, Adequacy]:
    """Bound the gap over the continuum; go on where the search missed a maximum."""
    rounds = int(best.search.num_rounds)
    while True:
        probs = best.search.state.here.probs
        args = (box.to_supp(best.points), probs, weights)
        certificate = bound_gradient(
            best.model,
            outer.data,
            box,
            _log_ratios(best.model, outer.data, *args),
            best.points,
            probs,
            tol=0.1 * GAP_TOL,
            max_cells=100_000,
        )
        missed = float(certificate.found) > GAP_TOL
        if not (best.settled and missed) or rounds >= _MAX_ROUNDS:
            return best, certificate
        at = rows_of(jnp.asarray(certificate.at)[None])[0]
        best = _go_on(outer, weights, best.search, at, max_steps)
        rounds += int(best.search.num_rounds)


_log_ratios = eqx.filter_jit(log_ratios)


def _assemble(
    outer: OuterProblem,
    box: Box,
    weights: Weights,
    best: _Outcome,
    certificate: Adequacy,
) -> Fit:
    """Return the fit, its support the atoms alone."""
    here = best.search.state.here
    points, probs = np.asarray(best.points), np.asarray(here.probs)
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
        result=_judge(best, certificate),
        free=outer.free,
        certificate=certificate,
    )


def _judge(best: _Outcome, certificate: Adequacy):
    """Turn the end of the search and its certificate into a result code."""
    if not best.settled:
        return _explain(best)
    if float(certificate.gap) > GAP_TOL:
        return RESULTS.inner_not_certified
    singular = bool(best.singular) or not bool(best.moved.is_maximum)
    return RESULTS.singular_hessian if singular else RESULTS.successful


def _explain(outcome: _Outcome):
    """Turn the end of a search alone into a result code."""
    if outcome.settled:
        return RESULTS.successful
    explained = any(bool(outcome.result == failure) for failure in _FATAL)
    return outcome.result if explained else RESULTS.max_steps_reached
