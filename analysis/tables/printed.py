"""A table as it is printed: words, numbers as text, groups of columns, one note.

Markdown, HTML and LaTeX are written from it. Words are those of the summary after
`labels.name_entries`: a symbol is between dollars.
"""

from collections.abc import Sequence
from itertools import groupby
from typing import NamedTuple

import pandas as pd

from analysis import labels
from analysis.symbols import in_unicode
from analysis.tables import rounding

HEADS = {
    "kind": "Interval",
    "holds": "Null",
    "coordinate": "Margin",
    "sample_size": "$n$",
    "n_supp": "Points",
}
"""Heads of the columns of words, where they are not the names of dimensions."""


SUBJECTS = ("parameter", "test", "statistic")
"""What a table is about: one of these tells its rows apart."""


class Cell(NamedTuple):
    """A number as text, its Monte Carlo error in brackets, whether it is the best."""

    value: str = ""
    error: str = ""
    best: bool = False

    def text(self) -> str:
        """Write value and error beside each other, a star at the best."""
        both = " ".join(x for x in (self.value, self.error) if x)
        return f"{both}{'*' if self.best else ''}"


class Row(NamedTuple):
    """A row: the heading it is below, its words, its cells."""

    heading: tuple[str, ...]
    names: tuple[str, ...]
    cells: tuple[Cell, ...]


class Printed(NamedTuple):
    """A table to be printed.

    Attributes:
        caption: What it shows.
        names: Heads of the columns of words, as many as every row has.
        heads: Words over every column of numbers, the outermost group first.
        rows: The rows.
        notes: Sentences of the one note.
        below: Whether errors stand below the values, and not beside them.
    """

    caption: str
    names: tuple[str, ...]
    heads: tuple[tuple[str, ...], ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()
    below: bool = False

    @property
    def levels(self) -> int:
        """How many lines of words stand over the columns of numbers."""
        return len(self.heads[0]) if self.heads else 0

    def groups(self, level: int) -> list[tuple[str, int]]:
        """List the words of a level, each with the number of columns that it heads."""
        keyed = groupby(self.heads, key=lambda words: words[: level + 1])
        return [(words[-1], len(list(columns))) for words, columns in keyed]

    def opens(self, i: int) -> int:
        """Count the words of a row, from the left, that repeat those above it."""
        if i == 0 or self.rows[i].heading != self.rows[i - 1].heading:
            return 0
        pairs = zip(self.rows[i].names, self.rows[i - 1].names, strict=True)
        same = [here == above for here, above in pairs]
        return same.index(False) if False in same else max(len(same) - 1, 0)


def print_rows(
    table: pd.DataFrame, *, caption: str, notes: Sequence[str] = ()
) -> list[Printed]:
    """Print a table of one row a design point, as `performance_table` returns it.

    Estimators, grids and parameters are headings; what has one value only is left out,
    and the counts where all was used. Where a column `measure` tells measures apart,
    each has a table; the note is below the last.
    """
    panels = rounding.split_panels(table)
    printed = []
    for i, (panel, part) in enumerate(panels.items()):
        title = f"{caption}, {panel[:1].lower()}{panel[1:]}" if panel else caption
        below = tuple(notes) if i == len(panels) - 1 else ()
        printed.append(_print_panel(part, title, below))
    return printed


def _print_panel(table: pd.DataFrame, caption: str, notes: tuple[str, ...]) -> Printed:
    named = [x for x in HEADS if rounding.varies(table, x)]
    subject = next((x for x in SUBJECTS if x in table), "")
    above = bool(named) or not subject  # parameters have several rows
    outer = [x for x in ("estimator", "grid") if rounding.varies(table, x)]
    if subject:
        (outer if above else named).append(subject)
    named.sort(key=(*SUBJECTS, *HEADS).index)
    named = named or [x for x in HEADS if x in table][:1]
    columns = {x: print_cells(table, x) for x in rounding.measures_in(table)}
    heads = [(labels.label_measure(x) if x in labels.MEASURES else x,) for x in columns]
    for head, counts in rounding.counts_beside(table).items():
        heads.append((head,))
        columns[head] = [Cell(x) for x in counts]
    rows = []
    for i, record in enumerate(table.to_dict("records")):
        words = [_heading(x, str(record[x])) for x in outer]
        names = tuple(str(record[x]) for x in named)
        cells = tuple(cells[i] for cells in columns.values())
        rows.append(Row(tuple(x for x in words if x), names, cells))
    return Printed(
        caption=caption,
        names=tuple(HEADS.get(x, labels.label_dim(x)) for x in named),
        heads=tuple(heads),
        rows=tuple(rows),
        notes=notes,
    )


def print_cells(
    table: pd.DataFrame, name: str, *, places: int | None = None, errors: bool = True
) -> list[Cell]:
    """Print a measure of every row, with decimals that follow the errors."""
    values, brackets = rounding.round_column(table, name, places=places)
    marks = rounding.best(table, name)
    return [
        Cell(value, error if errors else "", bool(mark))
        for value, error, mark in zip(values, brackets, marks, strict=True)
    ]


def _heading(name: str, value: str) -> str:
    if name in SUBJECTS or not value:
        return value
    return f"{labels.label_dim(name).lower()} {value}"


def to_frame(printed: Printed) -> pd.DataFrame:
    """Put a printed table into columns of text, for Markdown.

    A column is headed by the words of all its groups.
    """
    columns: dict[str, list[str]] = {}
    for i, name in enumerate(printed.names):
        columns[in_unicode(name)] = [in_unicode(row.names[i]) for row in printed.rows]
    for i, words in enumerate(printed.heads):
        shown = ", ".join(in_unicode(x) for x in words if x)
        columns[shown] = [row.cells[i].text() for row in printed.rows]
    headings = [", ".join(map(in_unicode, row.heading)) for row in printed.rows]
    if any(headings):
        columns = {"": headings, **columns}
    return pd.DataFrame(columns)
