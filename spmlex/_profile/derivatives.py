"""All the derivatives a fit needs, in one pass over points with positive mass.

What automatic differentiation of `profile` gives, at a fraction of its cost; a test
holds the two equal.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from spmlex._inner.mixture import scale_rows
from spmlex._profile.profile import face_system, on_face, solve_face
from spmlex._words.types import Kernel, LogCondLik, Probs, Weights

_FACE_CHUNK = 12
"""Support points with positive mass that are differentiated together."""

FEW = 4
"""As many of a few rows, of which matrices stay in the cache."""


def has_reverse(function: Callable[[Any], Array], at: Any) -> bool:
    """Tell whether a function can be differentiated forwards over backwards.

    A `jax.lax.while_loop` can't: it keeps no record of its steps. Found out by tracing,
    as JAX has no other way to tell; where something else is wrong the forward passes
    that follow say so.
    """

    def pull_back(at: Any) -> Any:
        values, pull = jax.vjp(function, at)
        return pull(jnp.ones_like(values))[0]

    try:
        jax.eval_shape(lambda at: jax.jvp(pull_back, (at,), (at,)), at)
    except Exception:  # noqa: BLE001 - what JAX raises differs with the primitive
        return False
    return True


class ProfileDerivatives(NamedTuple):
    """Derivatives of the profile value along a path `theta -> lclk(theta)`.

    Attributes:
        gradient: Of the profile value, nats per observation.
        hessian: Of the profile value, nats per observation.
        scores: Score of each observation along the profile, `d log l_i(theta,
            p*(theta)) / d theta`, nats, unweighted.
        probs_dot: Derivative of the mixing probabilities.
    """

    gradient: Float[Array, " p"]
    hessian: Float[Array, "p p"]
    scores: Float[Array, "n_obs p"]
    probs_dot: Float[Array, "n_supp p"]


def profile_derivatives(
    lclk_at: Callable[[Float[Array, " p"], Int[Array, " k"]], Float[Array, "n_obs k"]],
    theta: Float[Array, " p"],
    lclk: LogCondLik,
    probs: Probs,
    weights: Weights,
    kernel: Kernel | None = None,
) -> ProfileDerivatives:
    """Differentiate the profile value along a path, at optimal `probs`.

    The same derivatives as those of `profile`, written out so that the model is
    differentiated once for all of them, and only at support points with positive mass:
    the others contribute to none. They are taken `_FACE_CHUNK` at a time, so memory
    stays O(n_obs n_supp) and a sample with few atoms pays for few. Forwards over
    backwards,
    or forwards twice where `lclk` has no reverse mode.

    Args:
        lclk_at: Columns of `lclk` at some support points, as a function of theta.
        theta: Where to differentiate.
        lclk: The whole matrix at theta.
        probs: Optimal mixing probabilities there.
        weights: Observation weights with sum one.
        kernel: F is this matrix times `probs`; `None` where it is `probs` itself.
    """
    n_obs, n_supp = lclk.shape
    size = theta.size
    if size == 0:  # F alone
        return ProfileDerivatives(
            theta,
            jnp.zeros((0, 0)),
            jnp.zeros((n_obs, 0)),
            jnp.zeros((n_supp, 0)),
        )
    scaled, _ = scale_rows(lclk)
    mass = probs if kernel is None else kernel @ probs
    density = scaled @ mass
    density = jnp.where(density > 0, density, 1.0)
    # Positive masses first: the loop over chunks ends where they do.
    order = jnp.argsort(-mass)
    mixture = _Mixture(scaled, mass, density, weights)
    sums = _add_up(lclk_at, theta, mixture, order)

    probs_dot, shift, turn = on_face(
        probs, lambda columns: _solve_on(columns, mixture, sums, probs, kernel)
    )
    expected = sums.expected
    scores = expected + shift
    # With d posterior = posterior (slope - score) + relative d probs.
    turned = sums.outer - (scores * weights) @ expected.T + turn
    hessian = -(turned + sums.curvature)
    gradient = -(expected @ weights)
    # Rounding differs between the halves of the Hessian; eigenvalues want them equal.
    return ProfileDerivatives(
        gradient, 0.5 * (hessian + hessian.T), scores.T, probs_dot.T
    )


class _Mixture(NamedTuple):
    """The mixture at theta: likelihoods, each row in a unit of its own, and F."""

    scaled: LogCondLik
    mass: Probs
    density: Weights
    weights: Weights


class SlopeSums(NamedTuple):
    """Derivatives of `lclk` in theta, weighed and added up over the support.

    Attributes:
        expected: Posterior mean of the slope, of each observation.
        outer: Mean over the sample of the posterior mean of products of slopes.
        curvature: The same of second derivatives.
        crossed: Mean of density and slope at each point, for equation (5).
    """

    expected: Float[Array, "p n_obs"]
    outer: Float[Array, "p p"]
    curvature: Float[Array, "p p"]
    crossed: Float[Array, "p n_supp"]


def differentiate_columns(
    lclk_at: Callable[[Float[Array, " p"], Int[Array, " k"]], Float[Array, "n_obs k"]],
    theta: Float[Array, " p"],
    scaled: LogCondLik,
    mass: Probs,
    density: Weights,
    weights: Weights,
) -> SlopeSums:
    """Return the derivatives of `lclk` at columns in descending order of mass.

    Args:
        lclk_at: Some of the columns as a function of theta.
        theta: Where to differentiate.
        scaled: Likelihoods, each row in a unit of its own.
        mass: F.
        density: Of the mixture, in the unit of the row, positive.
        weights: Of the rows.
    """
    mixture = _Mixture(scaled, mass, density, weights)
    return _add_up(lclk_at, theta, mixture, jnp.arange(mass.size), FEW)


def _add_up(
    lclk_at: Callable[[Float[Array, " p"], Int[Array, " k"]], Float[Array, "n_obs k"]],
    theta: Float[Array, " p"],
    mixture: _Mixture,
    order: Int[Array, " n_supp"],
    together: int = _FACE_CHUNK,
) -> SlopeSums:
    """Differentiate the model where there is mass, some points at a time."""
    scaled, mass, density, weights = mixture
    n_obs, n_supp = scaled.shape
    size, chunk = theta.size, min(together, n_supp)
    num_points = jnp.sum(mass > 0)

    def add_chunk(state: tuple[Array, SlopeSums]) -> tuple[Array, SlopeSums]:
        start, sums = state
        # Shapes are fixed, so the last chunk may repeat points, then with mass zero.
        first = jnp.minimum(start, n_supp - chunk)
        columns = jax.lax.dynamic_slice(order, (first,), (chunk,))
        fresh = first + jnp.arange(chunk) >= start
        held = jnp.where(fresh, mass[columns], 0.0)
        relative = scaled[:, columns] / density[:, None]
        posterior = relative * held
        frozen = weights[:, None] * posterior

        slopes, bends = _differentiate_twice(
            lambda theta: lclk_at(theta, columns), theta, frozen
        )
        # Where the density is zero the slope may be anything, infinite too.
        slopes = jnp.where(relative > 0, slopes, 0.0)

        # One product of matrices in place of p² sums over the sample.
        flat = slopes.reshape(size, -1)
        return start + chunk, SlopeSums(
            sums.expected + jnp.sum(posterior * slopes, axis=2),
            sums.outer + (frozen * slopes).reshape(size, -1) @ flat.T,
            sums.curvature + bends,
            sums.crossed.at[:, columns].set(
                jnp.sum((weights[:, None] * relative) * slopes, axis=1)
            ),
        )

    square = jnp.zeros((size, size))
    nothing = SlopeSums(
        jnp.zeros((size, n_obs)), square, square, jnp.zeros((size, n_supp))
    )
    _, sums = jax.lax.while_loop(
        lambda state: state[0] < num_points, add_chunk, (jnp.array(0), nothing)
    )
    return sums


def _differentiate_twice(
    some_lclk: Callable[[Float[Array, " p"]], Float[Array, "n_obs k"]],
    theta: Float[Array, " p"],
    frozen: Float[Array, "n_obs k"],
) -> tuple[Float[Array, "p n_obs k"], Float[Array, "p p"]]:
    """Return the slopes of some columns, and their second derivatives weighed.

    Both come from one pass: the tangent of (values, gradient) along each parameter.
    Backwards inside costs one pass for all parameters, forwards one for each.
    """
    directions = jnp.eye(theta.size)

    def backwards(theta: Array) -> tuple[Array, Array]:
        """Return `lclk` and the gradient of its expectation, weights frozen."""
        values, pull_back = jax.vjp(some_lclk, theta)
        return values, pull_back(frozen)[0]

    def forwards(theta: Array) -> tuple[Array, Array]:
        """Return the same, a forward pass a parameter."""

        def along(direction: Array) -> Array:
            slope = jax.jvp(some_lclk, (theta,), (direction,))[1]
            return jnp.sum(frozen * slope, where=frozen > 0)

        return some_lclk(theta), jax.vmap(along)(directions)

    differentiate = backwards if has_reverse(some_lclk, theta) else forwards
    slopes, bends = jax.vmap(lambda v: jax.jvp(differentiate, (theta,), (v,))[1])(
        directions
    )
    return slopes, bends


def _solve_on(
    columns: Int[Array, " k"],
    mixture: _Mixture,
    sums: SlopeSums,
    probs: Probs,
    kernel: Kernel | None,
) -> tuple[Float[Array, "p n_supp"], Float[Array, "p n_obs"], Float[Array, "p p"]]:
    """Solve (5) on these columns.

    Returns:
        The derivative of `probs`, what it adds to the scores, and to the Hessian.
    """
    scaled, density, weights = mixture.scaled, mixture.density, mixture.weights
    if kernel is None:
        own, across = scaled[:, columns], sums.crossed[:, columns]
    else:
        own, across = scaled @ kernel[:, columns], sums.crossed @ kernel[:, columns]
    held = probs[columns]
    system = face_system(own / density[:, None], weights, held)
    # How the gradient function moves at each point with the masses held; what they then
    # do is what keeps it at one.
    right = across - (sums.expected * (weights / density)) @ own
    solved = jax.vmap(lambda r: solve_face(system, r, held))(right)
    size, n_supp = across.shape[0], scaled.shape[1]
    probs_dot = jnp.zeros((size, n_supp)).at[:, columns].set(solved)
    return probs_dot, (solved @ own.T) / density, solved @ across.T
