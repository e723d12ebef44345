"""Likelihood ratio tests and intervals, the parameters not in question profiled out."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.scipy as jsp
import numpy as np
from jaxtyping import Array, Float, Int

from spmlex._evaluation import Evaluation
from spmlex._newton import climb, judge
from spmlex._outer import OuterProblem
from spmlex._parameters import parameter_names
from spmlex._resample import resampled_problem
from spmlex._solution import RESULTS
from spmlex._types import Scalar

if TYPE_CHECKING:
    from spmlex._result import Fit

_TOL = 1e-6
_MAX_STEPS = 50
_ROOT_STEPS = 12
_ROOT_TOL = 1e-4
"""On the root of the statistic, a standard normal deviate."""


class LikelihoodRatio(eqx.Module):
    """A test of values of one or more parameters.

    Attributes:
        statistic: Twice the difference in log-likelihood.
        p_value: From the chi-square distribution.
        theta: The estimate under the hypothesis.
        converged: Whether that estimate is a maximum; else the statistic is too large.
        degrees_of_freedom: Of the chi-square distribution: how many parameters have
            values under the hypothesis.
    """

    statistic: Scalar
    p_value: Scalar
    theta: Float[Array, " p"]
    converged: Array
    degrees_of_freedom: int = eqx.field(static=True, default=1)


def likelihood_ratio_test(
    estimate: "Fit",
    parameter: str | Mapping[str, float | int],
    value: float | int | None = None,
) -> LikelihoodRatio:
    """Test that parameters have given values.

    By the chi-square distribution of the likelihood ratio (Wilks 1938), that of the
    profile likelihood too (Murphy and van der Vaart 2000).

    Args:
        estimate: A fit on a grid.
        parameter: The name of a parameter, as in `parameter_names`; or values by name,
            such as `{"coef[0]": 1.0, "coef[1]": 0.0}`, which are tested jointly.
        value: The value under the hypothesis; only with a name.

    Raises:
        ValueError: There is no such parameter, or a value is missing.
    """
    names = parameter_names(estimate.model, estimate.free)
    hypothesis = _read_hypothesis(parameter, value, names)
    problem = resampled_problem(estimate)
    held = jnp.array([names.index(name) for name in hypothesis])
    values = jnp.array(list(hypothesis.values()), float)
    statistic, theta, done = _ratio(problem, estimate, held, values)
    freedom = len(hypothesis)
    p_value = jsp.stats.chi2.sf(jnp.maximum(statistic, 0.0), freedom)
    return LikelihoodRatio(statistic, p_value, theta, done, freedom)


def _read_hypothesis(
    parameter: str | Mapping[str, float | int],
    value: float | int | None,
    names: list[str],
) -> Mapping[str, float | int]:
    if not isinstance(parameter, Mapping):
        if value is None:
            raise ValueError(
                f"value is missing: give the one that {parameter!r} has under the "
                "hypothesis."
            )
        parameter = {parameter: value}
    elif value is not None:
        raise ValueError(f"value={value}: the values are in parameter={parameter!r}.")
    if not parameter:
        raise ValueError("parameter={}: name at least one, with its value.")
    for name, number in parameter.items():
        if name not in names:
            listed = ", ".join(names) or "no parameter"
            raise ValueError(f"parameter={name!r}: this model has {listed}.")
        if np.ndim(number) or not isinstance(number, float | int | np.number | Array):
            raise ValueError(f"value={number!r} for {name}: give one number.")
    return parameter


def likelihood_ratio_interval(
    estimate: "Fit", level: float | int
) -> tuple[Float[Array, " p"], Float[Array, " p"]]:
    """Return for each parameter the values that the test does not reject.

    The signed root of the statistic is nearly linear in the value, so the secant
    method needs two or three constrained fits for each limit. A limit is `nan` where
    it finds none.

    Args:
        estimate: A fit on a grid.
        level: Confidence level.
    """
    return _interval(resampled_problem(estimate), estimate, jnp.asarray(level, float))


@eqx.filter_jit
def _interval(problem: OuterProblem, estimate: "Fit", level: Scalar):
    critical = jsp.special.ndtri(0.5 + 0.5 * level)
    errors = jnp.sqrt(jnp.diagonal(estimate.covariance("observed")))

    def limit(index, side):
        centre, error = estimate.theta[index], errors[index]

        def root(value):
            statistic, _, done = _ratio(problem, estimate, index[None], value[None])
            return jnp.where(done, jnp.sqrt(jnp.maximum(statistic, 0.0)), jnp.nan)

        def advance(state):
            before, at_before, now, at_now, count = state
            slope = (at_now - at_before) / (now - before)
            # The statistic rises away from the estimate: no step back past it.
            further = now + (critical - at_now) / slope
            length = jnp.clip(side * (further - centre), 0.1 * error, 20.0 * error)
            following = centre + side * length
            return now, at_now, following, root(following), count + 1

        first = centre + side * critical * error
        start = (centre, jnp.array(0.0), first, root(first), jnp.array(0))
        _, _, end, at_end, _ = jax.lax.while_loop(
            lambda s: (jnp.abs(s[3] - critical) > _ROOT_TOL) & (s[4] < _ROOT_STEPS),
            advance,
            start,
        )
        return jnp.where(jnp.abs(at_end - critical) <= 10 * _ROOT_TOL, end, jnp.nan)

    size = estimate.theta.size
    index = jnp.tile(jnp.arange(size), 2)
    side = jnp.repeat(jnp.array([-1.0, 1.0]), size)
    limits: Float[Array, " k"] = jax.lax.map(lambda item: limit(*item), (index, side))
    return limits[:size], limits[size:]


@eqx.filter_jit
def _ratio(
    problem: OuterProblem,
    estimate: "Fit",
    held: Int[Array, " k"],
    values: Float[Array, " k"],
):
    """Return the statistic, theta under the hypothesis, and whether it converged."""
    size, n_obs = estimate.theta.size, estimate.weights.shape[0]
    is_free = jnp.ones(size, bool).at[held].set(False)
    (others,) = jnp.nonzero(is_free, size=size - held.size)
    base = jnp.zeros(size).at[held].set(values)

    def theta_of(rest):
        return base.at[others].set(rest)

    def at(rest, probs) -> Evaluation:
        there = problem.evaluate(theta_of(rest), probs, estimate.weights)
        return there._replace(
            gradient=there.gradient[others],
            hessian=there.hessian[jnp.ix_(others, others)],
            scores=there.scores[:, others],
            probs_dot=there.probs_dot[..., others],
        )

    rest = estimate.theta[others]
    if others.size:
        # Where the others go with these, to first order.
        slope = jnp.linalg.solve(
            estimate.hessian[jnp.ix_(others, others)],
            estimate.hessian[jnp.ix_(others, held)],
        )
        rest = rest - slope @ (values - estimate.theta[held])
    state = climb(at, n_obs, rest, estimate.probs.T, _TOL, _MAX_STEPS)
    gained = estimate.log_likelihood + estimate.n_obs * state.here.value
    done = (
        judge(state, estimate.weights, jnp.array(jnp.inf), _TOL) == RESULTS.successful
    )
    return 2.0 * gained, theta_of(state.theta), done
