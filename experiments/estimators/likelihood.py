"""Maximum likelihood with F described by parameters: what these estimators share.

Every one of them maximises a `NodeSum` over theta and the parameters of F. The search
and its result codes are those of `spmlex.fit`.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Bool, Float, Int

import spmlex
from experiments.dgp import Model
from experiments.estimators.base import LIKELIHOOD_KINDS, wald_interval
from experiments.estimators.derivatives import NodeSum, differentiate
from experiments.estimators.functionals import Reported, append_values
from experiments.estimators.outcome import Outcome
from spmlex._climb.newton import climb
from spmlex._climb.verdict import judge
from spmlex._evidence.covariance import covariance_matrix
from spmlex._profile.evaluation import Evaluation

_TOL = 1e-7


class Maximum(NamedTuple):
    """Where a search ended; derivatives are of the negative mean log-likelihood.

    Attributes:
        params: Theta, then the parameters of F.
        log_likelihood: Of the sample, nats.
        gradient: In nats per observation.
        hessian: In nats per observation; unit diagonal for parameters held.
        scores: Of each observation's log-likelihood, nats.
        num_steps: Evaluations of the likelihood.
        code: Result code.
    """

    params: Float[Array, " q"]
    log_likelihood: Float[Array, ""]
    gradient: Float[Array, " q"]
    hessian: Float[Array, "q q"]
    scores: Float[Array, "n_obs q"]
    num_steps: Int[Array, ""]
    code: Int[Array, ""]


def split_model(model: Model) -> tuple[Float[Array, " p"], Callable[..., Model]]:
    """Return theta, and the function that puts one back into the model."""
    variable, constant = eqx.partition(model, eqx.is_inexact_array)
    theta, unravel = ravel_pytree(variable)
    return theta, lambda theta: eqx.combine(unravel(theta), constant)


def as_rows(supp: Any) -> Float[Array, "n_supp d"]:
    """Return the support points as rows.

    Raises:
        ValueError: The grid is neither a list of numbers nor a list of points.
    """
    if not eqx.is_array(supp) or supp.ndim not in (1, 2):
        raise ValueError(
            f"supp={type(supp).__name__}: this estimator needs a grid of shape "
            "(n_supp,) or (n_supp, d)."
        )
    return supp.reshape(supp.shape[0], -1)


def like_grid(rows: Float[Array, "k d"], supp: Any) -> Float[Array, "k ..."]:
    """Return points given as rows in the form of the support grid."""
    return rows.reshape(rows.shape[0], *supp.shape[1:])


def smooth_masses(
    lclk: Float[Array, "n_obs n_supp"], num_steps: int
) -> tuple[Float[Array, " n_supp"], Float[Array, "n_obs n_supp"]]:
    """Estimate F roughly by a few steps of EM from the uniform distribution.

    Returns:
        The masses, all positive, and every observation's posterior weights.
    """
    scaled = jnp.exp(lclk - lclk.max(axis=1, keepdims=True))

    def step(
        _: Int[Array, ""], probs: Float[Array, " n_supp"]
    ) -> Float[Array, " n_supp"]:
        return probs * ((1.0 / (scaled @ probs)) @ scaled) / lclk.shape[0]

    n_supp = lclk.shape[1]
    probs = jax.lax.fori_loop(0, num_steps, step, jnp.full(n_supp, 1.0 / n_supp))
    posterior = scaled * probs / (scaled @ probs)[:, None]
    return probs, posterior


def maximise(
    likelihood: NodeSum,
    params0: Float[Array, " q"],
    max_steps: int,
    held: Bool[Array, " q"] | None = None,
) -> Maximum:
    """Maximise the likelihood by Newton's method in a trust region.

    Args:
        likelihood: What to maximise.
        params0: Starting values, theta first.
        max_steps: Limit on the evaluations.
        held: Parameters that the likelihood does not depend on; they keep their start.
    """
    # Where the likelihood is flat: with a one on the diagonal no step moves them.
    ridge = 0.0 if held is None else jnp.diag(held.astype(float))

    def evaluate(params: Float[Array, " q"], _: Any) -> Evaluation:
        there = differentiate(likelihood, params)
        return there._replace(hessian=there.hessian + ridge)

    theta, of_f = jnp.split(params0, [likelihood.n_theta])
    points, _ = likelihood.nodes_at(of_f)
    n_obs = jax.eval_shape(likelihood.lclk_at, theta, points).shape[0]
    state = climb(evaluate, n_obs, params0, jnp.zeros(1), _TOL, max_steps)
    here, equal = state.here, jnp.full(n_obs, 1.0 / n_obs)
    return Maximum(
        state.theta,
        -n_obs * here.value,
        here.gradient,
        here.hessian,
        here.scores,
        state.num_steps,
        spmlex.result_code(judge(state, equal, jnp.array(jnp.inf), _TOL)),
    )


def standard_errors(maximum: Maximum, n_theta: int) -> Float[Array, "kind n_theta"]:
    """Return the standard errors of theta, with the parameters of F profiled out.

    With blocks t (theta) and f (F) of the Hessian H, that of the profile is
    `H_tt - H_tf H_ff^{-1} H_ft` and the profile score `s_t - H_tf H_ff^{-1} s_f`: the
    observed and sandwich covariances are the blocks of the joint ones.
    """
    hessian, scores = maximum.hessian, maximum.scores
    cross = hessian[n_theta:, :n_theta]
    if cross.size:
        response = jnp.linalg.solve(hessian[n_theta:, n_theta:], cross)
        scores = scores[:, :n_theta] - scores[:, n_theta:] @ response
        hessian = hessian[:n_theta, :n_theta] - cross.T @ response
    weights = jnp.full(scores.shape[0], 1.0 / scores.shape[0])
    covariances = [
        covariance_matrix(hessian, scores, weights, kind) for kind in LIKELIHOOD_KINDS
    ]
    return jnp.sqrt(jnp.stack([jnp.diagonal(c) for c in covariances]))


def apply_delta_method(
    maximum: Maximum, function: Callable[[Array], Float[Array, " k"]]
) -> tuple[Float[Array, " k"], Float[Array, "kind k"]]:
    """Return a function of all parameters, and its standard error of every kind."""
    slopes = jax.jacrev(function)(maximum.params)
    weights = jnp.full(len(maximum.scores), 1.0 / len(maximum.scores))
    given = (maximum.hessian, maximum.scores, weights)
    squares = [
        jnp.diagonal(slopes @ covariance_matrix(*given, kind) @ slopes.T)
        for kind in LIKELIHOOD_KINDS
    ]
    return function(maximum.params), jnp.sqrt(jnp.stack(squares))


def report(
    maximum: Maximum,
    n_theta: int,
    level: float,
    behind: Callable[[Array], Float[Array, " k"]] | None = None,
    **others: Any,
) -> Outcome:
    """Return what an estimator of a study returns; there is no inner problem, no gap.

    Args:
        maximum: Where the search ended.
        n_theta: Number of entries of theta.
        level: Confidence level.
        behind: Estimands as a function of `maximum.params`; None: none.
        **others: Fields of `Outcome` that a maximum does not tell, such as F.
    """
    theta = maximum.params[:n_theta]
    errors = standard_errors(maximum, n_theta)
    found = Reported(theta, *wald_interval(theta, errors, level), errors)
    if behind is not None:
        found = append_values(found, *apply_delta_method(maximum, behind), level)
    return Outcome(
        *found,
        code=maximum.code,
        gradient_norm=jnp.max(jnp.abs(maximum.gradient)),
        log_likelihood=maximum.log_likelihood,
        num_steps=maximum.num_steps,
        **others,
    )
