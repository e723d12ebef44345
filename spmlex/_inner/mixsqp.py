"""The companion package `mixsqpx`: mix-SQP in Rust, called from compiled JAX code."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int

from spmlex._words.types import Probs, ScaledLik, Weights


def _import_mixsolve():
    """Import `mixsqpx` when it is first used, and undo what that sets.

    The import forces JAX onto the CPU for the whole process; only this solver has to
    run there, so the platform goes back to what it was.
    """
    platform = jax.config.read("jax_platform_name")
    from mixsqpx import mixsolve

    jax.config.update("jax_platform_name", platform)
    return mixsolve


class MixSQP(eqx.Module):
    """Mix-SQP (Kim, Carbonetto, Stephens and Anitescu 2020) as packaged in `mixsqpx`.

    Adds `density_offset` to every scaled likelihood, which changes the problem a
    little: its certificate in the true problem stops at about 1e-5 for the default
    1e-8 of `mixsqpx`. Here the offset is smaller. Starts cold whatever `probs0` is;
    CPU only; under `vmap` the problems run one after the other.

    Attributes:
        density_offset: Added to `exp(lclk - row max)`.
    """

    density_offset: float = eqx.field(default=1e-13, static=True)

    def __call__(
        self, scaled: ScaledLik, weights: Weights, probs0: Probs | None
    ) -> tuple[Probs, Int[Array, ""], Bool[Array, ""]]:
        """Return the mixing probabilities, the steps, and `False`: there is no net."""
        del probs0
        mixsolve = _import_mixsolve()

        # The call into Rust has no batching rule of its own.
        @jax.custom_batching.sequential_vmap
        def solve(scaled: ScaledLik, weights: Weights) -> tuple[Array, Array]:
            # It takes logarithms, and no -inf among them: the least number in place of
            # zero.
            floor = jnp.finfo(jnp.float64).tiny
            result: Any = mixsolve(
                jnp.log(jnp.maximum(scaled, floor)).T,
                density_offset=self.density_offset,
                return_info=True,
                observation_weights=weights,
            )
            return result.probabilities, result.info.iterations

        probs, num_steps = solve(scaled, weights)
        return probs, num_steps.astype(int), jnp.array(False)
