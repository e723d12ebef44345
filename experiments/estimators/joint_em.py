"""EM over theta and the mixing probabilities together, on the grid."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

import spmlex
from experiments.dgp import Data, Model
from experiments.estimators.base import (
    LIKELIHOOD_KINDS,
    LikelihoodEstimator,
    check_counts,
    wald_interval,
)
from experiments.estimators.functionals import Reported, append_estimands
from experiments.estimators.likelihood import split_model
from experiments.estimators.outcome import Outcome
from spmlex import RESULTS

_SOME_MASS = 1e-6
"""EM never takes the last of a point's mass; with less it is not counted."""

_HALVINGS = 20

Columns = Callable[[Float[Array, " p"]], Float[Array, "n_obs n_supp"]]


class _State(NamedTuple):
    theta: Float[Array, " p"]
    probs: Float[Array, " n_supp"]
    mean: Float[Array, ""]  # log-likelihood an observation, before the last step
    num_steps: Int[Array, ""]
    converged: Bool[Array, ""]


@dataclasses.dataclass(frozen=True, kw_only=True)
class JointEM(LikelihoodEstimator):
    """Expectation-maximisation for theta and F on the grid (Dempster et al. 1977).

    The E-step takes every observation's posterior weights of the grid's points. The
    M-step sets the mixing probabilities to their means and moves theta by Newton steps
    on the expected complete log-likelihood, halved until they raise it: one step has
    the speed of a full maximisation (Lange 1995, section 3). The maxima are those of
    the profile likelihood, but reaching one takes thousands of steps, and a short step
    is no sign of being near (Lindstrom and Bates 1988): compare `gap` and
    `log_likelihood`.

    Standard errors are those of the profile likelihood at the theta where EM stopped,
    since EM by itself has none.

    Attributes:
        tol: EM stops where a step moves no parameter by more, relative to one plus its
            size, and gains less than this in the sample's log-likelihood, in nats.
        newton_steps: Newton steps in an M-step.
        max_steps: Limit on the EM steps.
    """

    tol: float = 1e-4
    newton_steps: int = 1
    max_steps: int = 5000

    def __post_init__(self):
        """Refuse numbers that allow no fit."""
        if not self.tol > 0:
            raise ValueError(f"tol={self.tol}: give a positive number, such as 1e-4.")
        check_counts(self, newton_steps=1, max_steps=1)

    def estimate(self, model: Model, data: Data, supp: Any) -> Outcome:
        """Run EM once; failures are codes, never exceptions."""
        theta0, build = split_model(model.starting_values(data))

        def lclk_at(theta: Float[Array, " p"]) -> Float[Array, "n_obs n_supp"]:
            return build(theta).lclk(data, supp)

        state = self._iterate(lclk_at, theta0)
        _, mean, gap = _update(*_divide_by_largest(lclk_at(state.theta)), state.probs)
        # One evaluation of the profile likelihood, for its derivatives.
        there = spmlex.fit(build(state.theta), data, supp, max_steps=1, throw=False)
        errors = jnp.sqrt(
            jnp.stack(
                [jnp.diagonal(there.covariance(kind)) for kind in LIKELIHOOD_KINDS]
            )
        )
        limits = wald_interval(state.theta, errors, self.level)
        theta = Reported(state.theta, *limits, errors)
        shown = self.kinds.index(self.default_kind)
        return Outcome(
            *append_estimands(theta, there, self.estimands, self.level, shown),
            code=_judge(state),
            flagged=there.flagged,
            gap=gap,
            gradient_norm=there.gradient_norm,
            log_likelihood=there.scores.shape[0] * mean,
            num_steps=state.num_steps,
            num_atoms=jnp.sum(state.probs > _SOME_MASS),
            probs=state.probs,
            supp=supp,
        )

    def _iterate(self, lclk_at: Columns, theta0: Float[Array, " p"]) -> _State:
        n_supp = jax.eval_shape(lclk_at, theta0).shape[1]

        def is_running(state: _State) -> Bool[Array, ""]:
            # Before the first step the mean is -inf, which says nothing.
            broken = (state.num_steps > 0) & ~jnp.isfinite(state.mean)
            return ~state.converged & ~broken & (state.num_steps < self.max_steps)

        start = _State(
            theta0,
            jnp.full(n_supp, 1.0 / n_supp),
            jnp.array(-jnp.inf),
            jnp.array(0),
            jnp.array(False),
        )
        return jax.lax.while_loop(
            is_running, lambda state: self._advance(lclk_at, state), start
        )

    def _advance(self, lclk_at: Columns, state: _State) -> _State:
        """Take one step of EM."""
        scaled, shift = _divide_by_largest(lclk_at(state.theta))
        n_obs = shift.size
        probs, mean, _ = _update(scaled, shift, state.probs)
        posterior = scaled * state.probs / (scaled @ state.probs)[:, None]

        def improve(_: Int[Array, ""], theta: Float[Array, " p"]) -> Float[Array, " p"]:
            return _climb(lclk_at, posterior / n_obs, theta)

        theta = jax.lax.fori_loop(0, self.newton_steps, improve, state.theta)
        moved = jnp.abs(theta - state.theta) / (1.0 + jnp.abs(state.theta))
        gained = n_obs * (mean - state.mean)  # by the step before this one
        still = (jnp.max(moved) <= self.tol) & (jnp.abs(gained) <= self.tol)
        return _State(theta, probs, mean, state.num_steps + 1, still)


