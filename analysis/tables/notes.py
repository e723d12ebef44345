"""What a reader must know about the numbers of a table, in sentences."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
import xarray as xr

from analysis import labels
from analysis.dimensions import DESIGN_POINT
from analysis.measures.formulas import Z
from analysis.tables import rounding
from analysis.tables.performance import BEST, COUNT_COLUMNS

RULES = {
    "per_estimator": "every estimator is measured on all its own successes",
    "all_or_none": "only replications in which every estimator succeeded are used",
}


def table_notes(
    summary: xr.DataTree,
    name: str,
    table: pd.DataFrame,
    *,
    errors: str = "brackets",
    kind: str = "",
) -> list[str]:
    """Say in sentences what a reader must know about the numbers of a table.

    Args:
        summary: What `summarise` returns, or its groups after `labels.name_entries`.
        name: The process, or the first of several.
        table: The numbers; nothing is said of what is not among them.
        errors: Where the Monte Carlo errors are, see `layout.Layout`.
        kind: Kind of the intervals, where it is not the default of every estimator.
    """
    process = summary[name].to_dataset()
    sentences = [
        *_tell_counts(table, summary.attrs["exclusion_rule"]),
        _tell_errors(table, errors),
        *_tell_intervals(process, table, kind),
        *_tell_marks(table),
    ]
    if not summary.attrs.get("complete", 1):
        sentences.append("The study is incomplete; numbers will change.")
    return sentences


def _tell_counts(table: pd.DataFrame, rule: str) -> Iterator[str]:
    """Say how many replications there are, which are used, and which are suspected."""
    keys = ("process", *DESIGN_POINT)
    cells = table.drop_duplicates([x for x in keys if x in table.columns])
    counts = {x: np.asarray(cells[x]) for x in COUNT_COLUMNS if x in cells.columns}
    failed, attempted = counts["failed"].sum(), counts["attempted"].sum()
    share = f"{failed / attempted:.2%}" if attempted else "none"
    used = _span(counts["used"])
    if failed == 0 and np.array_equal(counts["used"], counts["attempted"]):
        yield f"{used} replications per design point, of which no fit failed."
    else:
        yield (
            f"Replications attempted {_span(counts['attempted'])} and used {used} per "
            f"design point; {failed} of {attempted} fits failed ({share})."
        )
        yield f"Rule: {RULES[rule]}."
    flagged = counts.get("flagged", np.zeros(1)).sum()
    if flagged:
        yield (
            f"A degenerate maximum is suspected in {flagged} of the fits used"
            + (
                "; what is named unflagged leaves them out."
                if "coverage_unflagged" in table.columns
                else ", which are used like any other."
            )
        )


def _tell_errors(table: pd.DataFrame, place: str) -> str:
    errors = {x: rounding.shown_errors(table, x) for x in rounding.measures_in(table)}
    largest = [
        f"{labels.label_measure(x)} {np.nanmax(error):.2g}"
        for x, error in errors.items()
        if np.isfinite(error).any()
    ]
    where = {"brackets": " in brackets; the largest", "below": " below the values"}
    listed = "" if place == "below" else f": {', '.join(largest) or 'none'}"
    return f"Monte Carlo standard errors{where.get(place, ', at most')}{listed}."


def _tell_intervals(
    process: xr.Dataset, table: pd.DataFrame, kind: str
) -> Iterator[str]:
    if "coverage" in table.columns:
        level = process["coverage"].attrs.get("level", 0.95)
        yield f"Nominal coverage {level:g}."
    if "used_interval" in table.columns and "used_estimate" not in table.columns:
        yield (
            "Used are the replications with both limits, the fewest over the "
            "parameters; a missing limit counts neither as covering nor as missing the "
            "truth. Widths are means of finite widths."
        )
    elif "default_kind" in process.coords and _depends_on_kind(process, table):
        yield f"Intervals shown: {kind or _describe_kinds(process, table)}."
    counts = rounding.counts_beside(table)
    if {"CIs", "SEs"} & counts.keys():
        yield (
            "CIs and SEs are the replications in which both limits, or a standard "
            "error, are known: coverage and standard errors rest on these."
        )


def _tell_marks(table: pd.DataFrame) -> Iterator[str]:
    """Say what stands in for an error of 0, and what a star is."""
    measures = rounding.measures_in(table)
    proportions = [x for x in measures if f"{x}_lower" in table.columns]
    if any(np.any(table[f"{x}_mcse"] == 0) for x in proportions):
        yield (
            f"At a proportion of 0 or 1 half of Wilson's interval over {Z:.2f} stands "
            "in for the error."
        )
    for column in map(str, table.columns):
        if column.startswith(BEST) and np.any(table[column]):
            words = labels.label_dim(column.removeprefix(BEST)).lower()
            yield (
                f"Bold or *: the RMSE is below that of every other {words} at the "
                f"design point by more than {Z:.2f} Monte Carlo errors of their "
                "paired ratio."
            )


def _depends_on_kind(process: xr.Dataset, table: pd.DataFrame) -> bool:
    names = [x for x in rounding.measures_in(table) if x in process]
    return any("kind" in process[x].dims for x in names) or (
        "coverage_difference" in table.columns
    )


def _describe_kinds(process: xr.Dataset, table: pd.DataFrame) -> str:
    """Say which kind of interval is shown: of all, or of every estimator shown."""
    found = [str(x) for x in np.atleast_1d(process["default_kind"].values)]
    names = [str(x) for x in np.atleast_1d(process["estimator"].values)]
    shown = set(table["estimator"]) if "estimator" in table.columns else set(names)
    pairs = [x for x in zip(names, found, strict=True) if x[0] in shown]
    if len({kind for _, kind in pairs}) == 1:
        return pairs[0][1]
    return "; ".join(f"{name}: {kind}" for name, kind in pairs)


def _span(values: np.ndarray) -> str:
    low, high = values.min(), values.max()
    return f"{low}" if low == high else f"{low} to {high}"
