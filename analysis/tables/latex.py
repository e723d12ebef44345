r"""Write a printed table in LaTeX: booktabs rules, one note, nothing off the page.

The text needs `\usepackage{booktabs,siunitx}`, siunitx of version 3, and, for tables
longer than a page, `\usepackage{longtable}`; it compiles as it is in a minimal article.
Numbers stand in columns `S`, points below each other; what is no number is in braces.
"""

import math
from collections.abc import Sequence

from analysis.symbols import escape, in_latex
from analysis.tables.printed import Cell, Printed
from analysis.tables.widths import NUMBER, find_format, fit_width, measure

TEXT_LINES = 54  # lines of \footnotesize on such a page, with some to spare
_LETTERS_A_LINE = 95  # of a note

_FLOAT = r"""\begin{table}[tbp]
\centering
\caption{%(caption)s}
\label{%(label)s}
\footnotesize
\setlength{\tabcolsep}{3pt}
\begin{tabular}{%(columns)s}
\toprule
%(head)s
%(body)s
\bottomrule
\end{tabular}
%(notes)s\end{table}
"""

_LONG = r"""{\footnotesize
\setlength{\tabcolsep}{3pt}
\begin{longtable}{%(columns)s}
\caption{%(caption)s}
\label{%(label)s} \\
\toprule
%(head)s
\endfirsthead
\caption[]{(continued)} \\
\toprule
%(head)s
\endhead
\bottomrule
\endfoot
\endlastfoot
%(body)s*
%(notes)s\end{longtable}}
"""

_NOTES = r"""\par\smallskip
\noindent\parbox{\linewidth}{\footnotesize\textit{Notes:} %s}
"""

_RULE = "\\bottomrule\n"

_LAST_ROW = r"""\noalign{\nobreak\vskip\aboverulesep}
\multispan{%(width)d}\leaders\hrule height\heavyrulewidth\hfill\cr
\noalign{\nobreak\smallskip}
\multicolumn{%(width)d}{@{}c@{}}{\makebox[0pt]{%%
\parbox[t]{\linewidth}{\textit{Notes:} %(text)s}}} \\
"""
"""The rule and the note of a `longtable`, on the page of the last row.

After `\\bottomrule` a page could end, so the rule is drawn by hand. The note is in a
box without width, which does not widen the columns and is as wide as the text.
"""


def to_latex(tables: Sequence[Printed], *, label: str) -> str:
    r"""Write printed tables one after the other, the note of each below it.

    A table that fits a page is a float. A longer one is a `longtable`, which breaks
    between any two rows and repeats its head. Columns that do not fit the width go to a
    second table with the same rows, whole groups of them where that is enough.

    Args:
        tables: What is printed; continued tables say so.
        label: Key for `\ref` of the first; those that follow have a number.
    """
    parts: list[Printed] = []
    for table in tables:
        if not table.rows:
            raise ValueError("the table has no rows; no replication was attempted yet.")
        first, *others = (x._replace(notes=()) for x in fit_width(table))
        again = f"{table.caption} (continued)"
        parts += [first, *(x._replace(caption=again) for x in others)]
        parts[-1] = parts[-1]._replace(notes=table.notes)
    # Floats would be set behind a long table that follows them.
    long = any(_count_lines(x) > TEXT_LINES for x in parts)
    keys = [label, *(f"{label}-{i}" for i in range(2, len(parts) + 1))]
    return "\n".join(_write(x, key, long) for x, key in zip(parts, keys, strict=True))


def _write(table: Printed, label: str, long: bool) -> str:
    body = _body(table)
    text = escape(" ".join(table.notes))
    width = len(table.names) + len(table.heads)
    if long:
        notes = _LAST_ROW % {"width": width, "text": text} if text else _RULE
    else:
        notes = _NOTES % text if text else ""
    fields = {
        "caption": escape(table.caption),
        "label": label,
        "columns": f"@{{}}{'l' * len(table.names)}{''.join(_list_columns(table))}@{{}}",
        "head": "\n".join(_head(table)),
        "body": "\n".join(body),
        "notes": notes,
    }
    return (_LONG if long else _FLOAT) % fields


