"""The efficient score at one theta, and what an evaluation hands to the next."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from spmlex._adequacy.identification import Directions
from spmlex._efficient.following_grid import FollowingGrid
from spmlex._efficient.score_parts import Rows
from spmlex._efficient.smooth_mixing import SmoothMixing
from spmlex._words.types import Scalar


class Carried(NamedTuple):
    """What an evaluation takes from the one before it.

    Attributes:
        mixing: The smooth estimate of F, by group: gives its bandwidths.
        rows: Rows of the model, by group.
        theta: Where these were made.
        remaining: Information there, nats per observation, shifts and stretches of F
            taken out: how fast the density of the rows changes with theta.
        grid: Where the grid is, and how it goes on from there.
    """

    mixing: SmoothMixing
    rows: Rows
    theta: Float[Array, " p"]
    remaining: Float[Array, "p p"]
    grid: FollowingGrid


class Asked(NamedTuple):
    """What a search asks of the next evaluation.

    Attributes:
        theta: Where.
        grid: The grid there.
        chooses: Whether the data choose the bandwidths of F.
        refines: Whether expectations are taken over many more rows.
    """

    theta: Float[Array, " p"]
    grid: FollowingGrid
    chooses: Bool[Array, ""]
    refines: Bool[Array, ""]


class ScoreAt(NamedTuple):
    """The efficient score at one theta, with all that inference needs of it.

    Attributes:
        theta: Where.
        scores: Efficient score of each observation.
        raw: Score of theta with F held, less what shifts and stretches of F explain.
        mean: Weighted mean of the efficient scores, nats per observation.
        information: Efficient information, nats per observation.
        parametric: Information with F known.
        directions: Which combinations of theta are identified.
        carried: What the next evaluation may start from: F and rows of the model.
        misfit: Largest of the groups, see `Projection`.
    """

    theta: Float[Array, " p"]
    scores: Float[Array, "n_obs p"]
    raw: Float[Array, "n_obs p"]
    mean: Float[Array, " p"]
    information: Float[Array, "p p"]
    parametric: Float[Array, "p p"]
    directions: Directions
    carried: Carried
    misfit: Scalar

    @property
    def mixing(self) -> SmoothMixing:
        """The smooth estimate of F, by group."""
        return self.carried.mixing

    @property
    def step(self) -> Float[Array, " p"]:
        """The step to the root, `I^{-1}` times the mean, along what is identified."""
        return self.directions.inverse @ self.mean

    def errors(self, n_obs: Scalar) -> Float[Array, " p"]:
        """Return standard errors of theta by the model; zero where not identified."""
        return jnp.sqrt(jnp.diagonal(self.directions.inverse) / n_obs)

    def step_length(self, n_obs: Scalar) -> Scalar:
        """Return the longest entry of the step in standard errors."""
        error = self.errors(n_obs)
        apart = jnp.abs(self.step) / jnp.where(error > 0, error, jnp.inf)
        return jnp.max(apart, initial=0.0)


def no_score(
    theta: Float[Array, " p"],
    n_obs: int,
    mixing: SmoothMixing,
    rows: Rows,
    grid: FollowingGrid,
) -> ScoreAt:
    """Return what stands for an evaluation at a theta before there is one.

    Zeros in the shapes of one, written down: to find them out by tracing takes longer
    than all of the search.
    """
    p = theta.size
    each, vector, matrix = jnp.zeros((n_obs, p)), jnp.zeros(p), jnp.zeros((p, p))
    # Nan is far from every theta: the first evaluation makes its rows.
    nowhere = jnp.full(p, jnp.nan)
    return ScoreAt(
        theta=theta,
        scores=each,
        raw=each,
        mean=vector,
        information=matrix,
        parametric=matrix,
        directions=Directions(vector, matrix, jnp.zeros(p, bool), matrix),
        carried=Carried(mixing, rows, nowhere, matrix, grid),
        misfit=jnp.array(0.0),
    )


def choose_tree[Tree](condition: Bool[Array, ""], one: Tree, other: Tree) -> Tree:
    """Return all leaves of one tree where a condition holds, else those of another."""
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), one, other)
