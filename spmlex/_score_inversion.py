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

from spmlex._progress import list_limits, report_part
from spmlex._score_equation import ScoreAt, ScoreEquation
from spmlex._score_root import Root
from spmlex._types import Scalar

_MAX_STEPS = 24
_CLOSE = 0.2
"""Standard deviates from the critical value at which one step of the secant ends."""

_OFF = 0.5
"""Standard errors by which the other parameters may be off where a value is tested."""

_FALLS = 0.9
"""Factor by which the joint deviate falls where the others get nearer to their root."""

_LONGEST = 3.0
"""Longest step of the others, in standard errors."""

_PATIENCE = 5
"""Evaluations after which a value at which the others find no root is tested where
their score was smallest, and with them if they are off by twice as much: one of them
may run off to the end of its range."""

_WILD = 10.0
"""Critical values that the joint deviate may reach where the others are not solved."""

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
        joint: Size of the mean score of all parameters, as a standard normal deviate:
            at least that of this one, and the same where the others are solved.
        path: How the others go with this one, which moves by one.
    """

    deviate: Scalar
    others: Float[Array, " p"]
    off: Scalar
    joint: Scalar
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
    # The two parts are uncorrelated under the model.
    joint = jnp.sqrt(smaller**2 + n_obs * here.mean @ others)
    return Tested(smaller, others, off, joint, path)


class _Tried(NamedTuple):
    """A value that the search has tested.

    Attributes:
        distance: From the centre, outwards.
        excess: Of the deviate over the critical value: positive where it is rejected.
        theta: All parameters there.
        path: How the others go with this one.
    """

    distance: Scalar
    excess: Scalar
    theta: Float[Array, " p"]
    path: Float[Array, " p"]


class _State(NamedTuple):
    """Where the search for one limit is.

    Attributes:
        distance: Of the value that is tested next.
        theta: All parameters there.
        inner: The farthest value that is not rejected.
        outer: The nearest that is.
        barrier: Distance of the nearest value at which the score can't be computed.
        rejected: Whether the last value that counts was.
        tries: Evaluations at this value in which the others were not solved.
        best: The one of them with the smallest score.
        at: Where that was.
        damping: Share of the step from there that the others take.
        limit: Distance of the limit, where the search has ended.
        running: Whether it goes on.
        num_steps: Evaluations.
    """

    distance: Scalar
    theta: Float[Array, " p"]
    inner: _Tried
    outer: _Tried
    barrier: Scalar
    rejected: Bool[Array, ""]
    tries: Int[Array, ""]
    best: Tested
    at: Float[Array, " p"]
    damping: Scalar
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
    evaluation a limit. Infinite where no value is rejected within many standard errors:
    the data set no limit. `nan` where the search did not end: that is no evidence.

    Args:
        equation: The equation.
        root: Where the search for its root ended.
        errors: Standard errors of theta: the first guess.
        critical: Standard normal deviate at which a value is rejected.
        sum_scores: Weighs scores and sums them within clusters.
    """
    size, n_obs = root.theta.size, equation.n_obs
    carried, start = root.here.carried, root.theta

    def limit(item: tuple[Array, Array, Array]) -> tuple[Array, Array]:
        k: Int[Array, ""]
        side: Scalar
        error: Scalar
        k, side, error = item
        this = jnp.arange(size) == k

        zero = jnp.zeros(size)
        infinite = jnp.array(jnp.inf)
        untested = Tested(jnp.array(0.0), zero, infinite, infinite, zero)

        def test_at(theta: Array) -> Tested:
            here = equation.at(theta, carried)
            return test_parameter(here, k, sum_scores(here.scores), n_obs)

        def advance(state: _State) -> _State:
            found = test_at(state.theta)
            finite = jnp.isfinite(found.deviate) & jnp.all(jnp.isfinite(found.others))
            better = finite & (found.joint < state.best.joint)
            falls = found.joint < _FALLS * state.best.joint
            best: Tested = _choose(better, found, state.best)
            at: Float[Array, " p"] = jnp.where(better, state.theta, state.at)
            # Where the score does not shrink, half the step from the best so far.
            damping = jnp.where(better, 1.0, 0.5 * state.damping)
            longest = jnp.minimum(1.0, _LONGEST / jnp.maximum(best.off, 1e-300))
            others = best.others * longest * damping
            finite = jnp.isfinite(best.joint)
            solved = best.off <= _OFF
            # The others were carried along too far: no step from here leads back.
            usable = finite & (solved | (best.joint <= _WILD * critical))
            hopeless = ~solved & ~falls & (state.tries >= _PATIENCE)
            jointly = hopeless & (best.off > 2 * _OFF)
            excess = jnp.where(jointly, best.joint, -side * best.deviate) - critical
            counts = usable & (solved | hopeless)
            tried = _Tried(state.distance, excess, at + others, best.path)
            rejected = excess >= 0
            # Twice on one side: the other's excess counts half (Illinois), else a line
            # from a value far out creeps.
            again = counts & (rejected == state.rejected)
            before_in: _Tried = _lighten(again & rejected, state.inner)
            before_out: _Tried = _lighten(again & ~rejected, state.outer)
            inner: _Tried = _choose(counts & ~rejected, tried, before_in)
            outer: _Tried = _choose(counts & rejected, tried, before_out)
            barrier = jnp.where(finite, state.barrier, state.distance)
            # The line through this point and the one on the other side, or inwards.
            bracketed = jnp.isfinite(outer.distance)
            other: _Tried = _choose(bracketed & ~rejected, outer, before_in)
            slope = (excess - other.excess) / (state.distance - other.distance)
            far = _GROWTH * state.distance
            high: Scalar = jnp.minimum(
                jnp.where(bracketed, outer.distance, far), barrier
            )
            target = state.distance - excess / slope
            target: Scalar = jnp.where(slope > 0, target, far)
            done = counts & (jnp.abs(excess) <= _CLOSE) & (slope > 0)
            opened = counts & ~rejected & (target > _FARTHEST * error)
            end = jnp.where(done, target, jnp.where(opened, jnp.inf, state.limit))
            low = inner.distance + 0.02 * (high - inner.distance)
            target = jnp.clip(target, low, jnp.maximum(low, high))
            # Back half the way from where nothing is of use; and until the others are
            # solved the same value is tested again.
            half = 0.5 * (inner.distance + state.distance)
            following = jnp.where(
                counts, target, jnp.where(usable, state.distance, half)
            )
            moved = following - inner.distance
            along = inner.theta + inner.path * side * moved
            share = moved / (outer.distance - inner.distance)
            between = inner.theta + share * (outer.theta - inner.theta)
            theta = jnp.where(this | ~bracketed, along, between)
            theta = jnp.where(counts | ~usable, theta, tried.theta)
            return _State(
                following,
                theta,
                inner,
                outer,
                barrier,
                jnp.where(counts, rejected, state.rejected),
                jnp.where(counts | ~usable, 0, state.tries + 1),
                _choose(counts | ~usable, untested, best),
                at,
                damping,
                end,
                ~done & ~opened,
                state.num_steps + 1,
            )

        scaled = root.here.directions.inverse
        path = scaled[:, k] / jnp.where(scaled[k, k] > 0, scaled[k, k], 1.0)
        path = jnp.where(this, 1.0, path)
        first = critical * error
        centre = _Tried(jnp.array(0.0), -critical, start, path)
        nothing = jnp.array(jnp.inf)
        begin = _State(
            first,
            start + side * first * path,
            centre,
            centre._replace(distance=nothing),
            nothing,
            jnp.array(False),
            jnp.array(0),
            untested,
            start,
            jnp.array(1.0),
            jnp.array(jnp.nan),
            jnp.array(True),
            jnp.array(0),
        )
        end = jax.lax.while_loop(
            lambda state: state.running & (state.num_steps < _MAX_STEPS), advance, begin
        )
        # Out of steps between two values: the one that is rejected.
        between = end.running & jnp.isfinite(end.outer.distance)
        reached = jnp.where(between, end.outer.distance, end.limit)
        if equation.problem.verbose:
            parts = list_limits(equation.problem.names)
            report_part(parts, k + size * (side > 0), start[k] + side * reached)
        return start[k] + side * reached, end.num_steps

    index = jnp.tile(jnp.arange(size), 2)
    side = jnp.repeat(jnp.array([-1.0, 1.0]), size)
    limits: Float[Array, " k"]
    limits, _ = jax.lax.map(limit, (index, side, jnp.tile(errors, 2)))
    return limits[:size], limits[size:]


def _lighten(condition: Bool[Array, ""], tried: _Tried) -> _Tried:
    factor = jnp.where(condition & jnp.isfinite(tried.distance), 0.5, 1.0)
    return tried._replace(excess=factor * tried.excess)


def _choose[Tree](condition: Bool[Array, ""], one: Tree, other: Tree) -> Tree:
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), one, other)
