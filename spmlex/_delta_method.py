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
from spmlex._evidence import Estimated, Evidence, evidence_of
from spmlex._outer import OuterProblem
from spmlex._profile import face_system, relative_densities, solve_face
from spmlex._types import Weights
from spmlex._weights import share_of_square


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
    estimate: Estimated, function: Callable[[Any, Float[Array, "..."]], Any]
) -> Functional:
    """Estimate `function(model, probs)` and its covariance. Equation (16).

    For example the mean of F: `lambda model, probs: probs @ supp`. The influence of an
    observation on theta moves the function directly and through `probs`, and its
    influence on `probs` given theta adds to that. First-order, on the face of F found:
    for smooth functionals such as means, not for a single mass, whose limit is not
    normal.

    Args:
        estimate: A fit with `support="grid"`, without groups.
        function: Of the model and the mixing probabilities, (n_supp,); differentiable,
            returns arrays.

    Raises:
        ValueError: The fit has groups, or its support points were moved.

    Examples:
        >>> mean = delta_method(estimate, lambda model, probs: probs @ supp)
        >>> mean.value.shape, mean.standard_errors.shape
        ((1,), (1,))
    """
    evidence = evidence_of("estimate", estimate)
    problem = evidence.on_grid()
    check_function("function", function, "`lambda model, probs: probs @ supp`")
    moved = evidence.moved
    if moved is not None and not isinstance(moved, Tracer) and bool(moved):
        raise ValueError(
            "the support points of this fit were moved, and a function of `probs` does "
            "not see them move with theta: refit with support='grid'."
        )
    if evidence.probs.ndim != 1:
        raise ValueError(
            "groups: the delta method takes a fit with one mixing distribution. Fit "
            "the groups' distributions one by one, or bootstrap."
        )
    result = _delta(problem, evidence, function)
    if moved is None:
        return result
    # Under `jit`, where nothing can be refused.
    missing = jnp.where(moved, jnp.nan, result.influence)
    return Functional(result.value, missing, result.weights, result.counts)


@eqx.filter_jit
def _delta(
    problem: OuterProblem,
    evidence: Evidence,
    function: Callable[[Any, Float[Array, "..."]], Any],
) -> Functional:
    def flat(theta: Array, probs: Array) -> Array:
        return ravel_pytree(function(problem.build(theta), probs))[0]

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
    influence = on_theta @ along.T + (relative - 1.0) @ solved.T
    return Functional(value, influence, weights, evidence.counts)
