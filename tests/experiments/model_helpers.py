"""Checks that every model's likelihood has to pass."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

_STEP = 1e-5


def check_derivatives(
    function: Callable[[Float[Array, " p"]], Float[Array, ""]],
    theta: Float[Array, " p"],
    rtol: float = 1e-6,
    atol: tuple[float, float] = (1e-6, 1e-5),
) -> None:
    """Compare derivatives in forward and reverse mode with central differences.

    The gradient and the Hessian, in every coordinate: a column of the Hessian is a
    directional derivative of the gradient, so one small program gives all of them.

    Args:
        function: What to differentiate.
        theta: Where.
        rtol: Of second derivatives; that of first ones is 1e-6.
        atol: Of first and of second derivatives.
    """

    @jax.jit
    def along(theta, direction):
        slope = jax.jvp(function, (theta,), (direction,))[1]
        gradient, column = jax.jvp(jax.grad(function), (theta,), (direction,))
        return slope, gradient, column

    value = jax.jit(lambda theta: (function(theta), jax.grad(function)(theta)))
    moves = np.eye(theta.size)
    ahead = [value(theta + _STEP * move) for move in moves]
    behind = [value(theta - _STEP * move) for move in moves]
    first, second = (
        np.stack(
            [(a[i] - b[i]) / (2 * _STEP) for a, b in zip(ahead, behind, strict=True)]
        )
        for i in range(2)
    )
    found = [along(theta, jnp.asarray(move)) for move in moves]
    slopes, gradients, columns = (np.stack(part) for part in zip(*found, strict=True))
    np.testing.assert_allclose(gradients[0], first, rtol=1e-6, atol=atol[0])
    np.testing.assert_allclose(slopes, first, rtol=1e-6, atol=atol[0])
    np.testing.assert_allclose(columns, second, rtol=rtol, atol=atol[1])
