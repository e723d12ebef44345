"""Which combinations of theta the data tell apart from a movement of F."""

from typing import Any, NamedTuple

import jax.numpy as jnp
import jax.scipy as jsp
from jaxtyping import Array, Bool, Float

from spmlex._programs.compile import on_host
from spmlex._words.types import AnyArray

_LEAST = 1e-3
"""Share of the information that is left where a combination counts as identified."""

_FLOOR = 1e-9
"""Of the information with F known, below which shares are not measured."""

_INVOLVED = 1e-3
"""Entries of a direction, in units of its largest, that count as none."""


class Directions(NamedTuple):
    """Combinations of theta, from the least to the best identified.

    Attributes:
        share: Share of the information that is left when F is unknown: of that which
            shifting and stretching F leaves.
        basis: The combinations, in columns; their efficient information is `share`.
        identified: Which of them are identified.
        inverse: Inverse of the efficient information along these.
    """

    share: Float[Array, " p"]
    basis: Float[Array, "p p"]
    identified: Bool[Array, " p"]
    inverse: Float[Array, "p p"]

    @property
    def involved(self) -> Bool[Array, " p"]:
        """Which parameters move in a combination that is not identified."""
        return _find_involved(self.basis, self.identified)


@on_host
def _find_involved(
    xp: Any, basis: Float[AnyArray, "p p"], identified: Bool[AnyArray, " p"]
) -> Any:
    size = xp.linalg.norm(basis, axis=1, keepdims=True)
    relative = xp.abs(basis) / xp.where(size > 0, size, 1.0)
    largest = xp.max(relative, axis=0, initial=1e-300)
    moves = relative > _INVOLVED * largest
    return xp.any(moves & ~identified, axis=1)


def split_directions(
    information: Float[Array, "p p"],
    remaining: Float[Array, "p p"],
    parametric: Float[Array, "p p"],
) -> Directions:
    """Compare the efficient information with what F known would give.

    Not with the information itself but with what is left of it after shifts and
    stretches of F, which are taken out exactly: so a covariate with a large mean counts
    like a centred one. Where these alone explain a score, nothing is left.

    Args:
        information: Efficient information.
        remaining: Of the score after the flows of F.
        parametric: Of the score.
    """
    size = parametric.shape[0]
    scale = jnp.sqrt(jnp.maximum(jnp.diagonal(parametric), 1e-300))
    unit = scale[:, None] * scale
    # The floor keeps the factor where shifts and stretches of F leave nothing.
    known = remaining / unit + _FLOOR * jnp.eye(size)
    root = jnp.linalg.cholesky(known)
    half = jsp.linalg.solve_triangular(root, information / unit, lower=True)
    ratio = jsp.linalg.solve_triangular(root, half.T, lower=True)
    share: Float[Array, " p"]
    # Rounding makes it unequal to its transpose, and eigh reads one half.
    share, vectors = jnp.linalg.eigh(0.5 * (ratio + ratio.T))
    basis = jsp.linalg.solve_triangular(root, vectors, lower=True, trans=1)
    basis = basis / scale[:, None]
    identified = share > _LEAST
    weight = jnp.where(identified, 1.0 / jnp.where(identified, share, 1.0), 0.0)
    return Directions(share, basis, identified, (basis * weight) @ basis.T)
