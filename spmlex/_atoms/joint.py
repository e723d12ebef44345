"""The profile likelihood of theta and atoms: support points with positive mass."""

import dataclasses
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from spmlex._atoms.joint_derivatives import CHUNK, differentiate_atoms
from spmlex._inner import ActiveSet, InnerSolver, solve_probs
from spmlex._inner.in_blocks import solve_on_columns
from spmlex._inner.mixture import scale_rows
from spmlex._profile.derivatives import FEW
from spmlex._profile.evaluation import Evaluation
from spmlex._profile.outer import OuterProblem
from spmlex._profile.profile import face_system, solve_face
from spmlex._programs.rows import Blocks
from spmlex._support.continuum import Box, range_of
from spmlex._words.codes import RESULTS
from spmlex._words.inputs import conditional_likelihoods
from spmlex._words.types import Data, LogCondLik, Scalar, Weights

_EDGE = 1e-12
"""Atoms this close to the edge are on it, in units of the range: a step that leaves
them there does so but for rounding, and one that rounding has let go wants to leave."""


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


class JointSums(NamedTuple):
    """Means over the rows, from which the derivatives of the profile value follow.

    Attributes:
        slope: Of the slopes of `log l_i` in theta and places, the masses held.
        second: The Hessian in these.
        across: That with the masses.
        system: That in the masses: the left side of equation (5).
    """

    slope: Float[Array, " q"]
    second: Float[Array, "q q"]
    across: Float[Array, "q k"]
    system: Float[Array, "k k"]


class _Inner(NamedTuple):
    """What the inner problem says of itself."""

    value: Scalar
    gap: Scalar
    residual: Scalar
    num_steps: Int[Array, ""]
    fell_back: Bool[Array, ""]
    zero_likelihood: Bool[Array, ""]


