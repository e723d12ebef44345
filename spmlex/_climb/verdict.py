"""How a search by Newton's method ended: a result code, and what it rests on."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Bool

from spmlex._climb.newton import (
    State,
    curvature_roots,
    is_finite,
    scaled_gradient,
    units_of,
)
from spmlex._inner import CERTIFICATE_TOL
from spmlex._profile.evaluation import Evaluation
from spmlex._words.codes import RESULTS
from spmlex._words.types import Scalar, Weights

_LONG_STEP = 1e-3
"""At a maximum the next step of Newton's method is shorter, relative to theta."""

_NO_STEP = 1e-10
"""Steps this short, in units of the parameters, are rounding."""

_MUTE = 1e-2
"""Where a parameter runs off, scores have less than this share of the curvature."""

_FAR = 1e4
"""A search that has not ended moved a parameter further than it should, in its units,
where the curvature is less than the inverse of this share of the largest."""

_ONE_POINT = 0.2821
"""Width of a kernel that sees one grid point, `1 / (2 sqrt(pi))` grid steps."""


def judge(state: State, weights: Weights, resolution: Scalar, tol: float) -> Any:
    """Turn the last state into a result code.

    Args:
        state: Where the method ended.
        weights: Observation weights with sum one.
        resolution: Width of the kernels there, in grid steps.
        tol: As in `climb`.
    """
    here = state.here
    uncertified = (here.gap > CERTIFICATE_TOL) | (here.residual > CERTIFICATE_TOL)
    result = RESULTS.where(
        state.converged, RESULTS.successful, RESULTS.max_steps_reached
    )
    # As far as rounding of the value lets a gradient be known where it stalled.
    flat = scaled_gradient(here, state.scale) <= 100 * tol
    stuck = RESULTS.where(state.blocked, RESULTS.non_finite, RESULTS.stalled)
    result = RESULTS.where(state.stalled & ~flat, stuck, result)
    result = RESULTS.where(state.stalled & flat, RESULTS.successful, result)
    succeeded = result == RESULTS.successful
    diverging = jnp.where(succeeded, _runs_off(state, weights), _went_far(state))
    result = RESULTS.where(diverging, RESULTS.parameter_diverging, result)
    # Where a single parameter runs off, the Hessian need not be singular, nor the
    # other way round; where both is the case, what was flat from the start decides.
    singular = succeeded & _is_singular(here) & ~(diverging & jnp.any(_is_flat(state)))
    result = RESULTS.where(singular, RESULTS.singular_hessian, result)
    result = RESULTS.where(succeeded & uncertified, RESULTS.inner_not_certified, result)
    # The gravest last: each takes the place of what was found before.
    result = RESULTS.where(is_finite(here), result, RESULTS.non_finite)
    result = RESULTS.where(here.zero_likelihood, RESULTS.zero_likelihood, result)
    # Only the end of a failed search: a maximum may be that narrow, and is flagged.
    collapsed = ~succeeded & (resolution < _ONE_POINT)
    return RESULTS.where(collapsed, RESULTS.variance_collapsed, result)


def _is_singular(here: Evaluation) -> Bool[Array, ""]:
    """Tell whether the Hessian, scaled to a unit diagonal, is not positive definite."""
    if here.gradient.size == 0:
        return jnp.array(False)
    roots = curvature_roots(here)
    units = jnp.where(roots > 0, roots, 1.0)
    values = jnp.linalg.eigvalsh(here.hessian / (units[:, None] * units))
    return values[0] < 1e-10


def _runs_off(state: State, weights: Weights) -> Bool[Array, ""]:
    """Tell whether the gradient vanished only because the likelihood became flat.

    As where a binary outcome is predicted without error. Then the next step is still a
    long one, and the scores say why: at a maximum they add up to zero, and their
    variance is about the curvature (the information equality); on the way to infinity
    each of them vanishes, and its square before the curvature does. Both are free of
    units.
    """
    step = state.step
    shortest = _LONG_STEP * jnp.abs(state.theta) + _NO_STEP / units_of(
        state.scale, state.here.gradient
    )
    is_long = jnp.any(jnp.abs(step) > shortest)
    variance = weights @ (state.here.scores @ step) ** 2
    return is_long & (variance < _MUTE * (step @ state.here.hessian @ step))


def _went_far(state: State) -> Bool[Array, ""]:
    """Tell whether a search without end led far away, to where it is flat."""
    moved = jnp.abs(state.theta - state.start) * state.scale
    return jnp.any((moved > _FAR) & _is_flat(state))


def _is_flat(state: State) -> Bool[Array, " p"]:
    """Tell in which parameters next to nothing is left of the curvature."""
    return jnp.abs(jnp.diagonal(state.here.hessian)) * _FAR < state.scale**2
