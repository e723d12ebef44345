"""Likelihood ratio tests and intervals, the parameters not in question profiled out."""

from collections.abc import Mapping

import equinox as eqx
import jax.numpy as jnp
import jax.scipy as jsp
import numpy as np
from jaxtyping import Array, Float, Int

from spmlex._climb.newton import climb
from spmlex._climb.verdict import judge
from spmlex._evidence.evidence import Estimated, Evidence, evidence_of
from spmlex._inference.free_ratio import free_ratio
from spmlex._profile.evaluation import Evaluation
from spmlex._programs.compile import compile_for_one_call
from spmlex._words.codes import RESULTS
from spmlex._words.printing import Printed, write, write_p_value
from spmlex._words.table import Table
from spmlex._words.types import Scalar

_TOL = 1e-6
_MAX_STEPS = 50


class LikelihoodRatio(Printed):
    """A test of values of one or more parameters.

    Attributes:
        statistic: Twice the difference in log-likelihood.
        p_value: From the chi-square distribution.
        theta: The estimate under the hypothesis.
        converged: Whether that estimate is a maximum; else the statistic is too large.
        degrees_of_freedom: Of the chi-square distribution: how many parameters have
            values under the hypothesis.
        names: Names of the entries of `theta`.
        tested: Those with a value under the hypothesis.
    """

    statistic: Scalar
    p_value: Scalar
    theta: Float[Array, " p"]
    converged: Array
    degrees_of_freedom: int = eqx.field(static=True, default=1)
    names: tuple[str, ...] = eqx.field(static=True, default=())
    tested: tuple[str, ...] = eqx.field(static=True, default=())

    def _tabulate(self) -> Table:
        theta = dict(zip(self.names, self.theta.tolist(), strict=True))
        what = " and ".join(f"{name} = {theta[name]:g}" for name in self.tested)
        numbers = (
            write(self.statistic),
            f"{self.degrees_of_freedom}",
            write_p_value(self.p_value),
        )
        head = ("", "statistic", "degrees of freedom", "P")
        title = f"Likelihood ratio test of {what}"
        notes = ("the rest of theta is at its maximum under the hypothesis",)
        if not bool(self.converged):
            notes = (
                "Warning: no maximum was found there: the statistic is too large.",
            )
        return Table(title, head, (("chi-square", *numbers),), notes)


def likelihood_ratio_test(
    estimate: Estimated,
    parameter: str | Mapping[str, float | int],
    value: float | int | None = None,
    *,
    verbose: bool | None = None,
) -> LikelihoodRatio:
    """Test that parameters have given values.

    By the chi-square distribution of the likelihood ratio (Wilks 1938), that of the
    profile likelihood too (Murphy and van der Vaart 2000). With `support="free"` the
    atoms are as free under the hypothesis; where `fit` moved them from the grid they
    move with theta to first order, and mass can go to every point of the grid.

    Args:
        estimate: A fit.
        parameter: The name of a parameter, as in `parameter_names`; or values by name,
            such as `{"coef[0]": 1.0, "coef[1]": 0.0}`, which are tested jointly.
        value: The value under the hypothesis; only with a name.
        verbose: Print a line a step; by default where the fit was made so.

    Raises:
        ValueError: There is no such parameter, or a value is missing.

    Examples:
        >>> test = likelihood_ratio_test(estimate, "coef", 0.0)
        >>> bool(test.p_value < 0.05), test.degrees_of_freedom
        (True, 1)
    """
    evidence = evidence_of("estimate", estimate).watched(verbose)
    names = evidence.names
    hypothesis = read_hypothesis(parameter, value, names)
    held = jnp.array([names.index(name) for name in hypothesis])
    values = jnp.array(list(hypothesis.values()), float)
    watch = "under the hypothesis" if evidence.verbose else ""
    statistic, theta, done = likelihood_ratio(evidence, held, values, watch)
    freedom = len(hypothesis)
    p_value = jsp.stats.chi2.sf(jnp.maximum(statistic, 0.0), freedom)
    words = tuple(names), tuple(hypothesis)
    return LikelihoodRatio(statistic, p_value, theta, done, freedom, *words)


def read_hypothesis(
    parameter: str | Mapping[str, float | int],
    value: float | int | None,
    names: list[str],
) -> Mapping[str, float | int]:
    """Return the value of each parameter under the hypothesis.

    Args:
        parameter: Name of a parameter, or values by name.
        value: With a name alone.
        names: Of all parameters.

    Raises:
        ValueError: There is no such parameter, or a value is missing.
    """
    if not isinstance(parameter, str | Mapping):
        raise ValueError(
            f"parameter={parameter!r}: give the name of a parameter, or values by name."
        )
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
        is_number = isinstance(number, float | int | np.number | Array)
        if not is_number or np.ndim(number) or not np.isreal(number):
            raise ValueError(f"value={number!r} for {name}: give one number.")
    return parameter


def likelihood_ratio(
    evidence: Evidence,
    held: Int[Array, " k"],
    values: Float[Array, " k"],
    watch: str = "",
) -> tuple[Scalar, Float[Array, " p"], Array]:
    """Return the statistic, theta under the hypothesis, and whether it converged.

    Args:
        evidence: That of an estimate.
        held: Which parameters have values under the hypothesis.
        values: These.
        watch: What the search on a grid is called, to print a line a step.
    """
    if evidence.problem is None:
        return free_ratio(evidence, *_start(evidence, held, values))
    return _ratio_on_grid(evidence, held, values, watch)


def _start(
    evidence: Evidence, held: Int[Array, " k"], values: Float[Array, " k"]
) -> tuple[Float[Array, " r"], Float[Array, " p"], Int[Array, " r"]]:
    """Return a start for the other parameters, theta without them, and which they are.

    They begin where they go with those that are held, to first order.
    """
    size = evidence.theta.size
    is_free = jnp.ones(size, bool).at[held].set(False)
    (others,) = jnp.nonzero(is_free, size=size - held.size)
    base = jnp.zeros(size).at[held].set(values)
    rest = evidence.theta[others]
    if others.size:
        slope = jnp.linalg.solve(
            evidence.hessian[jnp.ix_(others, others)],
            evidence.hessian[jnp.ix_(others, held)],
        )
        rest = rest - slope @ (values - evidence.theta[held])
    return rest, base, others


@compile_for_one_call
def _ratio_on_grid(
    evidence: Evidence, held: Int[Array, " k"], values: Float[Array, " k"], watch: str
) -> tuple[Scalar, Float[Array, " p"], Array]:
    problem, n_obs = evidence.on_grid(), evidence.weights.shape[0]
    rest, base, others = _start(evidence, held, values)

    def theta_of(rest: Array) -> Array:
        return base.at[others].set(rest)

    def at(rest: Array, probs: Array) -> Evaluation:
        there = problem.evaluate(theta_of(rest), probs, evidence.weights)
        return there._replace(
            gradient=there.gradient[others],
            hessian=there.hessian[jnp.ix_(others, others)],
            scores=there.scores[:, others],
            probs_dot=there.probs_dot[..., others],
        )

    given = at, n_obs, rest, evidence.probs.T, _TOL, _MAX_STEPS
    state = climb(*given, watch=watch)
    gained = evidence.log_likelihood + evidence.n_obs * state.here.value
    done = (
        judge(state, evidence.weights, jnp.array(jnp.inf), _TOL) == RESULTS.successful
    )
    return 2.0 * gained, theta_of(state.theta), done
