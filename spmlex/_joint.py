"""The profile likelihood of theta and atoms: support points with positive mass.

A column of `lclk` depends on its own atom only. So one forward pass with a tangent of
ones in a coordinate differentiates at all atoms in it, and all the second derivatives
cost p + d passes, not p + K d.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from spmlex._codes import RESULTS
from spmlex._continuum import Box, range_of
from spmlex._derivatives import has_reverse
from spmlex._evaluation import Evaluation
from spmlex._inner import ActiveSet, InnerSolver, solve_probs
from spmlex._inputs import conditional_likelihoods
from spmlex._mixture import scale_rows
from spmlex._outer import OuterProblem
from spmlex._profile import face_system, solve_face
from spmlex._types import LogCondLik, Weights

N_SLOTS = 24
"""Most atoms that a fit moves by default."""

_CHUNK = 8
"""Atoms that are differentiated together."""


class Atoms(eqx.Module):
    """Support points in a fixed number of slots.

    Attributes:
        places: In units of the range, so from 0 to 1; any in slots that are empty.
        present: Which slots are taken.
        probs: Mixing probabilities, or a start for them.
    """

    places: Float[Array, "k d"]
    present: Bool[Array, " k"]
    probs: Float[Array, " k"]


class JointProblem(eqx.Module):
    """What is maximised over theta and the atoms, the masses profiled out.

    The vector of both is theta, then the places of the atoms, row by row.

    Attributes:
        outer: The problem on the grid.
        box: Range of the atoms: that of the grid.
        trial: The grid, as rows.
        weights: Observation weights with sum one.
        solver: The inner solver.
    """

    outer: OuterProblem
    box: Box
    trial: Float[Array, "n_supp d"]
    weights: Weights
    solver: InnerSolver = eqx.field(static=True)

    @property
    def span(self) -> Float[Array, " d"]:
        """Length of the range in every coordinate; one where it has none."""
        span = self.box.high - self.box.low
        return jnp.where(span > 0, span, 1.0)

    def to_rows(self, places: Float[Array, "k d"]) -> Float[Array, "k d"]:
        """Return places as coordinates within the range."""
        return jnp.clip(self.box.low + self.span * places, self.box.low, self.box.high)

    def to_places(self, rows: Float[Array, "k d"]) -> Float[Array, "k d"]:
        """Return coordinates in units of the range."""
        return (rows - self.box.low) / self.span

    def lclk(
        self, theta: Float[Array, " p"], places: Float[Array, "k d"]
    ) -> LogCondLik:
        """Return the log conditional likelihoods at some places."""
        supp = self.box.to_supp(self.box.low + self.span * places)
        return conditional_likelihoods(self.outer.build(theta), self.outer.data, supp)

    def _differentiate(
        self,
        theta: Float[Array, " p"],
        places: Float[Array, "k d"],
        relative: LogCondLik,
        mass: Float[Array, " k"],
    ) -> tuple[Float[Array, "q n_obs"], Float[Array, "q q"], Float[Array, "q k"]]:
        """Return the derivatives of `l_i` over `l_i`, a few atoms at a time.

        Args:
            theta: The parameters.
            places: The atoms.
            relative: Their densities over that of the mixture.
            mass: Their masses; those without are left out.

        Returns:
            First derivatives in theta and places, and in mean over the sample the
            second ones among these and with the masses.
        """
        size, (count, dimension) = theta.size, places.shape
        chunk = min(_CHUNK, count)
        n_obs, flat = self.weights.size, count * dimension
        order = jnp.argsort(-mass)
        num_atoms = jnp.sum(mass > 0)
        units = jnp.broadcast_to(
            jnp.eye(dimension)[:, None], (dimension, chunk, dimension)
        )
        tangents = (
            jnp.concatenate([jnp.eye(size), jnp.zeros((dimension, size))]),
            jnp.concatenate([jnp.zeros((size, chunk, dimension)), units]),
        )

        def add_chunk(state: tuple[Any, ...]) -> tuple[Any, ...]:
            start, expected, own, square, mixed, alone, to_mass = state
            first = jnp.minimum(start, count - chunk)
            columns = jax.lax.dynamic_slice(order, (first,), (chunk,))
            fresh = first + jnp.arange(chunk) >= start
            held = jnp.where(fresh, mass[columns], 0.0)
            ratio = relative[:, columns]
            posterior = ratio * held
            frozen = self.weights[:, None] * posterior

            # A tangent of ones moves every atom, and each column only by its own.
            slopes, (bends, turns) = self._differentiate_twice(
                theta, places[columns], frozen, tangents
            )
            slopes = jnp.where(ratio > 0, slopes, 0.0)
            moment = frozen * slopes
            by_theta, by_place = slopes[:size], slopes[size:]
            across = jnp.einsum("pik,cik->pkc", by_theta, moment[size:])
            curved = jnp.einsum("cik,eik->kce", by_place, moment[size:])
            flat_theta = by_theta.reshape(size, n_obs * chunk)
            outer = moment[:size].reshape(flat_theta.shape) @ flat_theta.T
            per_mass = jnp.einsum("i,ik,qik->kq", self.weights, ratio, slopes)
            moved = (by_place * posterior).transpose(2, 0, 1)
            # Repeated columns have been there before, with their mass.
            slots = jnp.where(fresh, columns, count)
            return (
                start + chunk,
                expected + jnp.sum(by_theta * posterior, axis=2),
                own.at[slots].set(moved, mode="drop"),
                square + outer + bends[:size],
                mixed.at[:, slots].set(across + turns[:size], mode="drop"),
                alone.at[slots].set(
                    curved + turns[size:].transpose(1, 0, 2), mode="drop"
                ),
                to_mass.at[slots].set(per_mass, mode="drop"),
            )

        start = (
            0,
            jnp.zeros((size, n_obs)),
            jnp.zeros((count, dimension, n_obs)),
            jnp.zeros((size, size)),
            jnp.zeros((size, count, dimension)),
            jnp.zeros((count, dimension, dimension)),
            jnp.zeros((count, size + dimension)),
        )
        _, expected, own, square, mixed, alone, per_mass = jax.lax.while_loop(
            lambda state: state[0] < num_atoms, add_chunk, start
        )
        second, to_mass = _assemble(square, mixed, alone, per_mass)
        return jnp.concatenate([expected, own.reshape(flat, n_obs)]), second, to_mass

    def _differentiate_twice(
        self,
        theta: Float[Array, " p"],
        places: Float[Array, "k d"],
        frozen: Float[Array, "n_obs k"],
        tangents: tuple[Float[Array, "q p"], Float[Array, "q k d"]],
    ) -> tuple[Float[Array, "q n_obs k"], Any]:
        """Return slopes along tangents, and second derivatives weighed.

        Those of `lclk` at some atoms; the second ones by `frozen`, in theta and in each
        place. Backwards over forwards where the model has a reverse mode: one pass for
        all parameters; else forwards twice.
        """
        size = theta.size

        def backwards(theta: Array, places: Array) -> tuple[Array, Any]:
            """Return `lclk` and the gradient of its mean, weights frozen."""
            values, pull_back = jax.vjp(self.lclk, theta, places)
            return values, pull_back(frozen)

        def forwards(theta: Array, places: Array) -> tuple[Array, Any]:
            """Return the same by forward passes alone."""

            def move(*tangent: Array) -> Array:
                slope = jax.jvp(self.lclk, (theta, places), tangent)[1]
                return jnp.sum(frozen * slope, axis=0, where=frozen > 0)

            each = jax.vmap(move)(*tangents)
            return self.lclk(theta, places), (
                jnp.sum(each[:size], axis=1),
                each[size:].T,
            )

        two_way = has_reverse(lambda joint: self.lclk(*joint), (theta, places))
        differentiate = backwards if two_way else forwards
        slopes: Float[Array, "q n_obs k"]
        slopes, second = jax.vmap(
            lambda t, v: jax.jvp(differentiate, (theta, places), (t, v))[1]
        )(*tangents)
        return slopes, second

    def evaluate(
        self,
        joint: Float[Array, " q"],
        probs0: Float[Array, " k"],
        present: Bool[Array, " k"],
    ) -> Evaluation:
        """Return the profile value at theta and the atoms, with all its derivatives.

        With `s` the scores of `log l_i` in (theta, places, masses) its Hessian is `s s'
        - d²l_i / l_i` in sum over i, and the masses are eliminated from it as in
        equation (5). Atoms without mass, and coordinates on the edge of the range or
        beyond, have no derivatives and a unit Hessian: they stay where they are.

        Args:
            joint: Theta and the places.
            probs0: Start of the inner solver.
            present: Which slots are taken.
        """
        count, dimension = present.size, self.box.low.size
        size = joint.size - count * dimension
        theta, places = joint[:size], joint[size:].reshape(count, dimension)
        # The model is asked about points of the range alone; what left it stays put
        # below.
        inside = jnp.clip(places, 0.0, 1.0)
        lclk = jnp.where(present, self.lclk(theta, inside), -jnp.inf)
        solution = solve_probs(
            lclk, weights=self.weights, probs0=probs0, solver=self.solver, throw=False
        )
        mass = solution.probs
        scaled, _ = scale_rows(lclk)
        density = scaled @ mass
        relative = scaled / jnp.where(density > 0, density, 1.0)[:, None]
        rows, second, to_mass = self._differentiate(theta, inside, relative, mass)

        weighted = rows * self.weights
        across = weighted @ relative - to_mass
        system = face_system(relative, self.weights, mass)
        probs_dot = -jax.vmap(lambda r: solve_face(system, r, mass))(across)
        hessian = weighted @ rows.T - second + across @ probs_dot.T
        moves = (places > 0.0) & (places < 1.0) & (mass > 0)[:, None]
        stays = jnp.concatenate([jnp.zeros(size, bool), ~moves.ravel()])
        free = jnp.where(stays, 0.0, 1.0)
        # A unit block, not a zero one: Newton's step there is zero, and nothing
        # singular.
        hessian = hessian * free * free[:, None] + jnp.diag(1.0 - free)
        probs_dot = probs_dot * free[:, None]
        scores = (rows + probs_dot @ relative.T) * free[:, None]
        return Evaluation(
            value=solution.value,
            gradient=-(rows @ self.weights) * free,
            hessian=0.5 * (hessian + hessian.T),
            scores=scores.T,
            probs=mass,
            probs_dot=probs_dot.T,
            gap=solution.gap,
            residual=solution.residual,
            inner_steps=solution.num_steps,
            fell_back=solution.fell_back,
            zero_likelihood=solution.result == RESULTS.zero_likelihood,
        )


def _assemble(
    square: Float[Array, "p p"],
    mixed: Float[Array, "p k d"],
    alone: Float[Array, "k d d"],
    per_mass: Float[Array, "k p+d"],
) -> tuple[Float[Array, "q q"], Float[Array, "q k"]]:
    """Put derivatives in theta and in every place by itself together, as in `evaluate`.

    Two places have none in common: but for its own block an atom's are zero.
    """
    size, count, dimension = mixed.shape
    flat = count * dimension
    mixed = mixed.reshape(size, flat)
    second = jnp.zeros((size + flat, size + flat)).at[:size, :size].set(square)
    second = second.at[:size, size:].set(mixed).at[size:, :size].set(mixed.T)
    index = size + jnp.arange(flat).reshape(count, dimension)
    second = second.at[index[:, :, None], index[:, None]].set(alone)
    to_mass = jnp.zeros((size + flat, count)).at[:size].set(per_mass[:, :size].T)
    to_mass = to_mass.at[index, jnp.arange(count)[:, None]].set(per_mass[:, size:])
    return second, to_mass


def make_joint(outer: OuterProblem, weights: Weights) -> JointProblem:
    """Return the joint problem of a problem on a grid, with the default solver."""
    box, trial = range_of(outer.supp)
    return JointProblem(outer, box, trial, weights, ActiveSet())
