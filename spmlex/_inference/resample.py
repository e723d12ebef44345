"""Refits on reweighted samples: the delete-a-group jackknife and the bootstrap.

Each refit starts at the estimate with its mixing probabilities and takes two or three
evaluations. Both resample observations, or whole clusters.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float, Int, PRNGKeyArray

from spmlex._climb.newton import climb
from spmlex._climb.normal_points import covariance_root
from spmlex._climb.verdict import judge
from spmlex._evidence.evidence import Estimated, Evidence, evidence_of
from spmlex._inference.reweight import RandomWeights, Units, WithoutGroup, number_units
from spmlex._profile.evaluation import Evaluation
from spmlex._profile.outer import OuterProblem
from spmlex._programs.compile import is_traced
from spmlex._programs.interrupt import run_interruptibly
from spmlex._words.arguments import check_choice
from spmlex._words.codes import result_code
from spmlex._words.inputs import read_count
from spmlex._words.printing import Printed, write
from spmlex._words.progress import announce, report_part
from spmlex._words.table import Table

BOOTSTRAP_WEIGHTS = ("multinomial", "exponential")

_TOL = 1e-5
"""As in `fit`, on the gradient: well below the differences between resamples."""

_MAX_STEPS = 50

_N_GROUPS = 10
"""Of the jackknife, where there are as many observations or clusters."""

_MAX_START = 3.0
"""Longest first step, in observed standard errors."""


class Resamples(Printed):
    """Estimates on reweighted samples.

    Attributes:
        theta: The estimate on each; where its code is not 0 it is left out below.
        code: Result code of each, as in `RESULT_CODES`.
        degrees_of_freedom: Of the t distribution for intervals; infinite for the
            bootstrap.
        factor: What the mean outer product of the deviations is multiplied by.
        names: Names of the entries of theta.
    """

    theta: Float[Array, "n_refits p"]
    code: Int[Array, " n_refits"]
    degrees_of_freedom: float = eqx.field(static=True)
    factor: float = eqx.field(static=True)
    names: tuple[str, ...] = eqx.field(static=True, default=())

    @property
    def num_failed(self) -> Int[Array, ""]:
        """How many refits did not succeed."""
        return jnp.sum(self.code != 0)

    @property
    def covariance(self) -> Float[Array, "p p"]:
        """Covariance of the estimator, in squared units of theta; failures left out."""
        kept = (self.code == 0)[:, None]
        count = jnp.sum(kept)
        mean = jnp.sum(jnp.where(kept, self.theta, 0.0), axis=0) / count
        apart = jnp.where(kept, self.theta - mean, 0.0)
        return self.factor * (apart.T @ apart) / count

    @property
    def standard_errors(self) -> Float[Array, " p"]:
        """Standard errors of theta."""
        return jnp.sqrt(jnp.diagonal(self.covariance))

    def _tabulate(self) -> Table:
        kept = np.asarray(self.theta)[np.asarray(self.code) == 0]
        columns = (kept.mean(axis=0), self.standard_errors, kept.min(axis=0))
        columns = (*columns, kept.max(axis=0))
        rows = tuple(
            (name, *(write(column[k]) for column in columns))
            for k, name in enumerate(self.names)
        )
        count, failed = self.code.size, int(self.num_failed)
        title = f"{count} refits, of which {failed} failed"
        head = ("", "mean", "std. error", "least", "largest")
        freedom = self.degrees_of_freedom
        notes = () if np.isinf(freedom) else (f"{freedom:g} degrees of freedom",)
        return Table(title, head, rows, notes)


def jackknife(
    estimate: Estimated,
    *,
    n_groups: int | None = None,
    clusters: Int[Array | np.ndarray, " n_obs"] | None = None,
    seed: int = 0,
    verbose: bool | None = None,
) -> Resamples:
    """Refit without each of `n_groups` random groups of observations in turn.

    With G groups the covariance is `(G - 1)/G sum (theta_g - mean)(theta_g - mean)'`
    and an interval takes the t quantile with G - 1 degrees of freedom (Kott 2001, "The
    delete-a-group jackknife", equation 1). More groups cost more refits and approach
    the ordinary jackknife, which is not consistent where the estimate is not smooth in
    the weight of an observation.

    Args:
        estimate: A fit on a grid.
        n_groups: Number of groups, from 2 to the number of observations (or clusters);
            by default ten, or that number where it is less.
        clusters: Cluster of each observation: whole clusters are left out.
        seed: Of the random groups.
        verbose: Print a line a refit; by default where the fit was made so.

    Raises:
        ValueError: The number of groups or the clusters do not fit.

    Examples:
        >>> refits = jackknife(estimate, n_groups=5)
        >>> refits.theta.shape, refits.standard_errors.shape
        ((5, 1), (1,))
    """
    evidence = evidence_of("estimate", estimate).watched(verbose)
    problem = evidence.on_grid()
    units, n_units = number_units(clusters, evidence)
    if n_groups is None:
        n_groups = min(_N_GROUPS, n_units)
    n_groups = read_count("n_groups", n_groups, _N_GROUPS)
    if not 2 <= n_groups <= n_units:
        raise ValueError(
            f"n_groups={n_groups}: give a number from 2 to the number of "
            f"{'observations' if clusters is None else 'clusters'}, {n_units}."
        )
    reweight = WithoutGroup(jr.permutation(_read_key(seed), n_units) % n_groups)
    theta, code = _run_refits(problem, evidence, units, reweight, n_groups)
    others = n_groups - 1.0
    return Resamples(theta, code, others, others, tuple(evidence.names))


def bootstrap(
    estimate: Estimated,
    *,
    n_draws: int = 200,
    weights: str = "multinomial",
    clusters: Int[Array | np.ndarray, " n_obs"] | None = None,
    seed: int = 0,
    verbose: bool | None = None,
) -> Resamples:
    """Refit on samples drawn with replacement, or with random weights.

    Use the standard errors, not the percentiles: those shift the wrong way for this
    estimator, see `spmlex/README.md`.

    Args:
        estimate: A fit on a grid.
        n_draws: Number of refits, 2 or more.
        weights: "multinomial" (Efron 1979) or "exponential" (Rubin 1981), the Bayesian
            bootstrap, in which no observation is ever lost.
        clusters: Cluster of each observation: whole clusters are drawn.
        seed: Of the draws.
        verbose: Print a line a refit; by default where the fit was made so.

    Raises:
        ValueError: The number of draws, the weights or the clusters do not fit.

    Examples:
        >>> refits = bootstrap(estimate, n_draws=4)
        >>> refits.theta.shape, refits.covariance.shape
        ((4, 1), (1, 1))
    """
    evidence = evidence_of("estimate", estimate).watched(verbose)
    problem = evidence.on_grid()
    units, n_units = number_units(clusters, evidence)
    n_draws = read_count("n_draws", n_draws, 200)
    if n_draws < 2:
        raise ValueError(f"n_draws={n_draws}: give 2 or more, such as 200.")
    check_choice("weights", weights, BOOTSTRAP_WEIGHTS, "a kind of random weights")
    reweight = RandomWeights(_read_key(seed), n_units, weights)
    theta, code = _run_refits(problem, evidence, units, reweight, n_draws)
    factor = n_draws / (n_draws - 1.0)
    return Resamples(theta, code, float("inf"), factor, tuple(evidence.names))


def _read_key(seed: int) -> PRNGKeyArray:
    return jr.key(seed if isinstance(seed, Tracer) else read_count("seed", seed, 0))


@eqx.filter_jit
def _refit(
    problem: OuterProblem,
    evidence: Evidence,
    units: Units,
    reweight: WithoutGroup | RandomWeights,
    count: int,
) -> tuple[Float[Array, "n_refits p"], Int[Array, " n_refits"]]:
    """Maximise with the weights of each resample."""
    theta0, probs0 = evidence.theta, evidence.probs.T
    hessian, scores = evidence.hessian, evidence.scores
    n_obs = evidence.n_obs
    root = covariance_root(hessian, n_obs)

    def refit(number: Array) -> tuple[Array, Array]:
        weights = evidence.weights * units.spread(reweight(number))
        weights = weights / jnp.sum(weights)
        # Newton's first step, from the scores at hand. The unweighted one is zero.
        uphill = root.T @ ((weights - evidence.weights) @ scores)
        length = jnp.linalg.norm(uphill) * n_obs
        step = uphill * jnp.minimum(1.0, _MAX_START / length)
        start = theta0 + n_obs * root @ step

        def at(theta: Array, probs: Array) -> Evaluation:
            return problem.evaluate(theta, probs, weights)

        state = climb(at, weights.size, start, probs0, _TOL, _MAX_STEPS)
        resolution = problem.resolution(state.theta, weights)
        result = judge(state, weights, resolution, _TOL)
        if problem.verbose:
            report_part(["refit"] * count, number)
        return state.theta, result_code(result)

    # Not `vmap`: every refit would take as many steps as the slowest.
    return jax.lax.map(refit, jnp.arange(count))


def _run_refits(
    problem: OuterProblem, *rest: Any
) -> tuple[Float[Array, "n_refits p"], Int[Array, " n_refits"]]:
    """Run `_refit`, beside the main thread where the call stands alone."""
    if is_traced((problem, rest)):
        return _refit(problem, *rest)
    if problem.verbose:
        announce("_refit", is_new=True)
    return run_interruptibly(_refit, problem, *rest)
