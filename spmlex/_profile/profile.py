"""The differentiable primitive: the profile likelihood of a matrix `lclk`.

Three rules make it differentiable to second order, forwards and backwards, under `jit`
and `vmap`, whatever solver found the mixing probabilities:

- the value is that of equation (1), computed by one function with and without
  differentiation;
- its derivative is the envelope theorem's, equation (4): no derivative of `probs`;
- the derivative of `probs` is the implicit function theorem's on the active face,
  equation (5). The second derivative of the value needs nothing more.

They hold where the face does not change in a neighbourhood of theta. At the isolated
points where an atom appears or disappears the value is still once differentiable; its
second derivative jumps, and the one of the face found is returned.

Inside `jax.lax.scan` or `jax.lax.map` JAX (0.9) drops custom rules when it splits the
loop for second derivatives: compute `lclk` inside the loop, or use `jax.vmap`.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from spmlex._inner import InnerSolver, solve_probs
from spmlex._inner.mixture import log_mixture, normalise_weights, scale_rows
from spmlex._words.arguments import read_floats
from spmlex._words.inputs import conditional_likelihoods, read_groups, read_inputs
from spmlex._words.types import (
    Data,
    GivenGroups,
    GivenLclk,
    GivenProbs,
    GivenWeights,
    LogCondLik,
    Model,
    Probs,
    Scalar,
    Support,
    Weights,
)

_FACE_RTOL = 1e-12
"""Eigenvalues of the face system below this share of the largest count as zero."""


def profile(
    lclk: GivenLclk,
    weights: GivenWeights | None = None,
    *,
    probs0: GivenProbs | None = None,
    solver: InnerSolver = "active_set",
) -> tuple[Scalar, Probs]:
    """Return the profile value of `lclk` and the optimal mixing probabilities.

    Equation (2), with derivatives by equations (4) and (5) in `lclk` and `weights`.
    Where the solve is not certified the value is too large by at most the gap that
    `solve_probs` reports.

    Args:
        lclk: Log conditional likelihoods in nats; `-inf` allowed.
        weights: Nonnegative observation weights; their scale does not matter.
        probs0: Start of the inner solver.
        solver: Inner solver, by name or as an object.

    Returns:
        The negative mean log-likelihood, nats per observation, and `probs`.

    Examples:
        >>> value, probs = profile(model0.lclk(data, supp))
        >>> value.shape, round(float(probs.sum()), 9)
        ((), 1.0)
    """
    if jnp.ndim(lclk) != 2 or not isinstance(lclk, jax.Array):
        lclk = read_floats("lclk", lclk, "a matrix")
        solve_probs(lclk, throw=False)  # refused in words where it is no matrix
    weights = normalise_weights(weights, lclk.shape[0])
    solution = solve_probs(
        lclk,
        weights=jax.lax.stop_gradient(weights),
        probs0=probs0,
        solver=solver,
        throw=False,
    )
    probs = optimal_probs(lclk, weights, jax.lax.stop_gradient(solution.probs))
    return profile_value(lclk, weights, probs), probs


@jax.custom_jvp
def profile_value(lclk: LogCondLik, weights: Weights, probs: Probs) -> Scalar:
    """Return equation (1) at optimal `probs`, with the derivative of equation (4)."""
    terms = log_mixture(lclk, probs)
    return -jnp.sum(jnp.where(weights > 0, weights * terms, 0.0))


@profile_value.defjvp
def _profile_value_jvp(
    primals: tuple[Array, ...], tangents: tuple[Array, ...]
) -> tuple[Array, Array]:
    lclk, weights, probs = primals
    lclk_dot, weights_dot, _ = tangents
    relative = relative_densities(lclk, probs)
    terms = log_mixture(lclk, probs)
    # Where a density is zero its log may have no slope, and zero times nan is nan.
    lclk_dot = jnp.where(relative > 0, lclk_dot, 0.0)
    expected = (relative * lclk_dot) @ probs
    # A tangent of zero times -inf would be nan.
    known = jnp.where(jnp.isfinite(terms), terms, 0.0)
    return profile_value(lclk, weights, probs), -(
        weights @ expected + weights_dot @ known
    )


@jax.custom_jvp
def optimal_probs(lclk: LogCondLik, weights: Weights, probs: Probs) -> Probs:
    """Return `probs`, known to be optimal, with the derivative of equation (5)."""
    del lclk, weights
    return probs


@optimal_probs.defjvp
def _optimal_probs_jvp(
    primals: tuple[Array, ...], tangents: tuple[Array, ...]
) -> tuple[Array, Array]:
    lclk, weights, probs = primals
    lclk_dot, weights_dot, _ = tangents
    # Calling itself, not taking `probs`, so that it can be differentiated again.
    optimum = optimal_probs(lclk, weights, probs)
    relative = relative_densities(lclk, optimum)
    lclk_dot = jnp.where(relative > 0, lclk_dot, 0.0)
    expected = (relative * lclk_dot) @ optimum
    right = weights_dot @ relative + weights @ (
        relative * (lclk_dot - expected[:, None])
    )

    def solve_on(columns: Int[Array, " k"]) -> Probs:
        held = probs[columns]
        system = face_system(relative[:, columns], weights, held)
        solved = solve_face(system, right[columns], held)
        return jnp.zeros_like(right).at[columns].set(solved, unique_indices=True)

    return optimum, on_face(probs, solve_on, first=96)


def relative_densities(lclk: LogCondLik, probs: Probs) -> LogCondLik:
    """Return `B_ij = A_ij / (A p)_i`, zero in rows without any density."""
    scaled, _ = scale_rows(lclk)
    density = scaled @ probs
    return scaled / jnp.where(density > 0, density, 1.0)[:, None]


def face_system(
    relative: LogCondLik, weights: Weights, probs: Probs
) -> Float[Array, "n_supp n_supp"]:
    """Return `phi_SS` of equation (5), zero outside the active face."""
    face = jnp.where(probs > 0, relative, 0.0)
    return face.T @ (weights[:, None] * face)


def on_face[Found](
    probs: Probs, compute: Callable[[Int[Array, " k"]], Found], first: int = 24
) -> Found:
    """Call with as few columns as hold all the mass, the largest masses first.

    Shapes are fixed, so one of a few sizes is chosen at run time: the first, four times
    as many and so on up to two thirds of the columns, or all of them. A face system on
    thousands of columns would cost far more than anything else there.

    Args:
        probs: The masses.
        compute: Called with columns; what it returns does not depend on their number.
        first: The smallest size.
    """
    n_supp = probs.size
    sizes: list[int] = []
    while 3 * first <= 2 * n_supp:
        sizes.append(first)
        first *= 4
    order = jnp.argsort(-probs)
    count = jnp.sum(probs > 0)
    which = sum((count > size).astype(int) for size in sizes)
    choices = [lambda size=size: compute(order[:size]) for size in [*sizes, n_supp]]
    return jax.lax.switch(which, choices) if sizes else choices[0]()


def solve_face(
    system: Float[Array, "n_supp n_supp"], right: Float[Array, " n_supp"], probs: Probs
) -> Float[Array, " n_supp"]:
    """Solve the face system; zero off the face, least norm where it is singular.

    The system is singular where support points are duplicated or outnumber the
    observations. Rows and columns are scaled to a unit diagonal, and the solution of
    least norm in that scale is returned (Moore-Penrose), never `nan`.
    """
    face = probs > 0
    diagonal: Float[Array, " n_supp"] = jnp.diagonal(system)
    scale = jnp.where(
        face & (diagonal > 0), 1.0 / jnp.sqrt(jnp.where(face, diagonal, 1.0)), 0.0
    )
    scale = jnp.where(jnp.isfinite(scale), scale, 0.0)

    def apply(vector: Array) -> Array:
        return scale * (system @ (scale * vector))

    def solve(_: Any, vector: Array) -> Array:
        matrix = jax.lax.stop_gradient(scale[:, None] * system * scale)
        values: Float[Array, " n_supp"]
        values, vectors = jnp.linalg.eigh(matrix)
        kept = values > _FACE_RTOL * jnp.max(values)
        inverse = jnp.where(kept, 1.0 / jnp.where(kept, values, 1.0), 0.0)
        return vectors @ (inverse * (vectors.T @ vector))

    # Differentiated as a linear system, not through `eigh`, whose derivative divides by
    # differences of eigenvalues: zero where points are duplicated.
    scaled = jax.lax.custom_linear_solve(apply, scale * right, solve, symmetric=True)
    return scale * scaled


def profile_ll(
    model: Model,
    data: Data,
    supp: Support,
    *,
    groups: GivenGroups | None = None,
    n_groups: int | None = None,
    weights: GivenWeights | None = None,
    solver: InnerSolver = "active_set",
) -> tuple[Scalar, Float[Array, "..."]]:
    """Return the profile log-likelihood of a model, to be minimised over theta.

    Equation (2) of `spmlex/README.md`, composed with `model.lclk`: the negative mean
    log-likelihood with the mixing distribution at its optimum. Differentiable to second
    order by `jax.grad`, `jax.hessian` and so on, under `jit` and `vmap`. Inputs in
    float32 are cast up.

    Args:
        model: A pytree with `lclk(data, supp) -> (n_obs, n_supp)`; its floating-point
            arrays are theta.
        data: A pytree of arrays with leading axis n_obs.
        supp: Support grid: `(n_supp,)`, `(n_supp, d)` or a pytree with leading axis
            n_supp.
        groups: Group of each observation, `0 .. n_groups - 1`: each group has a mixing
            distribution of its own on the common grid.
        n_groups: Number of groups; needed only where `groups` is traced.
        weights: Nonnegative observation weights; their scale does not matter.
        solver: Inner solver: "active_set", "interior_point", "mixsqp", "em", or an
            object.

    Returns:
        Nats per observation, and the mixing probabilities, `(n_supp,)` or `(n_supp,
        n_groups)`. The value is `inf` where an observation has zero likelihood at every
        support point and `nan` where `lclk` is.

    Raises:
        ValueError: The call is wrong: the message names the argument.

    Examples:
        >>> value, probs = profile_ll(model0, data, supp)
        >>> value.shape, probs.shape
        ((), (25,))
        >>> gradient = jax.grad(profile_ll, has_aux=True)(model0, data, supp)[0]
    """
    lclk = conditional_likelihoods(*read_inputs(model, data, supp))
    if groups is None:
        return profile(lclk, weights, solver=solver)
    weights = normalise_weights(weights, lclk.shape[0])
    groups, size = read_groups(groups, n_groups, lclk.shape[0])

    own = jnp.where(groups == jnp.arange(size)[:, None], weights, 0.0)
    shares = jnp.sum(own, axis=1)
    own = own / shares[:, None]
    # Only the solver is mapped one by one. JAX drops custom derivative rules where it
    # splits a loop for differentiation, and second derivatives would be wrong.
    solved = jax.lax.map(
        lambda weights: (
            solve_probs(
                jax.lax.stop_gradient(lclk), weights=weights, solver=solver, throw=False
            ).probs
        ),
        jax.lax.stop_gradient(own),
    )

    def one_group(weights: Weights, probs: Probs) -> tuple[Scalar, Probs]:
        probs = optimal_probs(lclk, weights, probs)
        return profile_value(lclk, weights, probs), probs

    values, probs = jax.vmap(one_group)(own, solved)
    return shares @ values, probs.T
