r"""Write a table of measures in LaTeX: booktabs rules, notes, nothing else to load.

The text needs `\usepackage{booktabs}` and compiles as it is in a minimal article.
"""

from collections.abc import Iterator, Sequence

import pandas as pd

from analysis import formatting as fm
from analysis import labels

TEXT_WIDTH = 345.0  # points, an article at 10 pt
MAX_ROWS = 42  # lines that fit on such a page beside caption and notes

_HEADING = 1.5  # lines a heading takes, with the space above it
_DIGIT = 4.3  # points, \footnotesize
_SMALL_DIGIT = 3.9  # points, \scriptsize
_GAP = 8.0  # points, twice \tabcolsep as set below
_HEADS = {
    "kind": "Interval",
    "coordinate": "Margin",
    "sample_size": "$n$",
    "n_supp": "Points",
}
_TEXT = ("kind", "parameter")  # columns of words, set to the left
_ESCAPES = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{x: f"\\{x}" for x in "&%$#_{}"},
}


def escape(text: str) -> str:
    """Write plain text so that LaTeX prints it as it is."""
    return "".join(_ESCAPES.get(x, x) for x in text)


def to_latex(
    table: pd.DataFrame,
    *,
    caption: str,
    label: str,
    notes: Sequence[str] = (),
    brackets: bool = True,
    significant: int = 2,
) -> str:
    r"""Write the numbers of `tables.performance_table` as LaTeX tables.

    One table if it fits a page of an article; else measures that do not fit the width
    go to a second table with the same rows, and rows that do not fit the page to a next
    table, cut between parameters. Columns that identify a row are left out where they
    have one value only; each parameter (estimator, grid) has its own heading line.

    Args:
        table: Numbers, errors and counts; a best entry is set in bold.
        caption: Caption; continued tables say so.
        label: Key for `\ref` of the first table.
        notes: Sentences below every table.
        brackets: Print each Monte Carlo error in small brackets. Without them the
            largest ones are in the notes.
        significant: Digits of the error that are shown.
    """
    if table.empty:
        raise ValueError("the table has no rows; no replication was attempted yet.")
    cells = {
        name: _cells(table, name, brackets=brackets, significant=significant)
        for name in fm.measures_in(table)
    }
    parts = [
        _environment(table, rows, names, cells)
        for names in _fitting(table, cells)
        for rows in _pages(table)
    ]
    texts = []
    for i, body in enumerate(parts):
        title = f"{escape(caption)} (continued)" if i else escape(caption)
        key = f"{label}-{i + 1}" if i else label
        texts.append(_FRAME % (title, key, body, escape(" ".join(notes))))
    return "\n".join(texts)


_FRAME = r"""\begin{table}[tbp]
\centering
\caption{%s}
\label{%s}
\footnotesize
\setlength{\tabcolsep}{4pt}
%s
\par\smallskip
\parbox{\linewidth}{\footnotesize\textit{Notes:} %s}
\end{table}
"""


def _rows_by(table: pd.DataFrame) -> list[str]:
    names = [x for x in ("parameter",) if not _has_headings(table)]
    names += [x for x in _HEADS if fm.varies(table, x)]
    return names or [x for x in _HEADS if x in table][:1]


def _has_headings(table: pd.DataFrame) -> bool:
    """Tell whether parameters have several rows each, below a heading of their own."""
    return "sample_size" in table or "parameter" not in table


def _head(name: str) -> str:
    return _HEADS.get(name, labels.label_dim(name))


def _heading(name: str, value: str) -> str:
    if name == "parameter":
        return labels.label_parameter_math(value)
    return f"{labels.label_dim(name).lower()} {escape(value)}"


def _headings(table: pd.DataFrame) -> list[str]:
    varying = [x for x in ("estimator", "grid") if fm.varies(table, x)]
    with_parameter = "parameter" in table and _has_headings(table)
    names = [*varying, *(["parameter"] if with_parameter else [])]
    if not names:
        return [""] * len(table)
    columns = [[_heading(x, str(value)) for value in table[x]] for x in names]
    return [", ".join(words) for words in zip(*columns, strict=True)]


def _cells(
    table: pd.DataFrame, name: str, *, brackets: bool, significant: int
) -> list[str]:
    errors = fm.shown_errors(table, name)
    pairs = list(zip(table[name], errors, strict=True))
    values = [fm.format_value(x, e, significant=significant) for x, e in pairs]
    cells = _aligned(values)
    marks = zip(cells, fm.best(table, name), strict=True)
    cells = [rf"\textbf{{{x}}}" if marked else x for x, marked in marks]
    if not brackets:
        return cells
    small = _aligned([fm.format_error(e, significant=significant) for _, e in pairs])
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
        value, _, error = text.partition(" ")
        return len(value) * _DIGIT + len(error) * _SMALL_DIGIT

    return max(len(head) * _DIGIT, *(points(x) for x in cells)) + _GAP


def _fitting(table: pd.DataFrame, cells: dict[str, list[str]]) -> list[list[str]]:
    """Cut the measures into runs, each of which fits the width of the text."""
    fixed = sum(
        _width([str(x) for x in table[name]], _head(name)) for name in _rows_by(table)
    )
    fixed += _width(fm.used_over_attempted(table), "Used")
    runs: list[list[str]] = [[]]
    width = fixed
    for name, texts in cells.items():
        step = _width(texts, labels.label_measure(name))
        if runs[-1] and width + step > TEXT_WIDTH:
            runs.append([])
            width = fixed
        runs[-1].append(name)
        width += step
    return runs


def _pages(table: pd.DataFrame) -> Iterator[list[int]]:
    """Cut the rows into pages between headings, with at least one heading a page."""
    page: list[int] = []
    lines = 0.0
    headings = _headings(table)
    for heading in dict.fromkeys(headings):
        rows = [i for i, x in enumerate(headings) if x == heading]
        height = len(rows) + _HEADING
        if page and lines + height > MAX_ROWS:
            yield page
            page, lines = [], 0.0
        page += rows
        lines += height
    yield page


def _environment(
    table: pd.DataFrame,
    rows: list[int],
    names: list[str],
    cells: dict[str, list[str]],
) -> str:
    by = _rows_by(table)
    heads = [_head(x) for x in by]
    heads += [escape(labels.label_measure(x)) for x in names] + ["Used"]
    headings = _headings(table)
    used = fm.used_over_attempted(table)
    columns = "".join("l" if x in _TEXT else "r" for x in by) + "r" * (len(names) + 1)
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
        entries = [escape(str(table[x].iloc[row])) for x in by]
        entries += [cells[x][row] for x in names] + [used[row]]
        lines.append(" & ".join(entries) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"])
