"""Expectation-maximisation: the slow method that cannot go wrong."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int

from spmlex._inner.mixture import weight_per_density
from spmlex._words.types import Probs, ScaledLik, Weights

_State = tuple[Probs, Probs, Int[Array, ""]]
"""Mixing probabilities, gradient there, steps."""


class EM(eqx.Module):
    """Expectation-maximisation for the mixing probabilities.

    Every step multiplies `probs` by the gradient function (Laird 1978) and raises the
    likelihood; convergence is sublinear where F has few atoms, so expect thousands of
    steps and a gap well above that of the other solvers. For comparison and for tests.

    Attributes:
        atol: Gap at which the solver stops, nats per observation.
        max_steps: Limit on the number of steps.
    """

    atol: float = eqx.field(default=1e-9, static=True)
    max_steps: int = eqx.field(default=100_000, static=True)

    def __call__(
        self, scaled: ScaledLik, weights: Weights, probs0: Probs | None
    ) -> tuple[Probs, Int[Array, ""], Bool[Array, ""]]:
        """Return the mixing probabilities, the steps, and `False`: there is no net."""
        n_supp = scaled.shape[0]
        uniform = jnp.full(n_supp, 1.0 / n_supp)
        # EM cannot leave a zero, so a warm start keeps a little mass everywhere.
        probs = uniform if probs0 is None else 0.99 * probs0 + 0.01 * uniform

        def gradient_at(probs: Probs) -> Probs:
            return scaled @ weight_per_density(probs @ scaled, weights)

        def is_running(state: _State) -> Bool[Array, ""]:
            _, gradient, num_steps = state
            gap = jnp.log(jnp.max(gradient))
            return (gap > self.atol) & (num_steps < self.max_steps)

        def step(state: _State) -> _State:
            probs, gradient, num_steps = state
            probs = probs * gradient
            # One but for rounding, which thousands of steps would add up.
            probs = probs / jnp.sum(probs)
            return probs, gradient_at(probs), num_steps + 1

        probs, _, num_steps = jax.lax.while_loop(
            is_running, step, (probs, gradient_at(probs), jnp.array(0))
        )
        return probs, num_steps, jnp.array(False)
