"""Models whose F has a shape, one point or normal, for all observations or by group."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float, Int, PRNGKeyArray

from spmlex._evidence.evidence import Evidence
from spmlex._support.continuum import range_of, rows_of
from spmlex._words.types import Data, Model, Support

_REACH = (6.0, 5.5, 4.5)
"""Standard deviations on either side of the mean, in one, two and three dimensions."""

_NODES = (81, 41, 17)
"""Points of the sum along each axis: as dense as can be afforded. The trapezoidal rule
errs by exp(-2 (pi s / h)²) for kernels s and a spacing h wide: nothing in one
dimension, 6e-11 for s = 0.3 standard deviations in two, 4e-3 in three."""


Pair = tuple[Data, Int[Array, " n_obs"]]
"""Data of the model, and the group of each observation."""


class OnePoint(eqx.Module):
    """A model whose F is one point, a parameter."""

    model: Model
    at: Float[Array, "n_groups d"]
    unravel: Callable[[Array], Support] = eqx.field(static=True)

    def nodes(self) -> tuple[Float[Array, "n_groups 1 d"], Float[Array, " 1"]]:
        """Return the point, which has all the mass."""
        return self.at[:, None], jnp.zeros(1)

    def draw(self, key: PRNGKeyArray, groups: Int[Array, " n_obs"]) -> Support:
        """Return the point of each observation's group."""
        return jax.vmap(self.unravel)(self.at[groups])

    def lclk(self, data: Pair, supp: Support) -> Float[Array, "n_obs 1"]:
        """Return the log-likelihood of each observation."""
        return _integrate(self, data)


class Normal(eqx.Module):
    """A model whose F is normal, its mean and covariance parameters.

    Attributes:
        model: The model.
        mean: Of F.
        log_scale: Log of the diagonal of the covariance's Cholesky factor.
        below: What is below the diagonal, row by row.
        unravel: Makes a support point of coordinates.
    """

    model: Model
    mean: Float[Array, "n_groups d"]
    log_scale: Float[Array, "n_groups d"]
    below: Float[Array, "n_groups m"]
    unravel: Callable[[Array], Support] = eqx.field(static=True)

    def nodes(self) -> tuple[Float[Array, "n_groups k d"], Float[Array, " k"]]:
        """Return the points of a trapezoidal sum and their log masses."""
        size = self.mean.shape[1]
        reach, number = _REACH[size - 1], _NODES[size - 1]
        axes = jnp.meshgrid(*[jnp.linspace(-reach, reach, number)] * size)
        deviate = jnp.stack([axis.ravel() for axis in axes], axis=1)
        log_mass = jax.nn.log_softmax(-0.5 * (deviate**2).sum(axis=1))
        moved = jnp.einsum("kd,ged->gke", deviate, self._roots())
        return self.mean[:, None] + moved, log_mass

    def draw(self, key: PRNGKeyArray, groups: Int[Array, " n_obs"]) -> Support:
        """Return draws from the distribution of each observation's group."""
        deviate = jr.normal(key, (groups.size, self.mean.shape[1]))
        moved = jnp.einsum("nd,ned->ne", deviate, self._roots()[groups])
        return jax.vmap(self.unravel)(self.mean[groups] + moved)

    def lclk(self, data: Pair, supp: Support) -> Float[Array, "n_obs 1"]:
        """Return the log-likelihood of each observation."""
        return _integrate(self, data)

    def _roots(self) -> Float[Array, "n_groups d d"]:
        rows, columns = jnp.tril_indices(self.mean.shape[1], -1)
        diagonal = jax.vmap(jnp.diag)(jnp.exp(self.log_scale))
        return diagonal.at[:, rows, columns].set(self.below)


Shaped = OnePoint | Normal
"""A model whose F is described by parameters, a row of them for each group."""


def _integrate(shaped: Shaped, data: Pair) -> Float[Array, "n_obs 1"]:
    rows, groups = data
    points, log_mass = shaped.nodes()
    n_groups, n_nodes, size = points.shape
    supp = jax.vmap(shaped.unravel)(points.reshape(-1, size))
    # At the points of every group at once: a model is called on all of its data.
    lclk = shaped.model.lclk(rows, supp).reshape(-1, n_groups, n_nodes)
    own = jnp.take_along_axis(lclk, groups[:, None, None], axis=1)[:, 0]
    return jax.nn.logsumexp(own + log_mass, axis=1, keepdims=True)


def shape_one_point(evidence: Evidence) -> OnePoint:
    """Return the model with F one point, at the mean of the fitted F."""
    _refuse_labels(evidence, "one_point")
    box, _ = range_of(evidence.given.supp)
    return OnePoint(evidence.model, _moments(evidence)[0], box.unravel)


def shape_normal(evidence: Evidence) -> Normal:
    """Return the model with F normal, with the moments of the fitted F.

    Raises:
        ValueError: The unobservable has more than three dimensions.
    """
    _refuse_labels(evidence, "normal")
    box, _ = range_of(evidence.given.supp)
    mean, covariance = _moments(evidence)
    size = mean.shape[1]
    if size > len(_NODES):
        raise ValueError(
            f"hypothesis='normal': the unobservable has {size} dimensions, and this "
            f"is a test for one to {len(_NODES)}."
        )
    # The fitted F may be one point, or lie on a line.
    least = (0.01 * (box.high - box.low)) ** 2
    # The factor, not the matrix: any values of it are a covariance.
    root = jnp.linalg.cholesky(covariance + jnp.diag(least))
    rows, columns = jnp.tril_indices(size, -1)
    log_scale = jnp.log(jnp.diagonal(root, axis1=1, axis2=2))
    below = root[:, rows, columns]
    return Normal(evidence.model, mean, log_scale, below, box.unravel)


SHAPES: dict[str, Callable[[Evidence], Shaped]] = {
    "one_point": shape_one_point,
    "normal": shape_normal,
}
"""What makes the model of a hypothesis about F, by its name."""


def _moments(
    evidence: Evidence,
) -> tuple[Float[Array, "n_groups d"], Float[Array, "n_groups d d"]]:
    """Return mean and covariance of the fitted F, by group."""
    rows = rows_of(evidence.supp)
    probs = evidence.probs.reshape(rows.shape[0], -1).T
    mean = probs @ rows
    apart = rows - mean[:, None]
    return mean, jnp.einsum("gk,gkd,gke->gde", probs, apart, apart)


def _refuse_labels(evidence: Evidence, hypothesis: str) -> None:
    if not all(evidence.given.numbers):
        raise ValueError(
            f"hypothesis={hypothesis!r}: support points that hold whole numbers are "
            "labels, which have no mean to be estimated."
        )
