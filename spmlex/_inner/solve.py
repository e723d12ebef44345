"""The inner problem with any solver: the mixing probabilities given theta.

Every solver is a frozen object with the same call, `solver(scaled, weights, probs0) ->
(probs, num_steps, fell_back)`, where `scaled[j, i] = exp(lclk[i, j] - row max)` has a
row for each support point; `solve_probs` puts the certificate of equation (3) and a
result code around any of them, so success never rests on a solver's own word.
"""

import difflib
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental.layout import Layout, with_layout_constraint
from jaxtyping import Array, Bool, Int

from spmlex._inner.active_set import ActiveSet
from spmlex._inner.em import EM
from spmlex._inner.interior_point import InteriorPoint
from spmlex._inner.mixsqp import MixSQP
from spmlex._inner.mixture import (
    normalise_weights,
    row_max,
    scale_rows,
    support_residual,
    weight_per_density,
)
from spmlex._words.arguments import check_truth, read_floats
from spmlex._words.codes import RESULTS, raise_if_failed
from spmlex._words.printing import Printed, write
from spmlex._words.table import Table
from spmlex._words.types import (
    GivenLclk,
    GivenProbs,
    GivenWeights,
    LogCondLik,
    Probs,
    Scalar,
    Weights,
)

CERTIFICATE_TOL = 1e-9
"""Gap and support residual above which a solve is not successful."""

SOLVERS = {
    "active_set": ActiveSet,
    "interior_point": InteriorPoint,
    "mixsqp": MixSQP,
    "em": EM,
}

_SHOWN = 20
"""Points that are printed, those with the most mass."""

InnerSolver = str | ActiveSet | InteriorPoint | MixSQP | EM


class MixingSolution(Printed):
    """Mixing probabilities with their certificate.

    Attributes:
        probs: On the simplex, exact zeros off the support.
        value: Negative mean log-likelihood at `probs`, nats per observation.
        gap: Upper bound on what `probs` leaves to be gained, nats per observation.
        residual: Largest deviation of the gradient function from one on the support.
        num_steps: Steps the solver took.
        fell_back: Whether the active set handed over to the interior-point method.
        result: Result code.
    """

    probs: Probs
    value: Scalar
    gap: Scalar
    residual: Scalar
    num_steps: Int[Array, ""]
    fell_back: Bool[Array, ""]
    result: RESULTS  # pyright: ignore[reportInvalidTypeForm]

    def _tabulate(self) -> Table:
        probs = np.asarray(self.probs)
        kept = np.flatnonzero(probs > 0)
        # Stable, so that of equal masses always the same are shown.
        shown = np.sort(kept[np.argsort(-probs[kept], kind="stable")[:_SHOWN]])
        rows = tuple((f"point {k}", write(probs[k])) for k in shown)
        title = f"Mixing probabilities: {kept.size} of {probs.size} points have mass"
        left = kept.size - shown.size
        notes = [f"and {left} points more, with less mass"] * bool(left)
        notes.append(
            f"log-likelihood {-float(self.value):.6f} a row; others gain at most "
            f"{max(float(self.gap), 0.0):.1e}; {int(self.num_steps)} steps"
        )
        if self.result != RESULTS.successful:
            notes.append(f"Warning: {RESULTS[self.result]}")
        return Table(title, ("", "mass"), rows, tuple(notes))


