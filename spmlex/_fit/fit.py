"""Maximise the profile likelihood over theta."""

import dataclasses
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.core import Tracer
from jaxtyping import Array, Int

from spmlex._adequacy.unbounded import unbounded_parameters
from spmlex._climb.starts import gather_starts
from spmlex._fit.free_support import search_free_support
from spmlex._fit.grid_search import maximise_on_grid
from spmlex._inner import InnerSolver
from spmlex._profile.memory import check_sharing, plan_rows
from spmlex._profile.outer import OuterProblem
from spmlex._profile.problem import pose_problem, weigh_rows
from spmlex._result.ending import describe_degeneracy
from spmlex._result.explain import explain_failure
from spmlex._result.result import Fit
from spmlex._support.continuum import box_of
from spmlex._words.arguments import check_truth, read_number
from spmlex._words.codes import raise_if_failed
from spmlex._words.inputs import cast_to_float64, read_count
from spmlex._words.parameters import Names, parameter_names
from spmlex._words.progress import read_verbose
from spmlex._words.types import (
    Counts,
    Data,
    GivenGroups,
    GivenWeights,
    Model,
    Support,
    Weights,
)

SUPPORTS = ("grid", "free")


def fit(
    model0: Model,
    data: Data,
    supp: Support,
    *,
    groups: GivenGroups | None = None,
    n_groups: int | None = None,
    weights: GivenWeights | None = None,
    counts: Counts | None = None,
    support: str | None = None,
    fixed: Callable[[Any], Any] | None = None,
    names: Names | None = None,
    starts: Sequence[Model] | Model | int | None = None,
    solver: InnerSolver = "active_set",
    tol: float = 1e-7,
    max_steps: int | Int[Array, ""] = 100,
    memory: float | str | None = None,
    verbose: bool = False,
    throw: bool = True,
) -> Fit:
    """Estimate a model: maximise the profile likelihood over theta.

    Newton's method in a trust region with the exact profile Hessian. The mixing
    probabilities are solved to a certificate at every step, from where equation (5)
    predicts them. Works under `jit` and `vmap` with `throw=False`. Where there is no
    theta, because the model has no parameters or `fixed` holds them all, F alone is
    estimated: the nonparametric maximum likelihood estimate of a mixing distribution.

    Args:
        model0: The model at the starting values; its floating-point arrays are theta.
            Its `lclk` needs forward derivatives: loops and `jax.custom_jvp` are fine,
            `jax.custom_vjp` is not.
            A consistent start, such as `model.starting_values(data)` where the model
            has one, matters more than many starts.
        data: A pytree of arrays with leading axis n_obs, or a `pandas.DataFrame`, which
            the model gets as a dictionary of its columns.
        supp: Support grid: `(n_supp,)`, `(n_supp, d)` or a pytree with leading axis
            n_supp.
        groups: Group of each observation, `0 .. n_groups - 1`: each group has a mixing
            distribution of its own on the common grid.
        n_groups: Number of groups; needed only where `groups` is traced.
        weights: Nonnegative sampling or importance weights; their scale does not
            matter, and the sample is as large as it has rows with weight.
        counts: How many equal observations each row of data stands for: the fit, its
            standard errors and refits are those of the data with every row repeated so
            often. May be used together with `weights`.
        support: By default the support points with positive mass move, from where they
            are at the maximum on the grid, together with theta to the local maximum
            near it, so that neither the estimate nor its standard errors depend on
            where the grid lies. Where that finds none, with groups or integer support
            points, they stay: `Fit.support` says which it was. "grid" leaves them where
            they are. "free" lets them move from the start and proves that no
            distribution on the range of `supp` gains anything; not under `jit`, and not
            with a free noise scale, which makes the likelihood unbounded.
        fixed: Picks the leaves that keep their values in `model0`, for example
            `lambda model: model.coef`, or several in a tuple.
        names: What the parameters are called wherever they are named: by field of the
            model, as `{"coef": ["union", "experience"]}`, nested like the field's
            array; others keep the names of `parameter_names`. Or a list of all of them.
            By default what the model's attribute `names` says, where it has one.
        starts: Further starting values. By default what `model0.starting_values(data)`
            returns, where the model has that method. A list of models, or one whose
            parameters have a leading axis; `()` for none; or a number of starts to be
            drawn around the end of the first search, as a look for other local optima.
            The fit is the end, over `model0` and all of them, with the largest
            log-likelihood minus support points with positive mass, unflagged ends
            before degenerate ones; `Fit.optima` reports every end.
        solver: Inner solver: "active_set", "interior_point", "mixsqp", "em", or an
            object.
        tol: Largest entry of the gradient at which the fit has converged, in nats per
            observation and unit of the scaled parameter (scaled by the root of the
            diagonal of the Hessian).
        max_steps: Limit on the number of evaluations from each start.
        memory: What the matrices with a row for each observation may take, as bytes or
            in words such as "2 GB", beside the data, the scores and a few numbers for
            each observation. Where they need more, the fit works on blocks of rows and
            evaluates `lclk` again and again; the result has the same bits whatever the
            size of a block. By default "1 GB", where that is possible: not with groups,
            `support="free"` or another solver. Data that devices share
            (`jax.sharding.NamedSharding` along the first axis) are always in blocks,
            and each device works on its own.
        verbose: Print a line a step: the value, the gradient in the units of `tol`, the
            radius of the trust region, the support points with positive mass and the
            seconds; and one before what takes long. Also in what is asked of the fit.
        throw: Raise where the fit is not successful, and warn of a degenerate maximum;
            else only say so in `result` and `flagged`.

    Returns:
        The fit, with its result code.

    Raises:
        ValueError: The call is wrong: the message names the argument.
        RuntimeError: Under `throw`, with the sentence of the result code.

    Examples:
        >>> estimate = fit(model0, data, supp)
        >>> round(float(estimate.model.coef), 2)
        0.44
        >>> lower, upper = estimate.confint(0.95, kind="sandwich")
    """
    check_sharing(data)
    problem = pose_problem(model0, data, supp, groups, n_groups, fixed, solver, names)
    problem = dataclasses.replace(problem, verbose=read_verbose(verbose))
    starts = cast_to_float64(starts)
    check_truth("throw", throw)
    tol = _read_limits(tol, max_steps)
    given = (problem.model, starts, problem.data, problem.free)
    thetas, n_random = gather_starts(*given)
    problem, weights = weigh_rows(problem, weights, counts)
    _check_support(support)
    plan = plan_rows(problem, support, memory)
    if support == "free":
        _check_that_free(problem, weights)
        estimate = search_free_support(problem, thetas, n_random, weights, max_steps)
    else:
        moves = support is None and _can_move(problem)
        args = (tol, max_steps, moves, plan)
        estimate, drift = maximise_on_grid(problem, thetas, n_random, weights, *args)
        if drift is not None:
            moving = dataclasses.replace(
                problem, supp=estimate.supp, drift=drift, origin=estimate.theta
            )
            estimate = dataclasses.replace(estimate, problem=moving)
        else:
            estimate = dataclasses.replace(estimate, problem=problem)
    estimate = dataclasses.replace(estimate, given=problem)
    if throw:
        estimate = raise_if_failed(
            estimate, estimate.result, lambda: explain_failure(estimate, problem.data)
        )
        _warn_if_degenerate(estimate)
    return estimate