def _count_lines(table: Printed) -> int:
    words = math.ceil(len(" ".join(table.notes)) / _LETTERS_A_LINE)
    return (
        len(_body(table))
        + words
        + math.ceil(len(table.caption) / 80)
        + table.levels
        + 5
    )


def _head(table: Printed) -> list[str]:
    """Write the heads: groups with a rule below each, then the columns."""
    first = len(table.names)
    lines = []
    for level in range(table.levels - 1):
        groups = table.groups(level)
        words, rules, at = [""] * first, [], first + 1
        for word, count in groups:
            words.append(rf"\multicolumn{{{count}}}{{c}}{{{in_latex(word)}}}")
            if word:
                rules.append(rf"\cmidrule(lr){{{at}-{at + count - 1}}}")
            at += count
        lines += [" & ".join(words) + r" \\", *([" ".join(rules)] if rules else [])]
    heads = [in_latex(x) for x in table.names]
    heads += [f"{{{in_latex(words[-1])}}}" for words in table.heads]
    return [*lines, " & ".join(heads) + r" \\", r"\midrule"]


def _body(table: Printed) -> list[str]:
    width = len(table.names) + len(table.heads)
    grouped = any(table.opens(i) for i in range(len(table.rows)))
    lines: list[str] = []
    for i, row in enumerate(table.rows):
        written = [_written(cell, table.below) for cell in row.cells]
        values, errors = [x for x, _ in written], [x for _, x in written]
        keep = table.opens(i)
        if i and row.heading == table.rows[i - 1].heading:
            if keep == 0 and grouped:
                lines.append(r"\addlinespace")
        elif row.heading:
            words = ", ".join(map(in_latex, row.heading))
            lines += [r"\addlinespace"] if i else []
            lines.append(rf"\multicolumn{{{width}}}{{@{{}}l}}{{{words}}} \\*")
        names = [in_latex(x) for x in row.names]
        names[:keep] = [""] * keep
        # No page ends between a value and its error below.
        star = "*" if table.below else ""
        lines.append(" & ".join([*names, *values]) + rf" \\{star}")
        if table.below:
            lines.append(" & ".join([*("" for _ in names), *errors]) + r" \\")
    return lines


def _list_columns(table: Printed) -> list[str]:
    """Say how each column of numbers is aligned: at the point, if it has any."""
    found = []
    for cells in zip(*(row.cells for row in table.rows), strict=True):
        sign, whole, decimals = find_format(cells)
        if not whole:
            found.append("r")
            continue
        options = [f"table-format={sign}{whole}.{decimals}"]
        if any(x.best for x in cells):
            options += ["detect-weight", "mode=text"]
        longest = max((x.error for x in cells), key=measure)
        if longest and not table.below:
            options.append(f"table-space-text-post={{{_beside(longest)}}}")
        found.append(f"S[{','.join(options)}]")
    return found


def _beside(error: str) -> str:
    """Write an error as what follows a number, in light letters."""
    return rf"\,{{\mdseries\scriptsize {error}}}"


def _written(cell: Cell, below: bool) -> tuple[str, str]:
    """Write a cell, and what stands below it."""
    number = NUMBER.fullmatch(cell.value)
    error = cell.error
    if number:
        value = rf"\bfseries {cell.value}" if cell.best else cell.value
        if error and not below:
            value += f" {_beside(error)}"
    else:
        words = " ".join(x for x in (cell.value, "" if below else error) if x)
        words = rf"\textbf{{{words}}}" if cell.best else words
        value = f"{{{words}}}" if words else ""
    return value, rf"{{{{\scriptsize {error}}}}}" if below and error else ""