class JointProblem(eqx.Module):
    """What is maximised over theta and the atoms, the masses profiled out.

    The vector of both is theta, then the places of the atoms, row by row.

    Attributes:
        outer: The problem on the grid.
        box: Range of the atoms: that of the grid.
        trial: The grid, as rows.
        weights: Observation weights with sum one.
        solver: The inner solver, where there are no blocks.
        blocks: The rows in blocks, of which no matrix is made of all; evaluations then
            have no scores. `None`: all at once.
    """

    outer: OuterProblem
    box: Box
    trial: Float[Array, "n_supp d"]
    weights: Weights
    solver: InnerSolver = eqx.field(static=True)
    blocks: Blocks | None = None

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

    def of(self, data: Data, weights: Weights) -> "JointProblem":
        """Return the problem of some rows."""
        outer = dataclasses.replace(self.outer, data=data)
        return dataclasses.replace(self, outer=outer, weights=weights, blocks=None)

    def _lclk_of(
        self,
        theta: Float[Array, " p"],
        places: Float[Array, "k d"],
        present: Bool[Array, " k"],
    ) -> LogCondLik:
        return jnp.where(present, self.lclk(theta, places), -jnp.inf)

    def measure(
        self,
        theta: Float[Array, " p"],
        places: Float[Array, "k d"],
        present: Bool[Array, " k"],
        mass: Float[Array, " k"],
        together: int = CHUNK,
    ) -> tuple[Float[Array, "q n_obs"], LogCondLik, JointSums]:
        """Return slopes by row, relative densities, and what follows in mean.

        Args:
            theta: The parameters.
            places: The atoms.
            present: Which slots are taken.
            mass: Their masses.
            together: Atoms that are differentiated at a time.
        """
        scaled, _ = scale_rows(self._lclk_of(theta, places, present))
        density = scaled @ mass
        relative = scaled / jnp.where(density > 0, density, 1.0)[:, None]
        rows, second, to_mass = differentiate_atoms(
            self.lclk, theta, places, relative, mass, self.weights, together
        )
        weighted = rows * self.weights
        return (
            rows,
            relative,
            JointSums(
                rows @ self.weights,
                weighted @ rows.T - second,
                weighted @ relative - to_mass,
                face_system(relative, self.weights, mass),
            ),
        )

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
        here = (theta, inside, present)
        mass, inner = self._solve(here, probs0)
        if self.blocks is None:
            rows, relative, sums = self.measure(*here, mass)
        else:
            sums = self.blocks.add_up(
                lambda data, weights: self.of(data, weights).measure(*here, mass, FEW)[
                    2
                ]
            )
            rows, relative = jnp.zeros((joint.size, 0)), jnp.zeros((0, count))

        across = sums.across
        rights = jnp.concatenate([across, jnp.eye(count)])
        solved = jax.vmap(lambda r: solve_face(sums.system, r, mass))(rights)
        probs_dot, response = -solved[: joint.size], solved[joint.size :]
        hessian = sums.second + across @ probs_dot.T
        moves = (places > _EDGE) & (places < 1.0 - _EDGE) & (mass > 0)[:, None]
        stays = jnp.concatenate([jnp.zeros(size, bool), ~moves.ravel()])
        free = jnp.where(stays, 0.0, 1.0)
        # A unit block, not a zero one: Newton's step there is zero, and nothing
        # singular.
        hessian = hessian * free * free[:, None] + jnp.diag(1.0 - free)
        probs_dot = probs_dot * free[:, None]
        scores = (rows + probs_dot @ relative.T) * free[:, None]
        share = jnp.repeat(jnp.where(mass > 0, mass, 1.0), dimension)
        share = jnp.concatenate([jnp.ones(size), share])
        return Evaluation(
            value=inner.value,
            gradient=-sums.slope * free,
            hessian=0.5 * (hessian + hessian.T),
            scores=scores.T,
            probs=mass,
            probs_dot=probs_dot.T,
            gap=inner.gap,
            residual=inner.residual,
            inner_steps=inner.num_steps,
            fell_back=inner.fell_back,
            zero_likelihood=inner.zero_likelihood,
            response=response,
            roots=jnp.sqrt(jnp.abs(jnp.diagonal(hessian)) / share),
        )

    def solve_masses(
        self, theta: Float[Array, " p"], atoms: Atoms
    ) -> Float[Array, " k"]:
        """Return the best masses of some atoms, from theirs on."""
        return self._solve((theta, atoms.places, atoms.present), atoms.probs)[0]

    def _solve(
        self, here: tuple[Array, Array, Array], probs0: Float[Array, " k"]
    ) -> tuple[Float[Array, " k"], _Inner]:
        if self.blocks is not None:
            return self._solve_in_blocks(self.blocks, here, probs0)
        found = solve_probs(
            self._lclk_of(*here),
            weights=self.weights,
            probs0=probs0,
            solver=self.solver,
            throw=False,
        )
        zero_likelihood = found.result == RESULTS.zero_likelihood
        told = (found.num_steps, found.fell_back, zero_likelihood)
        return found.probs, _Inner(found.value, found.gap, found.residual, *told)

    def _solve_in_blocks(
        self,
        blocks: Blocks,
        here: tuple[Array, Array, Array],
        probs0: Float[Array, " k"],
    ) -> tuple[Float[Array, " k"], _Inner]:
        found = solve_on_columns(
            blocks, lambda data: self.of(data, self.weights)._lclk_of(*here), probs0
        )
        told = (found.num_steps, jnp.array(False), found.zero_likelihood)
        return found.probs, _Inner(found.value, found.gap, found.residual, *told)

    def scores_in_blocks(
        self,
        blocks: Blocks,
        search_end: tuple[Array, Array, Array, Array],
        probs_dot: Float[Array, "k q"],
        response: Float[Array, "q p"],
    ) -> Float[Array, "n_obs p"]:
        """Return scores of theta, the atoms moving with it.

        Args:
            blocks: The rows.
            search_end: Theta, places, slots taken and masses.
            probs_dot: How masses move with theta and places.
            response: How both move with theta.
        """

        def compute(data: Data) -> Array:
            equal = jnp.ones(jax.tree.leaves(data)[0].shape[0])
            rows, relative, _ = self.of(data, equal).measure(*search_end, FEW)
            return rows.T @ response + relative @ (probs_dot @ response)

        return blocks.in_order(blocks.for_each(compute))


def make_joint(
    outer: OuterProblem, weights: Weights, blocks: Blocks | None = None
) -> JointProblem:
    """Return the joint problem of a problem on a grid, with the default solver."""
    box, trial = range_of(outer.supp)
    return JointProblem(outer, box, trial, weights, ActiveSet(), blocks)
