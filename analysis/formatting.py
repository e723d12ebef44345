"""Turn numbers with Monte Carlo errors into text whose digits follow the error."""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from analysis import labels

MISSING = "-"
INDEX = (
    *("process", "estimator", "grid", "parameter", "coordinate"),
    *("sample_size", "n_supp", "kind"),
)
_PLAIN_DECIMALS = 3  # where there is no error to follow


def decimals(error: float, *, significant: int = 2) -> int:
    """Count the decimals that show an error with so many significant digits.

    0.0052 takes 4, 0.0996 takes 2 because it is written 0.10. Without an error (missing
    or zero) 3 are shown.
    """
    if not math.isfinite(error) or error <= 0:
        return _PLAIN_DECIMALS
    rounded = float(f"{error:.{significant - 1}e}")
    return max(0, significant - 1 - math.floor(math.log10(rounded)))


def format_value(value: float, error: float, *, significant: int = 2) -> str:
    """Write a value as far as its Monte Carlo error goes: `-0.0021`."""
    if not math.isfinite(value):
        return MISSING
    text = f"{value:.{decimals(error, significant=significant)}f}"
    return text.removeprefix("-") if float(text) == 0 else text


def format_error(error: float, *, significant: int = 2) -> str:
    """Write a Monte Carlo error in brackets: `(0.0052)`."""
    if not math.isfinite(error):
        return f"({MISSING})"
    return f"({error:.{decimals(error, significant=significant)}f})"


def format_table(table: pd.DataFrame, *, significant: int = 2) -> pd.DataFrame:
    """Write the table of `tables.performance_table` in words and rounded numbers.

    Columns that identify a row are left out where they have one value only. A measure
    and its error share a column, `-0.0021 (0.0052)`, a best entry has a star.
    """
    text = pd.DataFrame(index=table.index)
    for name in INDEX:
        if varies(table, name) or (name == "parameter" and name in table.columns):
            text[labels.label_dim(name)] = [str(x) for x in table[name]]
    for name in measures_in(table):
        rows = zip(
            table[name], shown_errors(table, name), best(table, name), strict=True
        )
        text[labels.label_measure(name)] = [
            f"{format_value(value, error, significant=significant)} "
            f"{format_error(error, significant=significant)}{'*' if marked else ''}"
            for value, error, marked in rows
        ]
    text["Used/attempted"] = used_over_attempted(table)
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


def used_over_attempted(table: pd.DataFrame) -> list[str]:
    """Write the counts of every row, `198/200`; used are those with both limits."""
    used = table["used_interval" if "used_interval" in table else "used"]
    return [f"{a}/{b}" for a, b in zip(used, table["attempted"], strict=True)]


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
    half = (upper - lower).to_numpy(dtype=float) / 2 / 1.96
    return np.where(error == 0, half, error)


def align_decimals(texts: Sequence[str]) -> list[str]:
    """Pad texts with blanks so that their decimal points stand below each other."""
    parts = [text.partition(".") for text in texts]
    left = max((len(before) for before, _, _ in parts), default=0)
    right = max((len(dot + after) for _, dot, after in parts), default=0)
    return [f"{before:>{left}}{dot + after:<{right}}" for before, dot, after in parts]


def to_markdown(text: pd.DataFrame, *, notes: Sequence[str] = ()) -> str:
    """Write a formatted table in Markdown, its notes below."""
    columns = [str(name) for name in text]
    rows = [[str(x) for x in row] for row in text.itertuples(index=False)]
    number = [all(_is_number(row[i]) for row in rows) for i in range(len(columns))]
    widths = [
        max(len(columns[i]), 3, *(len(row[i]) for row in rows))
        if rows
        else max(len(columns[i]), 3)
        for i in range(len(columns))
    ]

    def line(cells: Sequence[str]) -> str:
        padded = [
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(cells, widths, number, strict=True)
        ]
        return "| " + " | ".join(padded) + " |"

    rule = [
        "-" * (width - 1) + ":" if right else "-" * width
        for width, right in zip(widths, number, strict=True)
    ]
    lines = [line(columns), line(rule), *(line(row) for row in rows)]
    if notes:
        lines += ["", " ".join(notes)]
    return "\n".join(lines) + "\n"


def _is_number(text: str) -> bool:
    return text[:1] in "-0123456789"
