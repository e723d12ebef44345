"""Wald tests of values of several parameters at once."""

from collections.abc import Mapping

import equinox as eqx
import jax.numpy as jnp
import jax.scipy as jsp

from spmlex._efficient.efficient_estimate import Clusters
from spmlex._efficient.efficient_search import solve_from
from spmlex._evidence.evidence import Estimated, evidence_of
from spmlex._inference.intervals import INTERVAL_KINDS, default_kind, make_covariance
from spmlex._inference.likelihood_ratio import read_hypothesis
from spmlex._words.printing import Printed, write, write_p_value
from spmlex._words.table import Table
from spmlex._words.types import Scalar


class WaldTest(Printed):
    """A test of values of one or more parameters by their covariance.

    Attributes:
        statistic: Squared distance of the estimate from the values, in the inverse of
            its covariance; `nan` where a parameter is not identified.
        p_value: From the chi-square distribution.
        degrees_of_freedom: How many parameters have values under the hypothesis.
    """

    statistic: Scalar
    p_value: Scalar
    degrees_of_freedom: int = eqx.field(static=True)

    def _tabulate(self) -> Table:
        numbers = (
            write(self.statistic),
            f"{self.degrees_of_freedom}",
            write_p_value(self.p_value),
        )
        head = ("", "statistic", "degrees of freedom", "P")
        return Table("Wald test", head, (("chi-square", *numbers),))


def wald_test(
    estimate: Estimated,
    parameter: str | Mapping[str, float | int],
    value: float | int | None = None,
    *,
    kind: str | None = None,
    clusters: Clusters = None,
) -> WaldTest:
    """Test that parameters have given values, jointly where there are several.

    Cheaper than `likelihood_ratio_test`, for clusters, and at the efficient score also
    where the maximum of the likelihood is biased.

    Args:
        estimate: A fit.
        parameter: The name of a parameter, as in `parameter_names`; or values by name,
            such as `{"coef[0]": 1.0, "coef[1]": 0.0}`.
        value: The value under the hypothesis; only with a name.
        kind: Of covariance, as in `Fit.covariance`; "efficient" is around the
            efficient-score estimate.
        clusters: Whole number for each observation; those with the same one may depend
            on each other.

    Raises:
        ValueError: There is no such parameter or kind, or a value is missing.

    Examples:
        >>> test = wald_test(estimate, {"coef": 0.0}, kind="sandwich")
        >>> bool(test.p_value < 0.05), test.degrees_of_freedom
        (True, 1)
    """
    evidence = evidence_of("estimate", estimate)
    names = evidence.names
    hypothesis = read_hypothesis(parameter, value, names)
    kind = default_kind(evidence) if kind is None else kind
    if isinstance(kind, str) and kind in INTERVAL_KINDS:
        is_efficient = INTERVAL_KINDS[kind].centre == "efficient"
    else:
        is_efficient = False  # refused by `make_covariance`, in words
    if is_efficient:
        found = solve_from(evidence)
        theta, covariance = found.theta, found.covariance(clusters)
    else:
        theta, covariance = evidence.theta, make_covariance(evidence, kind, clusters)
    held = jnp.array([names.index(name) for name in hypothesis])
    apart = theta[held] - jnp.array(list(hypothesis.values()), float)
    # Of the others' covariance nothing is needed: it is not conditional on them.
    statistic = apart @ jnp.linalg.solve(covariance[jnp.ix_(held, held)], apart)
    p_value = jsp.stats.chi2.sf(statistic, len(hypothesis))
    return WaldTest(statistic, p_value, len(hypothesis))