def _divide_by_largest(lclk: Float[Array, "n_obs n_supp"]) -> tuple[Array, Array]:
    """Return densities relative to each row's largest, and the logs of the largest."""
    largest = lclk.max(axis=1)
    return jnp.exp(lclk - largest[:, None]), largest


def _update(
    scaled: Float[Array, "n_obs n_supp"],
    shift: Float[Array, " n_obs"],
    probs: Float[Array, " n_supp"],
) -> tuple[Float[Array, " n_supp"], Float[Array, ""], Float[Array, ""]]:
    """Return the next probabilities, and of the old the mean log-likelihood and gap."""
    density = scaled @ probs
    gradient = (1.0 / density) @ scaled / density.size
    mean = jnp.mean(jnp.log(density) + shift)
    return probs * gradient, mean, jnp.log(jnp.max(gradient))


def _climb(
    lclk_at: Columns, posterior: Float[Array, "n_obs n_supp"], theta: Float[Array, " p"]
) -> Float[Array, " p"]:
    """Take one Newton step on the expected log-likelihood, halved until it gains."""

    def loss(theta: Float[Array, " p"]) -> Float[Array, ""]:
        return -jnp.sum(jnp.where(posterior > 0, posterior * lclk_at(theta), 0.0))

    value, gradient = jax.value_and_grad(loss)(theta)
    # One column after the other: together they would not fit the cache.
    hessian = jax.lax.map(
        lambda direction: jax.jvp(jax.grad(loss), (theta,), (direction,))[1],
        jnp.eye(theta.size),
    )
    scale = jnp.sqrt(jnp.maximum(jnp.abs(jnp.diagonal(hessian)), 1e-300))
    values, vectors = jnp.linalg.eigh(hessian / (scale[:, None] * scale))
    # A negative curvature tells at least how far one may go.
    size = jnp.maximum(jnp.abs(values), 1e-8)
    step: Float[Array, " p"] = (
        -(vectors @ (vectors.T @ (gradient / scale) / size)) / scale
    )

    def loses(state: tuple[Float[Array, ""], Int[Array, ""]]) -> Bool[Array, ""]:
        share, halvings = state
        # Written so that NaN counts as worse.
        worse = ~(loss(theta + share * step) <= value)
        return worse & (halvings < _HALVINGS)

    share, halvings = jax.lax.while_loop(
        loses,
        lambda state: (0.5 * state[0], state[1] + 1),
        (jnp.array(1.0), jnp.array(0)),
    )
    return jnp.where(halvings < _HALVINGS, theta + share * step, theta)


def _judge(state: _State) -> Int[Array, ""]:
    result = RESULTS.where(
        state.converged, RESULTS.successful, RESULTS.max_steps_reached
    )
    finite = jnp.isfinite(state.mean)
    return spmlex.result_code(RESULTS.where(finite, result, RESULTS.non_finite))
