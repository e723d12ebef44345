"""The mean efficient score as a function of theta, F estimated there."""

import functools
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from spmlex._adequacy.identification import split_directions
from spmlex._efficient.draws import how_rows_are_made
from spmlex._efficient.following_grid import (
    FlowScores,
    begin_grid,
    find_near,
    follow,
    place_grid,
)
from spmlex._efficient.projection import (
    CUTOFF,
    Moments,
    Projection,
    no_moments,
    project_score,
    sum_moments,
)
from spmlex._efficient.score_at import Carried, ScoreAt, choose_tree, no_score
from spmlex._efficient.score_parts import (
    Rows,
    ScoreParts,
    count_flows,
    find_seen,
    make_rows,
    split_score,
    spread_out,
)
from spmlex._efficient.smooth_mixing import SmoothMixing, estimate_mixing, no_mixing
from spmlex._inner.mixture import count_observations
from spmlex._profile.outer import OuterProblem, weights_by_group
from spmlex._words.types import Probs, Scalar, Weights

_NEAR = 0.1
"""Variance of the log-density of a row between two theta that share their draws:
weighed by their ratio, the draws are worth this share less."""

_REFINED = 8
"""Sets of draws that the estimate is refined with: at its root alone."""


class ScoreEquation(eqx.Module):
    """What does not change with theta.

    Attributes:
        problem: The outer problem, its grid and data.
        weights: Observation weights with sum one.
        key: Of the draws.
        offset: What more draws add to the mean efficient score near the root.
        n_draws: Their number for each group.
    """

    problem: OuterProblem
    weights: Weights
    key: PRNGKeyArray
    offset: Float[Array, " p"]
    n_draws: int = eqx.field(static=True)

    @property
    def verbose(self) -> bool:
        """Whether searches for its root print their progress."""
        return self.problem.verbose

    def cost(self, n_made: int) -> int:
        """Return what a search on the grid costs."""
        return self.problem.cost(n_made)

    @property
    def n_obs(self) -> Scalar:
        """Number of observations with weight."""
        count = count_observations(self.weights, self.problem.counts)
        return count.astype(self.weights.dtype)

    def at(
        self,
        theta: Float[Array, " p"],
        carried: Carried,
        chooses: Bool[Array, ""] | bool = False,
        refined: Bool[Array, ""] | bool = False,
    ) -> ScoreAt:
        """Evaluate the efficient score, F estimated at this theta.

        Args:
            theta: Where.
            carried: From an evaluation before: gives the bandwidths, and the rows of
                the model where theta is near.
            chooses: Whether the data choose the bandwidths, and rows are made anew.
            refined: Whether expectations are taken over many more rows, made for this
                evaluation alone.
        """
        problem = self.problem_at(theta, carried)
        own = weights_by_group(problem, self.weights)
        moved = theta - carried.theta
        refined = jnp.asarray(refined) & (not self.is_exact)
        # Written so that an unknown distance counts as far.
        far = ~(moved @ carried.remaining @ moved <= _NEAR) | jnp.asarray(chooses)
        far &= ~refined

        lclk = problem.lclk(theta)
        asked = _Asked(problem, theta, lclk, jnp.asarray(chooses), far, refined)
        each: _Group = jax.lax.map(
            functools.partial(self._at_group, asked),
            (own, carried.mixing, carried.rows),
        )
        scores = jnp.sum(each.scores, axis=0) + self.offset
        information = jnp.sum(each.information, axis=0)
        parametric = jnp.sum(each.parametric, axis=0)
        remaining = jnp.sum(each.remaining, axis=0)
        near = find_near(remaining, parametric)
        flows: FlowScores = jax.tree.map(lambda a: jnp.sum(a, axis=0), each.flows)
        grid = follow(problem, theta, flows, near)
        return ScoreAt(
            theta=theta,
            scores=scores,
            raw=jnp.sum(each.raw, axis=0),
            mean=self.weights @ scores,
            information=information,
            parametric=parametric,
            directions=split_directions(information, remaining, parametric),
            carried=Carried(
                each.mixing,
                each.rows,
                jnp.where(far, theta, carried.theta),
                jnp.where(far, remaining, carried.remaining),
                grid,
            ),
            misfit=jnp.max(each.misfit),
        )

    def _at_group(
        self, asked: "_Asked", item: tuple[Array, SmoothMixing, Rows]
    ) -> "_Group":
        """Evaluate one group: F, the regression under it, and what is left."""
        problem = asked.problem
        own: Weights
        own, mixing, rows = item
        share = jnp.sum(own)
        some = share > 0
        total = jnp.where(some, share, 1.0)
        weights: Weights = jnp.where(some, own / total, self.weights)
        count = count_observations(own, problem.counts).astype(own.dtype)
        found = estimate_mixing(
            asked.lclk,
            problem.supp,
            weights,
            count,
            mixing,
            asked.chooses,
            problem.solver,
        )
        plugged, proposal = spread_out(found.probs, find_seen(asked.lclk, weights))
        given = (problem, asked.theta, proposal, weights)
        moments, rows = self._sum_over_rows(given, plugged, rows, asked)
        n_sets = jnp.where(asked.refined, _REFINED, 1)
        cutoff = self._cutoff(count, n_sets)
        sizes = (problem.n_supp, asked.theta.size)
        projection = project_score(moments, *sizes, cutoff)
        parts = split_score(problem, asked.theta, plugged, problem.data)
        # F as it is plugged in has no direction to points that it leaves out.
        seen = jnp.where(plugged > 0, parts.columns, 0.0)
        scores = projection.apply(parts._replace(columns=seen))
        mine = (own > 0)[:, None]
        return _Group(
            jnp.where(mine, scores, 0.0),
            jnp.where(mine, projection.leave_flows_out(parts), 0.0),
            share * projection.information,
            share * projection.remaining,
            share * projection.parametric,
            _flow_scores(own, parts, projection, moments),
            found,
            rows,
            jnp.where(some, projection.misfit, 0.0),
        )

    def nothing(self, theta: Float[Array, " p"]) -> ScoreAt:
        """Return what stands for an evaluation before there is one."""
        probs = self.problem.uniform_probs().reshape(-1, self.problem.n_supp)
        given = (self.problem, theta, probs[0], self.weights)
        shape, n_groups = jax.eval_shape(self._make_rows, *given), probs.shape[0]
        rows = jax.tree.map(lambda x: jnp.zeros((n_groups, *x.shape), x.dtype), shape)
        parts = (no_mixing(probs), rows, begin_grid(self.problem, theta))
        return no_score(theta, self.weights.size, *parts)

    def problem_at(self, theta: Float[Array, " p"], carried: Carried) -> OuterProblem:
        """Return the problem with the grid as it lies at a theta."""
        return place_grid(self.problem, carried.grid, theta)

    @property
    def is_exact(self) -> bool:
        """Whether expectations are sums over all outcomes, not means over draws."""
        given = (self.problem.model, self.problem.data, self.n_draws)
        return how_rows_are_made(*given) == "outcomes"

    def _cutoff(self, n_obs: Scalar, n_sets: Int[Array, ""]) -> float | Scalar:
        """Return where directions fade out.

        What so few draws can't tell moves the mean score of so few observations by
        nothing, but for the error of the draws.
        """
        if self.is_exact:
            return CUTOFF
        return jnp.maximum(CUTOFF, 1.0 / jnp.sqrt(n_obs * self.n_draws * n_sets))

    def _make_rows(
        self,
        problem: OuterProblem,
        theta: Float[Array, " p"],
        proposal: Probs,
        weights: Weights,
        key: PRNGKeyArray | None = None,
    ) -> Rows:
        given = (weights, self.key if key is None else key, self.n_draws)
        return make_rows(problem, theta, proposal, *given)

    def _sum_over_rows(
        self,
        given: tuple[OuterProblem, Float[Array, " p"], Probs, Weights],
        probs: Probs,
        rows: Rows,
        asked: "_Asked",
    ) -> tuple[Moments, Rows]:
        """Return moments over rows, and the rows that the next evaluation may use.

        Where refined, over several sets made for it alone, one after the other. The
        number of sets is known at run time only, so that the model's draws and scores,
        most of what there is to compile, stand in the program once.
        """
        problem, theta, refined = asked.problem, asked.theta, asked.refined
        keys = jr.split(self.key, _REFINED)

        def add_set(
            number: Int[Array, ""], state: tuple[Moments, Rows]
        ) -> tuple[Moments, Rows]:
            total, rows = state
            key = jnp.where(refined, keys[number], self.key)
            rows = jax.lax.cond(
                asked.far | refined, lambda: self._make_rows(*given, key), lambda: rows
            )
            moments = sum_moments(problem, theta, probs, rows)
            return jax.tree.map(jnp.add, total, moments), rows

        none = no_moments(problem.n_supp + theta.size + count_flows(problem.supp))
        n_sets = jnp.where(refined, _REFINED, 1)
        total, last = jax.lax.fori_loop(0, n_sets, add_set, (none, rows))
        kept: Rows = choose_tree(refined, rows, last)
        return total, kept


