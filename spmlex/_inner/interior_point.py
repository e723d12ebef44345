"""A primal-dual interior-point method on all the support points.

Slower than the active set where F has few atoms, and indifferent to what makes the
active set fail: many atoms, nearly equal columns, hopeless starts. It is the safety
net of the default solver and can be chosen alone.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from spmlex._inner.mixture import support_residual, weight_per_density
from spmlex._words.types import Probs, Scalar, ScaledLik, Weights

# Share of the way to the boundary that a step goes: on it the next could not move.
_TO_BOUNDARY = 0.995
# Such methods take tens of steps whatever the size; more is no progress.
_MAX_STEPS = 60


class _State(NamedTuple):
    mass: Probs
    dual: Probs
    density: Float[Array, " n_obs"]
    gradient: Probs
    best: Probs
    best_violation: Scalar
    num_steps: Int[Array, ""]
    done: Bool[Array, ""]


class InteriorPoint(eqx.Module):
    """Mehrotra's predictor-corrector method for the mixing probabilities.

    Attributes:
        atol: Gap and support residual at which the solver stops, nats per observation.
    """

    atol: float = eqx.field(default=1e-10, static=True)

    def __call__(
        self, scaled: ScaledLik, weights: Weights, probs0: Probs | None
    ) -> tuple[Probs, Int[Array, ""], Bool[Array, ""]]:
        """Return the mixing probabilities, the steps, and `False`: there is no net."""
        n_supp = scaled.shape[0]
        start = jnp.full(n_supp, 1.0 / n_supp) if probs0 is None else probs0
        mass, num_steps = minimise(scaled, weights, start, self.atol)
        return mass / jnp.sum(mass), num_steps, jnp.array(False)


def minimise(
    scaled: ScaledLik, weights: Weights, probs0: Probs, atol: float
) -> tuple[Probs, Int[Array, ""]]:
    """Minimise the scale-free objective of equation (5) over nonnegative masses.

    Newton's method on `1 - g(x) = z`, `x z = mu`, `x, z > 0` with Mehrotra's (1992)
    predictor and corrector. Each step forms and factorises an `n_supp` square matrix:
    O(n_obs n_supp²). The last step prunes: of each pair the smaller of mass and
    multiplier is zero.
    """
    n_supp = scaled.shape[0]

    def evaluate(mass: Probs) -> tuple[Weights, Probs]:
        density = mass @ scaled
        return density, scaled @ weight_per_density(density, weights)

    def step(state: _State) -> _State:
        mass, dual = _advance(scaled, weights, state)
        density, gradient = evaluate(mass)
        # An interior point has mass everywhere: what is certified is the pruned one.
        pruned = jnp.where(mass > 1.0 - gradient, mass, 0.0)
        _, pruned_gradient = evaluate(pruned)
        total = jnp.sum(pruned)
        gap = jnp.max(pruned_gradient) * total - 1.0
        reached = jnp.maximum(gap, support_residual(pruned_gradient * total, pruned))
        better = reached < state.best_violation
        finite = jnp.all(jnp.isfinite(mass)) & jnp.all(jnp.isfinite(dual))
        return _State(
            mass,
            dual,
            density,
            gradient,
            jnp.where(better, pruned, state.best),
            jnp.where(better, reached, state.best_violation),
            state.num_steps + 1,
            # Complementary up to rounding: from there no step changes anything.
            (reached <= atol) | ~finite | (mass @ dual < 1e-24 * n_supp),
        )

    # Well inside: from near the boundary the first steps would be cut to nothing.
    start = 0.5 * probs0 + 0.5 / n_supp
    density, gradient = evaluate(start)
    # Multipliers are 1 - g at the solution, and have to begin positive where g > 1.
    dual = jnp.maximum(1.0 - gradient, 0.1)
    infinity, unfinished = jnp.array(jnp.inf), jnp.array(False)
    state = _State(
        start, dual, density, gradient, start, infinity, jnp.array(0), unfinished
    )
    state = jax.lax.while_loop(
        lambda state: ~state.done & (state.num_steps < _MAX_STEPS), step, state
    )
    return state.best, state.num_steps


def _longest(value: Probs, change: Probs) -> Scalar:
    """Return the longest step, at most one, that leaves every entry positive."""
    ratio = jnp.where(change < 0, -value / change, jnp.inf)
    return jnp.minimum(1.0, _TO_BOUNDARY * jnp.min(ratio))


def _advance(scaled: ScaledLik, weights: Weights, state: _State) -> tuple[Probs, Probs]:
    """Return masses and multipliers after one predictor and corrector."""
    n_supp = scaled.shape[0]
    mass, dual = state.mass, state.dual
    relative = scaled / jnp.where(weights > 0, state.density, 1.0)
    root = jnp.sqrt(mass)
    # Scaled by the root of the masses: well conditioned up to the boundary.
    curvature = (relative * weights) @ relative.T
    system = root[:, None] * curvature * root + jnp.diag(dual)
    # Duplicates among the columns make it singular, rounding indefinite.
    ridge = 1e-14 * jnp.trace(system) / n_supp
    factor = jnp.linalg.cholesky(system + ridge * jnp.eye(n_supp))
    stationarity = 1.0 - state.gradient - dual

    def direction(target: Probs) -> tuple[Probs, Probs]:
        right = root * (target / mass - stationarity)
        mass_change = root * jax.scipy.linalg.cho_solve((factor, True), right)
        return mass_change, (target - dual * mass_change) / mass

    # One factor for both directions: towards zero, then as far as that got, with
    # the second-order term it left.
    first = direction(-mass * dual)
    reach = _longest(mass, first[0]), _longest(dual, first[1])
    now = mass @ dual / n_supp
    ahead = (mass + reach[0] * first[0]) @ (dual + reach[1] * first[1]) / n_supp
    # Mehrotra's rule: the further the first direction got, the less centring.
    centring = now * (ahead / now) ** 3
    second = direction(centring - mass * dual - first[0] * first[1])
    mass = mass + _longest(mass, second[0]) * second[0]
    dual = dual + _longest(dual, second[1]) * second[1]
    return mass, dual
