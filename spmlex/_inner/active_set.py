"""The default inner solver: sequential quadratic programming on a few columns.

The optimal F has few atoms (at most `n_obs`; about seven to twenty for a sample of
2000), so almost all of the work of an iteration can be done on a small working set of
support points. Related to the constrained Newton method of Wang (2007, "On fast
computation of the non-parametric maximum likelihood estimate of a mixing distribution")
and to mix-SQP (Kim, Carbonetto, Stephens and Anitescu 2020). With the scale-free
objective `phi` of equation (5) an iteration

1. evaluates the gradient function at every support point: one pass over the matrix,
   which is also the certificate;
2. chooses the working set: the support, the local maxima of the gradient function and
   their neighbours. All other mass keeps its proportions as one more column, so no
   observation is ever left without density;
3. solves the quadratic model on the working set under `x >= 0` and backtracks.

Where the support does not fit, the working set grows; where that fails too, an
interior-point method on all the columns takes over. All in one compiled call.
"""

from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from spmlex._inner import interior_point
from spmlex._inner.mixture import support_residual, weight_per_density
from spmlex._inner.nonnegative_qp import solve_nonnegative_qp
from spmlex._inner.working_set import take_part
from spmlex._words.types import Probs, Scalar, ScaledLik, Weights

# Five: by then densities are of the right order, and Newton's steps do better.
_EM_STEPS = 5
# So many rows: passes over all of 100,000 would cost as much as the whole solve.
_EM_ROWS = 512
# From so many points on, in several dimensions, what is outside a working set is too
# much to be one column. A start has mass on about 64 of them, which all fit.
_MANY_POINTS = 1000
_EM_POINTS = 64
# The usual constant (Nocedal and Wright 2006, section 3.1): nearly any decrease.
_ARMIJO = 1e-4


_PATIENCE = 12
"""Steps after which a working set without room for all atoms is given up."""


class _State(NamedTuple):
    mass: Probs
    density: Float[Array, " n_obs"]
    gradient: Probs
    num_steps: Int[Array, ""]
    done: Bool[Array, ""]
    stuck: Bool[Array, ""]


_Trial = tuple[Scalar, Scalar, Int[Array, ""]]
"""Length of a step, change of the objective, lengths tried."""


class ActiveSet(eqx.Module):
    """Active-set sequential quadratic programming with an interior-point safety net.

    Attributes:
        atol: Gap and support residual at which the solver stops, nats per observation.
        max_steps: Iterations on each size of working set.
        working_sizes: Columns in the working set: the first, and where that fails one
            of the others.
        has_net: Whether the interior-point method takes over where these fail.
    """

    atol: float = eqx.field(default=1e-10, static=True)
    max_steps: int = eqx.field(default=30, static=True)
    working_sizes: tuple[int, ...] = eqx.field(default=(23, 47, 95), static=True)
    has_net: bool = eqx.field(default=True, static=True)

    def __call__(
        self, scaled: ScaledLik, weights: Weights, probs0: Probs | None
    ) -> tuple[Probs, Int[Array, ""], Bool[Array, ""]]:
        """Return the mixing probabilities, the steps, and whether the net was needed.

        Args:
            scaled: `exp(lclk - row max)`, transposed.
            weights: Observation weights with sum one; zero ignores the observation.
            probs0: Starting probabilities; by default a few steps of EM on a part of
                the observations.
        """
        n_supp = scaled.shape[0]
        sizes, many = self._sizes(n_supp), n_supp >= _MANY_POINTS
        if probs0 is None:
            mass = _cold_start(scaled, weights)
        elif many:
            mass = jax.lax.cond(
                jnp.sum(probs0 > 0) > sizes[-1],
                lambda: _cold_start(scaled, weights),
                lambda: probs0,
            )
        else:
            mass = probs0
        # A start that gives an observation (almost) no density would have to climb out
        # of it step by step; a little mass everywhere there, none elsewhere.
        density = mass @ scaled
        lost = jnp.any((density < 1e-100) & (weights > 0))
        mass = jnp.where(lost, 0.5 * mass + 0.5 / n_supp, mass)
        state = _evaluate(scaled, weights, mass, mass @ scaled, self.atol)
        # A warm start with more atoms than places: the solution will have as many.
        atoms = jnp.sum(mass > 0) if many or probs0 is not None else 0
        atoms = jnp.where(atoms == n_supp, 0, atoms)  # a guess, such as equal masses
        # Shapes are fixed under `jit`: a loop over sizes, each compiled, of which those
        # that are not needed cost a test at run time.
        for size in sizes:
            state = jax.lax.cond(
                state.done | (atoms > size),
                lambda state: state,
                lambda state, size=size: self._iterate(scaled, weights, state, size),
                state,
            )

        if not self.has_net:
            return state.mass / jnp.sum(state.mass), state.num_steps, jnp.array(False)

        def fall_back(state: _State):
            total = jnp.sum(state.mass)
            equal: Probs = jnp.full(n_supp, 1.0 / n_supp)
            # What was left behind may be anything; this begins with a distribution.
            start: Probs = jax.lax.cond(
                jnp.isfinite(total), lambda: state.mass / total, lambda: equal
            )
            mass, steps = interior_point.minimise(scaled, weights, start, self.atol)
            return mass, state.num_steps + steps

        mass, num_steps = jax.lax.cond(
            state.done,
            lambda state: (state.mass, state.num_steps),
            fall_back,
            state,
        )
        return mass / jnp.sum(mass), num_steps, ~state.done

    def _sizes(self, n_supp: int) -> list[int]:
        """Return the sizes of working set worth compiling for `n_supp` points.

        The first, and the largest that is at most half of all the columns; more than
        half gains little on the interior-point method, which comes next.
        """
        first, *larger = self.working_sizes
        return [min(first, n_supp), *[k for k in larger if 2 * k <= n_supp][-1:]]

    def _iterate(
        self, scaled: ScaledLik, weights: Weights, state: _State, size: int
    ) -> _State:
        first, last = state.num_steps, state.num_steps + self.max_steps

        def is_running(state: _State) -> Bool[Array, ""]:
            return ~state.done & ~state.stuck & (state.num_steps < last)

        def step(state: _State) -> _State:
            after = _step(scaled, weights, state, size, self.atol)
            # More atoms than places, for several steps: a larger set must take over.
            overflow = jnp.sum(after.mass > 0) > size
            overflow &= after.num_steps - first >= _PATIENCE
            return after._replace(stuck=(after.stuck | overflow) & ~after.done)

        state = state._replace(stuck=jnp.array(False))
        return jax.lax.while_loop(is_running, step, state)


