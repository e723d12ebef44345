"""The search for one limit of an interval, a step at a time.

The secant method on the deviate of the test, between a value that is not rejected and
one that is, while the other parameters solve their own equations. A step takes in one
evaluation, and says where the next is made.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from spmlex._efficient.score_at import choose_tree
from spmlex._efficient.score_test import Tested, nothing_tested
from spmlex._words.types import Scalar

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


class Limit(NamedTuple):
    """Which limit is searched for.

    Attributes:
        this: True for the parameter, False for the others.
        side: -1.0 for the lower limit, 1.0 for the upper one.
        error: Standard error of the parameter: the unit of distances.
        critical: Standard normal deviate at which a value is rejected.
        careful: Whether the others stay where they are, since the information does not
            say how they go along.
    """

    this: Bool[Array, " p"]
    side: Scalar
    error: Scalar
    critical: Scalar
    careful: Bool[Array, ""]


class Search(NamedTuple):
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


class _Verdict(NamedTuple):
    """What an evaluation says of the value that it is at.

    Attributes:
        tried: The value.
        counts: Whether it is tested now: the others are solved, or can't be.
        usable: Whether the others can be solved from here.
        rejected: Whether it is, where that counts.
    """

    tried: _Tried
    counts: Bool[Array, ""]
    usable: Bool[Array, ""]
    rejected: Bool[Array, ""]


class _Bracket(NamedTuple):
    """The values between which a limit lies.

    Attributes:
        inner: The farthest value that is not rejected.
        outer: The nearest that is.
        other: The one that the secant through the value just tested passes through.
        barrier: Distance of the nearest value at which the score can't be computed.
    """

    inner: _Tried
    outer: _Tried
    other: _Tried
    barrier: Scalar


def begin_search(
    limit: Limit, start: Float[Array, " p"], path: Float[Array, " p"]
) -> Search:
    """Begin as far out as a Wald interval reaches."""
    infinite = jnp.array(jnp.inf)
    first = limit.critical * limit.error
    centre = _Tried(jnp.array(0.0), -limit.critical, start, path)
    along = jnp.where(limit.careful & ~limit.this, 0.0, path)
    return Search(
        distance=first,
        theta=start + limit.side * first * along,
        inner=centre,
        outer=centre._replace(distance=infinite),
        barrier=infinite,
        rejected=jnp.array(False),
        tries=jnp.array(0),
        best=nothing_tested(start.size),
        at=start,
        damping=jnp.array(1.0),
        limit=jnp.array(jnp.nan),
        running=jnp.array(True),
        num_steps=jnp.array(0),
    )


def advance_search(limit: Limit, search: Search, found: Tested) -> Search:
    """Take in an evaluation, and choose the next value or solve the others further."""
    finite = jnp.isfinite(found.deviate) & jnp.all(jnp.isfinite(found.others))
    better = finite & (found.joint < search.best.joint)
    falls = found.joint < _FALLS * search.best.joint
    best: Tested = choose_tree(better, found, search.best)
    at: Float[Array, " p"] = jnp.where(better, search.theta, search.at)
    # Where the score does not shrink, half the step from the best so far.
    damping = jnp.where(better, 1.0, 0.5 * search.damping)
    verdict = _judge(limit, search, best, at, damping, falls)
    bracket = _bracket(search, verdict, jnp.isfinite(best.joint))
    following, reached, ended = _choose_value(limit, bracket, verdict)
    theta = _carry_others(limit, bracket, following)
    # Until the others are solved the same value is tested again.
    leaves = verdict.counts | ~verdict.usable
    return Search(
        distance=following,
        theta=jnp.where(leaves, theta, verdict.tried.theta),
        inner=bracket.inner,
        outer=bracket.outer,
        barrier=bracket.barrier,
        rejected=jnp.where(verdict.counts, verdict.rejected, search.rejected),
        tries=jnp.where(leaves, 0, search.tries + 1),
        best=choose_tree(leaves, nothing_tested(at.size), best),
        at=at,
        damping=damping,
        limit=jnp.where(ended, reached, search.limit),
        running=~ended,
        num_steps=search.num_steps + 1,
    )


def look_beyond(limit: Limit, search: Search) -> Search:
    """Begin again beyond the limit that a search has found."""
    outwards = jnp.where(limit.this, limit.side, 0.0)
    start = search.inner.theta + outwards * (search.limit - search.inner.distance)
    inner = _Tried(search.limit, jnp.array(0.0), start, search.inner.path)
    farther = _GROWTH * search.limit
    theta = start + outwards * (farther - search.limit)
    begun = begin_search(limit, start, inner.path)
    return begun._replace(distance=farther, theta=theta, inner=inner)


def _judge(
    limit: Limit,
    search: Search,
    best: Tested,
    at: Float[Array, " p"],
    damping: Scalar,
    falls: Bool[Array, ""],
) -> _Verdict:
    """Say whether a value is tested, and by what, from the best evaluation at it."""
    longest = jnp.minimum(1.0, _LONGEST / jnp.maximum(best.off, 1e-300))
    others = best.others * longest * damping
    solved = best.off <= _OFF
    # The others were carried along too far: no step from here leads back.
    near = solved | (best.joint <= _WILD * limit.critical)
    usable = jnp.isfinite(best.joint) & near
    hopeless = ~solved & ~falls & (search.tries >= _PATIENCE)
    jointly = hopeless & (best.off > 2 * _OFF)
    deviate = jnp.where(jointly, best.joint, -limit.side * best.deviate)
    excess = deviate - limit.critical
    tried = _Tried(search.distance, excess, at + others, best.path)
    return _Verdict(tried, usable & (solved | hopeless), usable, excess >= 0)


def _bracket(search: Search, verdict: _Verdict, finite: Bool[Array, ""]) -> _Bracket:
    """Move the end of the bracket on the side of the value that was tested."""
    tried, counts, rejected = verdict.tried, verdict.counts, verdict.rejected
    # Twice on one side: the other's excess counts half (Illinois), else a line from a
    # value far out creeps.
    again = counts & (rejected == search.rejected)
    before: _Tried = _lighten(again & rejected, search.inner)
    outer: _Tried = _lighten(again & ~rejected, search.outer)
    outer = choose_tree(counts & rejected, tried, outer)
    # The line through this point and the one on the other side, or inwards.
    across = jnp.isfinite(outer.distance) & ~rejected
    return _Bracket(
        inner=choose_tree(counts & ~rejected, tried, before),
        outer=outer,
        other=choose_tree(across, outer, before),
        barrier=jnp.where(finite, search.barrier, tried.distance),
    )


def _choose_value(
    limit: Limit, bracket: _Bracket, verdict: _Verdict
) -> tuple[Scalar, Scalar, Bool[Array, ""]]:
    """Take a step of the secant.

    Returns:
        The distance of the next value, that of the limit, and whether it is found.
    """
    tried, inner, other = verdict.tried, bracket.inner, bracket.other
    slope = (tried.excess - other.excess) / (tried.distance - other.distance)
    far = _GROWTH * tried.distance
    bracketed = jnp.isfinite(bracket.outer.distance)
    high = jnp.where(bracketed, bracket.outer.distance, far)
    high = jnp.minimum(high, bracket.barrier)
    zero = tried.distance - tried.excess / slope
    # A deviate that falls outwards crosses nothing on this line: go further out.
    target: Scalar = jnp.where(slope > 0, zero, far)
    done = verdict.counts & (jnp.abs(tried.excess) <= _CLOSE) & (slope > 0)
    opened = verdict.counts & ~verdict.rejected & (target > _FARTHEST * limit.error)
    reached = jnp.where(done, target, jnp.inf)
    # Well inside of the bracket, so that it shrinks.
    low = inner.distance + 0.02 * (high - inner.distance)
    target = jnp.clip(target, low, jnp.maximum(low, high))
    # Back half the way from where nothing is of use.
    half = 0.5 * (inner.distance + tried.distance)
    again = jnp.where(verdict.usable, tried.distance, half)
    return jnp.where(verdict.counts, target, again), reached, done | opened


def _carry_others(
    limit: Limit, bracket: _Bracket, following: Scalar
) -> Float[Array, " p"]:
    """Guess all parameters at a value: on the line through both ends, or outwards."""
    inner, outer = bracket.inner, bracket.outer
    moved = following - inner.distance
    along = inner.theta + inner.path * limit.side * moved
    share = moved / (outer.distance - inner.distance)
    between = inner.theta + share * (outer.theta - inner.theta)
    # Far from linear the guess may be far off: they start from where they were.
    along = jnp.where(limit.careful & ~limit.this, inner.theta, along)
    return jnp.where(limit.this | ~jnp.isfinite(outer.distance), along, between)


def _lighten(condition: Bool[Array, ""], tried: _Tried) -> _Tried:
    halves = condition & jnp.isfinite(tried.distance)
    return tried._replace(excess=jnp.where(halves, 0.5, 1.0) * tried.excess)
