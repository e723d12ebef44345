"""Which tables a study gets: the list that `make` writes."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd
import xarray as xr

from analysis import labels
from analysis.dimensions import COMPARED
from analysis.tables.details import (
    comparison_table,
    interval_table,
    level_table,
    rate_table,
    rejection_table,
    statistic_table,
    widen_intervals,
)
from analysis.tables.notes import table_notes
from analysis.tables.performance import MARGINS, MIXING, performance_table


class Table(NamedTuple):
    """A table: the stem of its file name, what it shows, its numbers, its notes.

    The numbers are tidy, for CSV; `layout` is how they are laid out to be read, if not
    as they are.
    """

    name: str
    words: str
    numbers: pd.DataFrame
    notes: list[str]
    layout: pd.DataFrame | None = None

    def shown(self) -> pd.DataFrame:
        """Return the numbers as they are laid out."""
        return self.numbers if self.layout is None else self.layout


def list_tables(summary: xr.DataTree, name: str) -> Iterator[Table]:
    """List the tables of one process; what the summary does not hold is left out.

    Args:
        summary: What `summarise` returns, or its groups after `labels.name_entries`.
        name: The process.
    """
    process = summary[name].to_dataset()
    compared = [x for x in COMPARED if f"rmse_ratio_over_{x}" in process]
    table = performance_table(process, best_over=next(iter(compared), None))
    notes = table_notes(summary, name, table)
    yield Table("performance", "performance", table, notes)
    if "coverage" in process and process.sizes.get("kind", 1) > 1:
        table = interval_table(process)
        if not table.empty:
            notes = table_notes(summary, name, table)
            layout = widen_intervals(table)
            yield Table("intervals", "intervals of every kind", table, notes, layout)
    for dim in compared:
        table, against = comparison_table(process, dim)
        if table.empty:
            continue
        word = labels.label_dim(dim).lower()
        equal = []
        if np.any(table.get("coverage_difference_mcse", 1.0) == 0):
            equal = ["Where the error of a difference is 0, no pair differed."]
        notes = [
            f"Every {word} against {against}, paired by replication: differences are "
            f"the entry less {against}, ratios the entry over it.",
            *equal,
            *table_notes(summary, name, table),
        ]
        yield Table(f"comparison-{dim}", f"comparison over {word}", table, notes)
    table = rate_table(process)
    if not table.empty:
        notes = [
            "Slopes on the log of the sample size by weighted least squares; -0.5 is "
            "the parametric rate.",
            *table_notes(summary, name, table),
        ]
        yield Table("rates", "rates in the sample size", table, notes)
    yield from _list_tests(summary, name, process)
    for stem, measures, words in (
        ("mixing", MIXING, "the fitted mixing distribution"),
        ("margins", MARGINS, "the margins of the fitted mixing distribution"),
    ):
        if any(x in process for x in measures):
            table = performance_table(process, measures=measures)
            notes = table_notes(summary, name, table)
            if stem == "margins":
                notes = [
                    "The latent variable has several coordinates; each margin is "
                    "measured, the joint distribution is not.",
                    *notes,
                ]
            yield Table(stem, words, table, notes)


def _list_tests(
    summary: xr.DataTree, name: str, process: xr.Dataset
) -> Iterator[Table]:
    """List the tables of tests, of coverage at several levels, of statistics."""
    for measure, make, stem, words, first in (
        (
            "rejection",
            rejection_table,
            "tests",
            "size and power of tests",
            "The share of tests that reject, at the levels over the columns: the size "
            "where the null is true, the power where it is false.",
        ),
        (
            "coverage_at",
            level_table,
            "levels",
            "coverage at several levels",
            "At other levels than that of the study limits are estimate and standard "
            "error times a quantile.",
        ),
        (
            "statistic_mean",
            statistic_table,
            "statistics",
            "statistics that estimators report",
            "",
        ),
    ):
        if measure in process:
            table = make(process)
            notes = table_notes(summary, name, table)
            yield Table(stem, words, table, [first, *notes] if first else notes)
