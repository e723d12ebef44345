"""The fitted model, and how its search ended."""

from typing import Any

import equinox as eqx
from jaxtyping import Array, Bool, Float, Int

from spmlex._adequacy.adequacy import Adequacy
from spmlex._climb.optima import Optima
from spmlex._evidence.evidence import Evidence
from spmlex._inference.intervals import choose_kind
from spmlex._profile.outer import OuterProblem
from spmlex._programs.compile import choose, on_host
from spmlex._result.ending import Ending
from spmlex._result.maximum import Maximum
from spmlex._result.summary import format_summary, tabulate_maximum
from spmlex._support.degenerate import grid_ripple
from spmlex._words.codes import RESULTS
from spmlex._words.table import Table
from spmlex._words.types import AnyArray, Model, Scalar, Support, Weights


@on_host
def _largest(xp: Any, gradient: Float[AnyArray, " p"]) -> Any:
    return xp.max(xp.abs(gradient), initial=0.0)


class Fit(Maximum):
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
        return ripple if self.moved is None else choose(self.moved, 0.0, ripple)

    @property
    def gradient_norm(self) -> Scalar:
        """Largest entry of the profile gradient, nats per observation."""
        return _largest(self.gradient)

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

    def _tabulate(self) -> Table:
        return tabulate_maximum(self.evidence, self._end())
