"""The mixture likelihood of fixed log conditional likelihoods, and its certificate.

Equations (1), (3) and (4) of `spmlex/README.md`. Everything here is a function of the
matrix `lclk[i, j] = log G(w_i, v_j; theta)` and of `probs`; nothing knows a solver or a
model. Rows are scaled by their largest entry before they are exponentiated, so no
observation underflows however unlikely it is.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from spmlex._programs.compile import compile_together
from spmlex._words.inputs import read_weights
from spmlex._words.types import GivenWeights, Kernel, LogCondLik, Probs, Scalar, Weights


def normalise_weights(weights: GivenWeights | None, n_obs: int) -> Weights:
    """Scale observation weights to sum to one; equal weights where none are given."""
    if weights is None:
        return jnp.full(n_obs, 1.0 / n_obs)
    weights = read_weights(weights, n_obs)
    return weights / jnp.sum(weights)


@compile_together
def count_observations(
    weights: Weights, counts: Float[Array, " n_obs"] | None = None
) -> Scalar | Int[Array, ""]:
    """Return how many observations there are: those of weight zero are none.

    Args:
        weights: Observation weights.
        counts: How many observations each row stands for; `None`: one.
    """
    if counts is None:
        return jnp.sum(weights > 0)
    return jnp.sum(jnp.where(weights > 0, counts, 0.0))


def row_max(lclk: LogCondLik) -> Float[Array, " n_obs"]:
    """Return the largest entry of each row, `-inf` where nothing is larger.

    The shift cancels from every derivative, so none is taken through it. `where` rather
    than `maximum` in the reduction: XLA vectorises it, three times faster on a CPU. A
    `nan` may be lost here, but not in the exponential that follows.
    """
    largest: Float[Array, " n_obs"] = jax.lax.reduce(
        jax.lax.stop_gradient(lclk),
        jnp.array(-jnp.inf),
        lambda a, b: jnp.where(a > b, a, b),
        (1,),
    )
    return largest


def scale_rows(lclk: LogCondLik) -> tuple[LogCondLik, Float[Array, " n_obs"]]:
    """Return `A = exp(lclk - row max)` and the row maxima."""
    largest = row_max(lclk)
    # A row of -inf keeps it, and becomes zeros; -inf less -inf would be nan.
    shift = jnp.where(jnp.isfinite(largest), largest, 0.0)
    return jnp.exp(lclk - shift[:, None]), shift


def log_mixture(lclk: LogCondLik, probs: Probs) -> Float[Array, " n_obs"]:
    """Return each observation's log-likelihood, `log sum_j exp(lclk_ij) p_j`.

    Summand of equation (1), in nats; `-inf` where every support point with positive
    mass gives the observation zero likelihood.
    """
    scaled, shift = scale_rows(lclk)
    return jnp.log(scaled @ probs) + shift


def mix_columns(lclk: LogCondLik, kernel: Kernel) -> LogCondLik:
    """Return each observation's log-likelihood under each distribution of a kernel.

    `-inf` where it is below 1e-140 times the largest on the grid, so that nothing
    divided by it overflows, second derivatives included. The identity is recognised:
    F is unrestricted, and `lclk` returned as it is.

    Args:
        lclk: Log conditional likelihoods on the grid.
        kernel: A distribution on the grid in each column.
    """

    def mix():
        scaled, shift = scale_rows(lclk)
        mixed = scaled @ kernel
        positive = mixed > 1e-140
        # A `where` inside too: the outer one alone would leave nan in the derivatives.
        logs = jnp.log(jnp.where(positive, mixed, 1.0)) + shift[:, None]
        return jnp.where(positive, logs, -jnp.inf)

    # Compared at run time: the kernel is traced, and one program serves both cases.
    identity = jnp.eye(kernel.shape[0])
    return jax.lax.cond(jnp.array_equal(kernel, identity), lambda: lclk, mix)


def weight_per_density(
    density: Float[Array, " n_obs"], weights: Weights
) -> Float[Array, " n_obs"]:
    """Return `weights / density`, zero for observations without weight.

    `A.T` times it is the gradient function of equation (3). No entry of that exceeds
    one at the maximum over `probs`, and those of points with positive mass equal one
    (Lindsay 1983, "The geometry of mixture likelihoods", theorem 4.1).
    """
    return jnp.where(weights > 0, weights / density, 0.0)


def support_residual(gradient: Probs, probs: Probs) -> Scalar:
    """Return `max |1 - g_j|` over points with positive mass. Equation (3)."""
    return jnp.max(jnp.where(probs > 0, jnp.abs(1.0 - gradient), 0.0))


def posterior_weights(lclk: LogCondLik, probs: Probs) -> LogCondLik:
    """Return `pi_ij = p_j A_ij / (A p)_i`, each row a distribution. Equation (4)."""
    scaled, _ = scale_rows(lclk)
    return scaled * probs / (scaled @ probs)[:, None]
