"""Value, gradient, Hessian and scores of a likelihood that is a sum over nodes."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import jax.scipy as jsp
from jaxtyping import Array, Float

from spmlex._profile.evaluation import Evaluation

Points = Float[Array, "k d"]
LogMasses = Float[Array, " k"]


class NodeSum(NamedTuple):
    """The likelihood `(1/n) sum_i log sum_j exp(lclk_ij) mass_j`, as functions.

    Its parameters are theta followed by those of F.

    Attributes:
        lclk_at: Log-densities, (n_obs, k), at theta and at nodes, (k, d).
        nodes_at: Nodes, (k, d), and the logs of their masses, (k,), at the parameters
            of F.
        n_theta: Number of entries of theta.
    """

    lclk_at: Callable[[Float[Array, " p"], Points], Float[Array, "n_obs k"]]
    nodes_at: Callable[[Float[Array, " f"]], tuple[Points, LogMasses]]
    n_theta: int


class _Nodes(NamedTuple):
    """What the terms and their derivatives are at every observation and node.

    Attributes:
        posterior: Posterior weights of the nodes.
        slopes: Derivatives of the terms in theta, then in a node's coordinates.
        weighted: These times `frozen`.
        bends_at: Second derivatives of the expected terms, in a node's coordinates too.
        frozen: Posterior weights over the number of observations.
    """

    posterior: Float[Array, "n_obs k"]
    slopes: Float[Array, "p_and_d n_obs k"]
    weighted: Float[Array, "p_and_d n_obs k"]
    bends_at: Float[Array, "p_and_d k d"]
    frozen: Float[Array, "n_obs k"]


def differentiate(likelihood: NodeSum, params: Float[Array, " q"]) -> Evaluation:
    """Evaluate the negative mean log-likelihood with gradient, Hessian and scores.

    With `t_ij = lclk_ij + log mass_j`, posterior weights `pi_ij` of the nodes and
    `s_i = sum_j pi_ij dt_ij`, the Hessian of the log-likelihood is `sum_ij pi_ij
    (d²t_ij + dt_ij dt_ij') - sum_i s_i s_i'` (Louis 1982, section 3). A term depends
    on the parameters of F through its own node and mass only, so derivatives are taken
    in theta and in the coordinates of all nodes at once, and the chain rule through
    `nodes_at`, which is small, does the rest.
    """
    lclk_at, nodes_at, p = likelihood
    theta, of_f = params[:p], params[p:]
    points, log_mass = nodes_at(of_f)
    d = points.shape[1] if of_f.size else 0
    terms = lclk_at(theta, points) + log_mass
    n_obs = terms.shape[0]
    mixture = jsp.special.logsumexp(terms, axis=1)
    posterior = jnp.exp(terms - mixture[:, None])
    seen, frozen = posterior > 0, posterior / n_obs

    def expected(theta: Float[Array, " p"], points: Points) -> Float[Array, ""]:
        # Where a node has no weight its term may be -inf, and zero times that NaN.
        return jnp.sum(jnp.where(seen, frozen * lclk_at(theta, points), 0.0))

    def push(
        direction: tuple[Float[Array, " p"], Points],
    ) -> tuple[Float[Array, "n_obs k"], tuple[Float[Array, " p"], Points]]:
        """Return slopes of the terms, and of the gradient of their expectation."""
        slope: Float[Array, "n_obs k"]
        _, slope = jax.jvp(lclk_at, (theta, points), direction)
        bend: tuple[Float[Array, " p"], Points]
        _, bend = jax.jvp(jax.grad(expected, (0, 1)), (theta, points), direction)
        return jnp.where(seen, slope, 0.0), bend

    moves = jnp.eye(p + d)
    along = jnp.zeros((p + d, *points.shape)).at[:, :, :d].set(moves[:, None, p:])
    # One direction after the other: together they would not fit the cache.
    slopes, (bends, bends_at) = jax.lax.map(push, (moves[:, :p], along))
    weighted = frozen * slopes
    scores = n_obs * jnp.sum(weighted[:p], axis=2)
    flat = weighted[:p].reshape(p, -1) @ slopes[:p].reshape(p, -1).T
    hessian = bends[:p] + flat
    if of_f.size:
        nodes = _Nodes(posterior, slopes, weighted, bends_at, frozen)
        hessian, scores = _append_f(nodes_at, of_f, nodes, hessian, scores)
    hessian = scores @ scores.T / n_obs - hessian
    none = jnp.zeros(())
    return Evaluation(
        value=-jnp.mean(mixture),
        gradient=-jnp.mean(scores, axis=1),
        hessian=0.5 * (hessian + hessian.T),
        scores=scores.T,
        probs=jnp.zeros(1),
        probs_dot=jnp.zeros((1, params.size)),
        gap=none,
        residual=none,
        inner_steps=jnp.array(0),
        fell_back=jnp.array(False),
        zero_likelihood=jnp.any(jnp.isneginf(mixture)),
    )


def _append_f(
    nodes_at: Callable[[Float[Array, " f"]], tuple[Points, LogMasses]],
    of_f: Float[Array, " f"],
    nodes: _Nodes,
    hessian: Float[Array, "p p"],
    scores: Float[Array, "p n_obs"],
) -> tuple[Float[Array, "q q"], Float[Array, "q n_obs"]]:
    """Add the parameters of F to derivatives in theta, by the chain rule.

    Returns:
        `sum_ij pi_ij (d²t_ij + dt_ij dt_ij') / n` and the scores `s_i`, in all
        parameters.
    """
    posterior, slopes, weighted, bends_at, frozen = nodes
    n_obs, p, d = len(posterior), len(hessian), bends_at.shape[2]
    # Second derivatives by node, in theta, in its coordinates and in its log-mass.
    pairs = jnp.stack(
        [jnp.sum(weighted * slopes[p + c], axis=1) for c in range(d)], axis=2
    )
    sums = jnp.sum(weighted, axis=1)
    blocks = jnp.concatenate([pairs + bends_at, sums[:, :, None]], axis=2)
    mean = jnp.concatenate([sums[p:], jnp.sum(frozen, axis=0)[None]]).T
    local = jnp.concatenate([blocks[p:].swapaxes(0, 1), mean[:, None]], axis=1)

    def describe(of_f: Float[Array, " f"]) -> Float[Array, "k all_d"]:
        points, log_mass = nodes_at(of_f)
        return jnp.concatenate([points, log_mass[:, None]], axis=1)

    chain = jax.jacfwd(describe)(of_f)
    cross = jnp.einsum("pkl,klf->pf", blocks[:p], chain)
    corner = jnp.einsum("klf,klm,kmg->fg", chain, local, chain)
    corner += jax.hessian(lambda of_f: jnp.sum(mean * describe(of_f)))(of_f)
    hessian = jnp.block([[hessian, cross], [cross.T, corner]])
    own = [n_obs * w @ chain[:, c] for c, w in enumerate(weighted[p:])]
    return hessian, jnp.concatenate([scores, sum(own, posterior @ chain[:, d]).T])
