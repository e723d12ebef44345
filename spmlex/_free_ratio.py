"""Likelihood ratios with free support: the atoms move under the hypothesis too."""

import dataclasses
from typing import TYPE_CHECKING

import equinox as eqx
import jax
from jaxtyping import Array, Float, Int

from spmlex._outer import OuterProblem
from spmlex._solution import RESULTS
from spmlex._types import Data, LogCondLik, Scalar, Support

if TYPE_CHECKING:
    from spmlex._result import Fit

_MAX_STEPS = 100


class _Held(eqx.Module):
    """A model in which some entries of theta have given values.

    Attributes:
        rest: The other entries: its only parameter.
        base: Theta, with any values for the others.
        others: Which they are.
        problem: Builds the model from theta.
    """

    rest: Float[Array, " r"]
    base: Float[Array, " p"]
    others: Int[Array, " r"]
    problem: OuterProblem

    @property
    def theta(self) -> Float[Array, " p"]:
        return self.base.at[self.others].set(self.rest)

    def lclk(self, data: Data, supp: Support) -> LogCondLik:
        """Return those of the model."""
        return self.problem.build(self.theta).lclk(data, supp)


def free_ratio(
    estimate: "Fit",
    rest: Float[Array, " r"],
    base: Float[Array, " p"],
    others: Int[Array, " r"],
) -> tuple[Scalar, Float[Array, " p"], Array]:
    """Return the statistic, theta under the hypothesis, and whether it is a maximum.

    Args:
        estimate: A fit with free support.
        rest: Where to start the parameters that are not held.
        base: Theta under the hypothesis, with any values for the others.
        others: Which they are.
    """
    # Here, because the search makes a `Fit`, whose intervals come from this module.
    from spmlex._free_support import search_free_support

    given = estimate.given
    assert given is not None  # as in every fit that `fit` returns
    held = _Held(rest, base, others, dataclasses.replace(given, data=()))
    free = (True, *[False] * (len(jax.tree.leaves(held)) - 1))
    outer = dataclasses.replace(given, model=held, free=free)
    there = search_free_support(outer, rest[None], 0, estimate.weights, _MAX_STEPS)
    gained = estimate.log_likelihood - there.log_likelihood
    # Whether the others are identified does not matter to the height.
    found = there.result == RESULTS.successful
    found |= there.result == RESULTS.singular_hessian
    return 2.0 * gained, there.model.theta, found
