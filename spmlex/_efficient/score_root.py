"""The root of the mean efficient score: Newton's steps, none of them long."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from spmlex._efficient.careful_steps import (
    CarefulSteps,
    begin_carefully,
    is_nearer,
    learn,
)
from spmlex._efficient.departure import Departure, before_departure
from spmlex._efficient.following_grid import FollowingGrid
from spmlex._efficient.score_at import Asked, ScoreAt, choose_tree
from spmlex._efficient.score_equation import ScoreEquation
from spmlex._words.progress import ROOT, report
from spmlex._words.types import Scalar

_MAX_STEPS = 60
_TOL = 0.02
"""Of the last step, in standard errors: the step itself is still taken."""

_LONGEST = 3.0
"""Longest step, in standard errors."""

_PATIENCE = 10
"""Evaluations after which steps are careful: nearly all searches have ended by then."""

_NEAR = 0.1
"""Longest last step, in standard errors, at a place that counts as a root where careful
steps lead no nearer to one: the data can't tell it from one."""

_LAST = 0.5
"""Longest step, in standard errors, that many draws add where steps were careful."""

_CHOOSING = 2
"""Evaluations on a grid that covers F in which the data choose the bandwidths."""


class Root(NamedTuple):
    """Where the search for a root ended.

    Attributes:
        here: The last evaluation, or the one with the shortest step where the search
            did not settle.
        theta: One step further: the estimate.
        converged: Whether the search settled, and many draws did not deny it.
        num_steps: Evaluations.
        runs_off: Which parameters went where the data say nothing of them.
    """

    here: ScoreAt
    theta: Float[Array, " p"]
    converged: Bool[Array, ""]
    num_steps: Int[Array, ""]
    runs_off: Bool[Array, " p"]

    @property
    def is_careful(self) -> Bool[Array, ""]:
        """Whether it took careful steps: the information is not the score's slope."""
        # Where there are draws the last evaluation is one with many of them.
        return self.num_steps > _PATIENCE + 1


class RootSearch(NamedTuple):
    """Where the search is.

    Attributes:
        theta: Evaluated next.
        best: The evaluation with the shortest step; once steps are careful the one
            nearest to a root, see `is_nearer`.
        shortest: Its step, in standard errors.
        last: The last step that the score asked for.
        taken: What was taken of it.
        damping: Share of a step that is taken.
        careful: The steps after many evaluations.
        resumes: Whether these led no nearer to a root, and those before them go on.
        offset: What more draws change in the mean score.
        chosen: Evaluations since the grid last had to give way.
        homed: Whether a grid that moves was put back to where it was given.
        goes_home: Whether it is before the next one.
        num_steps: Evaluations.
        departure: Where it began.
        refines: Whether the next one is the last, with many draws, at the best.
        refined: Whether that found what the search did.
        running: Whether there is a next one.
    """

    theta: Float[Array, " p"]
    best: ScoreAt
    shortest: Scalar
    last: Scalar
    taken: Scalar
    damping: Scalar
    careful: CarefulSteps
    resumes: Bool[Array, ""]
    offset: Float[Array, " p"]
    chosen: Int[Array, ""]
    homed: Bool[Array, ""]
    goes_home: Bool[Array, ""]
    num_steps: Int[Array, ""]
    departure: Departure
    refines: Bool[Array, ""]
    refined: Bool[Array, ""]
    running: Bool[Array, ""]


def begin_root(here: ScoreAt) -> RootSearch:
    """Return the search before its first evaluation.

    Args:
        here: What stands for an evaluation: its theta is where the search starts.
    """
    infinite, no = jnp.array(jnp.inf), jnp.array(False)
    return RootSearch(
        theta=here.theta,
        best=here,
        shortest=infinite,
        last=infinite,
        taken=jnp.array(0.0),
        damping=jnp.array(1.0),
        careful=begin_carefully(here),
        resumes=no,
        offset=jnp.zeros_like(here.theta),
        chosen=jnp.array(0),
        homed=no,
        goes_home=no,
        num_steps=jnp.array(0),
        departure=before_departure(here.theta),
        refines=no,
        refined=no,
        running=jnp.array(True),
    )


def step_to_root(
    equation: ScoreEquation, end: RootSearch
) -> tuple[Float[Array, " p"], Bool[Array, ""]]:
    """Return the estimate where a search has ended, and whether that is a root."""
    settled, patient = end.shortest <= _TOL, end.num_steps > _PATIENCE + 1
    near = settled | (patient & (end.shortest <= _NEAR))
    converged = near if equation.is_exact else end.refined
    errors = end.best.errors(equation.n_obs)
    careful = end.careful.step(end.best, errors, _LAST)
    careful = jnp.where(settled, careful, 0.0)
    last = jnp.where(patient, careful, end.best.step)
    return end.best.theta + jnp.where(converged, last, 0.0), converged


def ask_for_root(equation: ScoreEquation, state: RootSearch) -> Asked:
    """Return what is evaluated next."""
    theta = jnp.where(state.refines, state.best.theta, state.theta)
    chooses = (state.chosen < _CHOOSING) & ~state.refines
    return Asked(theta, _place(equation, state, theta), chooses, state.refines)


