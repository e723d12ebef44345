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
from spmlex._outer import weights_by_group
from spmlex._polish import N_SLOTS
from spmlex._profile import face_system, relative_densities, solve_face
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
        estimate: A fit, or what `efficient_estimate` returns.
        function: Of the model, the support points and the mixing probabilities,
            (n_supp,) or, with groups, (n_supp, n_groups); differentiable, returns
            arrays.

    Raises:
        ValueError: `estimate` is none, or `function` no function.

    Examples:
        >>> mean = delta_method(estimate, lambda model, supp, probs: probs @ supp)
        >>> mean.value.shape, mean.standard_errors.shape
        ((1,), (1,))
    """
    check_function("function", function, "`lambda model, supp, probs: probs @ supp`")
    if isinstance(estimate, EfficientEstimate):
        value, influence = influence_under_model(estimate, function)
        equation = estimate.equation
        counts = equation.problem.counts
        return Functional(value, influence, equation.weights, counts)
    evidence = evidence_of("estimate", estimate)
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


_Influence = tuple[Float[Array, " k"], Float[Array, "n_obs k"]]


@compile_for_one_call
def _on_grid(evidence: Evidence, function: Function) -> _Influence:
    problem = evidence.on_grid()

    def flat(theta: Array, probs: Array) -> Array:
        return ravel_pytree(function(problem.build(theta), evidence.supp, probs.T))[0]

    theta, weights = evidence.theta, evidence.weights
    probs: Float[Array, "*n_groups n_supp"] = evidence.probs.T
    here = problem.evaluate(theta, probs, weights)
    value = flat(theta, probs)
    by_theta, by_probs = jax.jacrev(flat, argnums=(0, 1))(theta, probs)
    # Without groups the axis of groups has one entry.
    each = probs.reshape(-1, probs.shape[-1])
    by_probs: Float[Array, "k n_groups n_supp"] = by_probs.reshape(-1, *each.shape)
    probs_dot: Float[Array, "n_groups n_supp p"]
    probs_dot = here.probs_dot.reshape(*each.shape, theta.size)
    along = by_theta + jnp.tensordot(by_probs, probs_dot, axes=2)
    on_theta = jnp.linalg.solve(evidence.hessian, evidence.scores.T).T
    lclk = problem.lclk(theta)

    def add_group(total: Array, item: tuple[Array, Array, Array]) -> tuple[Array, None]:
        own: Weights
        own, mass, slopes = item
        share = jnp.maximum(jnp.sum(own), 1e-300)
        relative = relative_densities(lclk, mass)
        system = face_system(relative, own / share, mass)
        # Row by row `slopes system^{-1} (relative_i - 1)`: the solve is symmetric.
        solved = jax.vmap(lambda row: solve_face(system, row, mass))(slopes)
        influence = (relative - 1.0) @ solved.T / share
        return total + jnp.where(own[:, None] > 0, influence, 0.0), None

    groups = weights_by_group(problem, weights), each, by_probs.transpose(1, 0, 2)
    total, _ = jax.lax.scan(add_group, on_theta @ along.T, groups)
    return value, jnp.asarray(total)


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
