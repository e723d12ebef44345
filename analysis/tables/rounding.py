"""Turn numbers with Monte Carlo errors into text whose digits follow the error."""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from analysis import labels
from analysis.digits import decimals, write_fixed
from analysis.dimensions import LABELLED
from analysis.measures.formulas import Z
from analysis.symbols import in_unicode

_NOTHING = 1e-10  # an error this small beside its value is a rounding error


def round_column(
    table: pd.DataFrame,
    name: str,
    *,
    significant: int = 2,
    places: int | None = None,
) -> tuple[list[str], list[str]]:
    """Round a measure and its errors: texts of the values, and of the errors.

    Within a parameter all have the same decimals: those that show the median error with
    `significant` digits (a proportion's with one less where the first digit is 5 or
    more, 0.950 (0.007)), and more where an error would be rounded to nothing. With
    `places` all have so many. What is missing has no error.
    """
    errors = shown_errors(table, name)
    errors = np.where(errors < _NOTHING * abs(table[name]), 0.0, errors)
    groups = list(table["parameter"]) if "parameter" in table else [""] * len(table)
    found: dict[str, list[float]] = {}
    for group, error in zip(groups, errors, strict=True):
        if error > 0:
            found.setdefault(group, []).append(error)
    typical = {group: float(np.median(some)) for group, some in found.items()}
    proportion = f"{name}_lower" in table
    values, brackets = [], []
    for group, value, error in zip(groups, table[name], errors, strict=True):
        middle = typical.get(group, math.nan) * (1 + proportion)  # 0.005 counts as 0.01
        shown = decimals(middle, significant=significant)
        if error > 0:
            # A much smaller one still shows a digit of its own.
            shown = max(shown, decimals(error, significant=1))
        shown = shown if places is None else places
        values.append(write_fixed(value, shown))
        known = np.isfinite(value)
        brackets.append(f"({write_fixed(error, shown)})" if known else "")
    return values, brackets


def split_panels(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Split a table by its column `measure`, if it has one; no column is empty.

    Returns:
        Tables by the name of their measure; by no name if there is one table.
    """
    if "measure" not in table:
        return {"": table}
    return {
        labels.label_measure(str(name)): part.dropna(axis=1, how="all").reset_index()
        for name, part in table.groupby("measure", sort=False)
    }


def format_panels(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Apply `format_table` to every panel."""
    return {name: format_table(part) for name, part in split_panels(table).items()}


def format_table(table: pd.DataFrame) -> pd.DataFrame:
    """Write the table of `performance.performance_table` in words and rounded numbers.

    Columns that identify a row are left out where they have one value only, and the
    counts where every replication attempted was used. A measure and its error share a
    column, `-0.0021 (0.0052)`, a best entry has a star.
    """
    text = pd.DataFrame(index=table.index)
    for name in LABELLED:
        always = name in ("parameter", "test", "statistic") and name in table.columns
        if varies(table, name) or always:
            text[labels.label_dim(name)] = [in_unicode(str(x)) for x in table[name]]
    for name in measures_in(table):
        values, errors = round_column(table, name)
        text[labels.label_column(name)] = [
            f"{value} {error}".rstrip() + ("*" if marked else "")
            for value, error, marked in zip(
                values, errors, best(table, name), strict=True
            )
        ]
    for head, counts in counts_beside(table).items():
        text["Used/attempted" if head == "Used" else head] = counts
    return text


def varies(table: pd.DataFrame, name: str) -> bool:
    """Tell whether a table has a column with more than one value in it."""
    return name in table.columns and len(set(table[name])) > 1


def measures_in(table: pd.DataFrame) -> list[str]:
    """List the measures: the columns with a Monte Carlo error beside them."""
    return [str(name) for name in table if f"{name}_mcse" in table]


def best(table: pd.DataFrame, name: str) -> np.ndarray:
    """Tell which entries of a measure are marked as best, `<name>_best_over_<dim>`."""
    marks = [table[x] for x in table if str(x).startswith(f"{name}_best_over_")]
    return np.any([np.zeros(len(table), bool), *marks], axis=0)


def counts_beside(table: pd.DataFrame) -> dict[str, list[str]]:
    """Write the counts of every row by what they count, `198/200`.

    The first is that of estimates (or of what the table is about); those of intervals
    and standard errors follow where the table shows such and they differ. Empty where
    every number rests on all that was attempted, as many in every row.
    """
    names = measures_in(table)
    found = {_first_count(table): "Used"}
    for count, (head, ending) in OWN.items():
        if count in table and any(ending(x) for x in names):
            found.setdefault(count, head)
    first, *others = found
    shown = {found[x]: _over_attempted(table, x) for x in found}
    for name in others:
        if shown[found[name]] == shown[found[first]]:
            del shown[found[name]]
    whole = all(
        len(set(texts)) == 1 and len(set(texts[0].split("/"))) == 1
        for texts in shown.values()
    )
    return {} if whole else shown


def used_over_attempted(table: pd.DataFrame) -> list[str]:
    """Write the counts of every row, `198/200`; used are those with an estimate."""
    return _over_attempted(table, _first_count(table))


def _first_count(table: pd.DataFrame) -> str:
    order = ("used_estimate", "used_interval", "used")
    return next(x for x in order if x in table)


def _over_attempted(table: pd.DataFrame, count: str) -> list[str]:
    pairs = zip(table[count], table["attempted"], strict=True)
    return [f"{int(a)}/{int(b)}" for a, b in pairs]


def _is_of_intervals(name: str) -> bool:
    return name.startswith(("coverage", "interval_width", "median_width"))


def _is_of_errors(name: str) -> bool:
    return "model_se" in name


OWN = {
    "used_interval": ("CIs", _is_of_intervals),
    "used_standard_error": ("SEs", _is_of_errors),
}
"""Counts beside those of estimates: their heads, and which measures rest on them."""


def shown_errors(table: pd.DataFrame, name: str) -> np.ndarray:
    """Return the errors to print beside a measure.

    They are the Monte Carlo standard errors, except at a proportion of exactly 0 or 1:
    its plug-in error is 0, and half the width of Wilson's 95 percent interval over 1.96
    stands in.
    """
    error = table[f"{name}_mcse"].to_numpy(dtype=float)
    if f"{name}_lower" not in table:
        return error
    lower, upper = table[f"{name}_lower"], table[f"{name}_upper"]
    half = (upper - lower).to_numpy(dtype=float) / 2 / Z
    return np.where(error == 0, half, error)


def align_decimals(texts: Sequence[str]) -> list[str]:
    """Pad texts with blanks so that their decimal points stand below each other."""
    parts = [text.partition(".") for text in texts]
    left = max((len(before) for before, _, _ in parts), default=0)
    right = max((len(dot + after) for _, dot, after in parts), default=0)
    return [f"{before:>{left}}{dot + after:<{right}}" for before, dot, after in parts]