def approach_root(
    equation: ScoreEquation,
    known: Float[Array, " p"],
    state: RootSearch,
    asked: Asked,
    here: ScoreAt,
) -> RootSearch:
    """Take in an evaluation, and choose the next theta or the end. Equation (12).

    Scoring: steps of `I^{-1}` times the mean, which is Newton's method but for the
    error of the information; after `_PATIENCE` of them careful steps. F is estimated
    anew at each theta, its bandwidths chosen in the first two. The search does with few
    draws; at its root the score is evaluated once more with many, and one step is taken
    from there. What more draws change in the mean score is carried to wherever else the
    equation is evaluated, so that estimate and limits move together.

    Args:
        equation: The equation, without an offset.
        known: Where the search starts again if the first evaluation fails, or finds
            that the grid has to follow theta and may be far off F; `nan`: nowhere.
        state: The search before the evaluation.
        asked: What it asked for.
        here: The evaluation.
    """
    refines, before, chooses = asked.refines, state.best, asked.chooses
    length, errors = here.step_length(equation.n_obs), here.errors(equation.n_obs)
    finite = jnp.isfinite(length) & jnp.all(jnp.isfinite(here.step))
    # Where many draws say that the root is far off, none was found.
    refined = refines & finite & (length <= _LONGEST)
    offset = jnp.where(refined, here.mean - before.mean, 0.0)
    settled = (length <= _TOL) & (state.num_steps > 0)
    lead = _lead(state, here.carried.grid, known, finite, settled)
    was_careful = (state.num_steps >= _PATIENCE) & ~state.resumes
    patient = state.num_steps + 1 >= _PATIENCE
    is_careful = patient & ~state.resumes
    # The bandwidths may change in the second evaluation: the first is no rival.
    closer = jnp.where(was_careful, is_nearer(before, here), length < state.shortest)
    better = ((finite & (closer | settled | chooses)) | lead.presses) & ~refines
    best: ScoreAt = choose_tree(better | refined, here, before)
    shortest = jnp.where(better, length, state.shortest)
    step, taken, damping = _step_from(here, length, state, chooses)
    following = jnp.where(finite & ~lead.presses, state.theta + step, state.theta)
    careful: CarefulSteps = choose_tree(
        was_careful & ~chooses & ~lead.presses,
        learn(state.careful, before, here, better),
        begin_carefully(best),
    )
    carefully = careful.step(best, best.errors(equation.n_obs), _LONGEST)
    carefully = best.theta + careful.damping * carefully
    near = shortest <= jnp.where(patient, _NEAR, _TOL)
    stuck = is_careful & careful.is_stuck
    resumes = state.resumes | (stuck & ~near)
    following = jnp.where(is_careful & ~resumes & ~lead.presses, carefully, following)
    ended = (settled | (~finite & ~is_careful)) & ~lead.goes_on
    ended |= (stuck & near) | (state.num_steps + 1 >= _MAX_STEPS)
    refines_next = ~refines & ended & near & (not equation.is_exact)
    if equation.problem.verbose:
        report("root of the efficient score", ROOT, state.num_steps + 1, length)
    return RootSearch(
        jnp.where(lead.jumps, known, following),
        best,
        shortest,
        length,
        taken,
        damping,
        choose_tree(refines, state.careful, careful),
        resumes,
        offset,
        jnp.where(lead.goes_on, 0, state.chosen + 1),
        state.homed | lead.returns,
        lead.returns | lead.jumps,
        state.num_steps + 1,
        state.departure.take_in(here.theta, errors),
        refines_next,
        refined,
        ~refines & (~ended | refines_next),
    )


def _step_from(
    here: ScoreAt, length: Scalar, state: RootSearch, chooses: Bool[Array, ""]
) -> tuple[Float[Array, " p"], Scalar, Scalar]:
    """Return the step of scoring, its length in standard errors, and the damping."""
    # Where a step left more than 0.7 of what it should have taken, the search goes
    # back and forth: take half of the steps.
    missed = length > state.last - 0.3 * state.taken
    damping = jnp.where(missed, 0.5 * state.damping, state.damping)
    damping = jnp.maximum(jnp.where(chooses, 1.0, damping), 0.1)
    taken = damping * jnp.minimum(length, _LONGEST)
    return here.step * taken / jnp.maximum(length, 1e-300), taken, damping


class _Lead(NamedTuple):
    """What the grid asks of the search: all false where it stays.

    Attributes:
        presses: F presses on an end of it: first it goes to where F is, then theta.
        jumps: It may be far off F: the search starts again where that is known.
        returns: Near the root it is put back once. A grid that went with theta had the
            range that was given at no theta; so what it covers is the same wherever the
            search began.
    """

    presses: Bool[Array, ""]
    jumps: Bool[Array, ""]
    returns: Bool[Array, ""]

    @property
    def goes_on(self) -> Bool[Array, ""]:
        """Whether the search can't end, and the data choose the bandwidths anew."""
        return self.presses | self.jumps | self.returns


def _lead(
    state: RootSearch,
    grid: FollowingGrid,
    known: Float[Array, " p"],
    finite: Bool[Array, ""],
    settled: Bool[Array, ""],
) -> _Lead:
    """Say what the grid asks for after an evaluation."""
    presses = ~grid.is_still & ~state.refines
    first = (state.num_steps == 0) & jnp.all(jnp.isfinite(known))
    jumps = first & (grid.moves | ~finite)
    returns = settled & grid.moves & ~state.homed & ~presses & ~jumps & ~state.refines
    return _Lead(presses, jumps, returns)


def _place(
    equation: ScoreEquation, state: RootSearch, theta: Float[Array, " p"]
) -> FollowingGrid:
    """Return the grid of the next evaluation."""
    grid = state.best.carried.grid
    home = grid.go_home(equation.problem, theta)
    way = grid.give_way(~state.refines)
    return choose_tree(state.goes_home, home, way)
