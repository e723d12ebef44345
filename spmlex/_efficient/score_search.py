"""The root of the efficient score and the limits around it, by one compiled program.

An evaluation of the score is most of what there is to compile, and both searches are
made of them. So where a call stands alone there is one program for both, which takes in
an evaluation for the one or the other. Within a larger program each is a loop of its
own.
"""

import dataclasses
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from spmlex._efficient.score_at import Asked, choose_tree
from spmlex._efficient.score_equation import ScoreEquation
from spmlex._efficient.score_inversion import (
    Centre,
    LimitsSearch,
    approach_limit,
    ask_for_limit,
    begin_limits,
)
from spmlex._efficient.score_parts import N_DRAWS
from spmlex._efficient.score_root import (
    Root,
    RootSearch,
    approach_root,
    ask_for_root,
    begin_root,
)
from spmlex._evidence.covariance import sum_within
from spmlex._profile.outer import OuterProblem
from spmlex._programs.compile import (
    compile_for_one_call,
    compile_together,
    is_traced,
    on_host,
)
from spmlex._words.types import AnyArray, Scalar, Weights


class _Searches(NamedTuple):
    """Where both searches are; one of them does not run."""

    root: RootSearch
    limits: LimitsSearch


class _Parts(NamedTuple):
    """Which of the searches a program can do."""

    root: bool
    limits: bool


def solve_score(
    problem: OuterProblem,
    weights: Weights,
    n_draws: int,
    seed: int,
    theta0: Float[Array, " p"],
    known: Float[Array, " p"] | None = None,
) -> tuple[ScoreEquation, RootSearch]:
    """Find theta at which the mean efficient score is zero. Equation (12).

    Args:
        problem: The problem.
        weights: Observation weights with sum one.
        n_draws: Number of draws for each group.
        seed: Of the draws.
        theta0: Where the search starts.
        known: Where it starts again if the first evaluation fails, or finds that the
            grid has to follow theta and may be far off F; `nan` or `None`: nowhere.

    Returns:
        The equation, what many draws add at its root with it, and where the search
        ended.
    """
    given = (problem, weights, seed, theta0, known)
    parts = _Parts(root=True, limits=not is_traced(given))
    key, begun, known, centre = _begin(n_draws, *given)
    equation = ScoreEquation(problem, weights, key, begun.root.offset, n_draws)
    end = search_score(equation, begun, known, centre, None, parts)
    return dataclasses.replace(equation, offset=end.root.offset), end.root


def invert_score(
    equation: ScoreEquation,
    root: Root,
    errors: Float[Array, " p"],
    critical: Scalar,
    clusters: Int[Array | np.ndarray, " n_obs"] | None = None,
) -> tuple[Float[Array, " p"], Float[Array, " p"]]:
    """Return the lower and upper limits of the values that are not rejected.

    Args:
        equation: The equation.
        root: Where the search for its root ended.
        errors: Standard errors of theta: the first guess.
        critical: Standard normal deviate at which a value is rejected.
        clusters: Whole number for each observation; those with the same one may depend
            on each other.
    """
    alone = not is_traced((equation, root, errors, critical, clusters))
    # With clusters it is another program than that of the root.
    parts = _Parts(root=alone and clusters is None, limits=True)
    begun, known, centre = _begin_limits(root, errors, critical)
    end = search_score(equation, begun, known, centre, clusters, parts)
    limits = end.limits.limits
    return _lower_half(limits), _upper_half(limits)


@on_host
def _lower_half(_: Any, limits: Float[AnyArray, " k"]) -> Any:
    return limits[: limits.size // 2]


@on_host
def _upper_half(_: Any, limits: Float[AnyArray, " k"]) -> Any:
    return limits[limits.size // 2 :]


@compile_together
def _begin(
    n_draws: int,
    problem: OuterProblem,
    weights: Weights,
    seed: int,
    theta0: Float[Array, " p"],
    known: Float[Array, " p"] | None,
) -> tuple[PRNGKeyArray, _Searches, Float[Array, " p"], Centre]:
    nothing = jnp.zeros_like(theta0)
    equation = ScoreEquation(problem, weights, jr.key(seed), nothing, n_draws)
    begun = begin_root(equation.nothing(theta0))
    nowhere = jnp.full_like(theta0, jnp.nan)
    matrix = begun.best.directions.inverse
    # Of a definite type, as the level's: else the program is another one.
    centre = Centre(
        theta0, matrix, nowhere, jnp.array(jnp.nan, float), jnp.array(False)
    )
    limits = begin_limits(centre)
    # There are none to search for.
    limits = limits._replace(number=jnp.array(limits.limits.size))
    known = nowhere if known is None else known
    return equation.key, _Searches(begun, limits), known, centre


@compile_together
def _begin_limits(
    root: Root, errors: Float[Array, " p"], critical: Scalar
) -> tuple[_Searches, Float[Array, " p"], Centre]:
    here = root.here
    ended = begin_root(here)._replace(running=jnp.array(False))
    # Of a definite type, as above.
    careful = root.is_careful.astype(bool)
    centre = Centre(root.theta, here.directions.inverse, errors, critical, careful)
    return _Searches(ended, begin_limits(centre)), root.theta, centre


@functools.partial(compile_for_one_call, n_made=2 * N_DRAWS, calls=2)
def search_score(
    equation: ScoreEquation,
    begun: _Searches,
    known: Float[Array, " p"],
    centre: Centre,
    clusters: Int[Array | np.ndarray, " n_obs"] | None,
    parts: _Parts,
) -> _Searches:
    """Search for the root, or for the limits around it, until the search ends."""

    def advance(state: _Searches) -> _Searches:
        asked = _ask(equation, state, parts)
        carried = state.root.best.carried._replace(grid=asked.grid)
        here = equation.at(asked.theta, carried, asked.chooses, asked.refines)

        def to_root() -> _Searches:
            moved = approach_root(equation, known, state.root, asked, here)
            return state._replace(root=moved)

        def to_limit() -> _Searches:
            counts = equation.problem.counts
            # Far from the root the mean itself would count as variance.
            centred = here.scores - here.mean
            scores = sum_within(centred, equation.weights, clusters, counts)
            moved = approach_limit(equation, centre, state.limits, here, scores)
            return state._replace(limits=moved)

        if parts.root and parts.limits:
            return jax.lax.cond(state.root.running, to_root, to_limit)
        return to_root() if parts.root else to_limit()

    return jax.lax.while_loop(
        lambda state: state.root.running | state.limits.running, advance, begun
    )


def _ask(equation: ScoreEquation, state: _Searches, parts: _Parts) -> Asked:
    """Return what is evaluated next, for the search that runs."""
    for_root = ask_for_root(equation, state.root)
    for_limit = ask_for_limit(state.root.best.carried.grid, state.limits)
    if parts.root and parts.limits:
        runs = state.root.running
        return choose_tree(runs, for_root, for_limit)
    return for_root if parts.root else for_limit
