"""Is F one point, or normal? The likelihood ratio, its distribution by simulation.

Under such a hypothesis F is on the edge of all distributions, so that the chi-square
distribution says nothing; data sets drawn from the model that was fitted under it do
(McLachlan 1987).
"""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from spmlex._arguments import check_choice
from spmlex._codes import RESULTS
from spmlex._continuum import range_of, rows_of
from spmlex._evidence import Estimated, Evidence, evidence_of
from spmlex._fit import fit
from spmlex._generate import check_can_simulate
from spmlex._inputs import read_count
from spmlex._printing import Printed, write
from spmlex._result import Fit
from spmlex._table import Table
from spmlex._types import Data, Model, Scalar, Support

HYPOTHESES = ("one_point", "normal")

_REACH, _NODES = 6.0, 81
"""Standard deviations on either side of a normal's mean, and points of the sum."""


class MixingTest(Printed):
    """A test of the shape of F.

    Attributes:
        statistic: Twice the difference in log-likelihood, F open on the grid or as the
            hypothesis says.
        p_value: Share of the draws, and of the data with them, whose statistic is as
            large.
        p_value_mcse: Its Monte Carlo standard error.
        model: The model under the hypothesis.
        draws: Statistics of data drawn under the hypothesis; `nan` where a fit failed,
            and the draw does not count.
        num_failed: How many these are.
    """

    statistic: Scalar
    p_value: Scalar
    p_value_mcse: Scalar
    model: Model
    draws: Float[Array, " n_draws"]

    @property
    def num_failed(self) -> Array:
        """Number of draws in which a fit failed."""
        return jnp.sum(jnp.isnan(self.draws))

    def _tabulate(self) -> Table:
        numbers = (write(x) for x in (self.statistic, self.p_value, self.p_value_mcse))
        used = self.draws.size - int(self.num_failed)
        notes = (f"{used} of {self.draws.size} draws under the hypothesis are used",)
        head = ("", "statistic", "P", "Monte Carlo error")
        title = "Test of the shape of F, by the parametric bootstrap"
        return Table(title, head, (("likelihood ratio", *numbers),), notes)


def mixing_test(
    estimate: Estimated, hypothesis: str, *, n_draws: int = 199, seed: int = 0
) -> MixingTest:
    """Test a hypothesis about F by the parametric bootstrap.

    Theta and what the hypothesis leaves open of F are estimated under it; from there
    data sets are drawn, and with each the model is fitted under it and with F open on
    the grid of the fit.

    Args:
        estimate: A fit without groups, weights or counts, whose model has `simulate`.
        hypothesis: "one_point": there is no heterogeneity. "normal": F is a normal
            distribution; only for an unobservable of one dimension.
        n_draws: Number of data sets drawn.
        seed: Of the draws: the same one gives the same.

    Raises:
        ValueError: There is no such hypothesis, or the fit or its model do not allow
            the test.
        RuntimeError: The fit under the hypothesis fails.

    Examples:
        >>> test = mixing_test(estimate, "one_point", n_draws=9)
        >>> float(test.p_value)
        0.1
    """
    evidence = evidence_of("estimate", estimate)
    check_choice("hypothesis", hypothesis, HYPOTHESES, "a hypothesis about F")
    if read_count("n_draws", n_draws, 199) < 1:
        raise ValueError(f"n_draws={n_draws}: give 1 or more, such as 199.")
    key = jr.key(read_count("seed", seed, 0))
    check_can_simulate(evidence.model, evidence.given.data)
    _check_sample(evidence)
    null0 = _start(evidence, hypothesis)
    statistic, null, code = _compare(null0, evidence, evidence.given.data)
    if not bool(code == RESULTS.successful):
        raise RuntimeError(f"estimate: under the hypothesis, {RESULTS[code]}")
    draws = _draw(null, evidence, jr.split(key, n_draws))
    counted = jnp.sum(~jnp.isnan(draws))
    as_large = jnp.sum(draws >= statistic)
    p_value = (1.0 + as_large) / (1.0 + counted)
    mcse = jnp.sqrt(p_value * (1.0 - p_value) / jnp.maximum(counted, 1))
    return MixingTest(statistic, p_value, mcse, null.model, draws)


class OnePoint(eqx.Module):
    """A model whose F is one point, a parameter."""

    model: Model
    at: Float[Array, " d"]
    unravel: Callable[[Array], Support] = eqx.field(static=True)

    def nodes(self) -> tuple[Float[Array, "k d"], Float[Array, " k"]]:
        """Return the points of F and their log masses."""
        return self.at[None], jnp.zeros(1)

    def draw(self, key: PRNGKeyArray, n_obs: int) -> Support:
        """Return the unobservables of as many observations."""
        return jax.vmap(self.unravel)(jnp.broadcast_to(self.at, (n_obs, self.at.size)))

    def lclk(self, data: Data, supp: Support) -> Float[Array, "n_obs 1"]:
        """Return the log-likelihood of each observation."""
        return _integrate(self, data)


