"""Theta alone from the joint derivatives in theta and the atoms."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from spmlex._atoms.atom_search import Search

_SINGULAR = 1e-10
"""Eigenvalues of a scaled Hessian below this are zero."""


class Moved(NamedTuple):
    """Theta with the atoms profiled out.

    Attributes:
        hessian: Of the profile value, the atoms moving too.
        scores: Of each observation.
        gradient: Of the profile value.
        response: How the place of each atom moves with theta.
        is_maximum: Whether the block of the atoms is positive definite.
    """

    hessian: Float[Array, "p p"]
    scores: Float[Array, "n_obs p"]
    gradient: Float[Array, " p"]
    response: Float[Array, "k d p"]
    is_maximum: Bool[Array, ""]


def profile_atoms(search: Search, size: int) -> Moved:
    """Take the atoms out of the joint derivatives.

    With H the Hessian in (theta, atoms), that of theta is the Schur complement of the
    block of the atoms, and the score of theta is the part that the atoms' scores do not
    explain at that block; so is the gradient, which takes out to first order what the
    climb left at the atoms. Atoms without mass or on the edge do not move with theta.

    Args:
        search: Where a search ended.
        size: Number of parameters.
    """
    here, count = search.state.here, search.present.size
    block, cross = here.hessian[size:, size:], here.hessian[size:, :size]
    diagonal: Float[Array, " r"] = jnp.diagonal(block)
    scale: Float[Array, " r"] = 1.0 / jnp.sqrt(jnp.where(diagonal > 0, diagonal, 1.0))
    values: Float[Array, " r"]
    values, vectors = jnp.linalg.eigh(block * scale * scale[:, None])
    is_maximum = jnp.all(diagonal > 0) & (values[0] > _SINGULAR)
    # Where atoms can be moved for nothing they stay: least norm, never nan.
    inverse = jnp.where(values > _SINGULAR, 1.0 / values, 0.0)
    right = vectors.T @ (scale[:, None] * cross)
    response = -scale[:, None] * (vectors @ (inverse[:, None] * right))
    hessian = here.hessian[:size, :size] + cross.T @ response
    return Moved(
        hessian=0.5 * (hessian + hessian.T),
        scores=here.scores[:, :size] + here.scores[:, size:] @ response,
        gradient=here.gradient[:size] + here.gradient[size:] @ response,
        response=response.reshape(count, len(block) // count, size),
        is_maximum=is_maximum,
    )


def is_singular(search: Search, moved: Moved) -> Bool[Array, ""]:
    """Tell whether a shift of the atoms takes the place of some direction of theta."""
    if moved.gradient.size == 0:
        return jnp.array(False)
    diagonal = jnp.abs(jnp.diagonal(search.state.here.hessian))[: len(moved.hessian)]
    # In units of the curvature with the atoms held: what moving them leaves is a share.
    unit = jnp.sqrt(jnp.where(diagonal > 0, diagonal, 1.0))
    curvature = jnp.linalg.eigvalsh(moved.hessian / (unit * unit[:, None]))
    return ~(curvature[0] > _SINGULAR)
