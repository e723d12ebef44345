"""The search with free support from one start, and its certificate; no fit yet."""

from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from spmlex._adequacy.adequacy import Adequacy, bound_gradient
from spmlex._atoms.atom_search import GAP_TOL, Search, search_atoms
from spmlex._atoms.grid_atoms import merge_neighbours
from spmlex._atoms.joint import Atoms, make_joint
from spmlex._atoms.profile_atoms import Moved, is_singular, profile_atoms
from spmlex._climb.verdict import judge
from spmlex._inner import solve_probs
from spmlex._profile.outer import OuterProblem
from spmlex._programs.compile import compile_for_one_call
from spmlex._support.continuum import Box, log_ratios, rows_of
from spmlex._words.codes import RESULTS
from spmlex._words.types import Model, Weights

_SLOTS = (24, 64)
"""Atoms that a search has room for: where the first are too few, the second."""

_MAX_ROUNDS = 40

_TOL = 1e-8
"""As in `climb`."""

_SETTLED = 0.5 * GAP_TOL
"""Largest `log g` that a search leaves: the certificate, which is off by `_CLOSE`, has
to find less than the tolerance."""

_CLOSE = 0.1 * GAP_TOL
"""How closely the certificate bounds the supremum of `log g`."""

_FATAL = (
    RESULTS.non_finite,
    RESULTS.zero_likelihood,
    RESULTS.parameter_diverging,
    RESULTS.stalled,
)
"""Ends of a joint climb that explain why a search did not settle."""


class Outcome(NamedTuple):
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


def search_from(
    outer: OuterProblem,
    weights: Weights,
    theta: Float[Array, " p"],
    max_steps: int | Int[Array, ""],
) -> Outcome:
    """Search from one start, with more room for atoms where the first is too little."""
    first, *larger = _SLOTS
    limit = jnp.asarray(max_steps)
    outcome = _search(outer, weights, theta, first, limit)
    for n_slots in larger:
        if bool(outcome.search.fits):
            break
        outcome = _search(outer, weights, theta, n_slots, limit)
    return outcome


@compile_for_one_call
def _search(
    outer: OuterProblem,
    weights: Weights,
    theta0: Float[Array, " p"],
    n_slots: int,
    max_steps: Int[Array, ""],
) -> Outcome:
    """Search from theta, with the masses that are best on the grid there."""
    problem = make_joint(outer, weights)
    # Not the default: far from the maximum F may have more atoms than places there.
    solver = "interior_point"
    solved = solve_probs(
        outer.lclk(theta0), weights=weights, solver=solver, throw=False
    )
    atoms, fits = merge_neighbours(problem, solved.probs, n_slots)
    args = (fits, _TOL, max_steps, _MAX_ROUNDS, _SETTLED)
    return _describe(outer, weights, search_atoms(problem, theta0, atoms, *args))


@compile_for_one_call
def _go_on(
    outer: OuterProblem,
    weights: Weights,
    before: Search,
    place: Float[Array, " d"],
    max_steps: Int[Array, ""],
) -> Outcome:
    """Search again with one more atom."""
    problem = make_joint(outer, weights)
    count = before.present.size
    size = before.state.theta.size - count * place.size
    theta = before.state.theta[:size]
    places = before.state.theta[size:].reshape(count, -1)
    probs = before.state.here.probs
    # An empty one where there is any; else the search says that it does not fit.
    slot = jnp.argmin(probs)
    atoms = Atoms(
        jnp.clip(places, 0.0, 1.0).at[slot].set(problem.to_places(place[None])[0]),
        (probs > 0).at[slot].set(True),
        probs.at[slot].set(0.0),
    )
    args = (probs[slot] == 0.0, _TOL, max_steps, _MAX_ROUNDS, _SETTLED)
    search = search_atoms(problem, theta, atoms, *args)
    search = search._replace(num_steps=search.num_steps + before.num_steps)
    return _describe(outer, weights, search)


def _describe(outer: OuterProblem, weights: Weights, search: Search) -> Outcome:
    problem = make_joint(outer, weights)
    count, dimension = search.present.size, problem.trial.shape[1]
    size = search.state.theta.size - count * dimension
    theta = search.state.theta[:size]
    moved = profile_atoms(search, size)
    return Outcome(
        model=outer.build(theta),
        theta=theta,
        points=problem.to_rows(search.state.theta[size:].reshape(count, dimension)),
        search=search,
        moved=moved,
        singular=is_singular(search, moved),
        result=judge(search.state, weights, jnp.array(jnp.inf), _TOL),
    )


def certify(
    outer: OuterProblem,
    box: Box,
    weights: Weights,
    best: Outcome,
    max_steps: Int[Array, ""],
) -> tuple[Outcome, Adequacy]:
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
            tol=_CLOSE,
            max_cells=100_000,
        )
        missed = float(certificate.found) > GAP_TOL - _CLOSE
        if not (best.settled and missed) or rounds >= _MAX_ROUNDS:
            return best, certificate
        at = rows_of(jnp.asarray(certificate.at)[None])[0]
        best = _go_on(outer, weights, best.search, at, max_steps)
        rounds += int(best.search.num_rounds)


_log_ratios = eqx.filter_jit(log_ratios)


def judge_outcome(best: Outcome, certificate: Adequacy):
    """Turn the end of the search and its certificate into a result code.

    Where F is not unique, the block of the atoms is singular (a Rasch model with as
    many atoms as there are scores): the certificate says that F is a maximum all the
    same, and theta is judged by its own curvature alone.
    """
    if not best.settled:
        return explain_outcome(best)
    if float(certificate.gap) > GAP_TOL:
        return RESULTS.inner_not_certified
    return RESULTS.singular_hessian if bool(best.singular) else RESULTS.successful


def explain_outcome(outcome: Outcome):
    """Turn the end of a search alone into a result code."""
    if outcome.settled:
        return RESULTS.successful
    explained = any(bool(outcome.result == failure) for failure in _FATAL)
    return outcome.result if explained else RESULTS.max_steps_reached
