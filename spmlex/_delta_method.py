"""The delta method for functions of theta and of the mixing distribution."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.core import Tracer
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float

from spmlex._arguments import check_function
from spmlex._compile import compile_for_one_call
from spmlex._continuum import range_of, rows_of
from spmlex._efficient_estimate import EfficientEstimate
from spmlex._efficient_functional import influence_under_model
from spmlex._evidence import Estimated, Evidence, evidence_of
from spmlex._inner import ActiveSet
from spmlex._joint import JointProblem
from spmlex._polish import N_SLOTS
from spmlex._printing import in_html, in_words, write
from spmlex._profile import face_system, relative_densities, solve_face
from spmlex._table import Table
from spmlex._types import Weights
from spmlex._weights import share_of_square

Function = Callable[[Any, Any, Float[Array, " n_supp"]], Any]
"""Of the model, the support points and their masses."""


class Functional(eqx.Module):
    """An estimated function of theta and F.

    Attributes:
        value: The function at the estimate, flattened.
        influence: What moving all the weight to an observation would change it by,
            to first order.
        weights: Share of each row in the sample, sum one.
        counts: How many observations each row of data stands for; `None`: one.
    """

    value: Float[Array, " k"]
    influence: Float[Array, "n_obs k"]
    weights: Weights
    counts: Float[Array, " n_obs"] | None = None

    @property
    def covariance(self) -> Float[Array, "k k"]:
        """Covariance of the value."""
        shares = share_of_square(self.weights, self.counts)
        weighted = shares[:, None] * self.influence
        return weighted.T @ weighted

    @property
    def standard_errors(self) -> Float[Array, " k"]:
        """Standard errors of the value."""
        return jnp.sqrt(jnp.diagonal(self.covariance))

    def __repr__(self) -> str:
        return in_words(self, _tabulate)

    def _repr_html_(self) -> str:
        return in_html(self, _tabulate)


def _tabulate(found: Functional) -> Table:
    pairs = zip(found.value.tolist(), found.standard_errors.tolist(), strict=True)
    rows = tuple((f"[{k}]", *map(write, pair)) for k, pair in enumerate(pairs))
    return Table("Function of theta and F", ("", "value", "std. error"), rows)


def delta_method(
    estimate: Estimated | EfficientEstimate, function: Function
) -> Functional:
    """Estimate `function(model, supp, probs)` and its covariance. Equation (16).

    For example the mean of F: `lambda model, supp, probs: probs @ supp`. The influence
    of an observation on theta moves the function directly, and through the atoms and
    masses of F; its influence on these given theta adds to that. First-order, with the
    atoms found and free to move where the fit moved them: for smooth functionals such
    as means, and for the mass on one side of a point that no atom is near. What moves
    with no parameter, such as a quantile on a grid, has a standard error of zero.

    At an `EfficientEstimate` the function is taken at its smooth F, and corrected by
    the mean of its influence under the model. Equation (20).

    Args:
        estimate: A fit without groups, or what `efficient_estimate` returns.
        function: Of the model, the support points and the mixing probabilities,
            (n_supp,); differentiable, returns arrays.

    Raises:
        ValueError: The estimate has groups.

    Examples:
        >>> mean = delta_method(estimate, lambda model, supp, probs: probs @ supp)
        >>> mean.value.shape, mean.standard_errors.shape
        ((1,), (1,))
    """
    check_function("function", function, "`lambda model, supp, probs: probs @ supp`")
    if isinstance(estimate, EfficientEstimate):
        _refuse_groups(estimate.probs)
        value, influence = influence_under_model(estimate, function)
        equation = estimate.equation
        counts = equation.problem.counts
        return Functional(value, influence, equation.weights, counts)
    evidence = evidence_of("estimate", estimate)
    _refuse_groups(evidence.probs)
    moved = True if evidence.problem is None else evidence.moved
    if moved is None:
        value, influence = _on_grid(evidence, function)
    elif isinstance(moved, Tracer):  # under `jit`, where the fit decides
        value, influence = jax.lax.cond(
            moved,
            lambda: _with_atoms(evidence, function),
            lambda: _on_grid(evidence, function),
        )
    else:
        value, influence = (_with_atoms if bool(moved) else _on_grid)(
            evidence, function
        )
    return Functional(value, influence, evidence.weights, evidence.counts)


def _refuse_groups(probs: Float[Array, "..."]) -> None:
    if probs.ndim != 1:
        raise ValueError(
            "groups: the delta method takes a fit with one mixing distribution. Fit "
            "the groups' distributions one by one, or bootstrap."
        )


_Influence = tuple[Float[Array, " k"], Float[Array, "n_obs k"]]


@compile_for_one_call
def _on_grid(evidence: Evidence, function: Function) -> _Influence:
    problem = evidence.on_grid()

    def flat(theta: Array, probs: Array) -> Array:
        return ravel_pytree(function(problem.build(theta), evidence.supp, probs))[0]

    theta, probs, weights = evidence.theta, evidence.probs, evidence.weights
    here = problem.evaluate(theta, probs, weights)
    value = flat(theta, probs)
    by_theta, by_probs = jax.jacrev(flat, argnums=(0, 1))(theta, probs)
    along = by_theta + by_probs @ here.probs_dot
    on_theta = jnp.linalg.solve(evidence.hessian, evidence.scores.T).T
    relative = relative_densities(problem.lclk(theta), probs)
    system = face_system(relative, weights, probs)
    # Row by row `by_probs system^{-1} (relative_i - 1)`: the solve is symmetric.
    solved = jax.vmap(lambda row: solve_face(system, row, probs))(by_probs)
    return value, on_theta @ along.T + (relative - 1.0) @ solved.T


@compile_for_one_call
def _with_atoms(evidence: Evidence, function: Function) -> _Influence:
    """Do the same with the places of the atoms beside theta."""
    theta, weights = evidence.theta, evidence.weights
    count = min(N_SLOTS, evidence.probs.size)
    if evidence.problem is None:  # the support is the atoms alone, however many
        count = evidence.probs.size
    box, trial = range_of(evidence.given.supp)
    solver = ActiveSet(working_sizes=(count,), has_net=False)
    joint = JointProblem(evidence.given, box, trial, weights, solver)
    rows = rows_of(evidence.supp)
    mass, columns = jax.lax.top_k(evidence.probs, count)
    places = joint.to_places(rows[columns])

    def flat(both: Array, mass: Array) -> Array:
        atoms = joint.to_rows(both[theta.size :].reshape(places.shape))
        supp = box.to_supp(rows.at[columns].set(atoms))
        probs = evidence.probs.at[columns].set(mass)
        return ravel_pytree(
            function(joint.outer.build(both[: theta.size]), supp, probs)
        )[0]

    both = jnp.concatenate([theta, places.ravel()])
    here = joint.evaluate(both, mass, mass > 0)
    value = flat(both, mass)
    by_both, by_mass = jax.jacrev(flat, argnums=(0, 1))(both, mass)
    along = by_both + by_mass @ here.probs_dot
    on_both = jnp.linalg.solve(here.hessian, here.scores.T).T
    lclk = jnp.where(mass > 0, joint.lclk(theta, places), -jnp.inf)
    relative = relative_densities(lclk, mass)
    system = face_system(relative, weights, mass)
    solved = jax.vmap(lambda row: solve_face(system, row, mass))(by_mass)
    seen = jnp.where(mass > 0, relative - 1.0, 0.0)
    return value, on_both @ along.T + seen @ solved.T
