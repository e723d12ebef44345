"""Is F one point, or normal? The likelihood ratio, its distribution by simulation.

Under such a hypothesis F is on the edge of all distributions, so that the chi-square
distribution says nothing; data sets drawn from the model that was fitted under it do
(McLachlan 1987).
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from spmlex._answers.generate import check_can_simulate
from spmlex._evidence.evidence import Estimated, Evidence, evidence_of
from spmlex._fit.fit import fit
from spmlex._fit.shaped import SHAPES, Shaped
from spmlex._programs.interrupt import run_interruptibly
from spmlex._result.result import Fit
from spmlex._words.arguments import check_choice
from spmlex._words.codes import RESULTS
from spmlex._words.inputs import read_count
from spmlex._words.printing import Printed, write
from spmlex._words.progress import announce, report_part
from spmlex._words.table import Table
from spmlex._words.types import Data, Model, Scalar, Support, Weights


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
    estimate: Estimated,
    hypothesis: str,
    *,
    n_draws: int = 199,
    seed: int = 0,
    verbose: bool | None = None,
) -> MixingTest:
    """Test a hypothesis about F by the parametric bootstrap.

    Theta and what the hypothesis leaves open of F are estimated under it; from there
    data sets are drawn, and with each the model is fitted under it and with F open on
    the grid of the fit. Groups have an F each under both. Every observation that a row
    with `counts` stands for is drawn by itself. Sampling weights stay with their rows,
    which is right where they depend on covariates alone: the weights of a sample chosen
    by outcome can't be drawn.

    Args:
        estimate: A fit whose model has `simulate`.
        hypothesis: "one_point": there is no heterogeneity. "normal": F is a normal
            distribution; for an unobservable of up to three dimensions.
        n_draws: Number of data sets drawn.
        seed: Of the draws: the same one gives the same.
        verbose: Print a line a draw; by default where the fit was made so.

    Raises:
        ValueError: There is no such hypothesis, or the fit or its model do not allow
            the test.
        RuntimeError: The fit under the hypothesis fails.

    Examples:
        >>> test = mixing_test(estimate, "one_point", n_draws=9)
        >>> float(test.p_value)
        0.1
    """
    evidence = evidence_of("estimate", estimate).watched(verbose)
    check_choice("hypothesis", hypothesis, SHAPES, "a hypothesis about F")
    if read_count("n_draws", n_draws, 199) < 1:
        raise ValueError(f"n_draws={n_draws}: give 1 or more, such as 199.")
    key = jr.key(read_count("seed", seed, 0))
    check_can_simulate(evidence.model, evidence.given.data)
    sample = _sample_of(evidence)
    null0 = SHAPES[hypothesis](evidence)
    if evidence.verbose:
        announce("_compare", is_new=True)
    given = null0, evidence, sample
    statistic, null, code = run_interruptibly(_compare, *given)
    if not bool(code == RESULTS.successful):
        raise RuntimeError(f"estimate: under the hypothesis, {RESULTS[code]}")
    if evidence.verbose:
        announce("_draw", is_new=True)
    keys = jr.split(key, n_draws)
    draws = run_interruptibly(_draw, null, evidence, sample, keys)
    jax.effects_barrier()
    counted = jnp.sum(~jnp.isnan(draws))
    # The data count as one of the draws: the test holds its level with few of them
    # (Davison and Hinkley 1997, chapter 4).
    as_large = jnp.sum(draws >= statistic)
    p_value = (1.0 + as_large) / (1.0 + counted)
    mcse = jnp.sqrt(p_value * (1.0 - p_value) / jnp.maximum(counted, 1))
    return MixingTest(statistic, p_value, mcse, null.model, draws)


class _Sample(eqx.Module):
    """Observations, a row each: none without weight, none that stand for several.

    Attributes:
        data: Their data.
        groups: The group of each; zero where there are none.
        weights: Of each; `None`: the same.
    """

    data: Data
    groups: Int[Array, " n_obs"]
    weights: Weights | None


def _sample_of(evidence: Evidence) -> _Sample:
    """Return the observations of a fit, each by itself."""
    given, weights = evidence.given, np.asarray(evidence.weights)
    groups = np.zeros(weights.size, int)
    groups = groups if given.groups is None else np.asarray(given.groups)
    times = np.ones(weights.size, int)
    if evidence.counts is not None:
        times = np.asarray(evidence.counts).astype(int)
    times = np.where(weights > 0, times, 0)
    rows = np.repeat(np.arange(weights.size), times)
    # A row's weight is that of all the observations it stands for.
    each = weights[rows] / times[rows]
    data = jax.tree.map(lambda leaf: jnp.asarray(leaf)[rows], given.data)
    # Equal up to rounding: then without, in the program that plain fits have.
    is_equal = np.ptp(each) <= 1e-12 * each.max()
    own = None if is_equal else jnp.asarray(each)
    return _Sample(data, jnp.asarray(groups[rows]), own)


@eqx.filter_jit
def _compare(
    null0: Shaped, evidence: Evidence, sample: _Sample
) -> tuple[Scalar, Shaped, Any]:
    """Return the statistic, the fit under the hypothesis and its result code.

    The code is the other fit's where that failed.
    """
    held = [k for k, is_free in enumerate(evidence.free) if not is_free]
    how: dict[str, Any] = {"weights": sample.weights, "support": "grid", "starts": ()}

    def pick(model: Any) -> list[Any]:
        leaves = jax.tree.leaves(getattr(model, "model", model))
        return [leaves[k] for k in held]

    def maximise(start: Any, data: Data, supp: Support, **groups: Any) -> Fit:
        fixed = pick if held else None
        return fit(start, data, supp, fixed=fixed, throw=False, **how, **groups)

    under = maximise(null0, (sample.data, sample.groups), jnp.zeros(1))
    given = evidence.given
    groups: dict[str, Any] = {}
    if given.groups is not None:
        groups = {"groups": sample.groups, "n_groups": given.n_groups}
    free = maximise(under.model.model, sample.data, given.supp, **groups)
    statistic = 2.0 * (free.log_likelihood - under.log_likelihood)
    code = RESULTS.where(under.result == RESULTS.successful, free.result, under.result)
    return statistic, under.model, code


@eqx.filter_jit
def _draw(
    null: Shaped, evidence: Evidence, sample: _Sample, keys: Array
) -> Float[Array, " n_draws"]:
    given = sample.data

    def one(number: Array) -> Scalar:
        key: PRNGKeyArray = keys[number]
        for_latent, for_outcomes = jr.split(key)
        latent = {"latent": null.draw(for_latent, sample.groups)}
        rows = given | null.model.simulate(given | latent, rng=for_outcomes)
        data = {name: rows[name] for name in given}
        drawn = _Sample(data, sample.groups, sample.weights)
        statistic, _, code = _compare(null, evidence, drawn)
        if evidence.verbose:
            report_part(["draw: statistic {:.4g}"] * keys.size, number, statistic)
        return jnp.where(code == RESULTS.successful, statistic, jnp.nan)

    # Not `vmap`: every fit would take as many steps as the slowest.
    statistics: Float[Array, " n_draws"] = jax.lax.map(one, jnp.arange(keys.size))
    return statistics
