"""How observations move theta and F to first order: what the delta method multiplies.

Computed once for an estimate, whatever functions of it are asked for. Equation (16).
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, Int

from spmlex._atoms.grid_atoms import count_slots
from spmlex._atoms.joint import JointProblem
from spmlex._evidence.evidence import Evidence
from spmlex._inner import ActiveSet
from spmlex._profile.outer import OuterProblem, weights_by_group
from spmlex._profile.profile import (
    face_system,
    on_face,
    relative_densities,
    solve_face,
)
from spmlex._programs.compile import compile_for_one_call, compile_together
from spmlex._support.continuum import range_of, rows_of
from spmlex._words.types import Model, Support, Weights


class OnGrid(eqx.Module):
    """Theta and the masses as one vector: the support points stay.

    Attributes:
        problem: Builds the model.
        supp: The support points.
        shape: Of the masses, those of a group in a row.
    """

    problem: OuterProblem
    supp: Support
    shape: tuple[int, ...] = eqx.field(static=True)

    def __call__(self, vector: Float[Array, " q"]) -> tuple[Model, Support, Array]:
        """Return the model, the support points and the masses."""
        n_supp = self.shape[-1]
        n_params = vector.size - n_supp * (self.shape[0] if len(self.shape) > 1 else 1)
        probs = vector[n_params:].reshape(self.shape).T
        return self.problem.build(vector[:n_params]), self.supp, probs


class WithAtoms(eqx.Module):
    """Theta, places of the atoms and their masses as one vector.

    Attributes:
        joint: The problem of all three.
        rows: The support points, of which these are some.
        probs: Their masses.
        columns: Which support points are the atoms.
    """

    joint: JointProblem
    rows: Float[Array, "n_supp d"]
    probs: Float[Array, " n_supp"]
    columns: Int[Array, " k"]

    def __call__(self, vector: Float[Array, " q"]) -> tuple[Model, Support, Array]:
        """Return the model, the support points and the masses."""
        count, size = self.columns.size, self.columns.size * self.rows.shape[1]
        theta = vector[: -count - size]
        places = vector[-count - size : -count].reshape(count, -1)
        rows = self.rows.at[self.columns].set(self.joint.to_rows(places))
        probs = self.probs.at[self.columns].set(vector[-count:])
        return self.joint.outer.build(theta), self.joint.box.to_supp(rows), probs


class Expansion(eqx.Module):
    """An estimate as a vector, and what moving all weight to an observation adds to it.

    Attributes:
        vector: Theta, places where they move, and masses.
        moves: By observation.
        shift: What is added to the vector to first order before it is used.
        build: Returns model, support points and masses of a vector.
        weights: Share of each row in the sample, sum one.
        counts: How many observations each row of data stands for; `None`: one.
    """

    vector: Float[Array, " q"]
    moves: Float[Array, "n_obs q"]
    shift: Float[Array, " q"]
    build: Any
    weights: Weights
    counts: Float[Array, " n_obs"] | None


@compile_for_one_call
def expand_on_grid(evidence: Evidence) -> Expansion:
    """Return the expansion where support points stay, with groups or without."""
    problem, theta, weights = evidence.on_grid(), evidence.theta, evidence.weights
    probs: Float[Array, "*n_groups n_supp"] = evidence.probs.T
    here = problem.evaluate(theta, probs, weights)
    on_theta = jnp.linalg.solve(evidence.hessian, evidence.scores.T).T
    lclk = problem.lclk(theta)

    def move_masses(item: tuple[Weights, Array, Array]) -> Array:
        own, mass, mass_dot = item
        # A group without weight has no influence, not nan.
        share = jnp.maximum(jnp.sum(own), 1e-300)
        relative = relative_densities(lclk, mass)
        seen = _move_masses(relative, own / share, mass) / share
        return on_theta @ mass_dot.T + jnp.where(own[:, None] > 0, seen, 0.0)

    # Without groups the axis of groups has one entry.
    each = probs.reshape(-1, probs.shape[-1])
    by_theta = here.probs_dot.reshape(*each.shape, theta.size)
    own = weights_by_group(problem, weights)
    on_masses: Float[Array, "n_groups n_obs n_supp"]
    # One group after the other: each takes a matrix as large as lclk.
    on_masses = jax.lax.map(move_masses, (own, each, by_theta))
    vector = jnp.concatenate([theta, probs.ravel()])
    moves = jnp.concatenate([on_theta, *on_masses], axis=1)
    build = OnGrid(problem, evidence.supp, probs.shape)
    shift = jnp.zeros_like(vector)
    return Expansion(vector, moves, shift, build, weights, evidence.counts)


@compile_for_one_call
def expand_with_atoms(evidence: Evidence) -> Expansion:
    """Do the same with the places of the atoms beside theta."""
    theta, weights = evidence.theta, evidence.weights
    box, trial = range_of(evidence.given.supp)
    count = count_slots(evidence.probs.size, trial.shape[1])
    if evidence.problem is None:  # the support is the atoms alone, however many
        count = evidence.probs.size
    solver = ActiveSet(working_sizes=(count,), has_net=False)
    joint = JointProblem(evidence.given, box, trial, weights, solver)
    rows = rows_of(evidence.supp)
    mass, columns = jax.lax.top_k(evidence.probs, count)
    places = joint.to_places(rows[columns])
    both = jnp.concatenate([theta, places.ravel()])
    here = joint.evaluate(both, mass, mass > 0)
    on_both = jnp.linalg.solve(here.hessian, here.scores.T).T
    # Slots without an atom stand for no density.
    lclk = jnp.where(mass > 0, joint.lclk(theta, places), -jnp.inf)
    seen = _move_masses(relative_densities(lclk, mass), weights, mass)
    moves = jnp.concatenate([on_both, on_both @ here.probs_dot.T + seen], axis=1)
    vector = jnp.concatenate([both, mass])
    build = WithAtoms(joint, rows, evidence.probs, columns)
    shift = jnp.zeros_like(vector)
    return Expansion(vector, moves, shift, build, weights, evidence.counts)


def _move_masses(
    relative: Float[Array, "n_obs k"], weights: Weights, mass: Float[Array, " k"]
) -> Float[Array, "n_obs k"]:
    """Return how observations move the masses, theta held: `phi_SS^{-1} (B_i - 1)`."""

    def solve_on(columns: Int[Array, " k"]) -> Float[Array, "n_obs n_supp"]:
        own, held = relative[:, columns], mass[columns]
        system = face_system(own, weights, held)
        units = jnp.eye(columns.size)
        inverse = jax.vmap(lambda unit: solve_face(system, unit, held))(units)
        moves = jnp.where(held > 0, own - 1.0, 0.0) @ inverse
        return jnp.zeros_like(relative).at[:, columns].set(moves)

    return on_face(mass, solve_on)


@compile_together
def evaluate_function(expansion: Expansion, function: Any) -> tuple[Array, Array]:
    """Return a function at the estimate, corrected, and how observations move it."""

    def flat(vector: Array) -> Array:
        return ravel_pytree(function(*expansion.build(vector)))[0]

    # Backwards: few values of a vector with an entry for every support point.
    slopes = jax.jacrev(flat)(expansion.vector)
    value = flat(expansion.vector) + slopes @ expansion.shift
    return value, expansion.moves @ slopes.T
