"""The method of scoring, for the starting values of models with a smooth likelihood."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

_LENGTHS = np.array([0.0, 1 / 64, 1 / 8, 1 / 2, 1.0])
"""Fractions of a step that are tried; the best is taken, none where all are worse."""

_PROMISE = 1e-5
"""The climb ends where a step promises less than this, in nats per observation."""

_RIDGE = 1e-6
"""Added to the information's unit diagonal, so that no direction runs away."""


def climb_by_scoring(
    log_density: Callable[[Float[Array, " p"]], Float[Array, " n_obs"]],
    theta0: Float[Array, " p"],
    max_steps: int,
) -> Float[Array, " p"]:
    """Raise a mean log-likelihood by a fixed number of steps of scoring.

    Berndt, Hall, Hall and Hausman (1974): with scores `s_i` of the observations the
    step is `(Σ s_i s_i')^{-1} Σ s_i`, uphill wherever it starts, and close to Newton's
    near the maximum. No parameter moves by more than one in a step, and the value
    never falls: measure parameters in units in which one is a large step.

    Args:
        log_density: Log-densities of the observations, in nats; not finite where
            theta must not go.
        theta0: Where to start, finite.
        max_steps: Limit on the number of steps.
    """

    def mean(theta):
        value = log_density(theta).mean()
        return jnp.where(jnp.isfinite(value), value, -jnp.inf)

    def advance(state):
        theta, _, n_steps = state
        slopes: Float[Array, "n_obs p"] = jax.jacfwd(log_density)(theta)
        scores = jnp.where(jnp.isfinite(slopes), slopes, 0.0)
        # Scores without variation leave their parameter where it is.
        unit = jnp.sqrt((scores**2).mean(axis=0))
        unit = jnp.where(unit > 0, unit, 1.0)
        scores = scores / unit
        uphill = scores.mean(axis=0)
        information = scores.T @ scores / scores.shape[0]
        information = information + _RIDGE * jnp.eye(theta.size)
        solved: Float[Array, " p"] = jnp.linalg.solve(information, uphill)
        promise = 0.5 * uphill @ solved
        step = jnp.where(jnp.isfinite(solved), solved / unit, 0.0)
        step = step / jnp.maximum(1.0, jnp.abs(step).max())
        tried = theta + _LENGTHS[:, None] * step
        best = jnp.argmax(jax.lax.map(mean, tried))
        # A step of length zero would be repeated for ever.
        going = (promise > _PROMISE) & (best > 0)
        return tried[best], going, n_steps + 1

    theta, _, _ = jax.lax.while_loop(
        lambda state: state[1] & (state[2] < max_steps),
        advance,
        (theta0, jnp.array(True), jnp.array(0)),
    )
    return theta
