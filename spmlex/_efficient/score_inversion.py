"""Intervals of the values that an efficient-score test does not reject.

For each value of one parameter the others solve their own equations, and the value is
tested as `score_test` says; a limit is where the deviate is critical. Where the data
say little the interval is open. Equation (13) of `spmlex/README.md`.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from spmlex._efficient.following_grid import FollowingGrid
from spmlex._efficient.limit_search import (
    Limit,
    Search,
    advance_search,
    begin_search,
    look_beyond,
)
from spmlex._efficient.score_at import Asked, ScoreAt, choose_tree
from spmlex._efficient.score_equation import ScoreEquation
from spmlex._efficient.score_test import Tested, test_parameter
from spmlex._words.progress import list_limits, report_part
from spmlex._words.types import Scalar

# Mostly one is taken (see below); what needs many has hardly a limit.
_MAX_STEPS = 24
_MAX_CAREFUL_STEPS = 60


class Centre(NamedTuple):
    """What the limits lie around, and what they need of it.

    Attributes:
        theta: The estimate.
        inverse: Inverse of the efficient information.
        errors: Standard errors of theta: the first guess.
        critical: Standard normal deviate at which a value is rejected.
        careful: Whether the root took careful steps: the limits may need many.
    """

    theta: Float[Array, " p"]
    inverse: Float[Array, "p p"]
    errors: Float[Array, " p"]
    critical: Scalar
    careful: Bool[Array, ""]


class LimitsSearch(NamedTuple):
    """Where the search for all limits is: one after the other, each with its own steps.

    Attributes:
        number: Of the limit that is searched for: the lower ones, then the upper.
        careful: Whether that search is careful: from the start where the root took
            careful steps, else once it has failed.
        search: Where it is.
        limits: Those found.
    """

    number: Int[Array, ""]
    careful: Bool[Array, ""]
    search: Search
    first: Scalar
    limits: Float[Array, " k"]

    @property
    def running(self) -> Bool[Array, ""]:
        """Whether there is another one to search for."""
        return self.number < self.limits.size


def begin_limits(centre: Centre) -> LimitsSearch:
    """Return the search before its first evaluation."""
    first, limits = jnp.array(0), jnp.full(2 * centre.theta.size, jnp.nan)
    begun = _begin(centre, first, centre.careful)
    return LimitsSearch(first, centre.careful, begun, jnp.array(jnp.nan), limits)


def ask_for_limit(grid: FollowingGrid, state: LimitsSearch) -> Asked:
    """Return what is evaluated next, on the grid of the root."""
    no = jnp.array(False)
    return Asked(state.search.theta, grid, no, no)


def approach_limit(
    equation: ScoreEquation,
    centre: Centre,
    state: LimitsSearch,
    here: ScoreAt,
    scores: Float[Array, "n_obs p"],
) -> LimitsSearch:
    """Take in an evaluation; where that ends a search, begin the next.

    Args:
        equation: The equation.
        centre: What the limits lie around.
        state: The search before the evaluation.
        here: The evaluation.
        scores: Its scores less their mean, weighted with mean one and summed within
            clusters.
    """
    number, size = state.number, centre.theta.size
    found = test_parameter(here, number % size, scores, equation.n_obs)
    after = advance_limits(centre, state, found)
    if equation.verbose:
        parts, value = list_limits(equation.problem.names), after.limits[number]
        jax.lax.cond(
            after.number > number,
            lambda: report_part(parts, number, value),
            lambda: None,
        )
    return after


def advance_limits(centre: Centre, state: LimitsSearch, found: Tested) -> LimitsSearch:
    """Take in a value that was tested; where that ends a search, begin the next.

    The secant method on the deviate, which is nearly linear in the value: mostly one
    evaluation a limit. Infinite where no value is rejected within many standard errors:
    the data set no limit. A search that did not end is made once more, carefully; `nan`
    where that did not end either: that is no evidence. A careful search looks once
    beyond the limit that it has found: where the score is far from linear the deviate
    may fall again, and the interval reaches as far as values are not rejected.

    Args:
        centre: What the limits lie around.
        state: The search before the value.
        found: Its test.
    """
    number, size = state.number, centre.theta.size
    limit = _limit(centre, number, state.careful)
    search = advance_search(limit, state.search, found)
    most = jnp.where(state.careful, _MAX_CAREFUL_STEPS, _MAX_STEPS)
    rejects = jnp.isfinite(search.outer.distance)
    confirmed = rejects & (search.inner.distance <= state.first)
    over = confirmed | ~search.running | (search.num_steps >= most)
    looks = over & state.careful & jnp.isnan(state.first) & jnp.isfinite(search.limit)
    # Out of steps between two values: the one that is rejected.
    between = search.running & rejects
    reached = jnp.where(between, search.outer.distance, search.limit)
    reached = jnp.where(confirmed | jnp.isnan(reached), state.first, reached)
    again = over & jnp.isnan(reached) & ~state.careful
    ended = over & ~looks
    following = number + (ended & ~again)
    careful = jnp.where(ended, centre.careful | again, state.careful)
    begun = _begin(centre, jnp.minimum(following, 2 * size - 1), careful)
    search = choose_tree(looks, look_beyond(limit, search), search)
    first = jnp.where(looks, search.inner.distance, state.first)
    value = centre.theta[number % size] + limit.side * reached
    return LimitsSearch(
        following,
        careful,
        choose_tree(ended, begun, search),
        jnp.where(ended, jnp.nan, first),
        state.limits.at[number].set(jnp.where(ended, value, jnp.nan)),
    )


def _limit(centre: Centre, number: Int[Array, ""], careful: Bool[Array, ""]) -> Limit:
    size = centre.theta.size
    side = jnp.where(number < size, -1.0, 1.0)
    k = number % size
    this = jnp.arange(size) == k
    return Limit(this, side, centre.errors[k], centre.critical, careful)


def _begin(centre: Centre, number: Int[Array, ""], careful: Bool[Array, ""]) -> Search:
    """Begin the search for one limit."""
    limit, k = _limit(centre, number, careful), number % centre.theta.size
    variance = centre.inverse[k, k]
    path = centre.inverse[:, k] / jnp.where(variance > 0, variance, 1.0)
    return begin_search(limit, centre.theta, jnp.where(limit.this, 1.0, path))