def _cold_start(scaled: ScaledLik, weights: Weights) -> Probs:
    """Return a few EM steps from the uniform distribution, on every k-th observation.

    Newton's quadratic model is poor while densities still change many times over;
    five cheap steps of EM take that out.
    """
    n_supp, n_obs = scaled.shape
    stride = max(1, n_obs // _EM_ROWS)
    apart = n_supp // _EM_POINTS if n_supp >= _MANY_POINTS else 1
    scaled, weights = scaled[::apart, ::stride], weights[::stride]
    total = jnp.sum(weights)
    # Every k-th row may be without weight.
    weights = jnp.where(total > 0, weights / total, 0.0)
    uniform: Probs = jnp.full(len(scaled), 1.0 / len(scaled))

    def step(_, probs: Probs) -> Probs:
        return probs * (scaled @ weight_per_density(probs @ scaled, weights))

    probs: Probs = jax.lax.fori_loop(0, _EM_STEPS, step, uniform)
    probs = jnp.where(total > 0, probs, uniform)
    return jnp.zeros(n_supp).at[::apart].set(probs)


def _evaluate(
    scaled: ScaledLik,
    weights: Weights,
    mass: Probs,
    density: Float[Array, " n_obs"],
    atol: float,
    num_steps: int | Int[Array, ""] = 0,
) -> _State:
    gradient = scaled @ weight_per_density(density, weights)
    total = jnp.sum(mass)
    # Of the masses scaled to sum one, whose gradient function is this times their
    # total; `log x <= x - 1`, so it bounds the gap from above.
    gap = jnp.max(gradient) * total - 1.0
    residual = support_residual(gradient * total, mass)
    done = (gap <= atol) & (residual <= atol)
    return _State(
        mass, density, gradient, jnp.asarray(num_steps), done, ~jnp.isfinite(gap)
    )


def _step(
    scaled: ScaledLik, weights: Weights, state: _State, size: int, atol: float
) -> _State:
    density = state.density
    # Columns in the unit of the root of a weight: the Hessian is a plain product then.
    root = jnp.sqrt(weights)
    unweight = jnp.where(weights > 0, 1.0 / root, 0.0)
    per_density = jnp.where(weights > 0, root / density, 0.0)
    part = take_part(scaled, state.mass, state.gradient, size, root, per_density)
    relative, now, cost, descent, fits, _, _ = part
    hessian = relative @ relative.T
    # A support that fills all places is mostly not in the solution: start from nothing.
    start = jnp.where(fits, now, 0.0)
    target, _ = solve_nonnegative_qp(hessian, hessian @ now + descent, start)

    direction = target - now
    change = unweight * (direction @ relative)
    slope = -jnp.sum(descent * direction)

    def objective_change(length: Scalar) -> Scalar:
        # As a sum of logs of ratios: the difference of two values would lose the last
        # digits, which are what a step near the maximum is about.
        gain = weights @ jnp.log1p(length * change)
        return length * (jnp.sum(cost * direction)) - gain

    # No density falls below a hundredth: what were left of it could be rounding alone,
    # zero or less, and the way back up would be a doubling at a time.
    longest = jnp.minimum(1.0, 0.99 / jnp.maximum(-jnp.min(change), 0.99))
    length, tried = _halve_until_enough(objective_change, slope, longest)
    # Exactly the target after a full step, so that its zeros stay zeros.
    new = jnp.where(length == 1.0, target, now + length * direction)
    new_mass = part.spread(new)
    new_density = density * unweight * (new @ relative)
    after = _evaluate(scaled, weights, new_mass, new_density, atol, state.num_steps + 1)
    return after._replace(stuck=(after.stuck | (tried > 30)) & ~after.done)


def _halve_until_enough(
    objective_change: Callable[[Scalar], Scalar], slope: Scalar, longest: Scalar
) -> tuple[Scalar, Int[Array, ""]]:
    """Return the first length that lowers the objective enough (Armijo 1966).

    Args:
        objective_change: Of the length of the step.
        slope: Of the objective at length zero, negative.
        longest: The first length to be tried.

    Returns:
        The length, and how many were tried; more than 30 where none was enough.
    """

    def shorten(trial: _Trial) -> _Trial:
        length = 0.5 * trial[0]
        return length, objective_change(length), trial[2] + 1

    def too_long(trial: _Trial) -> Bool[Array, ""]:
        length, change, tried = trial
        # Up to rounding of the sum: at the maximum no step would be enough otherwise.
        enough = change <= _ARMIJO * length * slope + 1e-15
        return ~enough & (tried < 31)

    # From twice that, which is not tried, so that the search is compiled in one place.
    length, _, tried = jax.lax.while_loop(
        too_long, shorten, (2.0 * longest, jnp.array(jnp.inf), jnp.array(0))
    )
    return length, tried
