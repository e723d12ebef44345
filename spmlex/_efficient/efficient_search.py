"""Estimate theta by its efficient score, with F unrestricted."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from jax.core import Tracer
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Bool, Float

from spmlex._climb.newton import climb
from spmlex._climb.starts import start_of
from spmlex._efficient.draws import how_rows_are_made
from spmlex._efficient.efficient_estimate import EfficientEstimate
from spmlex._efficient.score_equation import ScoreEquation
from spmlex._efficient.score_parts import N_DRAWS
from spmlex._efficient.score_root import Root, RootSearch, step_to_root
from spmlex._efficient.score_search import solve_score
from spmlex._efficient.smooth_mixing import BANDWIDTHS, smoothing_kernel
from spmlex._evidence.evidence import Evidence
from spmlex._inner import InnerSolver, solve_probs
from spmlex._profile.evaluation import Evaluation
from spmlex._profile.memory import check_room
from spmlex._profile.outer import OuterProblem
from spmlex._profile.problem import pose_problem, weigh_rows
from spmlex._programs.compile import (
    choose,
    compile_for_one_call,
    compile_together,
    on_host,
)
from spmlex._words.arguments import check_truth
from spmlex._words.codes import RESULTS, is_successful, raise_if_failed
from spmlex._words.inputs import read_count
from spmlex._words.parameters import Names, split_model
from spmlex._words.progress import read_verbose
from spmlex._words.types import (
    AnyArray,
    Counts,
    Data,
    GivenGroups,
    GivenWeights,
    Model,
    Support,
    Weights,
)

_MISFIT = 0.1
"""More than that is no error of the draws: `simulate` and `lclk` disagree."""

_CLIMB_TOL = 1e-3
_CLIMB_STEPS = 30


def can_be_efficient(model: Model, data: Data) -> bool:
    """Tell whether a model can generate data, which the efficient score needs."""
    return how_rows_are_made(model, data, N_DRAWS) is not None


def efficient_estimate(
    model0: Model,
    data: Data,
    supp: Support,
    *,
    groups: GivenGroups | None = None,
    n_groups: int | None = None,
    weights: GivenWeights | None = None,
    counts: Counts | None = None,
    fixed: Callable[[Any], Any] | None = None,
    names: Names | None = None,
    solver: InnerSolver = "active_set",
    n_draws: int = N_DRAWS,
    seed: int = 0,
    verbose: bool = False,
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
        data: A dictionary of arrays with leading axis n_obs, or a `pandas.DataFrame`.
        supp: Support grid: it has to cover F, at most as wide apart as the kernels.
        groups: Group of each observation, `0 .. n_groups - 1`: each group has a mixing
            distribution of its own on the common grid.
        n_groups: Number of groups; needed only where `groups` is traced.
        weights: Nonnegative sampling or importance weights; their scale does not
            matter.
        counts: How many equal observations each row of data stands for.
        fixed: Picks the leaves that keep their values in `model0`.
        names: What the parameters are called, as in `fit`.
        solver: Inner solver, as in `fit`.
        n_draws: Draws from the model for each group and evaluation; at the root eight
            times as many.
        seed: Of the draws, which are the same at every theta.
        verbose: Print a line a step, here and in what is asked of the estimate.
        throw: Raise where there is no root, or `simulate` and `lclk` disagree; else
            only say so in `result`.

    Returns:
        The estimate, with its result code.

    Raises:
        ValueError: The call is wrong, or the model can't generate data.
        RuntimeError: Under `throw`, with the sentence of the result code.

    Examples:
        >>> found = efficient_estimate(model0, data, supp)
        >>> lower, upper = found.score_limits(0.95)
        >>> bool(lower[0] < found.theta[0] < upper[0])
        True
    """
    check_truth("throw", throw)
    if not isinstance(seed, Tracer):
        read_count("seed", seed, 0)
    problem = pose_problem(model0, data, supp, groups, n_groups, fixed, solver, names)
    problem = dataclasses.replace(problem, verbose=read_verbose(verbose))
    if not any(problem.free):
        raise ValueError(
            f"model0={type(model0).__name__} has no free floating-point array: there "
            "is nothing to estimate."
        )
    problem, weights = weigh_rows(problem, weights, counts)
    if read_count("n_draws", n_draws, N_DRAWS) < 2:
        raise ValueError(f"n_draws={n_draws}: give 2 or more, such as {N_DRAWS}.")
    estimate = solve_efficiently(problem, weights, int(n_draws), seed)
    return _raise_if_failed(estimate) if throw else estimate


