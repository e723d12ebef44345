"""What the models' starting values have in common."""

import itertools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import jax.scipy as jsp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

RIDGE = 1e-6
"""Curvature added to a mean log-likelihood, so that it has a finite maximum, and to a
scaled information, so that no direction runs away."""

_MOST_STEPS = 20
"""Limit on the Newton steps of a start."""

_LENGTHS = np.array([0.0, 1 / 64, 1 / 8, 1 / 2, 1.0])
"""Fractions of a step that are tried; the best is taken, none where all are worse."""

_PROMISE = 1e-5
"""The climb ends where a step promises less than this, in nats per observation."""


# Steps, theta, value, damping and what the last step gained.
_Climb = tuple[
    Int[Array, ""],
    Float[Array, " p"],
    Float[Array, ""],
    Float[Array, ""],
    Float[Array, ""],
]

# Theta, whether to go on, and steps.
_Scoring = tuple[Float[Array, " p"], Bool[Array, ""], Int[Array, ""]]


def maximise_concave(
    objective: Callable[[Float[Array, " p"]], Float[Array, ""]],
    theta0: Float[Array, " p"],
) -> Float[Array, " p"]:
    """Maximise a concave function by damped Newton steps, to the accuracy of a start.

    Steps that don't gain are not taken, so the result is finite where theta0 and the
    function there are.

    Args:
        objective: A mean log-likelihood.
        theta0: Where to start.
    """

    def penalised(theta: Float[Array, " p"]) -> Float[Array, ""]:
        return objective(theta) - 0.5 * RIDGE * (theta @ theta)

    def is_running(state: _Climb) -> Bool[Array, ""]:
        step, _, _, _, gain = state
        return (step < _MOST_STEPS) & (gain > 1e-9)

    def improve(state: _Climb) -> _Climb:
        step, theta, value, damping, gain = state
        curvature = -jax.hessian(penalised)(theta)
        damped = curvature + damping * jnp.diag(jnp.diagonal(curvature))
        there = theta + jsp.linalg.solve(damped, jax.grad(penalised)(theta))
        value_there: Float[Array, ""] = penalised(there)
        gained = jnp.isfinite(value_there) & (value_there > value)
        # A refused step is no reason to stop, unless the damping is already strong.
        return (
            step + 1,
            jnp.where(gained, there, theta),
            jnp.where(gained, value_there, value),
            jnp.where(gained, 0.1 * damping, jnp.maximum(10 * damping, 1e-2)),
            jnp.where(gained, value_there - value, gain * (damping < 1e3)),
        )

    start = (jnp.array(0), theta0, penalised(theta0), jnp.array(1e-4), jnp.array(1.0))
    return jax.lax.while_loop(is_running, improve, start)[1]


def fit_pairs(
    covariates: Float[Array, "n_obs n_periods n_covariates"],
    winner: Callable[[int, int], Int[Array, " n_obs"]],
) -> Float[Array, " n_covariates"]:
    r"""Estimate a logit in the differences of covariates over pairs of periods.

    Maximises the mean, over all pairs of periods with a winner, of

    .. math:: \log \Lambda\{(x_w - x_l)' \beta\}

    where w is the period that won and l the other: what is constant over the periods
    of an observation drops out (Chamberlain 1980, Review of Economic Studies 47).

    Args:
        covariates: The covariates.
        winner: Called with two periods s and t: 1 where s has won over t, -1 where t
            has, 0 where neither has.
    """
    _, n_periods, n_covariates = covariates.shape
    pairs = list(itertools.combinations(range(n_periods), 2))
    if not pairs:
        return jnp.zeros(n_covariates)
    won = jnp.stack([winner(s, t) for s, t in pairs], axis=1)
    first, second = map(jnp.array, zip(*pairs, strict=True))
    differences = won[:, :, None] * (covariates[:, first] - covariates[:, second])
    share = jnp.abs(won) / jnp.maximum(jnp.abs(won).sum(), 1)

    def objective(coef: Float[Array, " n_covariates"]) -> Float[Array, ""]:
        return (share * jax.nn.log_sigmoid(differences @ coef)).sum()

    return maximise_concave(objective, jnp.zeros(n_covariates))


def climb_by_scoring(
    log_density: Callable[[Float[Array, " p"]], Float[Array, " n_obs"]],
    theta0: Float[Array, " p"],
    max_steps: int,
) -> Float[Array, " p"]:
    """Raise a mean log-likelihood by a fixed number of steps of scoring.

    Berndt, Hall, Hall and Hausman (1974): with scores `s_i` of the observations the
    step is `(Σ s_i s_i')^{-1} Σ s_i`, uphill wherever it starts, and close to Newton's
    near the maximum. No parameter moves by more than one in a step, and the value
    never falls: measure parameters in units in which one is a large step.

    Args:
        log_density: Log-densities of the observations, in nats; not finite where
            theta must not go.
        theta0: Where to start, finite.
        max_steps: Limit on the number of steps.
    """

    def mean(theta: Float[Array, " p"]) -> Float[Array, ""]:
        value = log_density(theta).mean()
        return jnp.where(jnp.isfinite(value), value, -jnp.inf)

    def advance(state: _Scoring) -> _Scoring:
        theta, _, n_steps = state
        slopes: Float[Array, "n_obs p"] = jax.jacfwd(log_density)(theta)
        scores = jnp.where(jnp.isfinite(slopes), slopes, 0.0)
        # Scores without variation leave their parameter where it is.
        unit = jnp.sqrt((scores**2).mean(axis=0))
        unit = jnp.where(unit > 0, unit, 1.0)
        scores = scores / unit
        uphill = scores.mean(axis=0)
        information = scores.T @ scores / scores.shape[0]
        information = information + RIDGE * jnp.eye(theta.size)
        solved: Float[Array, " p"] = jnp.linalg.solve(information, uphill)
        promise = 0.5 * uphill @ solved
        step = jnp.where(jnp.isfinite(solved), solved / unit, 0.0)
        step = step / jnp.maximum(1.0, jnp.abs(step).max())
        tried = theta + _LENGTHS[:, None] * step
        best = jnp.argmax(jax.lax.map(mean, tried))
        # A step of length zero would be repeated for ever.
        going = (promise > _PROMISE) & (best > 0)
        return tried[best], going, n_steps + 1

    theta, _, _ = jax.lax.while_loop(
        lambda state: state[1] & (state[2] < max_steps),
        advance,
        (theta0, jnp.array(True), jnp.array(0)),
    )
    return theta
