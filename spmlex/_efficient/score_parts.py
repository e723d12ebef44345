"""The score of theta, the directions of F, and rows of data that stand for the model.

Moving mass to a support point v changes the log-density of an observation by
`b_v = G_v / p - 1`. What is left of the score of theta after its regression on all
these directions is the efficient score. Equation (7) of `spmlex/README.md`; the
regression is in `projection`.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from spmlex._efficient.draws import draw_rows, how_rows_are_made, list_outcomes
from spmlex._inner.mixture import scale_rows
from spmlex._profile.outer import OuterProblem
from spmlex._words.inputs import conditional_likelihoods
from spmlex._words.types import Data, Probs, Support, Weights

N_DRAWS = 2048
"""Rows drawn from the model for an evaluation. The error of a coefficient, in the
standard errors of the estimate, does not depend on n."""

_SPREAD = 0.002
"""Share of F that is spread evenly, so that no direction has infinite variance."""

_PROPOSAL = 0.25
"""Share of the draws that come from evenly spread support points."""

_SEEN = 1e-6
"""Points less likely than this, relative to the best, for everyone are left out."""

_IN_CACHE = 2**15
"""Entries of a matrix beyond which a block of rows leaves the cache, and is slower."""

_LEAST_ROWS = 128
"""With fewer in a block, adding up its second moments takes longer than they do."""


class ScoreParts(NamedTuple):
    """What the efficient score is made of, for each row.

    Attributes:
        score: Of theta with F held, nats.
        columns: `b_v` at every support point.
        flows: Scores of moving all of F: shifted and stretched in each coordinate. They
            are limits of the columns, taken exactly.
        log_density: Of the row under F, nats.
    """

    score: Float[Array, "n_rows p"]
    columns: Float[Array, "n_rows n_supp"]
    flows: Float[Array, "n_rows q"]
    log_density: Float[Array, " n_rows"]


class Rows(NamedTuple):
    """Rows of data that stand for the model, and how dense they lie.

    Attributes:
        data: The rows.
        log_density: Of what they were drawn from, nats. An expectation under the model
            is their mean with the density under the model over this one as weight: the
            same rows serve every theta nearby, and what they say is smooth in theta.
    """

    data: Data
    log_density: Float[Array, " n_rows"]


def split_score(
    problem: OuterProblem, theta: Float[Array, " p"], probs: Probs, data: Data
) -> ScoreParts:
    """Return the score and the directions of F at some rows of data. Equation (7).

    Args:
        problem: Gives the model and the grid.
        theta: Where.
        probs: F, on the grid.
        data: The rows.
    """
    _, unravel = ravel_pytree(jax.tree.map(lambda leaf: leaf[0], problem.supp))
    points = jax.vmap(lambda point: ravel_pytree(point)[0])(problem.supp)

    def lclk_at(theta: Array, points: Array) -> Array:
        supp = jax.vmap(unravel)(points)
        return conditional_likelihoods(problem.build(theta), data, supp)

    # Apart: a tangent of zero times a slope in the points that is infinite is nan.
    lclk, push = jax.linearize(lambda theta: lclk_at(theta, points), theta)
    _, push_points = jax.linearize(lambda points: lclk_at(theta, points), points)
    scaled, shift = scale_rows(lclk)
    density = scaled @ probs
    relative = scaled / jnp.where(density > 0, density, 1.0)[:, None]
    posterior = relative * probs
    moves = moves_of_flows(points)

    def score_along(direction: Array) -> Array:
        slope: Float[Array, "n_rows n_supp"] = push(direction)
        # Where there is no posterior mass the slope may be infinite, and zero times
        # that nan.
        return jnp.sum(jnp.where(posterior > 0, posterior * slope, 0.0), axis=1)

    def score_coordinate(coordinate: Array) -> Array:
        tangent = jnp.broadcast_to(coordinate, points.shape)
        slope: Float[Array, "n_rows n_supp"] = push_points(tangent)
        moved = jnp.where(posterior > 0, posterior * slope, 0.0)
        # At the end of where a model is defined its points may have no slope.
        return jnp.where(jnp.isfinite(moved), moved, 0.0) @ moves

    score: Float[Array, "p n_rows"] = jax.vmap(score_along)(jnp.eye(theta.size))
    flows = [score_coordinate(row) for row in jnp.eye(points.shape[1])]
    log_density = jnp.log(density) + shift
    return ScoreParts(score.T, relative - 1.0, jnp.hstack(flows), log_density)


def count_flows(supp: Support) -> int:
    """Return how many flows there are: a shift and stretches for each coordinate."""
    dimension = sum(leaf[0].size for leaf in jax.tree.leaves(supp))
    return dimension * (dimension + 1)


def moves_of_flows(points: Float[Array, "n_supp d"]) -> Float[Array, "n_supp d+1"]:
    """Return how far each flow moves each point: by one, or by its own coordinates.

    In units of the grid, so that shifts and stretches are of one size.
    """
    spread = jnp.std(points, axis=0)
    centred = (points - jnp.mean(points, axis=0)) / jnp.where(spread > 0, spread, 1.0)
    return jnp.hstack([jnp.ones((points.shape[0], 1)), centred])


def spread_out(probs: Probs, seen: Bool[Array, " n_supp"]) -> tuple[Probs, Probs]:
    """Return F with a little mass wherever data are, and what to draw from."""
    seen = seen | (probs > 0)
    even = seen / jnp.sum(seen)
    wider = [share * even + (1 - share) * probs for share in (_SPREAD, _PROPOSAL)]
    return wider[0], wider[1]


def find_seen(
    lclk: Float[Array, "n_obs n_supp"], weights: Weights
) -> Bool[Array, " n_supp"]:
    """Tell which support points some observation finds at all likely."""
    scaled, _ = scale_rows(lclk)
    return jnp.any((scaled > _SEEN) & (weights[:, None] > 0), axis=0)


def make_rows(
    problem: OuterProblem,
    theta: Float[Array, " p"],
    proposal: Probs,
    weights: Weights,
    key: PRNGKeyArray,
    n_draws: int,
) -> Rows:
    """Make the rows of data whose means are expectations under the model.

    Args:
        problem: Gives the model, the covariates and the grid.
        theta: Where draws are made.
        proposal: What support points are drawn from.
        weights: Of the observations, sum one.
        key: Of the draws; not used where the model lists its outcomes.
        n_draws: Number of draws.
    """
    model, data, supp = problem.build(theta), problem.data, problem.supp
    if how_rows_are_made(model, data, n_draws) == "outcomes":
        rows = list_outcomes(model, data)
        n_cells = jax.tree.leaves(rows)[0].shape[0] // weights.shape[0]
        # Each outcome of an observation counts with the share of that in the sample.
        return Rows(rows, -jnp.tile(jnp.log(weights), n_cells))
    rows = draw_rows(model, data, supp, proposal, weights, key, n_draws)
    scaled, shift = scale_rows(conditional_likelihoods(model, rows, supp))
    return Rows(rows, jnp.log(scaled @ proposal) + shift)


def cut_rows(rows: Rows, n_supp: int) -> Rows:
    """Return rows in blocks whose matrices stay in the cache of a processor.

    On an accelerator in one block. Leaves get a leading axis of blocks. Rows that only
    fill the last one were drawn infinitely often, and so have no share in any mean.

    Args:
        rows: From `make_rows`.
        n_supp: Number of support points.
    """
    count = rows.log_density.size
    own = min(count, max(_LEAST_ROWS, _IN_CACHE // n_supp))
    own = own if jax.default_backend() == "cpu" else count
    n_blocks = -(-count // own)

    def cut(leaf: Array, fill: Array) -> Array:
        tail = jnp.broadcast_to(fill, (n_blocks * own - count, *leaf.shape[1:]))
        return jnp.concatenate([leaf, tail]).reshape(n_blocks, own, *leaf.shape[1:])

    data = jax.tree.map(lambda leaf: cut(leaf, leaf[0]), rows.data)
    return Rows(data, cut(rows.log_density, jnp.array(jnp.inf)))