def _read_limits(tol: Any, max_steps: Any) -> Any:
    """Return the tolerance as a number; refuse one or a limit that will not do."""
    try:
        tol = read_number("tol", tol, "1e-7", least=0.0)
    except ValueError as error:
        wrong = f"tol={tol!r}: give a positive number, such as 1e-7."
        raise ValueError(wrong) from error
    # An array stays one: compiled code takes any.
    if not isinstance(max_steps, Tracer):
        if read_count("max_steps", max_steps, 100) < 1:
            raise ValueError(f"max_steps={max_steps}: give 1 or more, such as 100.")
    return tol


def _check_support(support: Any) -> None:
    if support is not None and (
        not isinstance(support, str) or support not in SUPPORTS
    ):
        raise ValueError(f"support={support!r}: choose from {', '.join(SUPPORTS)}.")


def _check_that_free(problem: OuterProblem, weights: Weights) -> None:
    """Refuse, before the search, free support where something forbids it."""
    reason = _why_not_free(problem, weights)
    unbounded = [] if reason else _unbounded_parameters(problem, weights)
    if unbounded:
        reason = (
            f"the likelihood of model0={type(problem.model).__name__} grows without "
            f"bound in {', '.join(unbounded)} where support points are free to move. "
            "Hold noise scales at known values by `fixed`"
        )
    if reason:
        raise ValueError(f"support='free': {reason}; or fit on a grid.")


def _why_not_free(problem: OuterProblem, weights: Weights) -> str:
    """Return what in a call rules out free support; empty where nothing does."""
    if any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves((problem, weights))):
        return "the search does not run under jit or vmap"
    if problem.groups is not None:
        return "groups have a common grid"
    return ""


def _can_move(problem: OuterProblem) -> bool:
    """Tell whether support points are numbers that can move, on a common grid of F."""
    leaves = jax.tree.leaves(problem.supp)
    floats = all(jnp.issubdtype(leaf.dtype, jnp.floating) for leaf in leaves)
    return floats and problem.groups is None and leaves[0].shape[0] > 1


def _unbounded_parameters(problem: OuterProblem, weights: Weights) -> list[str]:
    box, trial = box_of(problem.supp)
    found = unbounded_parameters(
        problem.model, problem.free, problem.data, box, trial, weights
    )
    own = parameter_names(problem.model, problem.free)
    called = dict(zip(own, problem.names, strict=True))
    return [called[name] for name in found]


def _warn_if_degenerate(estimate: Fit) -> None:
    flagged = estimate.flagged
    if not isinstance(flagged, Tracer) and bool(flagged):
        warnings.warn(
            describe_degeneracy(estimate.evidence), RuntimeWarning, stacklevel=3
        )
