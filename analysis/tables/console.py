"""The table that a terminal shows at the end of a study: plain text."""

from textwrap import wrap

import pandas as pd
import xarray as xr

from analysis import labels
from analysis.symbols import in_unicode
from analysis.tables import rounding
from analysis.tables.notes import table_notes
from analysis.tables.performance import performance_table

CONSOLE = ("bias", "rmse", "coverage")
_CONSOLE_WIDTH = 100


def render_console_table(summary: xr.DataTree) -> str:
    """Write the summary for a terminal or a log: plain text, at most 100 columns.

    One block per process, estimator and grid; one row per parameter, sample size and
    number of grid points; each measure with its Monte Carlo standard error in brackets.
    """
    blocks = []
    summary = labels.name_groups(summary)
    for name, node in summary.children.items():
        table = performance_table(node.to_dataset(), measures=CONSOLE)
        label = node.attrs.get("label", name)
        outer = [x for x in ("estimator", "grid") if x in table.columns]
        where = [
            ", ".join(f"{x} {row[x]}" for x in outer)
            for row in table.to_dict("records")
        ]
        for block in dict.fromkeys(where):
            part = table.loc[[x == block for x in where]]
            heading = ", ".join(x for x in (f"{label} ({name})", block) if x)
            blocks.append(f"{heading}\n{_console_block(part)}")
        if table.empty:
            blocks.append(f"{label} ({name})\nno replication yet")
        else:
            notes = " ".join(table_notes(summary, name, table))
            blocks.append("\n".join(wrap(notes, _CONSOLE_WIDTH)))
    return "\n\n".join(blocks) + "\n"


def _console_block(table: pd.DataFrame) -> str:
    text = _console_lines(table, significant=2)
    if max(map(len, text)) > _CONSOLE_WIDTH:
        text = _console_lines(table, significant=1)
    return "\n".join(text)


def _console_lines(table: pd.DataFrame, *, significant: int) -> list[str]:
    columns: list[list[str]] = []
    for name in ("parameter", "sample_size", "n_supp"):
        if name not in table:
            continue
        cells = [in_unicode(str(x)) for x in table[name]]
        header = labels.SYMBOLS.get(name, name)
        length = max(len(x) for x in (header, *cells))
        if name == "parameter":
            cells = ["" if i and x == cells[i - 1] else x for i, x in enumerate(cells)]
            columns.append([x.ljust(length) for x in (header, *cells)])
        else:
            columns.append([x.rjust(length) for x in (header, *cells)])
    for name in rounding.measures_in(table):
        pairs = rounding.round_column(table, name, significant=significant)
        values, errors = map(rounding.align_decimals, pairs)
        cells = [f"{x} {e}" for x, e in zip(values, errors, strict=True)]
        header = f"{labels.label_measure(name)} (MCSE)"
        length = max(len(x) for x in (header, *cells))
        columns.append([header.rjust(length), *(x.rjust(length) for x in cells)])
    found = rounding.counts_beside(table)
    found = found or {"Used": rounding.used_over_attempted(table)}
    for head, texts in found.items():
        if head == "Used":
            counts = ["used/run", *texts]
        else:
            counts = [head, *(x.partition("/")[0] for x in texts)]
        length = max(map(len, counts))
        columns.append([x.rjust(length) for x in counts])
    rows = ["  ".join(cells).rstrip() for cells in zip(*columns, strict=True)]
    rule = "-" * max(map(len, rows))
    return [rule, rows[0], rule, *rows[1:], rule]
