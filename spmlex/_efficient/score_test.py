"""The efficient-score test of one parameter, the others solving their own equations.

What is tested is the mean score of the parameter less its regression on those of the
others: a C(alpha) test (Neyman 1959), which does not feel how well they are solved to
first order. Equation (13) of `spmlex/README.md`.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from spmlex._efficient.score_at import ScoreAt
from spmlex._words.types import Scalar


class Tested(NamedTuple):
    """A value of a parameter, tested.

    Attributes:
        deviate: Standard normal where the value is right; positive where it is too
            small.
        others: The step that the other parameters want, zero for this one.
        off: Longest entry of that step, in standard errors.
        joint: Size of the mean score of all parameters, as a standard normal deviate:
            at least that of this one, and the same where the others are solved.
        path: How the others go with this one, which moves by one.
    """

    deviate: Scalar
    others: Float[Array, " p"]
    off: Scalar
    joint: Scalar
    path: Float[Array, " p"]


def nothing_tested(size: int) -> Tested:
    """Return what is known of a value before its first evaluation."""
    zero, infinite = jnp.zeros(size), jnp.array(jnp.inf)
    return Tested(jnp.array(0.0), zero, infinite, infinite, zero)


def test_parameter(
    here: ScoreAt,
    k: Int[Array, ""],
    scores: Float[Array, "n_obs p"],
    n_obs: Scalar,
) -> Tested:
    """Test parameter k at the theta of an evaluation. Equation (13).

    The variance is the sample's, which is right where the model is not, or where
    clusters depend; where it is below the model's, which has less noise, the mean of
    both. What is regressed on the others is the model's in both: far from the root the
    sample's mean product of scores may be singular or of any sign, and a deviate that
    uses it vanishes there however wrong the value is.

    Args:
        here: The evaluation.
        k: Number of the parameter.
        scores: Efficient scores less their mean, weighted with mean one and summed
            within clusters.
        n_obs: Number of observations with weight.
    """
    size = here.theta.size
    this = jnp.arange(size) == k
    # Free of units of theta, as the cutoff of the pseudo-inverse has to be.
    unit = jnp.sqrt(jnp.maximum(jnp.diagonal(here.parametric), 1e-300))

    scaled = here.information / (unit[:, None] * unit)
    crossed = this[:, None] | this
    block: Float[Array, "p p"] = jnp.where(crossed, jnp.eye(size), scaled)
    # Pseudo: parameters that are not identified have scores which others explain.
    inverse: Float[Array, "p p"] = jnp.linalg.pinv(block, rtol=1e-8)
    inverse = jnp.where(crossed, 0.0, inverse)
    inverse = inverse / (unit[:, None] * unit)
    combination = jnp.where(this, 1.0, -(here.information[k] @ inverse))
    model = combination @ here.information @ combination
    sample = jnp.sum((scores @ combination) ** 2) / n_obs
    variance = jnp.maximum(sample, 0.5 * (sample + model))
    deviate = combination @ here.mean / jnp.sqrt(variance / n_obs)
    others = inverse @ here.mean
    error = jnp.sqrt(jnp.maximum(jnp.diagonal(inverse), 0.0) / n_obs)
    off = jnp.max(jnp.abs(others) / jnp.where(error > 0, error, jnp.inf), initial=0.0)
    path = jnp.where(this, 1.0, -(inverse @ here.information[:, k]))
    # The two parts are uncorrelated under the model.
    joint = jnp.sqrt(deviate**2 + n_obs * here.mean @ others)
    return Tested(deviate, others, off, joint, path)
