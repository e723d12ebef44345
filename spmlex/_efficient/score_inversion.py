"""Intervals of the values that an efficient-score test does not reject.

For each value of one parameter the others solve their own equations, and the value is
tested as `score_test` says; a limit is where the deviate is critical. Where the data
say little the interval is open. Equation (13) of `spmlex/README.md`.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from spmlex._efficient.limit_search import Limit, Search, advance_search, begin_search
from spmlex._efficient.score_equation import ScoreEquation
from spmlex._efficient.score_root import Root
from spmlex._efficient.score_test import test_parameter
from spmlex._words.progress import list_limits, report_part
from spmlex._words.types import Scalar

# Mostly one is taken (see below); what needs many has hardly a limit.
_MAX_STEPS = 24


def invert_score(
    equation: ScoreEquation,
    root: Root,
    errors: Float[Array, " p"],
    critical: Scalar,
    sum_scores: Callable[[Float[Array, "n_obs p"]], Float[Array, "n_obs p"]],
) -> tuple[Float[Array, " p"], Float[Array, " p"]]:
    """Return the lower and upper limits of the values that are not rejected.

    The secant method on the deviate, which is nearly linear in the value: mostly one
    evaluation a limit. Infinite where no value is rejected within many standard errors:
    the data set no limit. `nan` where the search did not end: that is no evidence.

    Args:
        equation: The equation.
        root: Where the search for its root ended.
        errors: Standard errors of theta: the first guess.
        critical: Standard normal deviate at which a value is rejected.
        sum_scores: Weighs scores and sums them within clusters.
    """
    size = root.theta.size

    def find(item: tuple[Int[Array, ""], Scalar, Scalar]) -> Scalar:
        k, side, error = item
        limit = Limit(jnp.arange(size) == k, side, error, critical)

        def advance(search: Search) -> Search:
            here = equation.at(search.theta, root.here.carried)
            scores = sum_scores(here.scores)
            found = test_parameter(here, k, scores, equation.n_obs)
            return advance_search(limit, search, found)

        scaled = root.here.directions.inverse
        path = scaled[:, k] / jnp.where(scaled[k, k] > 0, scaled[k, k], 1.0)
        begin = begin_search(limit, root.theta, jnp.where(limit.this, 1.0, path))
        end = jax.lax.while_loop(
            lambda search: search.running & (search.num_steps < _MAX_STEPS),
            advance,
            begin,
        )
        # Out of steps between two values: the one that is rejected.
        between = end.running & jnp.isfinite(end.outer.distance)
        reached = jnp.where(between, end.outer.distance, end.limit)
        found = root.theta[k] + side * reached
        if equation.problem.verbose:
            parts = list_limits(equation.problem.names)
            report_part(parts, k + size * (side > 0), found)
        return found

    index = jnp.tile(jnp.arange(size), 2)
    side = jnp.repeat(jnp.array([-1.0, 1.0]), size)
    limits: Float[Array, " k"]
    # One limit after the other: each ends after its own number of evaluations.
    limits = jax.lax.map(find, (index, side, jnp.tile(errors, 2)))
    return limits[:size], limits[size:]
