"""What an observation says about its own unobservable: the empirical Bayes rule."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from spmlex._evidence import Evidence
from spmlex._inputs import conditional_likelihoods
from spmlex._mixture import posterior_weights
from spmlex._types import LogCondLik


def posterior_of(evidence: Evidence) -> LogCondLik:
    """Return the distribution of each observation's unobservable on the support.

    Equation (4), with the mixing distribution of the observation's own group; `nan`
    for rows without weight, which are no observations.

    Args:
        evidence: That of an estimate.
    """
    given = evidence.given
    lclk = conditional_likelihoods(evidence.model, given.data, evidence.supp)
    if given.groups is None:
        posterior = posterior_weights(lclk, evidence.probs)
    else:
        own = evidence.probs.T[given.groups]
        one = jax.vmap(lambda row, probs: posterior_weights(row[None], probs)[0])
        posterior = one(lclk, own)
    return jnp.where(evidence.weights[:, None] > 0, posterior, jnp.nan)


def posterior_means_of(  # pyright: ignore[reportUnknownParameterType]
    evidence: Evidence, function: Callable[[Any], Any] | None
) -> PyTree[Float[Array, "n_obs ..."]]:
    """Return the posterior mean of a function of the unobservable.

    Args:
        evidence: That of an estimate.
        function: Of the support; by default the identity.

    Raises:
        ValueError: The function does not return a value for each support point.
    """
    posterior = posterior_of(evidence)
    if function is not None and (not callable(function) or isinstance(function, type)):
        raise ValueError(
            f"function={function!r}: give a function of the support points, such as "
            "`lambda v: v**2`, or leave it out."
        )
    values = evidence.supp if function is None else function(evidence.supp)
    n_supp = posterior.shape[1]
    shapes = [jnp.shape(leaf) for leaf in jax.tree.leaves(values)]
    if not shapes or any(shape[:1] != (n_supp,) for shape in shapes):
        listed = ", ".join(map(str, shapes)) or "nothing"
        raise ValueError(
            f"function returned {listed}: it must return a value for each of the "
            f"{n_supp} support points, along the first axis."
        )
    return jax.tree.map(lambda leaf: jnp.tensordot(posterior, leaf, axes=1), values)