def _raise_if_failed(estimate: EfficientEstimate) -> EfficientEstimate:
    """Return the estimate, or raise with what is known of how it ended."""
    succeeded = is_successful(estimate.result)
    if isinstance(succeeded, Tracer) or succeeded:
        return raise_if_failed(estimate, estimate.result)
    raise RuntimeError(estimate.describe_end())


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
        theta0: Where to start if the model has no starting values of its own, or such
            that the score can't be computed there or the grid has to follow theta;
            where not given the maximum where F is smoothest. `nan`: not known.

    Raises:
        ValueError: The model can't generate data, or the machine has too little memory.
    """
    if how_rows_are_made(problem.model, problem.data, n_draws) is None:
        raise ValueError(
            f"model={type(problem.model).__name__} can't generate data, which its "
            "efficient score needs: give it `simulate(data, rng=)`, and data as a "
            "dictionary, or `outcomes(data)`. Without them use kind='sandwich'."
        )
    check_room(problem, "kind='efficient'")
    return _solve(problem, weights, n_draws, seed, theta0)


def solve_from(evidence: Evidence) -> EfficientEstimate:
    """Solve the efficient-score equation of a problem whose maximum is known.

    Args:
        evidence: That of the maximum: where the search starts if the model has no
            starting values that will do, unless it failed or is degenerate.

    Raises:
        ValueError: The model can't generate data.
    """
    given = evidence.given
    sound = _and_not(is_successful(evidence.result), evidence.flagged)
    other = jnp.nan
    if not hasattr(given.model, "starting_values"):
        if isinstance(sound, Tracer) or not bool(sound):
            other = climb_smoothly(given, evidence.weights)
    theta0 = choose(sound, evidence.theta, other)
    return solve_efficiently(given, evidence.weights, theta0=theta0)


@on_host
def _and_not(xp: Any, is_one: Bool[AnyArray, ""], is_other: Bool[AnyArray, ""]) -> Any:
    return xp.logical_and(is_one, ~is_other)


def _solve(
    problem: OuterProblem,
    weights: Weights,
    n_draws: int,
    seed: int,
    theta0: Float[Array, " p"] | None,
) -> EfficientEstimate:
    known = None
    if hasattr(problem.model, "starting_values"):
        known, own = theta0, start_of(problem.model, problem.data)
        theta0, _ = ravel_pytree(split_model(own, problem.free)[0])
    elif theta0 is None:
        theta0 = climb_smoothly(problem, weights)
    equation, end = solve_score(problem, weights, n_draws, seed, theta0, known)
    theta, converged, off, model, probs, supp, result = _read(equation, end)
    root = Root(end.best, theta, converged, end.num_steps, off)
    return EfficientEstimate(
        model=model,
        theta=theta,
        probs=probs,
        supp=supp,
        equation=equation,
        root=root,
        result=result,
        free=problem.free,
    )


@compile_together
def _read(
    equation: ScoreEquation, end: RootSearch
) -> tuple[
    Float[Array, " p"],
    Bool[Array, ""],
    Bool[Array, " p"],
    Model,
    Float[Array, " n_supp *n_groups"],
    Support,
    RESULTS,
]:
    """Return a root and how it was found, model, F and grid there, and the result."""
    problem, here = equation.problem, end.best
    theta, converged = step_to_root(equation, end)
    result = RESULTS.where(converged, RESULTS.successful, RESULTS.max_steps_reached)
    probs = here.mixing.probs
    # Far from a root draws are no evidence.
    disagree = converged & (here.misfit >= _MISFIT)
    result = RESULTS.where(disagree, RESULTS.simulation_disagrees, result)
    errors = here.errors(equation.n_obs)
    runs_off = end.departure.find_runaways(here.theta, errors)
    # Where no root was found and nothing is identified, it was the start that ran off.
    runs_off = jnp.where(converged, runs_off, jnp.all(errors == 0.0))
    diverging = jnp.any(runs_off)
    result = RESULTS.where(diverging, RESULTS.parameter_diverging, result)
    finite = jnp.all(jnp.isfinite(here.scores)) & jnp.all(jnp.isfinite(theta))
    finite &= end.num_steps > 0
    result = RESULTS.where(finite, result, RESULTS.non_finite)
    return (
        theta,
        converged,
        runs_off,
        problem.build(theta),
        probs[0] if problem.groups is None else probs.T,
        equation.problem_at(theta, here.carried).supp,
        result,
    )


@compile_for_one_call
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

    def at(theta: Array, probs: Array) -> Evaluation:
        return sieve.evaluate(theta, probs, weights)

    begin = sieve.uniform_probs()
    watch = "with F almost normal" if problem.verbose else ""
    args = (at, weights.size, theta0, begin, _CLIMB_TOL, _CLIMB_STEPS)
    end = climb(*args, watch=watch)
    return jnp.where(jnp.all(jnp.isfinite(end.theta)), end.theta, theta0)
