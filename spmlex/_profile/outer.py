"""The outer problem: a model, its data and a grid as functions of the vector theta."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, Int

from spmlex._inner import InnerSolver
from spmlex._inner.mixture import mix_columns
from spmlex._profile.evaluation import Evaluation, evaluate, evaluate_groups
from spmlex._support.continuum import FINE, coordinates, range_of
from spmlex._support.degenerate import grid_resolution
from spmlex._words.inputs import conditional_likelihoods
from spmlex._words.parameters import parameter_names, split_model
from spmlex._words.types import (
    Data,
    Kernel,
    LogCondLik,
    Model,
    Scalar,
    Support,
    Weights,
)

_OTHER_COLUMNS = 1200
"""Points of a grid that cost as much as what a search computes at few of them:
derivatives, and atoms that move. From searches on 75 points and on 1,728."""

_MOVING_COLUMNS = 8000
"""The same in more than `FINE` dimensions, where the support takes several times the
steps and columns to move."""


class OuterProblem(eqx.Module):
    """What is maximised over theta, and how its inner problem is solved.

    Attributes:
        model: Gives the fixed parameters; its free ones only their shapes.
        data: Arrays with leading axis n_obs.
        supp: The support grid.
        groups: Group of each observation, or `None`.
        n_groups: Number of groups, or `None`.
        free: Which leaves of the model are theta.
        solver: The inner solver.
        kernel: F is this matrix times the mixing probabilities; `None` where F is not
            restricted.
        counts: How many observations each row of data stands for; `None`: one.
        drift: How each support point, as a row of coordinates, moves with theta; `None`
            on a grid, which does not. To first order the maximum over F follows, and so
            the second derivatives at `origin` are those with free support.
        origin: Theta at which the support points are at `supp`.
        labels: The user's names of the entries of theta; `None`: the model's own.
        verbose: Whether searches print a line a step.
    """

    model: Model
    data: Data
    supp: Support
    groups: Int[Array, " n_obs"] | None
    n_groups: int | None = eqx.field(static=True)
    free: tuple[bool, ...] = eqx.field(static=True)
    solver: InnerSolver = eqx.field(static=True)
    kernel: Kernel | None = None
    counts: Float[Array, " n_obs"] | None = None
    drift: Float[Array, "n_supp d p"] | None = None
    origin: Float[Array, " p"] | None = None
    labels: tuple[str, ...] | None = eqx.field(static=True, default=None)
    verbose: bool = eqx.field(static=True, default=False)

    @property
    def names(self) -> list[str]:
        """Names of the entries of theta."""
        if self.labels is None:
            return parameter_names(self.model, self.free)
        return list(self.labels)

    def supp_at(
        self, theta: Float[Array, " p"], columns: Int[Array, " k"] | None = None
    ) -> Support:
        """Return support points at theta, all of them or some."""
        points, drift = self.supp, self.drift
        if columns is not None:
            points = jax.tree.map(lambda leaf: leaf[columns], points)
            drift = None if drift is None else drift[columns]
        if drift is None or self.origin is None:
            # Tied to theta: XLA would compute what the data and the points give, once
            # for all steps, in arrays several times the size of `lclk`.
            here = jax.lax.stop_gradient(theta)
            return jax.lax.optimization_barrier((points, here))[0]
        box, rows = range_of(points)
        return box.to_supp(rows + drift @ (theta - self.origin))

    def within(self, kernel: Kernel | None) -> "OuterProblem":
        """Return the same problem with F restricted to mixtures of these columns."""
        return dataclasses.replace(self, kernel=kernel)

    def build(self, theta: Float[Array, " p"]) -> Model:
        """Return the model with these free parameters."""
        variable, constant = split_model(self.model, self.free)
        _, unravel = ravel_pytree(variable)
        return eqx.combine(unravel(theta), constant)

    def lclk(self, theta: Float[Array, " p"]) -> LogCondLik:
        """Return the log conditional likelihoods on the whole grid.

        With a kernel those of the distributions in its columns.
        """
        supp = self.supp_at(theta)
        lclk = conditional_likelihoods(self.build(theta), self.data, supp)
        return lclk if self.kernel is None else mix_columns(lclk, self.kernel)

    @property
    def n_obs(self) -> int:
        """Number of rows of data, those without weight included."""
        return jax.tree.leaves(self.data)[0].shape[0]

    @property
    def n_supp(self) -> int:
        """Number of support points."""
        return jax.tree.leaves(self.supp)[0].shape[0]

    @property
    def n_entries(self) -> int:
        """Number of entries of `lclk`."""
        return self.n_obs * self.n_supp

    def cost(self, n_made: int) -> int:
        """Return what a search costs, with so many rows beside the data's.

        In numbers that `lclk` reads in one pass over the grid and the columns that
        stand for the rest.
        """
        numbers = sum(leaf.size for leaf in jax.tree.leaves(self.data))
        many = len(coordinates(self.supp)) > FINE
        columns = self.n_supp + (_MOVING_COLUMNS if many else _OTHER_COLUMNS)
        return columns * numbers * (self.n_obs + n_made) // max(self.n_obs, 1)

    @property
    def numbers(self) -> tuple[bool, ...]:
        """Which coordinates of the support points are numbers, not labels."""
        return tuple(is_number for _, is_number in coordinates(self.supp))

    def resolution(self, theta: Float[Array, " p"], weights: Weights) -> Scalar:
        """Return the median width of the kernels at theta, in steps of the grid."""
        rows = range_of(self.supp)[1]
        return grid_resolution(self.lclk(theta), weights, rows, self.numbers)

    def uniform_probs(self) -> Float[Array, "*n_groups n_supp"]:
        """Return equal masses, the start where nothing better is known."""
        n_supp = jax.tree.leaves(self.supp)[0].shape[0]
        shape = (n_supp,) if self.groups is None else (self.n_groups, n_supp)
        return jnp.full(shape, 1.0 / n_supp)

    def evaluate(
        self,
        theta: Float[Array, " p"],
        probs0: Float[Array, "*n_groups n_supp"],
        weights: Weights,
    ) -> Evaluation:
        """Return the profile value at theta with all its derivatives."""

        def lclk_at(theta: Array, columns: Array) -> Array:
            points = self.supp_at(theta, columns)
            return conditional_likelihoods(self.build(theta), self.data, points)

        lclk = conditional_likelihoods(
            self.build(theta), self.data, self.supp_at(theta)
        )
        how = (probs0, self.solver, self.kernel)
        if self.groups is None:
            return evaluate(lclk_at, theta, lclk, weights, *how)
        return evaluate_groups(lclk_at, theta, lclk, weights, self.groups, *how)


def weights_by_group(
    problem: OuterProblem, weights: Weights
) -> Float[Array, "n_groups n_obs"]:
    """Return the weights of each group's observations, zero for the others."""
    if problem.groups is None:
        return weights[None]
    numbers = jnp.arange(problem.n_groups)[:, None]
    return jnp.where(problem.groups == numbers, weights, 0.0)
