"""What a sentence says of single cases of a study: numbers, names, off coverage."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from analysis.digits import format_error, format_value
from analysis.measures.formulas import Z, normal_quantile
from analysis.report.ademp import enumerate_words
from analysis.symbols import in_unicode
from analysis.tables.rounding import shown_errors

_MOST = 3  # sentences about coverage

Case = dict[str, Any]
"""A row of a table of performance."""


def take(table: pd.DataFrame, index: Any) -> Case:
    """Return one row of a table."""
    return {str(x): table.at[index, x] for x in table}


def write_number(row: Case, name: str) -> str:
    """Write a measure of a row with its Monte Carlo error, as tables do."""
    error = float(shown_errors(pd.DataFrame([row]), name)[0])
    return f"{format_value(row[name], error)} {format_error(error)}"


def name_case(row: Case, table: pd.DataFrame) -> str:
    """Name the parameter of a row, and its process where there are several."""
    parts = [in_unicode(str(row["parameter"]))] if "parameter" in row else []
    if len(set(table["process"])) > 1:
        parts.append(str(row["process"]))
    return ", ".join(parts)


def tell_coverage(table: pd.DataFrame, nodes: dict[str, xr.Dataset]) -> Iterator[str]:
    """Say whose coverage is off, by how much and why; the worst first."""
    if "coverage" not in table:
        return
    level = next(x["coverage"].attrs.get("level", 0.95) for x in nodes.values())
    known = table.loc[table["coverage"].notna()].copy()
    if known.empty:
        return
    used = known["used_interval"] if "used_interval" in known else known["used"]
    # All cases together: of twenty right ones one would be off by chance.
    critical = normal_quantile(1 - (1 - 0.95) / len(known))
    exact = critical * np.sqrt(level * (1 - level) / used.clip(lower=1))
    known["off"] = known["coverage"] - level
    known["is_off"] = known["off"].abs() > exact
    groups = [("", known)]
    if "estimator" in known:
        groups = [(str(x), y) for x, y in known.groupby("estimator", sort=False)]
    good = [(x, y) for x, y in groups if not y["is_off"].any()]
    bad = [(x, y) for x, y in groups if y["is_off"].any()]
    bad.sort(key=lambda pair: -float(pair[1]["off"].abs().max()))
    for name, group in bad[:_MOST]:
        worst = take(group, group["off"].abs().idxmax())
        of = f" of {name}" if name else ""
        number = int(group["is_off"].sum())
        yield (
            f"Coverage{of} is off the nominal {level:g} in {number} "
            f"of {len(group)} cases, most of {name_case(worst, table)}, where it is "
            f"{write_number(worst, 'coverage')}: {_cause(worst, level)}."
        )
    if good:
        names = enumerate_words(x for x, _ in good if x)
        of = f" of {names}" if names else ""
        yield (
            f"Coverage{of} is nowhere off the nominal {level:g} by more than Monte "
            "Carlo error."
        )


def _cause(row: Case, level: float) -> str:
    """Say whether bias, width or failures make a coverage what it is.

    A bias counts beyond its Monte Carlo error, standard errors where they are below the
    spread by more than theirs.
    """
    missing = level - row["coverage"]
    if missing < 0:
        return "the intervals are wider than they have to be"
    found = []
    bias = row["bias"] / row["empirical_se"] if row["empirical_se"] > 0 else np.nan
    without = row["bias_eliminated_coverage"]
    if abs(row["bias"]) > Z * row["bias_mcse"] and without > row["coverage"]:
        found.append(
            f"bias, {bias:.2f} standard deviations; without it "
            f"{without:.3f} would be covered"
        )
    ratio = 1 + row.get("relative_model_se_error", np.nan) / 100
    if ratio + Z * row.get("relative_model_se_error_mcse", np.nan) / 100 < 1:
        found.append(f"width, standard errors are {ratio:.2f} of the true spread")
    if row["attempted"] and 1 - row["used"] / row["attempted"] > missing:
        share = 1 - row["used"] / row["attempted"]
        found.append(f"failures, {share:.1%} of the fits are not among those measured")
    return " and ".join(found) or (
        f"neither bias ({bias:.2f} standard deviations) nor standard errors "
        f"({ratio:.2f} of the spread) alone"
    )
