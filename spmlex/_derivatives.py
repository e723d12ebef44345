"""All the derivatives a fit needs, in one pass over the support points with mass.

What automatic differentiation of `profile` gives, at a fraction of its cost; a test
holds the two equal.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from spmlex._mixture import scale_rows
from spmlex._profile import face_system, solve_face
from spmlex._types import Kernel, LogCondLik, Probs, Weights

_FACE_CHUNK = 12
"""Support points with mass that are differentiated together."""

_FACE_SIZE = 24
"""Most support points with mass for which equation (5) is solved on them alone."""


def has_reverse(function: Callable[[Any], Array], at: Any) -> bool:
    """Tell whether a function can be differentiated forwards over backwards.

    A `jax.lax.while_loop` can't: it keeps no record of its steps. Found out by tracing,
    as JAX has no other way to tell; where something else is wrong the forward passes
    that follow say so.
    """

    def pull_back(at: Any) -> Any:
        values, pull = jax.vjp(function, at)
        return pull(jnp.ones_like(values))[0]

    try:
        jax.eval_shape(lambda at: jax.jvp(pull_back, (at,), (at,)), at)
    except Exception:  # noqa: BLE001 - what JAX raises differs with the primitive
        return False
    return True


class ProfileDerivatives(NamedTuple):
    """Derivatives of the profile value along a path `theta -> lclk(theta)`.

    Attributes:
        gradient: Of the profile value, nats per observation.
        hessian: Of the profile value, nats per observation.
        scores: Score of each observation along the profile, `d log l_i(theta,
            p*(theta)) / d theta`, nats, unweighted.
        probs_dot: Derivative of the mixing probabilities.
    """

    gradient: Float[Array, " p"]
    hessian: Float[Array, "p p"]
    scores: Float[Array, "n_obs p"]
    probs_dot: Float[Array, "n_supp p"]


def profile_derivatives(
    lclk_at: Callable[[Float[Array, " p"], Int[Array, " k"]], Float[Array, "n_obs k"]],
    theta: Float[Array, " p"],
    lclk: LogCondLik,
    probs: Probs,
    weights: Weights,
    kernel: Kernel | None = None,
) -> ProfileDerivatives:
    """Differentiate the profile value along a path, at optimal `probs`.

    The same derivatives as those of `profile`, written out so that the model is
    differentiated once for all of them, and only at support points with mass: the
    others contribute to none. They are taken `_FACE_CHUNK` at a time, so memory stays
    O(n_obs n_supp) and a sample with few atoms pays for few. Forwards over backwards,
    or forwards twice where `lclk` has no reverse mode.

    Args:
        lclk_at: Columns of `lclk` at some support points, as a function of theta.
        theta: Where to differentiate.
        lclk: The whole matrix at theta.
        probs: Optimal mixing probabilities there.
        weights: Observation weights with sum one.
        kernel: F is this matrix times `probs`; `None` where it is `probs` itself.
    """
    n_obs, n_supp = lclk.shape
    size = theta.size
    if size == 0:  # F alone
        return ProfileDerivatives(
            theta,
            jnp.zeros((0, 0)),
            jnp.zeros((n_obs, 0)),
            jnp.zeros((n_supp, 0)),
        )
    chunk = min(_FACE_CHUNK, n_supp)
    scaled, _ = scale_rows(lclk)
    mass = probs if kernel is None else kernel @ probs
    density = scaled @ mass
    density = jnp.where(density > 0, density, 1.0)
    # Points with mass first; the last chunk may repeat some, with mass zero.
    order = jnp.argsort(-mass)
    num_points = jnp.sum(mass > 0)

    def add_chunk(state: tuple[Any, ...]) -> tuple[Any, ...]:
        start, expected, outer, curvature, crossed = state
        first = jnp.minimum(start, n_supp - chunk)
        columns = jax.lax.dynamic_slice(order, (first,), (chunk,))
        fresh = first + jnp.arange(chunk) >= start
        held = jnp.where(fresh, mass[columns], 0.0)
        relative = scaled[:, columns] / density[:, None]
        posterior = relative * held
        frozen = weights[:, None] * posterior

        def some_lclk(theta: Array) -> Array:
            return lclk_at(theta, columns)

        def backwards(theta: Array) -> tuple[Array, Array]:
            """Return `lclk` and the gradient of its expectation, weights frozen."""
            values, pull_back = jax.vjp(some_lclk, theta)
            return values, pull_back(frozen)[0]

        def forwards(theta: Array) -> tuple[Array, Array]:
            """Return the same, a forward pass a parameter."""

            def along(direction: Array) -> Array:
                slope = jax.jvp(some_lclk, (theta,), (direction,))[1]
                return jnp.sum(frozen * slope, where=frozen > 0)

            return some_lclk(theta), jax.vmap(along)(jnp.eye(size))

        differentiate = backwards if has_reverse(some_lclk, theta) else forwards
        # (p, n_obs, chunk): one forward pass a parameter.
        slopes: Float[Array, "p n_obs chunk"]
        slopes, bends = jax.vmap(lambda v: jax.jvp(differentiate, (theta,), (v,))[1])(
            jnp.eye(size)
        )
        slopes = jnp.where(relative > 0, slopes, 0.0)

        flat = slopes.reshape(size, -1)
        return (
            start + chunk,
            expected + jnp.sum(posterior * slopes, axis=2),
            outer + (frozen * slopes).reshape(size, -1) @ flat.T,
            curvature + bends,
            crossed.at[:, columns].set(
                jnp.sum((weights[:, None] * relative) * slopes, axis=1)
            ),
        )

    square = jnp.zeros((size, size))
    _, expected, outer, curvature, crossed = jax.lax.while_loop(
        lambda state: state[0] < num_points,
        add_chunk,
        (0, jnp.zeros((size, n_obs)), square, square, jnp.zeros((size, n_supp))),
    )

    def solve_on(columns: Int[Array, " k"]) -> tuple[Array, Array, Array]:
        """Solve (5) on these columns; return what follows from it."""
        if kernel is None:
            own, across = scaled[:, columns], crossed[:, columns]
        else:
            own, across = scaled @ kernel[:, columns], crossed @ kernel[:, columns]
        held = probs[columns]
        system = face_system(own / density[:, None], weights, held)
        right = across - (expected * (weights / density)) @ own
        solved = jax.vmap(lambda r: solve_face(system, r, held))(right)
        probs_dot = jnp.zeros((size, n_supp)).at[:, columns].set(solved)
        return probs_dot, (solved @ own.T) / density, solved @ across.T

    face = order if kernel is None else jnp.argsort(-probs)
    size_of_face = min(_FACE_SIZE, n_supp)
    probs_dot, shift, turn = jax.lax.cond(
        jnp.sum(probs > 0) <= size_of_face,
        lambda: solve_on(face[:size_of_face]),
        lambda: solve_on(face),
    )
    scores = expected + shift
    # With d posterior = posterior (slope - score) + relative d probs.
    turned = outer - (scores * weights) @ expected.T + turn
    hessian = -(turned + curvature)
    gradient = -(expected @ weights)
    return ProfileDerivatives(
        gradient, 0.5 * (hessian + hessian.T), scores.T, probs_dot.T
    )
