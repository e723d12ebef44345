"""The trust-region subproblem of Newton's method, for a handful of parameters."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from spmlex._words.types import Scalar

# Each halves the bracket: after 60 its ends are neighbouring floats.
_SECULAR_STEPS = 60


def solve_trust_region(
    gradient: Float[Array, " p"], hessian: Float[Array, "p p"], radius: Scalar
) -> tuple[Float[Array, " p"], Scalar, Scalar]:
    """Minimise the quadratic model within a ball; the Hessian may be indefinite.

    Moré and Sorensen (1983): the solution is `-(H + s I)^{-1} g` with the least `s >=
    max(0, -smallest eigenvalue)` that keeps it in the ball. With the eigenvectors at
    hand the length is an explicit, decreasing function of s, so bisection finds s to
    full accuracy. In the hard case (gradient orthogonal to the lowest eigenvector) the
    step is the limit, inside the ball; a later gradient leaves the saddle.

    Returns:
        The step, the decrease of the model it promises (nonnegative), and the smallest
        eigenvalue of the Hessian: infinite where there is no parameter.
    """
    if gradient.size == 0:
        return gradient, jnp.array(0.0), jnp.array(jnp.inf)
    values, vectors = jnp.linalg.eigh(hessian)
    along = vectors.T @ gradient
    norm = jnp.linalg.norm(along)
    scale = jnp.maximum(jnp.max(jnp.abs(values)), 1e-280)  # its floor is no subnormal
    floor = 1e-14 * scale

    def step_at(shift: Array | float) -> Array:
        return -along / jnp.maximum(values + shift, floor)

    least = jnp.maximum(0.0, -values[0])
    # At this shift every curvature is at least norm / radius: inside the ball.
    most = least + norm / jnp.maximum(radius, 1e-300) + floor

    def bisect(_: Array, bracket: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = bracket
        middle = 0.5 * (low + high)
        too_long = jnp.linalg.norm(step_at(middle)) > radius
        return jnp.where(too_long, middle, low), jnp.where(too_long, high, middle)

    # Bisection, a fixed number of times: on eigenvalues it costs next to nothing, and
    # it can't fail in the hard case, as Newton's method for the same root can.
    interior = (values[0] > floor) & (jnp.linalg.norm(step_at(0.0)) <= radius)
    shift: Array
    _, shift = jax.lax.fori_loop(0, _SECULAR_STEPS, bisect, (least, most))
    step = step_at(jnp.where(interior, 0.0, shift))
    promised = -(along @ step) - 0.5 * (values * step) @ step
    return vectors @ step, jnp.maximum(promised, 0.0), values[0]