class _Asked(NamedTuple):
    """What is evaluated, the same for all groups.

    Attributes:
        problem: On the grid as it lies there.
        theta: Where.
        lclk: Log conditional likelihoods there, of the data on the grid.
        chooses: Whether the data choose the bandwidths.
        far: Whether rows of the model are made anew.
        refined: Whether many more are, for this evaluation alone.
    """

    problem: OuterProblem
    theta: Float[Array, " p"]
    lclk: Float[Array, "n_obs n_supp"]
    chooses: Bool[Array, ""]
    far: Bool[Array, ""]
    refined: Bool[Array, ""]


class _Group(NamedTuple):
    """What one group adds."""

    scores: Float[Array, "n_obs p"]
    raw: Float[Array, "n_obs p"]
    information: Float[Array, "p p"]
    remaining: Float[Array, "p p"]
    parametric: Float[Array, "p p"]
    flows: FlowScores
    mixing: SmoothMixing
    rows: Rows
    misfit: Scalar


def _flow_scores(
    own: Weights, parts: ScoreParts, projection: Projection, moments: Moments
) -> FlowScores:
    share, q = jnp.sum(own), parts.flows.shape[1]
    seen = jnp.where(own[:, None] > 0, parts.flows, 0.0)
    second = moments.second[:q, :q] / jnp.maximum(moments.total, 1e-300)
    return FlowScores(share * projection.on_flows_alone, own @ seen, share * second)
