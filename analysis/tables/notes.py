"""What a reader must know about the numbers of a table, in sentences."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
import xarray as xr

from analysis import labels
from analysis.dimensions import DESIGN_POINT
from analysis.tables import rounding
from analysis.tables.performance import BEST, COUNT_COLUMNS

RULES = {
    "per_estimator": "every estimator is measured on all its own successes",
    "all_or_none": "only replications in which every estimator succeeded are used",
}


def table_notes(summary: xr.DataTree, name: str, table: pd.DataFrame) -> list[str]:
    """Say in sentences what a reader must know about the numbers of a table."""
    process = summary[name].to_dataset()
    sentences = [
        *_tell_counts(process, table, summary.attrs["exclusion_rule"]),
        _tell_errors(table),
        *_tell_intervals(process, table),
        *_tell_marks(table),
    ]
    if not summary.attrs.get("complete", 1):
        sentences.append("The study is incomplete; numbers will change.")
    return sentences


def _tell_counts(process: xr.Dataset, table: pd.DataFrame, rule: str) -> Iterator[str]:
    """Say how many replications there are, which are used, and which are suspected."""
    cells = table.drop_duplicates([x for x in DESIGN_POINT if x in table.columns])
    cells = _keep_computed(process, cells)
    counts = {x: np.asarray(cells[x]) for x in COUNT_COLUMNS if x in cells.columns}
    failed, attempted = counts["failed"].sum(), counts["attempted"].sum()
    share = f"{failed / attempted:.2%}" if attempted else "none"
    yield (
        f"Replications attempted {_span(counts['attempted'])} and used "
        f"{_span(counts['used'])} per design point; {failed} of {attempted} fits "
        f"failed ({share})."
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


def _tell_errors(table: pd.DataFrame) -> str:
    errors = {x: rounding.shown_errors(table, x) for x in rounding.measures_in(table)}
    largest = [
        f"{labels.label_measure(x)} {np.nanmax(error):.2g}"
        for x, error in errors.items()
        if np.isfinite(error).any()
    ]
    return (
        "Monte Carlo standard errors in brackets; the largest: "
        f"{', '.join(largest) or 'none'}."
    )


def _tell_intervals(process: xr.Dataset, table: pd.DataFrame) -> Iterator[str]:
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
        yield f"Intervals shown: {_describe_kinds(process)}."
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
            "At a proportion of 0 or 1 half of Wilson's interval over 1.96 stands in "
            "for the error."
        )
    for column in map(str, table.columns):
        if column.startswith(BEST) and np.any(table[column]):
            words = labels.label_dim(column.removeprefix(BEST)).lower()
            yield (
                f"Bold or *: the RMSE is below that of every other {words} at the "
                "design point by more than 1.96 Monte Carlo errors of their paired "
                "ratio."
            )


def _keep_computed(process: xr.Dataset, cells: pd.DataFrame) -> pd.DataFrame:
    """Keep one design point where an estimator without a grid was computed once."""
    if "grid_use" not in process.coords or "estimator" not in cells.columns:
        return cells
    names = [str(name) for name in process["estimator"].values]
    use = np.asarray(pd.Series(process["grid_use"].values, names)[cells["estimator"]])
    keys = cells[[x for x in DESIGN_POINT if x in cells.columns]].astype(object)
    for dim, shared in (("grid", use == "nothing"), ("n_supp", use != "points")):
        if dim in keys.columns:
            keys.loc[shared, dim] = None
    return cells.loc[~keys.duplicated()]


def _depends_on_kind(process: xr.Dataset, table: pd.DataFrame) -> bool:
    names = [x for x in rounding.measures_in(table) if x in process]
    return any("kind" in process[x].dims for x in names) or (
        "coverage_difference" in table.columns
    )


def _describe_kinds(process: xr.Dataset) -> str:
    """Say which kind of interval is shown: of all, or of every estimator."""
    kinds = process["default_kind"]
    found = [str(x) for x in np.atleast_1d(kinds.values)]
    if len(set(found)) == 1:
        return found[0]
    pairs = zip(process["estimator"].values, found, strict=True)
    return "; ".join(f"{name}: {kind}" for name, kind in pairs)


def _span(values: np.ndarray) -> str:
    low, high = values.min(), values.max()
    return f"{low}" if low == high else f"{low} to {high}"
