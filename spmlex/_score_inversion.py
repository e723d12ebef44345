"""Intervals of the values that an efficient-score test does not reject.

For each value of one parameter the others solve their own equations; what is tested is
the mean score of the parameter less its regression on theirs: a C(alpha) test (Neyman
1959), which does not feel how well they are solved to first order. Where the data say
little the interval is open. Equation (13) of `spmlex/README.md`.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from spmlex._score_equation import Root, ScoreAt, ScoreEquation
from spmlex._types import Scalar

_MAX_STEPS = 16
_CLOSE = 0.2
"""Standard deviates from the critical value at which one step of the secant ends."""

_OFF = 0.5
"""Standard errors by which the other parameters may be off where a value is tested."""

_LONGEST = 3.0
"""Longest step of the others, in standard errors."""

_GROWTH = 3.0
"""Most by which the distance from the centre grows in a step."""

_FARTHEST = 1e3
"""Standard errors from the centre beyond which an interval is open."""


class Tested(NamedTuple):
    """A value of a parameter, tested.

    Attributes:
        deviate: Standard normal where the value is right; positive where it is too
            small.
        others: The step that the other parameters want, zero for this one.
        off: Longest entry of that step, in standard errors.
        path: How the others go with this one, which moves by one.
    """

    deviate: Scalar
    others: Float[Array, " p"]
    off: Scalar
    path: Float[Array, " p"]


def test_parameter(
    here: ScoreAt,
    k: Int[Array, ""],
    scores: Float[Array, "n_obs p"],
    n_obs: Scalar,
) -> Tested:
    """Test parameter k at the theta of an evaluation. Equation (13).

    Of two consistent estimates of the variance, the model's and the sample's, the
    larger counts. What is regressed on the others is the model's in both: far from
    the root the sample's mean product of scores may be singular or of any sign, and a
    deviate that uses it vanishes there however wrong the value is.

    Args:
        here: The evaluation.
        k: Number of the parameter.
        scores: Efficient scores, weighted with mean one and summed within clusters.
        n_obs: Number of observations with weight.
    """
    size = here.theta.size
    this = jnp.arange(size) == k
    unit = jnp.sqrt(jnp.maximum(jnp.diagonal(here.parametric), 1e-300))

    scaled = here.information / (unit[:, None] * unit)
    crossed = this[:, None] | this
    block: Float[Array, "p p"] = jnp.where(crossed, jnp.eye(size), scaled)
    inverse: Float[Array, "p p"] = jnp.linalg.pinv(block, rtol=1e-8)
    inverse = jnp.where(crossed, 0.0, inverse)
    inverse = inverse / (unit[:, None] * unit)
    combination = jnp.where(this, 1.0, -(here.information[k] @ inverse))
    variance = combination @ here.information @ combination
    model = combination @ here.mean / jnp.sqrt(variance / n_obs)
    along = scores @ combination
    # Not the sum of the rows: with counts they are roots of sums of squares.
    total = n_obs * (combination @ here.mean)
    sample = total / jnp.sqrt(jnp.sum(along**2) - total**2 / n_obs)
    smaller = jnp.where(jnp.abs(sample) < jnp.abs(model), sample, model)
    others = inverse @ here.mean
    error = jnp.sqrt(jnp.maximum(jnp.diagonal(inverse), 0.0) / n_obs)
    off = jnp.max(jnp.abs(others) / jnp.where(error > 0, error, jnp.inf), initial=0.0)
    path = jnp.where(this, 1.0, -(inverse @ here.information[:, k]))
    return Tested(smaller, others, off, path)


class _State(NamedTuple):
    """Where the search for one limit is; distances are from the centre, outwards."""

    distance: Scalar
    theta: Float[Array, " p"]
    inner: Scalar
    at_inner: Scalar
    outer: Scalar
    at_outer: Scalar
    limit: Scalar
    running: Bool[Array, ""]
    num_steps: Int[Array, ""]


def invert_score(
    equation: ScoreEquation,
    root: Root,
    errors: Float[Array, " p"],
    critical: Scalar,
    sum_scores: Callable[[Float[Array, "n_obs p"]], Float[Array, "n_obs p"]],
) -> tuple[Float[Array, " p"], Float[Array, " p"]]:
    """Return the lower and upper limits of the values that are not rejected.

    The secant method on the deviate, which is nearly linear in the value: mostly one
    evaluation a limit. A limit that is not found within many standard errors, or
    before the likelihood vanishes, is infinite.

    Args:
        equation: The equation.
        root: Where the search for its root ended.
        errors: Standard errors of theta: the first guess.
        critical: Standard normal deviate at which a value is rejected.
        sum_scores: Weighs scores and sums them within clusters.
    """
    size, n_obs = root.theta.size, equation.n_obs
    mixing, start = root.here.mixing, root.theta

    def limit(item):
        k: Int[Array, ""]
        side: Scalar
        error: Scalar
        k, side, error = item
        this = jnp.arange(size) == k

        def test_at(theta):
            here = equation.at(theta, mixing)
            return test_parameter(here, k, sum_scores(here.scores), n_obs)

        def advance(state: _State) -> _State:
            found = test_at(state.theta)
            # Positive where the value is rejected on this side.
            excess = -side * found.deviate - critical
            finite = jnp.isfinite(excess) & jnp.all(jnp.isfinite(found.others))
            solved = found.off <= _OFF
            longest = jnp.minimum(1.0, _LONGEST / jnp.maximum(found.off, 1e-300))
            others = jnp.where(finite, found.others * longest, 0.0)
            path = jnp.where(finite, found.path, this)
            below = excess < 0
            counts = finite & solved
            inner: Scalar = jnp.where(counts & below, state.distance, state.inner)
            at_inner: Scalar = jnp.where(counts & below, excess, state.at_inner)
            outer: Scalar = jnp.where(counts & ~below, state.distance, state.outer)
            at_outer: Scalar = jnp.where(counts & ~below, excess, state.at_outer)
            # The line through this point and the one on the other side, or inwards.
            previous = jnp.where(below, state.inner, inner)
            at_previous = jnp.where(below, state.at_inner, at_inner)
            bracketed = below & jnp.isfinite(state.outer)
            previous = jnp.where(bracketed, state.outer, previous)
            at_previous = jnp.where(bracketed, state.at_outer, at_previous)
            slope = (excess - at_previous) / (state.distance - previous)
            target = state.distance - excess / slope
            far = _GROWTH * state.distance
            target: Scalar = jnp.where(slope > 0, target, far)
            high: Scalar = jnp.where(jnp.isfinite(outer), outer, far)
            target = jnp.clip(target, inner + 0.02 * (high - inner), high)
            done = counts & (jnp.abs(excess) <= _CLOSE) & (slope > 0)
            opened = ~finite | (counts & below & (target > _FARTHEST * error))
            # Until the others are solved the same value is tested again.
            following = jnp.where(counts, target, state.distance)
            moved = side * (following - state.distance)
            return _State(
                following,
                state.theta + others + path * moved,
                inner,
                at_inner,
                outer,
                at_outer,
                jnp.where(done, target, jnp.where(opened, jnp.inf, state.limit)),
                ~done & ~opened,
                state.num_steps + 1,
            )

        scaled = root.here.directions.inverse
        path = scaled[:, k] / jnp.where(scaled[k, k] > 0, scaled[k, k], 1.0)
        path = jnp.where(this, 1.0, path)
        first = critical * error
        nothing = jnp.array(jnp.inf)
        begin = _State(
            first,
            start + side * first * path,
            jnp.array(0.0),
            -critical,
            nothing,
            nothing,
            nothing,
            jnp.array(True),
            jnp.array(0),
        )
        end = jax.lax.while_loop(
            lambda state: state.running & (state.num_steps < _MAX_STEPS), advance, begin
        )
        # Out of steps between two values: the one that is rejected.
        reached = jnp.where(end.running, end.outer, end.limit)
        return start[k] + side * reached, end.num_steps

    index = jnp.tile(jnp.arange(size), 2)
    side = jnp.repeat(jnp.array([-1.0, 1.0]), size)
    limits: Float[Array, " k"]
    limits, _ = jax.lax.map(limit, (index, side, jnp.tile(errors, 2)))
    return limits[:size], limits[size:]