def get_solver(solver: InnerSolver) -> Any:
    """Return the solver object for a name, or the object itself.

    Raises:
        ValueError: The name is unknown.
    """
    if not isinstance(solver, str):
        if not callable(solver) or isinstance(solver, type):
            raise ValueError(
                f"solver={solver!r} is no inner solver. Choose from "
                f"{', '.join(SOLVERS)}, or give an object such as ActiveSet()."
            )
        return solver
    if solver not in SOLVERS:
        close = difflib.get_close_matches(solver, SOLVERS, n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        names = ", ".join(SOLVERS)
        raise ValueError(
            f"solver={solver!r} is not an inner solver.{hint} Choose from {names}."
        )
    return SOLVERS[solver]()


def solve_probs(
    lclk: GivenLclk,
    *,
    weights: GivenWeights | None = None,
    probs0: GivenProbs | None = None,
    solver: InnerSolver = "active_set",
    throw: bool = True,
) -> MixingSolution:
    """Maximise the likelihood over the mixing probabilities. Equations (2) and (3).

    Args:
        lclk: Log conditional likelihoods in nats; `-inf` allowed, `nan` not.
        weights: Nonnegative observation weights; their scale does not matter.
        probs0: A start, such as the solution at a nearby theta.
        solver: A name ("active_set", "interior_point", "mixsqp", "em") or a solver.
        throw: Raise where the solve is not successful; else only say so in `result`.

    Returns:
        The solution with its certificate. No derivative passes through it: see
        `profile` for a differentiable version.

    Raises:
        ValueError: The call is wrong: the message names the argument.
        RuntimeError: Under `throw`, with the sentence of the result code.

    Examples:
        >>> solution = solve_probs(model0.lclk(data, supp))
        >>> bool(solution.gap < 1e-9)
        True
    """
    check_truth("throw", throw)
    lclk = read_floats("lclk", lclk, "a matrix")
    if jnp.ndim(lclk) != 2 or 0 in jnp.shape(lclk):
        raise ValueError(
            f"lclk has shape {jnp.shape(lclk)}; give a matrix of log-likelihoods, a "
            "row for each observation and a column for each support point."
        )
    if probs0 is not None:
        probs0 = read_floats("probs0", probs0, "np.full(5, 0.2)")
    if probs0 is not None and jnp.shape(probs0) != jnp.shape(lclk)[1:]:
        raise ValueError(
            f"probs0 has shape {jnp.shape(probs0)}; give a mass for each of the "
            f"{jnp.shape(lclk)[1]} support points."
        )
    lclk = jax.lax.stop_gradient(jnp.asarray(lclk, jnp.float64))
    weights = normalise_weights(weights, lclk.shape[0])
    solution = _solve(lclk, weights, probs0, get_solver(solver))
    return raise_if_failed(solution, solution.result) if throw else solution


@eqx.filter_jit  # so that a call outside `jit` compiles once a shape, not each time
def _solve(
    lclk: LogCondLik, weights: Weights, probs0: Probs | None, solver: Any
) -> MixingSolution:
    scaled, shift = scale_rows(lclk)
    # In memory one support point after the other: solvers pick and weigh whole points,
    # and on 100,000 observations a solve takes three quarters of the time.
    scaled = with_layout_constraint(scaled.T, Layout((0, 1)))
    # A row without any likelihood is left out of the solve, and the result says so.
    zero_row = (row_max(lclk) == -jnp.inf) & (weights > 0)
    solver_weights: Weights = jnp.where(zero_row, 0.0, weights)
    known = jnp.sum(solver_weights)
    solver_weights = jnp.where(known > 0, solver_weights / known, solver_weights)
    found: Probs
    found, num_steps, fell_back = solver(scaled, solver_weights, probs0)
    # Where no row is left every distribution is as good.
    probs: Probs = jnp.where(known > 0, found, 1.0 / lclk.shape[1])

    density = probs @ scaled
    gradient = scaled @ weight_per_density(density, solver_weights)
    gap = jnp.log(jnp.max(gradient))
    residual = support_residual(gradient, probs)
    terms = jnp.log(density) + shift
    value = -jnp.sum(jnp.where(weights > 0, weights * terms, 0.0))
    certified = (gap <= CERTIFICATE_TOL) & (residual <= CERTIFICATE_TOL)
    result = RESULTS.where(certified, RESULTS.successful, RESULTS.inner_not_certified)
    finite = jnp.isfinite(value) & jnp.isfinite(gap)
    result = RESULTS.where(finite, result, RESULTS.non_finite)
    result = RESULTS.where(jnp.any(zero_row), RESULTS.zero_likelihood, result)
    return MixingSolution(probs, value, gap, residual, num_steps, fell_back, result)
