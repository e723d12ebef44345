"""The profile likelihood and all its derivatives at one theta, with certificate."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from spmlex._inner import InnerSolver, solve_probs
from spmlex._inner.mixture import mix_columns
from spmlex._profile.derivatives import profile_derivatives
from spmlex._words.codes import RESULTS
from spmlex._words.types import Kernel, LogCondLik, Scalar, Weights

Columns = Callable[[Float[Array, " p"], Int[Array, " k"]], Float[Array, "n_obs k"]]
"""Columns of `lclk` at some support points, as a function of theta."""


class Evaluation(NamedTuple):
    """Everything the outer problem knows at one theta.

    With groups `probs` and `probs_dot` have a leading axis for them; the value and its
    derivatives are sums over groups, and the certificate is that of the worst one.
    Where atoms move, and may lose their mass, `response` is how masses give way to each
    other, the inverse of `phi_SS` of equation (5), and `roots` the inverse units of
    theta and places: of these at a mass of one, or small atoms would have no unit.
    """

    value: Scalar
    gradient: Float[Array, " p"]
    hessian: Float[Array, "p p"]
    scores: Float[Array, "n_obs p"]
    probs: Float[Array, "*n_groups n_supp"]
    probs_dot: Float[Array, "*n_groups n_supp p"]
    gap: Scalar
    residual: Scalar
    inner_steps: Int[Array, ""]
    fell_back: Bool[Array, ""]
    zero_likelihood: Bool[Array, ""]
    response: Float[Array, "n_supp n_supp"] | None = None
    roots: Float[Array, " p"] | None = None


def nowhere(
    n_obs: int,
    theta: Float[Array, " p"],
    probs: Float[Array, "*n_groups n_supp"],
    *,
    atoms_move: bool = False,
) -> Evaluation:
    """Return an evaluation of infinite value: where a search is before it begins."""
    size = theta.size
    return Evaluation(
        value=jnp.array(jnp.inf),
        gradient=jnp.zeros(size),
        hessian=jnp.zeros((size, size)),
        scores=jnp.zeros((n_obs, size)),
        probs=probs,
        probs_dot=jnp.zeros((*probs.shape, size)),
        gap=jnp.array(0.0),
        residual=jnp.array(0.0),
        inner_steps=jnp.array(0),
        fell_back=jnp.array(False),
        zero_likelihood=jnp.array(False),
        response=jnp.zeros((probs.size, probs.size)) if atoms_move else None,
        roots=jnp.zeros(size) if atoms_move else None,
    )


def evaluate(
    lclk_at: Columns,
    theta: Float[Array, " p"],
    lclk: LogCondLik,
    weights: Weights,
    probs0: Float[Array, " n_supp"],
    solver: InnerSolver,
    kernel: Kernel | None = None,
) -> Evaluation:
    """Solve the inner problem and differentiate the profile value.

    Args:
        lclk_at: Columns of `lclk` as a function of theta.
        theta: Where to evaluate.
        lclk: The whole matrix at theta.
        weights: Observation weights with sum one.
        probs0: Start of the inner solver.
        solver: The inner solver.
        kernel: F is this matrix times the mixing probabilities; `None` where F is not
            restricted.
    """
    mixed = lclk if kernel is None else mix_columns(lclk, kernel)
    solution = solve_probs(
        mixed, weights=weights, probs0=probs0, solver=solver, throw=False
    )
    slopes = profile_derivatives(lclk_at, theta, lclk, solution.probs, weights, kernel)
    return Evaluation(
        solution.value,
        slopes.gradient,
        slopes.hessian,
        slopes.scores,
        solution.probs,
        slopes.probs_dot,
        solution.gap,
        solution.residual,
        solution.num_steps,
        solution.fell_back,
        solution.result == RESULTS.zero_likelihood,
    )


def evaluate_groups(
    lclk_at: Columns,
    theta: Float[Array, " p"],
    lclk: LogCondLik,
    weights: Weights,
    groups: Int[Array, " n_obs"],
    probs0: Float[Array, "n_groups n_supp"],
    solver: InnerSolver,
    kernel: Kernel | None = None,
) -> Evaluation:
    """Evaluate with a mixing distribution for each group.

    The value is a sum over groups, and given theta the groups share nothing: so is
    every derivative. A group without weight adds nothing; its distribution is the
    pooled one.
    """

    def add_group(scores: Array, item: tuple[Array, Array]) -> tuple[Array, Evaluation]:
        group, start = item
        own = jnp.where(groups == group, weights, 0.0)
        share = jnp.sum(own)
        some = share > 0
        # A group without weight solves the pooled problem: its loop ends, and nothing
        # is nan.
        alone = jnp.where(some, own / jnp.where(some, share, 1.0), weights)
        there = evaluate(lclk_at, theta, lclk, alone, start, solver, kernel)
        scores = jnp.where((groups == group)[:, None], there.scores, scores)
        return scores, there._replace(
            value=jnp.where(some, share * there.value, 0.0),
            gradient=jnp.where(some, share * there.gradient, 0.0),
            hessian=jnp.where(some, share * there.hessian, 0.0),
            scores=jnp.zeros(()),  # carried along instead: one copy for all groups
            zero_likelihood=some & there.zero_likelihood,
        )

    # One group after the other: mapped together, the loops of the inner solver would
    # run as long as that of the slowest group, and memory grow with their number.
    none = jnp.zeros((lclk.shape[0], theta.size))
    each: Evaluation
    scores, each = jax.lax.scan(add_group, none, (jnp.arange(probs0.shape[0]), probs0))
    return Evaluation(
        jnp.sum(each.value),
        jnp.sum(each.gradient, axis=0),
        jnp.sum(each.hessian, axis=0),
        jnp.asarray(scores),
        each.probs,
        each.probs_dot,
        jnp.max(each.gap),
        jnp.max(each.residual),
        jnp.sum(each.inner_steps),
        jnp.any(each.fell_back),
        jnp.any(each.zero_likelihood),
    )
