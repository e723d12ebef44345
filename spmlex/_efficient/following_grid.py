"""A grid that moves with theta where a shift of F all but takes theta's place.

The coefficient of a covariate whose mean is many times its standard deviation, such as
a calendar year, hardly differs from a shift of F: a step of a standard error carries F
off a grid that stays. There the grid goes along, by the coefficients of equation (8) on
the flows, and F keeps its place on it. The efficient score is orthogonal to the flows,
so that its root is much the same; it can be found.
"""

import dataclasses
from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from spmlex._efficient.score_parts import moves_of_flows
from spmlex._profile.outer import OuterProblem
from spmlex._programs.compile import on_host
from spmlex._support.continuum import range_of, rows_of
from spmlex._words.types import AnyArray

_NEARLY = 0.05
"""Share of the information with F known that shifts and stretches of F leave: less for
a mean of more than five to ten standard deviations. Above it the grid stays, for its
points need not be able to move: a model may be defined at positive ones alone."""

_STILL = 0.1
"""Of the distance of two points: by how much F may press on the end of the grid at a
root. It does so a little where its atoms lie between points."""

_WAY = 10.0
"""How far the grid gives way, in units of that: the thin end of F presses little."""


class FollowingGrid(NamedTuple):
    """Where the grid is, and how it moves.

    Attributes:
        rows: Its points at `origin`, as rows of coordinates.
        drift: How each moves with theta; zero along all that F does not replace.
        origin: Theta there.
        press: How far, by Newton's step in each coordinate, F as a whole would move
            beyond its points; all but zero where it is well inside.
    """

    rows: Float[Array, "n_supp d"]
    drift: Float[Array, "n_supp d p"]
    origin: Float[Array, " p"]
    press: Float[Array, " d"]

    @property
    def is_still(self) -> Bool[Array, ""]:
        """Whether F is inside."""
        n_supp, dimension = self.rows.shape
        apart = jnp.ptp(self.rows, axis=0) / n_supp ** (1 / dimension)
        return jnp.all(jnp.abs(self.press) <= _STILL * apart)

    @property
    def moves(self) -> Bool[Array, ""]:
        """Whether it moves with theta."""
        return jnp.any(self.drift != 0)

    def go_home(
        self, problem: OuterProblem, theta: Float[Array, " p"]
    ) -> "FollowingGrid":
        """Return the grid as it was given, at a theta."""
        nothing = jnp.zeros_like(self.press)
        rows = rows_of(problem.supp)
        return self._replace(rows=rows, origin=theta, press=nothing)

    def give_way(self, gives: Bool[Array, ""]) -> "FollowingGrid":
        """Return the grid where F presses it to, if it gives way."""
        moves = gives & ~self.is_still
        return self._replace(rows=self.rows + jnp.where(moves, _WAY * self.press, 0.0))


class FlowScores(NamedTuple):
    """What the flows of F say. Those of several groups add up.

    Attributes:
        on_flows: Coefficients of the scores on the flows alone.
        mean: Weighted mean of the flows' scores in the data.
        second: Their information under the model.
    """

    on_flows: Float[Array, "q p"]
    mean: Float[Array, " q"]
    second: Float[Array, "q q"]


def begin_grid(problem: OuterProblem, theta: Float[Array, " p"]) -> FollowingGrid:
    """Return the given grid, which does not move before it is known how."""
    rows = rows_of(problem.supp)
    drift = jnp.zeros((*rows.shape, theta.size))
    return FollowingGrid(rows, drift, theta, jnp.zeros(rows.shape[1]))


def place_grid(
    problem: OuterProblem, grid: FollowingGrid, theta: Float[Array, " p"]
) -> OuterProblem:
    """Return the problem on the grid as it lies at a theta."""
    box, _ = range_of(problem.supp)
    rows = grid.rows + grid.drift @ (theta - grid.origin)
    return dataclasses.replace(problem, supp=box.to_supp(rows))


def follow(
    placed: OuterProblem,
    theta: Float[Array, " p"],
    flows: FlowScores,
    near: Bool[Array, " p"],
) -> FollowingGrid:
    """Return the grid from which theta goes on.

    Args:
        placed: The problem on the grid at theta.
        theta: Where that is.
        flows: What they say there.
        near: Which parameters they all but explain.
    """
    rows = rows_of(placed.supp)
    moves = moves_of_flows(rows)
    dimension, n_moves = rows.shape[1], moves.shape[1]
    by_coordinate = flows.on_flows.reshape(dimension, n_moves, theta.size)
    drift = -jnp.einsum("vm,dmp->vdp", moves, by_coordinate)
    shifts = slice(None, None, n_moves)
    second: Float[Array, " d"] = jnp.diagonal(flows.second)[shifts]
    # A coordinate that nothing depends on stays.
    second = jnp.where(second > 0, second, 1.0)
    press: Float[Array, " d"] = flows.mean[shifts] / second
    most = jnp.ptp(rows, axis=0) / _WAY
    press = jnp.clip(press, -most, most)
    press = jnp.where(jnp.any(near) & jnp.isfinite(press), press, 0.0)
    return FollowingGrid(rows, jnp.where(near, drift, 0.0), theta, press)


@on_host
def find_near(
    xp: Any, remaining: Float[AnyArray, "p p"], parametric: Float[AnyArray, "p p"]
) -> Any:
    """Tell which parameters a shift or stretch of F all but takes the place of."""
    return xp.diagonal(remaining) < _NEARLY * xp.diagonal(parametric)
