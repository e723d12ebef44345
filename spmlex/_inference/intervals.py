"""Confidence intervals: the table of their kinds, from which all else reads them."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from spmlex._efficient.efficient_estimate import (
    EFFICIENT_LABELS,
    Clusters,
    EfficientEstimate,
)
from spmlex._efficient.efficient_search import can_be_efficient, solve_from
from spmlex._evidence.covariance import COVARIANCE_KINDS, covariance_matrix, errors_of
from spmlex._evidence.evidence import Evidence
from spmlex._evidence.limits import Intervals
from spmlex._inference.likelihood_ratio_interval import likelihood_ratio_interval
from spmlex._inference.resample import Resamples, jackknife
from spmlex._words.arguments import check_choice, check_level

Level = float | int


class IntervalKind(NamedTuple):
    """A kind of confidence interval: what it is, and how it is made.

    Attributes:
        label: How tables call it.
        sentence: What its limits are.
        centre: What it is around: "efficient", the root of the efficient score, or
            "maximum", that of the likelihood.
        make: Makes `Intervals` of an `EfficientEstimate` or of the evidence of a
            maximum, a level, clusters and a jackknife made before, or `None` for them.
        covariance: Of the same and clusters; `None` where `Fit.covariance` has none.
        needs: What not every model and fit have; empty: nothing.
        takes_clusters: Whether observations may depend on each other within clusters.
        has_error: Whether the limits come with a standard error.
    """

    label: str
    sentence: str
    centre: str
    make: Callable[[Any, Level, Clusters, Resamples | None], Intervals]
    covariance: Callable[[Any, Clusters], Float[Array, "p p"]] | None = None
    needs: str = ""
    takes_clusters: bool = True
    has_error: bool = True


def _invert_test(
    found: EfficientEstimate, level: Level, clusters: Clusters, _: Resamples | None
) -> Intervals:
    return found.intervals(level, "efficient", clusters=clusters)


def _wald_efficient(
    found: EfficientEstimate, level: Level, clusters: Clusters, _: Resamples | None
) -> Intervals:
    return found.intervals(level, "efficient_wald", clusters=clusters)


def _by_covariance(kind: str, label: str, sentence: str, **rest: Any) -> IntervalKind:
    """Return a kind whose limits come from a covariance of the maximum."""

    def covariance(evidence: Evidence, clusters: Clusters) -> Float[Array, "p p"]:
        given = (evidence.hessian, evidence.scores, evidence.weights)
        return covariance_matrix(*given, kind, clusters, evidence.counts)

    def make(
        evidence: Evidence, level: Level, clusters: Clusters, _: Resamples | None
    ) -> Intervals:
        errors = errors_of(covariance(evidence, clusters))
        return Intervals.symmetric(evidence.theta, errors, level)

    assert kind in COVARIANCE_KINDS
    return IntervalKind(label, sentence, "maximum", make, covariance, **rest)


def _by_jackknife(
    evidence: Evidence, level: Level, clusters: Clusters, resamples: Resamples | None
) -> Intervals:
    made = jackknife(evidence, clusters=clusters) if resamples is None else resamples
    given = (made.standard_errors, level, made.degrees_of_freedom)
    return Intervals.symmetric(evidence.theta, *given)


def _by_ratio(evidence: Evidence, level: Level, *_: Any) -> Intervals:
    lower, upper = likelihood_ratio_interval(evidence, level)
    missing = jnp.full_like(lower, jnp.nan)
    return Intervals(evidence.theta, missing, lower, upper)


def _covariance_of(found: EfficientEstimate, clusters: Clusters) -> Float[Array, "p p"]:
    return found.covariance(clusters)


_GENERATES = "a model with `simulate` or `outcomes`"

INTERVAL_KINDS: Mapping[str, IntervalKind] = MappingProxyType(
    {
        "efficient": IntervalKind(
            EFFICIENT_LABELS["efficient"],
            "the values its test does not reject",
            "efficient",
            _invert_test,
            _covariance_of,
            needs=_GENERATES,
        ),
        "efficient_wald": IntervalKind(
            EFFICIENT_LABELS["efficient_wald"],
            "Wald",
            "efficient",
            _wald_efficient,
            _covariance_of,
            needs=_GENERATES,
        ),
        "observed": _by_covariance(
            "observed",
            "observed information",
            "Wald, with the Hessian of the profile likelihood",
            takes_clusters=False,
        ),
        "opg": _by_covariance(
            "opg", "outer product", "Wald, with the products of the profile scores"
        ),
        "sandwich": _by_covariance(
            "sandwich", "sandwich", "Wald, with Hessian and products of scores"
        ),
        "jackknife": IntervalKind(
            "jackknife",
            "Wald, with refits that leave out a group each, and Student's t",
            "maximum",
            _by_jackknife,
            needs="a fit on a grid",
        ),
        "likelihood_ratio": IntervalKind(
            "likelihood ratio",
            "the values that a likelihood ratio test does not reject",
            "maximum",
            _by_ratio,
            takes_clusters=False,
            has_error=False,
        ),
    }
)
"""Every kind of interval by name, the one recommended first."""


def default_kind(evidence: Evidence) -> str:
    """Return the kind that is taken where none is asked for; see `Fit.default_kind`."""
    given = evidence.given
    able = evidence.theta.size > 0 and can_be_efficient(given.model, given.data)
    return "efficient" if able else "sandwich"


def choose_kind(evidence: Evidence, kind: str | None) -> str:
    """Return the kind asked for, or the default.

    Raises:
        ValueError: There is no such kind.
    """
    if kind is None:
        return default_kind(evidence)
    check_choice("kind", kind, INTERVAL_KINDS, "a kind of interval")
    return kind


def make_covariance(
    evidence: Evidence, kind: str | None, clusters: Clusters = None
) -> Float[Array, "p p"]:
    """Return a covariance matrix of theta; see `Fit.covariance`.

    Raises:
        ValueError: The kind has none, or takes no clusters.
    """
    if kind is None:
        kind = default_kind(evidence)
    have = [name for name, row in INTERVAL_KINDS.items() if row.covariance is not None]
    row = INTERVAL_KINDS[kind] if isinstance(kind, str) and kind in have else None
    if row is None or row.covariance is None:
        raise ValueError(
            f"kind={kind!r} is not a kind of covariance. Choose from "
            f"{', '.join(have)}; those of refits are in `jackknife` and `bootstrap`."
        )
    if evidence.theta.size == 0:
        return evidence.hessian
    _check_clusters(kind, clusters)
    return row.covariance(_centre_of(evidence, row), clusters)


def make_intervals(
    evidence: Evidence,
    level: float | int,
    kind: str | None,
    clusters: Clusters = None,
    resamples: Resamples | None = None,
) -> Intervals:
    """Return confidence intervals of one kind. Their coverage is in `spmlex/README.md`.

    Args:
        evidence: That of an estimate.
        level: Confidence level, between 0 and 1.
        kind: One of `INTERVAL_KINDS`, or `None` for the default.
        clusters: Whole number for each observation; those with the same one may depend
            on each other.
        resamples: A jackknife of this fit; by default one of ten groups is made, or
            of as many as there are observations or clusters.

    Raises:
        ValueError: The level is not between 0 and 1, the kind is unknown or can't be
            had, or the resamples are of something else.
    """
    check_level(level)
    kind = choose_kind(evidence, kind)
    if resamples is not None and not isinstance(resamples, Resamples):
        raise ValueError(
            f"resamples={resamples!r}: give what `jackknife` returns for this fit."
        )
    if evidence.theta.size == 0:
        nothing = evidence.theta
        return Intervals(nothing, nothing, nothing, nothing)
    _check_clusters(kind, clusters)
    row = INTERVAL_KINDS[kind]
    made = row.make(_centre_of(evidence, row), level, clusters, resamples)
    return made.named(evidence.names, level, row.label)


def _centre_of(evidence: Evidence, row: IntervalKind) -> Evidence | EfficientEstimate:
    return solve_from(evidence) if row.centre == "efficient" else evidence


def _check_clusters(kind: str, clusters: Clusters) -> None:
    if clusters is not None and not INTERVAL_KINDS[kind].takes_clusters:
        able = [repr(k) for k, row in INTERVAL_KINDS.items() if row.takes_clusters]
        raise ValueError(
            f"kind={kind!r} takes no clusters: it rests on independence. Use "
            f"{', '.join(able[:-1])} or {able[-1]}."
        )
