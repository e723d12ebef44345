"""Likelihood ratios with free support: the atoms move under the hypothesis too."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from spmlex._atoms.free_search import certify, judge_outcome, search_from
from spmlex._evidence.evidence import Evidence
from spmlex._profile.outer import OuterProblem
from spmlex._support.continuum import box_of
from spmlex._words.codes import RESULTS
from spmlex._words.types import Data, LogCondLik, Scalar, Support

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
        """Both together."""
        return self.base.at[self.others].set(self.rest)

    def lclk(self, data: Data, supp: Support) -> LogCondLik:
        """Return those of the model."""
        return self.problem.build(self.theta).lclk(data, supp)


def free_ratio(
    evidence: Evidence,
    rest: Float[Array, " r"],
    base: Float[Array, " p"],
    others: Int[Array, " r"],
) -> tuple[Scalar, Float[Array, " p"], Array]:
    """Return the statistic, theta under the hypothesis, and whether it is a maximum.

    Args:
        evidence: That of an estimate with free support.
        rest: Where to start the parameters that are not held.
        base: Theta under the hypothesis, with any values for the others.
        others: Which they are.
    """
    given = evidence.given
    held = _Held(rest, base, others, dataclasses.replace(given, data=()))
    free = (True, *[False] * (len(jax.tree.leaves(held)) - 1))
    outer = dataclasses.replace(given, model=held, free=free)
    limit = jnp.asarray(_MAX_STEPS)
    best = search_from(outer, evidence.weights, rest, limit)
    box, _ = box_of(given.supp)
    best, certificate = certify(outer, box, evidence.weights, best, limit)
    value = best.search.state.here.value
    result = judge_outcome(best, certificate)
    # Whether the others are identified does not matter to the height.
    found = result == RESULTS.successful
    found |= result == RESULTS.singular_hessian
    gained = evidence.log_likelihood + evidence.n_obs * value
    return 2.0 * gained, base.at[others].set(best.theta), found
