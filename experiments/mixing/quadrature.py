"""Sums that stand for integrals over the latent variable."""

import itertools
from collections.abc import Callable

import jax.numpy as jnp
import jax.scipy as jsp
import numpy as np
from jaxtyping import Array, Float

from experiments.mixing.base import AbstractMixing, AbstractScalarMixing
from experiments.mixing.discrete import Discrete
from experiments.mixing.joint import GaussianCopula, JointDiscrete

RULES = ("trapezoid", "gauss_hermite")
_MAX_NODES = 5000

_REACH = 5.0  # normal scores of the outermost cells' ends
_CORE = 3.0  # and of the range that half of the cells' edges divide evenly
_PER_CELL = 8

DISCRETE = (Discrete, JointDiscrete)
"""Distributions that are sums already."""

_SCORES_REACH = 6.0


def place_nodes(
    mixing: AbstractMixing, nodes: int
) -> tuple[Float[Array, "k ..."], Float[Array, " k"]]:
    """Return nodes for a distribution and the logs of their masses.

    A discrete one is summed over its atoms, a continuous one integrated over cells
    (`cell_rule`), two dependent ones by the trapezoidal rule in their normal scores.

    Args:
        mixing: The distribution.
        nodes: Number of nodes for continuous distributions, in each dimension.

    Raises:
        ValueError: There is no rule for the distribution.
    """
    if isinstance(mixing, DISCRETE):
        return mixing.supp, jnp.log(mixing.weights)
    if isinstance(mixing, AbstractScalarMixing):
        return cell_rule(mixing, nodes)
    if isinstance(mixing, GaussianCopula):
        z, log_mass = normal_rule("trapezoid", nodes, 2, _SCORES_REACH)
        return mixing.from_normal(z), log_mass
    raise ValueError(
        f"mixing={type(mixing).__name__}: there is no quadrature for it. Leave out "
        "what needs one, such as the oracle."
    )


def normal_rule(
    rule: str, nodes: int, dims: int, reach: Float[Array, ""] | float
) -> tuple[Float[Array, "k d"], Float[Array, " k"]]:
    """Return nodes for independent standard normals and the logs of their masses.

    Args:
        rule: "trapezoid" or "gauss_hermite".
        nodes: Number of nodes in each dimension.
        dims: Number of dimensions; the nodes are all combinations.
        reach: Largest node of the trapezoidal rule, in standard deviations.

    Raises:
        ValueError: All combinations are too many.
    """
    if nodes**dims > _MAX_NODES:
        raise ValueError(
            f"nodes={nodes} in each of {dims} dimensions are {nodes**dims} nodes, more "
            f"than {_MAX_NODES}: take fewer."
        )
    if rule == "trapezoid":
        axis = reach * jnp.linspace(-1.0, 1.0, nodes)
        log_mass = -0.5 * axis**2
    else:
        at, mass = np.polynomial.hermite_e.hermegauss(nodes)
        axis, log_mass = jnp.asarray(at), jnp.log(jnp.asarray(mass))
    log_mass = log_mass - jsp.special.logsumexp(log_mass)
    pick = np.array(list(itertools.product(range(nodes), repeat=dims)))
    return axis[pick], jnp.sum(log_mass[pick], axis=1)


def cell_rule(
    mixing: AbstractScalarMixing, nodes: int
) -> tuple[Float[Array, " k"], Float[Array, " k"]]:
    """Return nodes for a continuous distribution and the logs of their masses.

    Two in every cell of a partition, at the cell's mean less and plus its standard
    deviation, with half its mass each: an error of fourth order in the cells' widths,
    also where the density jumps at the end of its support. Half of the cells' edges are
    evenly spaced in the latent variable, so that the space between modes is resolved,
    half in normal scores, for the tails. A cell's moments follow from integrals of the
    distribution function, by parts. With 128 nodes and posteriors a third as wide as F,
    the log-likelihood of 1000 observations was wrong by at most 0.03 nats for four
    distributions, and by 0.2 for Student's with 5 degrees of freedom.

    Args:
        mixing: The distribution.
        nodes: Number of nodes; an odd one is rounded down.
    """
    n_cells = nodes // 2
    scores = jnp.linspace(-_REACH, _REACH, n_cells - n_cells // 2)
    by_score = mixing.from_normal(scores)
    low, high = mixing.from_normal(jnp.array([-_CORE, _CORE]))
    evenly = jnp.linspace(low, high, n_cells // 2 + 1)
    edges = jnp.sort(jnp.concatenate([by_score, evenly]))
    start, width = edges[:-1], jnp.diff(edges)
    at, weight = np.polynomial.legendre.leggauss(_PER_CELL)
    at, weight = jnp.asarray(0.5 * (at + 1.0)), jnp.asarray(0.5 * weight)
    inside = (start[:, None] + width[:, None] * at).ravel()
    below = mixing.cdf(start)
    # Edges that nearly coincide may be in the wrong order up to rounding.
    mass = jnp.maximum(mixing.cdf(edges[1:]) - below, 0.0)
    risen = mixing.cdf(inside).reshape(-1, _PER_CELL) - below[:, None]
    # In units of the cell's width; rounding must not move nodes out of the cell.
    share = jnp.where(mass > 0, mass, 1.0)
    mean = jnp.clip(1.0 - risen @ weight / share, 0.0, 1.0)
    square = 1.0 - 2.0 * (risen @ (weight * at)) / share
    spread = jnp.sqrt(jnp.maximum(square - mean**2, 0.0))
    both = jnp.concatenate([mean - spread, mean + spread])
    log_mass = jnp.log(jnp.tile(mass, 2))
    log_mass = log_mass - jsp.special.logsumexp(log_mass)
    return jnp.tile(start, 2) + jnp.tile(width, 2) * both, log_mass


def cell_masses(
    points: Float[Array, " n_supp"],
    cdf: Callable[[Float[Array, " n"]], Float[Array, " n"]],
) -> Float[Array, " n_supp"]:
    """Return a distribution's mass on the cell around each point, in any order.

    Cells end half-way between neighbours; the outer ones are infinite.
    """
    order = jnp.argsort(points)
    ordered = points[order]
    below = cdf(0.5 * (ordered[1:] + ordered[:-1]))
    masses = jnp.diff(jnp.concatenate([jnp.zeros(1), below, jnp.ones(1)]))
    return jnp.zeros_like(masses).at[order].set(masses)
