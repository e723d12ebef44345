r"""Write a table of measures in LaTeX: booktabs rules, notes, nothing else to load.

The text needs `\usepackage{booktabs}` and compiles as it is in a minimal article.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from analysis import labels
from analysis.tables import rounding

TEXT_WIDTH = 345.0  # points, an article at 10 pt
MAX_ROWS = 42  # lines that fit on such a page beside caption and notes

_HEADING = 1.5  # lines a heading takes, with the space above it
_DIGIT, _SMALL_DIGIT = 4.25, 3.99  # points, \footnotesize and \scriptsize
_LETTER = 0.95  # of a digit, as the widths of other characters
_WIDTHS = dict.fromkeys(".,:;'!|il", 0.56) | dict.fromkeys("()[] ", 0.72) | {"-": 1.56}
_GAP = 6.0  # points, twice \tabcolsep as set below
_HEADS = {
    "kind": "Interval",
    "coordinate": "Margin",
    "sample_size": "$n$",
    "n_supp": "Points",
}
_TEXT = ("kind", "parameter")  # columns of words, set to the left


def to_latex(
    table: pd.DataFrame,
    *,
    caption: str,
    label: str,
    notes: Sequence[str] = (),
) -> str:
    r"""Write the numbers of `performance.performance_table` as LaTeX tables.

    One table if it fits a page of an article; else columns that do not fit the width
    go to a second table with the same rows, as many to each, and rows that do not fit
    the page to a next table, cut between headings. Columns that identify a row are left
    out where they have one value only; each parameter (estimator, grid) has its own
    heading line. Where a column `measure` tells measures apart, each has its tables.

    Args:
        table: Numbers, errors in small brackets, counts; a best entry is set in bold.
        caption: Caption; continued tables say so.
        label: Key for `\ref` of the first table.
        notes: Sentences below every table.
    """
    if table.empty:
        raise ValueError("the table has no rows; no replication was attempted yet.")
    texts: list[str] = []
    for panel, part in rounding.split_panels(table).items():
        title = f"{caption}, {panel[:1].lower()}{panel[1:]}" if panel else caption
        for i, body in enumerate(_bodies(part)):
            key = f"{label}-{len(texts) + 1}" if texts else label
            head = labels.escape_latex(title) + (" (continued)" if i else "")
            texts.append(
                _FRAME % (head, key, body, labels.escape_latex(" ".join(notes)))
            )
    return "\n".join(texts)


def _bodies(table: pd.DataFrame) -> list[str]:
    """Write the environments, without floats, that hold a table."""
    cells = {name: _cells(table, name) for name in rounding.measures_in(table)}
    fixed = {
        x: [labels.escape_latex(str(y)) for y in table[x]] for x in _rows_by(table)
    }
    used = rounding.counts_beside(table)
    headings = _headings(table)
    width = sum(_width(texts, _head(x)) for x, texts in fixed.items())
    width += sum(_width(counts, head) for head, counts in used.items())
    return [
        _environment(rows, headings, fixed, {x: cells[x] for x in names}, used)
        for names in _fitting(cells, TEXT_WIDTH - width)
        for rows in _pages(headings)
    ]


_FRAME = r"""\begin{table}[tbp]
\centering
\caption{%s}
\label{%s}
\footnotesize
\setlength{\tabcolsep}{3pt}
%s
\par\smallskip
\parbox{\linewidth}{\footnotesize\textit{Notes:} %s}
\end{table}
"""


def _rows_by(table: pd.DataFrame) -> list[str]:
    names = [x for x in ("parameter",) if not _has_headings(table)]
    names += [x for x in _HEADS if rounding.varies(table, x)]
    return names or [x for x in _HEADS if x in table][:1]


def _has_headings(table: pd.DataFrame) -> bool:
    """Tell whether parameters have several rows each, below a heading of their own."""
    others = [x for x in _HEADS if rounding.varies(table, x)]
    return bool(others) or "parameter" not in table


def _head(name: str) -> str:
    return _HEADS.get(name, labels.label_dim(name))


def _heading(name: str, value: str) -> str:
    if name == "parameter":
        return labels.label_parameter_math(value)
    return f"{labels.label_dim(name).lower()} {labels.escape_latex(value)}"


def _headings(table: pd.DataFrame) -> list[str]:
    varying = [x for x in ("estimator", "grid") if rounding.varies(table, x)]
    with_parameter = "parameter" in table and _has_headings(table)
    names = [*varying, *(["parameter"] if with_parameter else [])]
    if not names:
        return [""] * len(table)
    columns = [[_heading(x, str(value)) for value in table[x]] for x in names]
    return [", ".join(words) for words in zip(*columns, strict=True)]


def _cells(table: pd.DataFrame, name: str) -> list[str]:
    values, errors = rounding.round_column(table, name)
    cells = _aligned(values)
    marks = zip(cells, rounding.best(table, name), strict=True)
    cells = [rf"\textbf{{{x}}}" if marked else x for x, marked in marks]
    small = _aligned(errors)
    return [f"{x} {{\\scriptsize {e}}}" for x, e in zip(cells, small, strict=True)]


def _aligned(texts: list[str]) -> list[str]:
    r"""Fill up decimals with `\phantom`, so that points align in a right-set column."""
    after = [len(x.partition(".")[2].rstrip(")")) + ("." in x) for x in texts]
    cells = []
    for text, number in zip(texts, after, strict=True):
        lack = max(after) - number
        digits = "0" * (lack - (number == 0)) if lack else ""
        phantom = f"\\phantom{{{'.' if lack and not number else ''}{digits}}}"
        cells.append(text.replace("-", "$-$", 1) + (phantom if lack else ""))
    return cells


def _width(cells: list[str], head: str) -> float:
    def points(text: str) -> float:
        for mark in ("\\phantom{", "\\textbf{", "\\scriptsize", "$", "{", "}"):
            text = text.replace(mark, "")
        # An error stands in smaller brackets, after the value.
        value, bracket, error = " ".join(text.split()).partition(" (")
        small = _digits(bracket + error) * _SMALL_DIGIT
        return _digits(value) * _DIGIT + small

    return max(_digits(head) * _DIGIT, *(points(x) for x in cells)) + _GAP


def _digits(text: str) -> float:
    """Measure a text in widths of a digit."""
    return sum(_WIDTHS.get(x, _LETTER if x.isalpha() else 1.0) for x in text)


def _fitting(cells: dict[str, list[str]], room: float) -> list[list[str]]:
    """Cut the columns into the fewest runs, of equal length, that fit the width."""
    widths = {
        name: _width(texts, labels.label_column(name)) for name, texts in cells.items()
    }
    names = list(cells)
    for count in range(1, len(names) + 1):
        runs = [list(x) for x in np.array_split(names, count)]
        if all(sum(widths[x] for x in run) <= room for run in runs):
            return runs
    return [[x] for x in names]


def _pages(headings: list[str]) -> Iterator[list[int]]:
    """Cut the rows into pages between headings, with at least one heading a page."""
    page: list[int] = []
    lines = 0.0
    for heading in dict.fromkeys(headings):
        rows = [i for i, x in enumerate(headings) if x == heading]
        height = len(rows) + _HEADING
        if page and lines + height > MAX_ROWS:
            yield page
            page, lines = [], 0.0
        page += rows
        lines += height
    yield page


def _column_head(name: str) -> str:
    if name in labels.MEASURES:
        return labels.escape_latex(labels.label_measure(name))
    return labels.label_parameter_math(name)


def _environment(
    rows: list[int],
    headings: list[str],
    fixed: dict[str, list[str]],
    cells: dict[str, list[str]],
    used: dict[str, list[str]],
) -> str:
    heads = [*map(_head, fixed), *map(_column_head, cells)]
    entries = [*fixed.values(), *cells.values()]
    heads += used
    entries += used.values()
    columns = "".join("l" if x in _TEXT else "r" for x in fixed)
    columns += "r" * (len(heads) - len(fixed))
    lines = [
        rf"\begin{{tabular}}{{@{{}}{columns}@{{}}}}",
        r"\toprule",
        " & ".join(heads) + r" \\",
    ]
    for i, row in enumerate(rows):
        if i == 0 or headings[row] != headings[rows[i - 1]]:
            lines.append(r"\midrule" if i == 0 else r"\addlinespace")
            if headings[row]:
                lines.append(
                    rf"\multicolumn{{{len(heads)}}}{{@{{}}l}}{{{headings[row]}}} \\"
                )
        lines.append(" & ".join(texts[row] for texts in entries) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"])
