"""The profile likelihood and its derivatives at one theta, in blocks of rows.

What `evaluation` computes from the matrix of all rows, but for the scores: they are
needed at the end alone, and two passes give everything else.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from spmlex._climb.newton import State, climb
from spmlex._inner.in_blocks import sizes_for, solve_in_blocks
from spmlex._inner.mixture import scale_rows
from spmlex._profile.derivatives import SlopeSums, differentiate_columns
from spmlex._profile.evaluation import Evaluation
from spmlex._profile.outer import OuterProblem
from spmlex._profile.profile import face_system, solve_face
from spmlex._programs.rows import Blocks
from spmlex._support.continuum import range_of
from spmlex._support.degenerate import effective_points, median_width
from spmlex._words.inputs import conditional_likelihoods
from spmlex._words.types import Data, LogCondLik, Probs, Scalar, Weights


class _Sums(NamedTuple):
    """What one pass adds up over the rows, at columns that hold all the mass.

    Attributes:
        slope: Mean of the posterior mean slope.
        second: The Hessian with F held: mean of its square, less posterior means of
            squares of slopes and of second derivatives.
        across: Mean of relative density times slope less its posterior mean.
        system: The left side of equation (5).
    """

    slope: Float[Array, " p"]
    second: Float[Array, "p p"]
    across: Float[Array, "p k"]
    system: Float[Array, "k k"]


def climb_in_blocks(
    problem: OuterProblem,
    blocks: Blocks,
    theta0: Float[Array, " p"],
    probs0: Probs,
    tol: float | Scalar,
    max_steps: int | Int[Array, ""],
    watch: str,
) -> State:
    """Run Newton's method on some of the rows, then from where that ends on all.

    The arguments are those of `climb`.

    Returns:
        The last state, with scores.
    """

    def run(start: tuple[Array, Array, Array], share: Array) -> tuple[Any, State]:
        theta, probs, num_steps = start
        some = blocks.sampled(share)

        def at(theta: Array, probs0: Array) -> Evaluation:
            return evaluate_in_blocks(problem, some, theta, probs0)

        # Zero rows of scores: evaluations in blocks have none.
        state = climb(at, 0, theta, probs, tol, max_steps, watch=watch)
        num_steps += state.num_steps
        # An end that is none is no start.
        theta = jnp.where(state.converged, state.theta, theta)
        probs = jnp.where(state.converged, state.here.probs, probs)
        return (theta, probs, num_steps), state._replace(num_steps=num_steps)

    # A scan, not a loop in Python: the search stands in the program once.
    _, states = jax.lax.scan(run, (theta0, probs0, jnp.array(0)), blocks.shares)
    state: State = jax.tree.map(lambda leaf: leaf[-1], states)
    here = state.here
    scores = jax.lax.cond(
        jnp.asarray(max_steps > 0),
        lambda: scores_in_blocks(
            problem, blocks, state.theta, here.probs, here.probs_dot
        ),
        lambda: jnp.zeros((blocks.n_obs, theta0.size)),
    )
    return state._replace(here=here._replace(scores=scores), start=theta0)


def evaluate_in_blocks(
    problem: OuterProblem, blocks: Blocks, theta: Float[Array, " p"], probs0: Probs
) -> Evaluation:
    """Return the profile value with its derivatives, without scores.

    Args:
        problem: What is maximised, without groups and kernel.
        blocks: Its rows.
        theta: Where to evaluate.
        probs0: Start of the inner problem.
    """

    def lclk(data: Data, columns: Int[Array, " k"] | None) -> LogCondLik:
        points = problem.supp_at(theta, columns)
        return conditional_likelihoods(problem.build(theta), data, points)

    solution = solve_in_blocks(blocks, lclk, probs0)
    probs = solution.probs
    gradient, hessian, probs_dot = _on_support(
        probs,
        lambda columns: _differentiate(problem, blocks, theta, probs, columns),
    )
    return Evaluation(
        value=solution.value,
        gradient=gradient,
        hessian=hessian,
        scores=jnp.zeros((0, theta.size)),
        probs=probs,
        probs_dot=probs_dot,
        gap=solution.gap,
        residual=solution.residual,
        inner_steps=solution.num_steps,
        fell_back=jnp.array(False),
        zero_likelihood=solution.zero_likelihood,
    )


def scores_in_blocks(
    problem: OuterProblem,
    blocks: Blocks,
    theta: Float[Array, " p"],
    probs: Probs,
    probs_dot: Float[Array, "n_supp p"],
) -> Float[Array, "n_obs p"]:
    """Return the score of each observation along the profile."""

    def scores_on(columns: Int[Array, " k"]) -> Array:
        def compute(data: Data) -> Array:
            weights = jnp.ones(jax.tree.leaves(data)[0].shape[0])
            args = (problem, data, weights, theta, probs, columns)
            relative, expected, _ = _differentiate_rows(*args)
            return expected.T + relative @ probs_dot[columns]

        return blocks.for_each(compute)

    return blocks.in_order(_on_support(probs, scores_on))


def resolution_in_blocks(
    problem: OuterProblem, blocks: Blocks, theta: Float[Array, " p"], weights: Weights
) -> Scalar:
    """Return the median width of the kernels at theta, in steps of the grid."""
    rows, numbers = range_of(problem.supp)[1], problem.numbers
    if problem.n_supp == 1:
        return jnp.array(jnp.inf)

    def compute(data: Data) -> Array:
        lclk = conditional_likelihoods(problem.build(theta), data, problem.supp)
        return effective_points(scale_rows(lclk)[0], rows, numbers)

    points = blocks.in_order(blocks.for_each(compute))
    return median_width(points, weights)


def _on_support[Found](
    probs: Probs, compute: Callable[[Int[Array, " k"]], Found]
) -> Found:
    """Call with as few columns as hold all the mass, the largest masses first.

    With the largest of the sizes where none does.
    """
    order = jnp.argsort(-probs)
    sizes = sizes_for(probs.size)
    if len(sizes) == 1:
        return compute(order[: sizes[0]])
    return jax.lax.cond(
        jnp.sum(probs > 0) <= sizes[0],
        lambda: compute(order[: sizes[0]]),
        lambda: compute(order[: sizes[1]]),
    )


def _differentiate(
    problem: OuterProblem,
    blocks: Blocks,
    theta: Float[Array, " p"],
    probs: Probs,
    columns: Int[Array, " k"],
) -> tuple[Float[Array, " p"], Float[Array, "p p"], Float[Array, "n_supp p"]]:
    """Return gradient and Hessian of the profile value, and the derivative of probs."""
    size, held = theta.size, probs[columns]
    if size == 0:  # F alone
        return theta, jnp.zeros((0, 0)), jnp.zeros((probs.size, 0))

    def measure(data: Data, weights: Weights) -> _Sums:
        args = (problem, data, weights, theta, probs, columns)
        relative, expected, sums = _differentiate_rows(*args)
        weighted = expected * weights
        return _Sums(
            expected @ weights,
            weighted @ expected.T - sums.outer - sums.curvature,
            sums.crossed - weighted @ relative,
            face_system(relative, weights, held),
        )

    sums = blocks.add_up(measure)
    solved = jax.vmap(lambda r: solve_face(sums.system, r, held))(sums.across)
    # The score moves with F too: by `solved` times relative densities.
    hessian = sums.second - solved @ sums.across.T
    probs_dot = jnp.zeros((probs.size, size)).at[columns].set(solved.T)
    return -sums.slope, 0.5 * (hessian + hessian.T), probs_dot


def _differentiate_rows(
    problem: OuterProblem,
    data: Data,
    weights: Weights,
    theta: Float[Array, " p"],
    probs: Probs,
    columns: Int[Array, " k"],
) -> tuple[Float[Array, "n k"], Float[Array, "p n"], SlopeSums]:
    """Return relative densities, posterior mean slopes and sums of some rows."""
    held = probs[columns]

    def lclk_at(theta: Array, some: Int[Array, " k"]) -> LogCondLik:
        points = problem.supp_at(theta, columns[some])
        return conditional_likelihoods(problem.build(theta), data, points)

    lclk = lclk_at(theta, jnp.arange(columns.size))
    # Densities relative to the largest where there is mass: none is lost.
    scaled, _ = scale_rows(jnp.where(held > 0, lclk, -jnp.inf))
    density = scaled @ held
    density = jnp.where(density > 0, density, 1.0)
    sums = differentiate_columns(lclk_at, theta, scaled, held, density, weights)
    return scaled / density[:, None], sums.expected, sums
