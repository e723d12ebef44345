"""The efficient score of theta with F unrestricted: a projection under the model.

The score of theta is regressed on all directions in which the mass of F can move, and
what is left is the efficient score. The regression is one under the model at
(theta, F), not in the sample: so the efficient score has mean zero whatever F is, the
one plugged in or another. Section "The efficient score" of `spmlex/README.md`,
equations (8) to (10).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import jax.scipy as jsp
from jaxtyping import Array, Float

from spmlex._efficient.score_parts import (
    Rows,
    ScoreParts,
    count_flows,
    cut_rows,
    split_score,
)
from spmlex._profile.outer import OuterProblem
from spmlex._words.types import Probs, Scalar

CUTOFF = 1e-5
"""Directions that vary by less than this share of the largest fade out, at least."""

_FLOW_CUTOFF = 1e-12


class Projection(NamedTuple):
    """The regression of the score on the directions of F under the model.

    Attributes:
        on_columns: Coefficients of `b_v`.
        on_flows: Coefficients of the flows.
        on_flows_alone: Coefficients of the flows where nothing else is regressed on.
        information: Efficient, nats per observation: the variance of what is left.
        remaining: The variance that is left after the flows alone.
        parametric: The variance of the score: the information with F known.
        misfit: How far the rows are from having the means that the model says, zero up
            to the error of the draws.
    """

    on_columns: Float[Array, "n_supp p"]
    on_flows: Float[Array, "q p"]
    on_flows_alone: Float[Array, "q p"]
    information: Float[Array, "p p"]
    remaining: Float[Array, "p p"]
    parametric: Float[Array, "p p"]
    misfit: Scalar

    def apply(self, parts: ScoreParts) -> Float[Array, "n_rows p"]:
        """Return the efficient score of each row."""
        explained = parts.columns @ self.on_columns + parts.flows @ self.on_flows
        return parts.score - explained

    def leave_flows_out(self, parts: ScoreParts) -> Float[Array, "n_rows p"]:
        """Return the score of each row less what shifts and stretches of F explain."""
        return parts.score - parts.flows @ self.on_flows_alone


class Moments(NamedTuple):
    """Sums over rows of the model, each weighted by its density over that drawn from.

    Those of several sets of rows add up.

    Attributes:
        total: Of the weights.
        mean: Of flows, columns and scores, in this order.
        second: Of their products.
    """

    total: Scalar
    mean: Float[Array, " k"]
    second: Float[Array, "k k"]


def no_moments(size: int) -> Moments:
    """Return the moments of so many variables over no rows."""
    return Moments(jnp.array(0.0), jnp.zeros(size), jnp.zeros((size, size)))


def sum_moments(
    problem: OuterProblem, theta: Float[Array, " p"], probs: Probs, rows: Rows
) -> Moments:
    """Sum what the regression under the model needs.

    Args:
        problem: Gives the model and the grid.
        theta: Where.
        probs: F, positive wherever mass may move.
        rows: From `make_rows`, at this theta or near it.
    """

    def sum_block(own: Rows) -> Moments:
        parts = split_score(problem, theta, probs, own.data)
        shares = jnp.exp(parts.log_density - own.log_density)
        # Rows that theta makes impossible have no share in its expectations.
        shares = jnp.where(jnp.isfinite(shares), shares, 0.0)
        columns = jnp.where(probs > 0, parts.columns, 0.0)
        joint = jnp.hstack([parts.flows, columns, parts.score])
        joint = jnp.where(shares[:, None] > 0, joint, 0.0)
        second = joint.T @ (shares[:, None] * joint)
        return Moments(jnp.sum(shares), shares @ joint, second)

    blocks = cut_rows(rows, problem.n_supp)

    def add_block(number: Array, total: Moments) -> Moments:
        own = jax.tree.map(lambda leaf: leaf[number], blocks)
        return jax.tree.map(jnp.add, total, sum_block(own))

    none = no_moments(problem.n_supp + theta.size + count_flows(problem.supp))
    return jax.lax.fori_loop(0, blocks.log_density.shape[0], add_block, none)


def project_score(
    moments: Moments, n_supp: int, n_params: int, cutoff: float | Scalar = CUTOFF
) -> Projection:
    """Regress the score on the directions of F under the model. Equation (8).

    The flows are taken out first and exactly, so that neither the mean of a covariate
    nor the unit of the unobservable matters; then the columns, scaled to unit variance,
    up to directions that hardly vary.

    Args:
        moments: Under the model.
        n_supp: Number of columns.
        n_params: Number of scores.
        cutoff: Share of the largest variance below which directions fade out.
    """
    total = jnp.maximum(moments.total, 1e-300)
    second = moments.second / total
    q = second.shape[0] - n_supp - n_params
    unit = jnp.sqrt(jnp.diagonal(second))
    # To unit variances: what counts as hardly varying is then a share.
    unit = jnp.where(unit > 0, unit, 1.0)
    second = second / (unit[:, None] * unit)
    mean = moments.mean / total / unit
    f, c, s = slice(0, q), slice(q, q + n_supp), slice(q + n_supp, None)
    on_rest = _pseudo_inverse(second[f, f], _FLOW_CUTOFF)
    by_flows = on_rest @ second[f]
    rest = second - second[:, f] @ by_flows
    off = mean[c] - by_flows[:, c].T @ mean[f]
    wanted = jnp.column_stack([rest[c, s], off])
    solved = solve_faded(rest[c, c], wanted, cutoff)
    on_columns, of_means = solved[:, :-1], solved[:, -1]
    crossed = rest[s, c] @ on_columns
    information = rest[s, s] - crossed - crossed.T
    # Written as a variance, not as a difference: the coefficients fade, so they are not
    # those of least squares, and what is left is larger by this.
    information = information + on_columns.T @ rest[c, c] @ on_columns
    information = 0.5 * (information + information.T)
    on_flows = by_flows[:, s] - by_flows[:, c] @ on_columns
    # All these means are zero under the model: those of the flows, of what is left of
    # the columns, and of the efficient score.
    left = mean[s] - on_flows.T @ mean[f] - on_columns.T @ mean[c]
    misfit = mean[f] @ on_rest @ mean[f] + off @ of_means
    misfit = misfit + left @ _pseudo_inverse(information, CUTOFF) @ left
    size = unit[s]
    square = size[:, None] * size
    return Projection(
        on_columns=on_columns / unit[c, None] * size,
        on_flows=on_flows / unit[f, None] * size,
        on_flows_alone=by_flows[:, s] / unit[f, None] * size,
        information=information * square,
        remaining=rest[s, s] * square,
        parametric=second[s, s] * square,
        misfit=misfit,
    )


def solve_faded(
    matrix: Float[Array, "k k"], wanted: Float[Array, "k r"], cutoff: float | Scalar
) -> Float[Array, "k r"]:
    """Solve a positive semidefinite system, but for directions that hardly vary.

    An eigenvalue l is inverted as `l / (l² + c²)`, c a share of their norm: these fade
    out. A cut that is sharp jumps when an eigenvalue passes it, and an equation that
    jumps has no root. By a Cholesky factor, which takes a tenth of the time that the
    eigenvectors would.
    """
    least = jnp.maximum(cutoff**2 * jnp.sum(matrix**2), 1e-300)
    squared = matrix @ matrix + least * jnp.eye(matrix.shape[0])
    factor = jsp.linalg.cho_factor(squared, lower=True)
    return jsp.linalg.cho_solve(factor, matrix @ wanted)


def _pseudo_inverse(matrix: Float[Array, "k k"], cutoff: float) -> Float[Array, "k k"]:
    """Invert a positive semidefinite matrix on its large eigenvalues."""
    values: Float[Array, " k"]
    values, vectors = jnp.linalg.eigh(matrix)
    kept = values > cutoff * jnp.max(values)
    inverse = jnp.where(kept, 1.0 / jnp.where(kept, values, 1.0), 0.0)
    return (vectors * inverse) @ vectors.T