class Normal(eqx.Module):
    """A model whose F is normal, its mean and log standard deviation parameters."""

    model: Model
    mean: Float[Array, " 1"]
    log_std: Float[Array, ""]
    unravel: Callable[[Array], Support] = eqx.field(static=True)

    def nodes(self) -> tuple[Float[Array, "k d"], Float[Array, " k"]]:
        """Return the points of a trapezoidal sum and their log masses."""
        deviate = jnp.linspace(-_REACH, _REACH, _NODES)
        log_mass = jax.nn.log_softmax(-0.5 * deviate**2)
        return self.mean + jnp.exp(self.log_std) * deviate[:, None], log_mass

    def draw(self, key: PRNGKeyArray, n_obs: int) -> Support:
        """Return the unobservables of as many observations."""
        deviate = jr.normal(key, (n_obs, 1))
        return jax.vmap(self.unravel)(self.mean + jnp.exp(self.log_std) * deviate)

    def lclk(self, data: Data, supp: Support) -> Float[Array, "n_obs 1"]:
        """Return the log-likelihood of each observation."""
        return _integrate(self, data)


_Null = OnePoint | Normal


def _integrate(null: _Null, data: Data) -> Float[Array, "n_obs 1"]:
    rows, log_mass = null.nodes()
    lclk = null.model.lclk(data, jax.vmap(null.unravel)(rows))
    return jax.nn.logsumexp(lclk + log_mass, axis=1, keepdims=True)


def _start(evidence: Evidence, hypothesis: str) -> _Null:
    """Return the model under the hypothesis with the moments of the fitted F."""
    box, _ = range_of(evidence.given.supp)
    rows = rows_of(evidence.supp)
    mean = evidence.probs @ rows
    if hypothesis == "one_point":
        return OnePoint(evidence.model, mean, box.unravel)
    if mean.size != 1:
        raise ValueError(
            f"hypothesis='normal': the unobservable has {mean.size} dimensions, and "
            "this is a test for one."
        )
    variance = evidence.probs @ (rows - mean) ** 2
    least = (0.01 * (box.high - box.low)) ** 2
    log_std = 0.5 * jnp.log(jnp.maximum(variance, least))[0]
    return Normal(evidence.model, mean, log_std, box.unravel)


def _check_sample(evidence: Evidence) -> None:
    weights = np.asarray(evidence.weights)
    unequal = evidence.counts is not None or np.ptp(weights) > 1e-12 * weights.max()
    if evidence.given.groups is not None or unequal:
        raise ValueError(
            "estimate: this test takes a fit without groups, weights or counts: data "
            "sets like those can't be drawn from the model alone."
        )


@eqx.filter_jit
def _compare(null0: _Null, evidence: Evidence, data: Data) -> tuple[Scalar, _Null, Any]:
    """Return the statistic, the fit under the hypothesis and its result code.

    The code is the other fit's where that failed.
    """
    held = [k for k, is_free in enumerate(evidence.free) if not is_free]

    def pick(model: Any) -> list[Any]:
        leaves = jax.tree.leaves(getattr(model, "model", model))
        return [leaves[k] for k in held]

    def maximise(start: Any, supp: Support) -> Fit:
        fixed = pick if held else None
        given = start, data, supp
        return fit(*given, support="grid", fixed=fixed, starts=(), throw=False)

    under = maximise(null0, jnp.zeros(1))
    free = maximise(under.model.model, evidence.given.supp)
    statistic = 2.0 * (free.log_likelihood - under.log_likelihood)
    code = RESULTS.where(under.result == RESULTS.successful, free.result, under.result)
    return statistic, under.model, code


@eqx.filter_jit
def _draw(null: _Null, evidence: Evidence, keys: Array) -> Float[Array, " n_draws"]:
    given, n_obs = evidence.given.data, evidence.given.n_obs

    def one(key: PRNGKeyArray) -> Scalar:
        for_latent, for_outcomes = jr.split(key)
        latent = {"latent": null.draw(for_latent, n_obs)}
        rows = given | null.model.simulate(given | latent, rng=for_outcomes)
        data = {name: rows[name] for name in given}
        statistic, _, code = _compare(null, evidence, data)
        return jnp.where(code == RESULTS.successful, statistic, jnp.nan)

    drawn: Float[Array, " n_draws"] = jax.lax.map(one, keys)
    return drawn
