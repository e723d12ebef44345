"""Estimate theta by its efficient score, with F unrestricted."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jax.core import Tracer
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Bool, Float, Int

from spmlex._arguments import check_truth
from spmlex._draws import how_rows_are_made
from spmlex._efficient import N_DRAWS
from spmlex._inference import sum_within
from spmlex._inner import InnerSolver, get_solver, solve_probs
from spmlex._inputs import (
    conditional_likelihoods,
    read_count,
    read_groups,
    read_inputs,
)
from spmlex._newton import climb
from spmlex._outer import OuterProblem
from spmlex._parameters import free_leaves, split_model
from spmlex._score_equation import Root, ScoreEquation, solve_score
from spmlex._score_inversion import invert_score
from spmlex._smooth_mixing import BANDWIDTHS, smoothing_kernel
from spmlex._solution import RESULTS, raise_if_failed
from spmlex._student import student_quantile
from spmlex._types import Counts, Data, Model, Scalar, Support, Weights
from spmlex._weights import fill_rows_without_weight, read_sample

_MISFIT = 0.1
"""More than that is no error of the draws: `simulate` and `lclk` disagree."""

_CLIMB_TOL = 1e-3
_CLIMB_STEPS = 30

Clusters = Int[Array | np.ndarray, " _"] | None


class EfficientEstimate(eqx.Module):
    """The root of the efficient score, with all that its intervals need.

    Attributes:
        model: The model at the estimate.
        theta: Its free parameters as one vector, in the order of `parameter_names`.
        probs: The smooth estimate of F on the grid; a column for each group.
        supp: The grid.
        equation: The efficient-score equation.
        root: Where the search for its root ended.
        result: Result code.
        free: Which leaves of the model are theta.
    """

    model: Model
    theta: Float[Array, " p"]
    probs: Float[Array, " n_supp *n_groups"]
    supp: Support
    equation: ScoreEquation
    root: Root
    result: RESULTS  # pyright: ignore[reportInvalidTypeForm]
    free: tuple[bool, ...] = eqx.field(static=True)

    @property
    def identified(self) -> Bool[Array, " p"]:
        """Which parameters a movement of F can't take the place of.

        Where some are not, the others are estimated with these at their start.
        """
        return ~self.root.here.directions.involved

    @property
    def information(self) -> Float[Array, "p p"]:
        """Efficient information, nats per observation."""
        return self.root.here.information

    @property
    def parametric_information(self) -> Float[Array, "p p"]:
        """Information with F known, nats per observation: how much F costs."""
        return self.root.here.parametric

    @property
    def bandwidth(self) -> Float[Array, "*n_groups"]:
        """Bandwidth of the estimate of F, in its standard deviations."""
        bandwidth = self.root.here.mixing.bandwidth
        return bandwidth[0] if self.probs.ndim == 1 else bandwidth

    @property
    def scores(self) -> Float[Array, "n_obs p"]:
        """Efficient score of each observation, nats."""
        return self.root.here.scores

    def covariance(self, clusters: Clusters = None) -> Float[Array, "p p"]:
        """Return the covariance matrix of theta; `nan` where it is not identified.

        That of the sandwich `A^{-1} V A^{-1}' / n`, with A the mean product of the
        efficient scores and the scores and V that of the efficient scores; a standard
        error is not less than what the efficient information says.

        Args:
            clusters: Whole number for each observation; those with the same one may
                depend on each other.
        """
        here, n_obs = self.root.here, self.equation.n_obs
        weights = self.equation.weights
        directions = here.directions
        kept = directions.identified
        summed = self.sum_scores(here.scores, clusters) @ directions.basis
        middle = summed.T @ summed / n_obs
        by_score = (weights[:, None] * here.raw) @ directions.basis
        bread = (here.scores @ directions.basis).T @ by_score
        both = kept[:, None] & kept
        bread = jnp.where(both, bread, jnp.eye(kept.size))
        inverse: Float[Array, "p p"] = jnp.linalg.inv(bread)
        inverse = jnp.where(both, inverse, 0.0)
        turned = directions.basis @ inverse
        sandwich = turned @ middle @ turned.T / n_obs
        sample = jnp.diagonal(sandwich)
        model = jnp.diagonal(directions.inverse) / n_obs
        longer = jnp.sqrt(jnp.maximum(model, sample) / jnp.maximum(sample, 1e-300))
        longer = jnp.where(sample > 0, longer, 1.0)
        covariance = longer[:, None] * sandwich * longer
        known = self.identified
        return jnp.where(known[:, None] & known, covariance, jnp.nan)

    def sum_scores(
        self, scores: Float[Array, "n_obs p"], clusters: Clusters = None
    ) -> Float[Array, "n_obs p"]:
        """Return scores weighted with mean one and summed within clusters."""
        equation = self.equation
        return sum_within(scores, equation.weights, clusters, equation.problem.counts)

    def standard_errors(self, clusters: Clusters = None) -> Float[Array, " p"]:
        """Return standard errors of theta; `nan` where it is not identified."""
        return jnp.sqrt(jnp.diagonal(self.covariance(clusters)))

    def wald_limits(
        self, level: float | Scalar, clusters: Clusters = None
    ) -> tuple[Float[Array, " p"], Float[Array, " p"]]:
        """Return the estimate plus and minus the normal quantile times its error."""
        critical = student_quantile(0.5 + 0.5 * level, jnp.inf)
        margin = critical * self.standard_errors(clusters)
        margin = jnp.where(self.identified, margin, jnp.inf)
        return self.theta - margin, self.theta + margin

    def score_limits(
        self, level: float | Scalar, clusters: Clusters = None
    ) -> tuple[Float[Array, " p"], Float[Array, " p"]]:
        """Return the least and the largest value that the score test does not reject.

        Infinite where the data set no limit, `nan` where the search for one did not
        end. Equation (13).
        """
        return _invert(self, jnp.asarray(level, float), clusters)


def can_be_efficient(model: Model, data: Data) -> bool:
    """Tell whether a model can generate data, which the efficient score needs."""
    return how_rows_are_made(model, data, N_DRAWS) is not None


def efficient_estimate(
    model0: Model,
    data: Data,
    supp: Support,
    *,
    groups: Int[Array, " n_obs"] | None = None,
    n_groups: int | None = None,
    weights: Weights | None = None,
    counts: Counts | None = None,
    fixed: Callable[[Any], Any] | None = None,
    solver: InnerSolver = "active_set",
    n_draws: int = N_DRAWS,
    seed: int = 0,
    throw: bool = True,
) -> EfficientEstimate:
    """Solve the efficient-score equation of theta, F unrestricted.

    Not a maximum of the likelihood: a root of the mean efficient score, which has mean
    zero whatever F is. It does not depend on where the grid lies and has no degenerate
    roots. Works under `jit` and `vmap` with `throw=False`.

    Args:
        model0: The model; `lclk`, and `simulate(data, rng=)` which gets the data with
            `latent` beside them and returns outcomes, or `outcomes(data)` which lists
            all of them with a leading axis. The search starts at
            `model0.starting_values(data)` where the model has that method; else at the
            maximum, climbed from `model0`, where F is almost normal.
        data: A dictionary of arrays with leading axis n_obs.
        supp: Support grid: it has to cover F, at most as wide apart as the kernels.
        groups: Group of each observation, `0 .. n_groups - 1`: each group has a mixing
            distribution of its own on the common grid.
        n_groups: Number of groups; needed only where `groups` is traced.
        weights: Nonnegative sampling or importance weights; their scale does not
            matter.
        counts: How many equal observations each row of data stands for.
        fixed: Picks the leaves that keep their values in `model0`.
        solver: Inner solver, as in `fit`.
        n_draws: Draws from the model for each group.
        seed: Of the draws, which are the same at every theta.
        throw: Raise where there is no root, or `simulate` and `lclk` disagree; else
            only say so in `result`.

    Returns:
        The estimate, with its result code.

    Raises:
        ValueError: The call is wrong, or the model can't generate data.
        RuntimeError: Under `throw`, with the sentence of the result code.

    Example:
        >>> estimate = efficient_estimate(model0, data, supp)
        >>> estimate.theta, estimate.standard_errors(), estimate.score_limits(0.95)
    """
    check_truth("throw", throw)
    if not isinstance(seed, Tracer):
        read_count("seed", seed, 0)
    if n_groups is not None:
        n_groups = read_count("n_groups", n_groups, 2)
    model0, data, supp = read_inputs(model0, data, supp)
    free = free_leaves(model0, fixed)
    if not any(free):
        raise ValueError(
            f"model0={type(model0).__name__} has no free floating-point array: there "
            "is nothing to estimate."
        )
    n_obs = eqx.filter_eval_shape(conditional_likelihoods, model0, data, supp).shape[0]
    if groups is not None:
        groups, n_groups = read_groups(groups, n_groups, n_obs)
    is_weighted = weights is not None or counts is not None
    weights, counts = read_sample(weights, counts, n_obs)
    if is_weighted:
        data = fill_rows_without_weight(data, weights)
    problem = OuterProblem(
        model0, data, supp, groups, n_groups, free, get_solver(solver), counts=counts
    )
    if read_count("n_draws", n_draws, N_DRAWS) < 2:
        raise ValueError(f"n_draws={n_draws}: give 2 or more, such as {N_DRAWS}.")
    estimate = solve_efficiently(problem, weights, int(n_draws), seed)
    return raise_if_failed(estimate, estimate.result) if throw else estimate


def solve_efficiently(
    problem: OuterProblem,
    weights: Weights,
    n_draws: int = N_DRAWS,
    seed: int = 0,
    theta0: Float[Array, " p"] | None = None,
) -> EfficientEstimate:
    """Solve the efficient-score equation of a problem on its grid.

    Args:
        problem: The problem.
        weights: Observation weights with sum one.
        n_draws: As in `efficient_estimate`.
        seed: As in `efficient_estimate`.
        theta0: Where to start if the model has no starting values of its own; where
            not given the maximum where F is smoothest.

    Raises:
        ValueError: The model can't generate data.
    """
    if how_rows_are_made(problem.model, problem.data, n_draws) is None:
        raise ValueError(
            f"model={type(problem.model).__name__} can't generate data, which its "
            "efficient score needs: give it `simulate(data, rng=)`, and data as a "
            "dictionary, or `outcomes(data)`. Without them use kind='sandwich'."
        )
    return _solve(problem, weights, n_draws, seed, theta0)


@eqx.filter_jit
def _solve(
    problem: OuterProblem,
    weights: Weights,
    n_draws: int,
    seed: int,
    theta0: Float[Array, " p"] | None,
) -> EfficientEstimate:
    own = getattr(problem.model, "starting_values", None)
    if own is not None:
        theta0, _ = ravel_pytree(split_model(own(problem.data), problem.free)[0])
    elif theta0 is None:
        theta0 = climb_smoothly(problem, weights)
    equation = ScoreEquation(problem, weights, jr.key(seed), n_draws)
    root = solve_score(equation, theta0)
    here = root.here
    result = RESULTS.where(
        root.converged, RESULTS.successful, RESULTS.max_steps_reached
    )
    probs = here.mixing.probs
    # Far from a root draws are no evidence.
    disagree = root.converged & (here.misfit >= _MISFIT)
    result = RESULTS.where(disagree, RESULTS.simulation_disagrees, result)
    finite = jnp.all(jnp.isfinite(here.scores)) & jnp.all(jnp.isfinite(root.theta))
    finite &= root.num_steps > 0
    result = RESULTS.where(finite, result, RESULTS.non_finite)
    return EfficientEstimate(
        model=problem.build(root.theta),
        theta=root.theta,
        probs=probs[0] if problem.groups is None else probs.T,
        supp=problem.supp,
        equation=equation,
        root=root,
        result=result,
        free=problem.free,
    )


@eqx.filter_jit
def climb_smoothly(problem: OuterProblem, weights: Weights) -> Float[Array, " p"]:
    """Return the maximum where F is almost normal, climbed from the problem's model.

    Never a degenerate one; `nan` is replaced by where it began.
    """
    theta0, _ = ravel_pytree(split_model(problem.model, problem.free)[0])
    spread = solve_probs(
        problem.lclk(theta0), weights=weights, solver=problem.solver, throw=False
    ).probs
    kernel = smoothing_kernel(problem.supp, jnp.array(BANDWIDTHS[-1]), spread)
    sieve = problem.within(kernel)

    def at(theta, probs):
        return sieve.evaluate(theta, probs, weights)

    begin = sieve.uniform_probs()
    end = climb(at, weights.size, theta0, begin, _CLIMB_TOL, _CLIMB_STEPS)
    return jnp.where(jnp.all(jnp.isfinite(end.theta)), end.theta, theta0)


@eqx.filter_jit
def _invert(
    estimate: EfficientEstimate, level: Scalar, clusters: Clusters
) -> tuple[Float[Array, " p"], Float[Array, " p"]]:
    errors = estimate.standard_errors(clusters)
    known = estimate.identified
    lower, upper = invert_score(
        estimate.equation,
        estimate.root,
        jnp.where(known, errors, 1.0),
        student_quantile(0.5 + 0.5 * level, jnp.inf),
        lambda scores: estimate.sum_scores(scores, clusters),
    )
    return jnp.where(known, lower, -jnp.inf), jnp.where(known, upper, jnp.inf)


__all__ = [
    "EfficientEstimate",
    "can_be_efficient",
    "climb_smoothly",
    "efficient_estimate",
    "solve_efficiently",
]
