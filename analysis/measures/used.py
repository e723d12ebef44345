"""Which replications of a study are used, and how many there are of each kind.

A replication is attempted when its code is not -1. It fails when its code is not 0 (or
it left no finite estimate); a failed replication is never used, whatever values it left
behind, and never counted as covering. One measure looks at all that was attempted:
`coverage_of_attempted` takes intervals as they come, whatever the code, and counts a
missing one as not covering, for kinds of interval that an estimator gave at least once.
What is used else follows the exclusion rule:

- `per_estimator`: an estimator's measures use all its own successes;
- `all_or_none`: only replications in which every estimator run at that design point
  succeeded, so that all are judged on the same draws.

A fit may succeed and be flagged: a degenerate maximum is suspected. It is used like any
other and counted apart.
"""

from typing import Literal

import numpy as np
import xarray as xr

from analysis.dimensions import NOT_RUN
from analysis.kinds import with_default_kind
from analysis.measures import intervals as mi
from analysis.measures.moments import as_finite, count

ExclusionRule = Literal["per_estimator", "all_or_none"]


def used_replications(
    process: xr.Dataset, *, exclusion_rule: str = "per_estimator"
) -> xr.Dataset:
    """Keep estimates, standard errors and limits of the replications that are used.

    All others are missing. For figures of the replications themselves.
    """
    process = with_default_kind(process)
    used = choose_used(*find_outcomes(process), exclusion_rule)
    names = [
        x for x in ("estimate", "standard_error", "lower", "upper") if x in process
    ]
    return process[["truth"]].assign({x: process[x].where(used) for x in names})


def find_outcomes(process: xr.Dataset) -> tuple[xr.DataArray, xr.DataArray]:
    """Return which replications were attempted, and which succeeded."""
    finite = as_finite(process["estimate"]).notnull().any("parameter")
    if "code" not in process:
        return xr.ones_like(finite), finite
    attempted = process["code"] != NOT_RUN
    return attempted, finite & (process["code"] == 0)


def choose_used(
    attempted: xr.DataArray, succeeded: xr.DataArray, rule: str
) -> xr.DataArray:
    """Apply an exclusion rule to the replications that succeeded."""
    if rule == "per_estimator" or "estimator" not in succeeded.dims:
        return succeeded
    in_design = attempted.any("replication")
    # An estimator that was not run at a design point fails no replication there.
    return succeeded & (succeeded | ~in_design).all("estimator")


def count_replications(
    process: xr.Dataset,
    attempted: xr.DataArray,
    succeeded: xr.DataArray,
    used: xr.DataArray,
) -> xr.Dataset:
    """Count the replications by what became of them, and what those used have."""
    failed = attempted & ~succeeded
    counts = mi.failure_rate(failed, attempted).assign(
        attempted=attempted.sum("replication"),
        used=used.sum("replication"),
        failed=failed.sum("replication"),
    )
    estimates = as_finite(process["estimate"]).where(used)
    counts["used_estimate"] = count(estimates, "replication")
    if "code" in process:
        counts["by_code"] = _count_by_code(process["code"])
    if "flagged" in process:
        flagged = process["flagged"] == 1
        counts["flagged"] = (flagged & used).sum("replication")
        share = flagged.where(used)
        counts = counts.merge(mi.proportion_of(share, name="flagged_share"))
    if "standard_error" in process:
        errors = process["standard_error"].where(used)
        counts["used_standard_error"] = count(as_finite(errors), "replication")
    if "lower" in process and "upper" in process:
        known = used & process["lower"].notnull() & process["upper"].notnull()
        counts["used_interval"] = known.sum("replication")
        if "flagged" in process:
            kept = known & (process["flagged"] != 1)
            counts["used_interval_unflagged"] = kept.sum("replication")
    return counts


def _count_by_code(code: xr.DataArray) -> xr.DataArray:
    """Count the replications by how they ended; the attributes name the codes."""
    values = code.attrs.get("flag_values", np.unique(code))
    values = xr.DataArray(np.asarray(values), dims="code").astype(code.dtype)
    found = (code == values).sum("replication")
    return found.assign_coords(code=values.values)
