"""The fitted model and what can be asked of it."""

import equinox as eqx
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Bool, Float, Int

from spmlex._adequacy import Adequacy
from spmlex._codes import RESULTS
from spmlex._criteria import akaike, schwarz
from spmlex._degenerate import grid_ripple
from spmlex._efficient_estimate import Clusters, EfficientEstimate
from spmlex._efficient_search import solve_from
from spmlex._evidence import Evidence
from spmlex._intervals import (
    Intervals,
    choose_kind,
    default_kind,
    make_covariance,
    make_intervals,
)
from spmlex._mixing import MixingDistribution
from spmlex._optima import Optima
from spmlex._outer import OuterProblem
from spmlex._parameters import split_model
from spmlex._posterior import Groups, Posterior, posterior_of
from spmlex._printing import in_html, in_words
from spmlex._resample import Resamples
from spmlex._summary import Ending, format_summary, tabulate_maximum
from spmlex._table import Table
from spmlex._types import Data, Frame, Model, Scalar, Support, Weights


class Fit(eqx.Module):
    """An estimate of theta and F, with the evidence that it is one.

    Attributes:
        model: The model at the estimate.
        probs: Mixing probabilities on `supp`; a column for each group where there are.
        supp: The support grid, the points with positive mass moved where `moved` says
            so.
        theta: The free parameters as one vector, in the order of `parameter_names`.
        log_likelihood: Of the sample, nats: the weighted mean times the number of
            observations with weight.
        gradient: Of the profile value, nats per observation.
        hessian: Of the profile value, nats per observation.
        scores: Profile score of each observation, nats.
        weights: Share of each row in the sample, sum one.
        gap: Bound on what other mixing probabilities could still gain, nats per
            observation; where the support was moved, what distributions on the range
            could, by the maxima of the gradient function that were found.
        residual: Largest deviation of the gradient function from one on the support.
        num_steps: Evaluations of the profile likelihood.
        inner_steps: Steps of the inner solver, all evaluations together.
        fallbacks: Evaluations in which the inner solver needed its safety net.
        num_atoms: Support points with positive mass, all groups together.
        resolution: Median width of `v -> G(w_i, v)` in steps of the grid given;
            infinite with `support="free"`, or a single point.
        result: Result code.
        free: Which leaves of the model are theta.
        optima: Where each start led; `None` where there was one.
        problem: What was maximised, with the data; where the support was moved its
            points go on moving with theta, to first order as the maximum would have
            it. `None` with `support="free"`.
        given: The problem as it was given, on its own grid: what the efficient score
            is computed from.
        moved: Whether the support points with positive mass were moved off the grid, to
            where no distribution on its range gained more; `None` where that was not
            tried.
        certificate: With `support="free"`, what any distribution on the range could
            still gain, theta held; else `None`, and `adequacy` has to be asked for.
        counts: How many observations each row of data stands for; `None`: one.
    """

    model: Model
    probs: Float[Array, " n_supp *n_groups"]
    supp: Support
    theta: Float[Array, " p"]
    log_likelihood: Scalar
    gradient: Float[Array, " p"]
    hessian: Float[Array, "p p"]
    scores: Float[Array, "n_obs p"]
    weights: Weights
    gap: Scalar
    residual: Scalar
    num_steps: Int[Array, ""]
    inner_steps: Int[Array, ""]
    fallbacks: Int[Array, ""]
    num_atoms: Int[Array, ""]
    resolution: Scalar
    result: RESULTS  # pyright: ignore[reportInvalidTypeForm]
    free: tuple[bool, ...] = eqx.field(static=True)
    optima: Optima | None = None
    problem: OuterProblem | None = None
    given: OuterProblem | None = None
    moved: Bool[Array, ""] | None = None
    certificate: Adequacy | None = None
    counts: Float[Array, " n_obs"] | None = None

    @property
    def evidence(self) -> Evidence:
        """What inference needs of the maximum: what intervals and refits ask."""
        assert self.given is not None  # as in every fit that `fit` returns
        return Evidence(
            model=self.model,
            theta=self.theta,
            probs=self.probs,
            supp=self.supp,
            log_likelihood=self.log_likelihood,
            hessian=self.hessian,
            scores=self.scores,
            weights=self.weights,
            resolution=self.resolution,
            result=self.result,
            free=self.free,
            given=self.given,
            problem=self.problem,
            moved=self.moved,
            counts=self.counts,
        )

    @property
    def names(self) -> list[str]:
        """Names of the entries of `theta`: the user's, or those of the model."""
        return self.evidence.names

    @property
    def n_obs(self) -> Array:
        """Number of observations: those of weight zero are none."""
        return self.evidence.n_obs

    @property
    def support(self) -> str:
        """Whether F has its atoms on a "grid" or anywhere on its range, "free"."""
        if self.certificate is not None:
            return "free"
        return "free" if self.moved is not None and bool(self.moved) else "grid"

    @property
    def grid_ripple(self) -> Scalar:
        """How much the log-likelihood can ripple with the grid's spacing, in nats.

        By the rule of thumb of `spmlex/README.md`, "The grid"; zero where the support
        is free. Above about half a nat the spacing decides where the maximum is.
        """
        ripple = grid_ripple(self.resolution, self.n_obs)
        return ripple if self.moved is None else jnp.where(self.moved, 0.0, ripple)

    @property
    def gradient_norm(self) -> Scalar:
        """Largest entry of the profile gradient, nats per observation."""
        return jnp.max(jnp.abs(self.gradient), initial=0.0)

    @property
    def flagged(self) -> Bool[Array, ""]:
        """Whether this looks like a degenerate maximum; see `spmlex/README.md`.

        With noise scales free and a fine grid, F can reproduce single observations:
        the kernels become narrower than the grid, or much of the grid carries mass.
        Kernels narrower than the grid are no mark where the support was moved. F alone
        has no degenerate maximum: nothing runs off with it.
        """
        return self.evidence.flagged

    @property
    def mixing(self) -> MixingDistribution:
        """The distribution of the unobservable: mean, quantiles, their errors."""
        return MixingDistribution(self)

    def posterior(
        self, data: Data | None = None, *, groups: Groups = None
    ) -> Posterior:
        """Return what each observation says about its own unobservable. Equation (4).

        Args:
            data: Of other observations; by default those of the fit.
            groups: Group of each of them, where the fit has groups.

        Raises:
            ValueError: `groups` does not belong to the data.

        Examples:
            >>> known = estimate.posterior()
            >>> mean, error = known.mean(), known.std()
        """
        return posterior_of(self.evidence, data, groups)

    def efficient(self, *, verbose: bool | None = None) -> EfficientEstimate:
        """Return the efficient-score estimate of the same problem.

        The root that `efficient_estimate` finds, on the grid as it was given. The
        search starts at the model's own starting values; where it has none at this
        maximum, unless that failed or is degenerate.

        Args:
            verbose: Print a line a step; by default where the fit was made so.

        Raises:
            ValueError: The model can't generate data.
        """
        return solve_from(self.evidence.watched(verbose))

    @property
    def default_kind(self) -> str:
        """What `kind=None` means: "efficient", or "sandwich".

        The latter where the model has neither `simulate` nor `outcomes`, or no
        parameter.
        """
        return default_kind(self.evidence)

    def covariance(
        self, kind: str | None = None, *, clusters: Clusters = None
    ) -> Float[Array, "p p"]:
        """Return a covariance matrix of theta, in the order of `parameter_names`.

        Args:
            kind: "efficient": of the efficient-score estimate, `nan` where a parameter
                is not identified. "observed", "opg" or "sandwich": of the maximum
                likelihood estimate, `nan` where the Hessian is singular. By default the
                first, "sandwich" where the model can't generate data. Covariances of
                refits are in `jackknife` and `bootstrap`.
            clusters: Whole number for each observation; those with the same one may
                depend on each other.
        """
        return make_covariance(self.evidence, kind, clusters)

    def standard_errors(
        self, kind: str | None = None, *, clusters: Clusters = None
    ) -> Model:
        """Return standard errors, shaped like the model; fixed leaves are `None`.

        Args:
            kind: Kind of covariance, as in `covariance`.
            clusters: Whole number for each observation; those with the same one may
                depend on each other.
        """
        errors = jnp.sqrt(jnp.diagonal(self.covariance(kind, clusters=clusters)))
        _, unravel = ravel_pytree(split_model(self.model, self.free)[0])
        return unravel(errors)

    def confint(
        self, level: float | int = 0.95, kind: str | None = None
    ) -> tuple[Float[Array, " p"], Float[Array, " p"]]:
        """Return the limits of confidence intervals for theta.

        The default is the interval that `spmlex/README.md` recommends: the values that
        the efficient-score test does not reject, infinite where the data set no limit.
        `intervals` also says what it is built from.

        Args:
            level: Confidence level, between 0 and 1.
            kind: One of `INTERVAL_KINDS`; by default "efficient", "sandwich" where the
                model can't generate data.

        Raises:
            ValueError: The level or the kind do not exist, or the kind needs something
                that the fit or the model do not have.
        """
        made = self.intervals(level, kind)
        return made.lower, made.upper

    def intervals(
        self,
        level: float | int = 0.95,
        kind: str | None = None,
        *,
        clusters: Clusters = None,
        resamples: Resamples | None = None,
        verbose: bool | None = None,
    ) -> Intervals:
        """Return confidence intervals with centre and standard error; see `confint`.

        Args:
            level: Confidence level, between 0 and 1.
            kind: Kind of interval.
            clusters: Whole number for each observation; those with the same one may
                depend on each other.
            resamples: A jackknife of this fit made before, for "jackknife"; by default
                one of ten groups is made.
            verbose: Print the progress; by default where the fit was made so.
        """
        evidence = self.evidence.watched(verbose)
        return make_intervals(evidence, level, kind, clusters, resamples)

    @property
    def aic(self) -> Scalar:
        """Akaike's criterion, the smaller the better.

        K points with positive mass in d dimensions count as K (d + 1) - 1 parameters.
        """
        return akaike(self.evidence)

    @property
    def bic(self) -> Scalar:
        """Schwarz's criterion, the smaller the better; points count as in `aic`."""
        return schwarz(self.evidence)

    def to_frame(self, level: float | int = 0.95, kind: str | None = None) -> Frame:
        """Return estimates and intervals as a frame; see `Intervals.to_frame`.

        Args:
            level: Confidence level.
            kind: Kind of interval, as in `confint`: the estimates are those that it
                belongs to.
        """
        return self.intervals(level, kind).to_frame()

    def to_markdown(self, level: float | int = 0.95, kind: str | None = None) -> str:
        """Return estimates and intervals as a table in Markdown.

        Args:
            level: Confidence level.
            kind: Kind of interval, as in `to_frame`.
        """
        return self.intervals(level, kind).to_markdown()

    def to_latex(
        self,
        level: float | int = 0.95,
        kind: str | None = None,
        *,
        caption: str | None = None,
        label: str | None = None,
    ) -> str:
        """Return estimates and intervals in LaTeX; see `Intervals.to_latex`.

        Args:
            level: Confidence level.
            kind: Kind of interval, as in `to_frame`.
            caption: Of a `table` around it.
            label: Key of that.
        """
        return self.intervals(level, kind).to_latex(caption, label)

    def summary(self, level: float | int = 0.95, kind: str | None = None) -> str:
        """Return the fit as a printed table, with the warnings a reader needs.

        Args:
            level: Confidence level of the intervals.
            kind: Kind of interval, as in `confint`.
        """
        evidence = self.evidence.watched(None)
        return format_summary(evidence, self._end(), level, choose_kind(evidence, kind))

    def _end(self) -> Ending:
        return Ending(
            self.result,
            self.num_steps,
            self.num_atoms,
            self.gradient_norm,
            self.gap,
            self.grid_ripple,
            self.support,
            self.optima,
            self.certificate,
        )

    def __repr__(self) -> str:
        return in_words(self, Fit._tabulate)

    def _repr_html_(self) -> str:
        return in_html(self, Fit._tabulate)

    def _tabulate(self) -> Table:
        return tabulate_maximum(self.evidence, self._end())
