"""Which columns an iteration of the active-set solver works on, and the rest as one."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from spmlex._words.types import Probs, ScaledLik, Weights


def choose_working_set(mass: Probs, gradient: Probs, size: int) -> Int[Array, " k"]:
    """Rank the support points that an iteration works on.

    The support first, as long as half of the places are left; then local maxima of the
    gradient function, their neighbours, and the rest of the support by mass. A choice
    by mass alone would never let the most violated column in.
    """
    # Beyond the ends nothing is higher, so that an end can be a peak.
    low = jnp.array([-jnp.inf])
    left = jnp.concatenate([low, gradient[:-1]])
    right = jnp.concatenate([gradient[1:], low])
    peak = (gradient >= left) & (gradient >= right)
    edge = jnp.array([False])
    beside = jnp.concatenate([peak[1:], edge]) | jnp.concatenate([edge, peak[:-1]])
    support = mass > 0
    few = jnp.sum(support) <= size
    share = mass / jnp.maximum(jnp.max(mass), 1e-300)
    bounded = gradient / jnp.maximum(jnp.max(gradient), 1e-300)
    # Whole numbers keep the classes apart, shares of at most one order within a class.
    rank = jnp.select(
        [support & few, peak, support, beside],
        [4.0 + share, 3.0 + bounded, 2.0 + share, 1.0 + bounded],
        bounded,
    )
    return jax.lax.top_k(rank, size)[1]


class Part(NamedTuple):
    """The problem that an iteration works on: some columns, the rest as one.

    Attributes:
        relative: Row k is column k of the model, `sqrt(w_i) A_ik / (A x)_i`; the last
            stands for the rest.
        now: Masses of these columns; of the rest, one: it is scaled as a whole.
        cost: What a unit of each adds to the total mass.
        descent: Minus the slope of the objective along each.
        fits: Whether some of the columns have no mass.
        working: Which columns they are; None: all, and there is no rest.
        outside: Masses of the rest.
    """

    relative: Float[Array, "k n_obs"]
    now: Float[Array, " k"]
    cost: Float[Array, " k"] | float
    descent: Float[Array, " k"]
    fits: Bool[Array, ""]
    working: Int[Array, " k_working"] | None
    outside: Probs | None

    def spread(self, new: Float[Array, " k"]) -> Probs:
        """Return all masses, of those of the part."""
        if self.working is None or self.outside is None:
            return new
        size = self.working.size
        return (self.outside * new[size]).at[self.working].set(new[:size])


def take_part(
    scaled: ScaledLik,
    mass: Probs,
    gradient: Probs,
    size: int,
    root: Weights,
    per_density: Float[Array, " n_obs"],
) -> Part:
    """Choose the columns of an iteration, and put the rest together."""
    if size == mass.size:
        # Nothing is outside, and there is nothing to choose.
        relative = scaled * per_density
        descent = gradient - 1.0
        return Part(relative, mass, 1.0, descent, jnp.any(mass <= 0), None, None)
    working = choose_working_set(mass, gradient, size)
    inside = mass[working]
    outside = mass.at[working].set(0.0)
    outside_mass = jnp.sum(outside)
    has_rest = outside_mass > 0

    # The last row, for the rest, is set below: what the others leave of the density.
    places = jnp.append(working, working[-1])
    relative = scaled[places] * per_density
    # As a difference: adding up the columns outside would be one more pass over the
    # matrix. Rounding leaves it below zero at times.
    rest = jnp.maximum(root - jnp.append(inside, 0.0) @ relative, 0.0)
    relative = relative.at[size].set(jnp.where(has_rest, rest, 0.0))
    now = jnp.append(inside, jnp.where(has_rest, 1.0, 0.0))
    cost = jnp.append(jnp.ones(size), outside_mass)
    descent = jnp.append(gradient[working], jnp.sum(outside * gradient)) - cost
    fits = jnp.sum(inside > 0) < size
    return Part(relative, now, cost, descent, fits, working, outside)
