r"""Write a printed table in LaTeX: booktabs rules, one note, nothing off the page.

The text needs `\usepackage{booktabs}` and, for tables longer than a page,
`\usepackage{longtable}`; it compiles as it is in a minimal article.
"""

import functools
import math
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.font_manager import get_font
from matplotlib.ft2font import LoadFlags

from analysis.symbols import escape, in_latex, in_unicode
from analysis.tables.printed import Cell, Printed

TEXT_WIDTH = 345.0  # points, an article at 10 pt
TEXT_LINES = 54  # lines of \footnotesize on such a page, with some to spare

_FOOTNOTE, _SCRIPT = 8 * 17 / 16, 7 * 41 / 36
"""Points of an em of cmr10 in \\footnotesize and \\scriptsize.

Small letters are drawn wider: a digit of cmr8 has 17/32 of its size, one of cmr7 41/72,
one of cmr10, which is measured, a half.
"""

_SEPARATION = 6.0  # points, twice \tabcolsep as set below
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
        first, *others = (x._replace(notes=()) for x in _fit_width(table))
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
        "columns": f"@{{}}{'l' * len(table.names)}{'r' * len(table.heads)}@{{}}",
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
        + _levels(table)
        + 5
    )


def _levels(table: Printed) -> int:
    return len(table.heads[0]) if table.heads else 0


def _head(table: Printed) -> list[str]:
    """Write the heads: groups with a rule below each, then the columns."""
    first = len(table.names)
    lines = []
    for level in range(_levels(table) - 1):
        groups = table.groups(level)
        words, rules, at = [""] * first, [], first + 1
        for word, count in groups:
            words.append(rf"\multicolumn{{{count}}}{{c}}{{{in_latex(word)}}}")
            if word:
                rules.append(rf"\cmidrule(lr){{{at}-{at + count - 1}}}")
            at += count
        lines += [" & ".join(words) + r" \\", *([" ".join(rules)] if rules else [])]
    heads = [in_latex(x) for x in table.names]
    heads += [in_latex(words[-1]) for words in table.heads]
    return [*lines, " & ".join(heads) + r" \\", r"\midrule"]


def _body(table: Printed) -> list[str]:
    columns = zip(*(row.cells for row in table.rows), strict=True)
    aligned = [_aligned(column, table.below) for column in columns]
    width = len(table.names) + len(table.heads)
    lines: list[str] = []
    for i, row in enumerate(table.rows):
        values = [column[i][0] for column in aligned]
        errors = [column[i][1] for column in aligned]
        keep = table.opens(i)
        if i and row.heading == table.rows[i - 1].heading:
            if keep == 0 and len(row.names) > 1:
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


def _aligned(cells: Sequence[Cell], below: bool) -> list[tuple[str, str]]:
    r"""Write values and errors; `\phantom` fills up what decimals a cell lacks.

    So points stand below each other in a column that is set to the right.
    """
    values = [
        rf"\textbf{{{text}}}" if cell.best else text
        for text, cell in zip(_fill([x.value for x in cells]), cells, strict=True)
    ]
    errors = [
        rf"{{\scriptsize {x}}}" if x else "" for x in _fill([x.error for x in cells])
    ]
    if below:
        return list(zip(values, errors, strict=True))
    both = zip(values, errors, strict=True)
    return [(" ".join(x for x in pair if x), "") for pair in both]


def _fill(texts: Sequence[str]) -> list[str]:
    after = [len(x.partition(".")[2].rstrip(")")) + ("." in x) for x in texts]
    most = max(after, default=0)
    cells = []
    for text, number in zip(texts, after, strict=True):
        lack = most - number if text else 0
        point = "." if lack and not number else ""
        digits = "0" * (lack - len(point))
        phantom = f"\\phantom{{{point}{digits}}}" if lack else ""
        cells.append(text.replace("-", "$-$", 1) + phantom)
    return cells


def _fit_width(table: Printed) -> list[Printed]:
    """Cut the columns into the fewest tables, of equal width, that fit the page.

    Between outer groups where that is enough, else between any two columns.
    """
    room = TEXT_WIDTH - sum(
        _words_width(name, *(row.names[i] for row in table.rows))
        for i, name in enumerate(table.names)
    )
    widths = [
        max(
            _words_width(words[-1]),
            *(_cell_width(row.cells[i], table.below) for row in table.rows),
        )
        for i, words in enumerate(table.heads)
    ]
    ends = np.cumsum([count for _, count in table.groups(0)])
    runs = np.split(np.arange(len(widths)), ends[:-1])
    for units in (runs, [np.array([i]) for i in range(len(widths))]):
        for count in range(1, len(units) + 1):
            parts = np.array_split(np.arange(len(units)), count)
            cut = [np.concatenate([units[i] for i in part]) for part in parts]
            if all(_run_width(table, widths, part) <= room for part in cut):
                return [_choose(table, part) for part in cut]
    return [_choose(table, np.array([i])) for i in range(len(widths))]


def _run_width(table: Printed, widths: list[float], columns: np.ndarray) -> float:
    """Measure columns, as wide as their words or as those over the group."""
    part = _choose(table, columns)
    wide = [widths[i] for i in columns]
    for level in range(_levels(table) - 1):
        at = 0
        for word, count in part.groups(level):
            # What words over a group need beyond its columns, LaTeX gives the last one.
            lack = _words_width(word) - sum(wide[at : at + count])
            wide[at + count - 1] += max(lack, 0.0)
            at += count
    return float(sum(wide))


def _choose(table: Printed, columns: np.ndarray) -> Printed:
    rows = [
        row._replace(cells=tuple(row.cells[i] for i in columns)) for row in table.rows
    ]
    heads = tuple(table.heads[i] for i in columns)
    return table._replace(heads=heads, rows=tuple(rows))


def _cell_width(cell: Cell, below: bool) -> float:
    small = _measure(cell.error) * _SCRIPT
    value = _measure(cell.value) * _FOOTNOTE
    blank = _measure(" ") * _FOOTNOTE if cell.error else 0.0
    return (max(value, small) if below else value + blank + small) + _SEPARATION


def _words_width(*texts: str) -> float:
    """Return the width of the widest of some words, with what separates columns."""
    return max(_measure(in_unicode(x)) for x in texts) * _FOOTNOTE + _SEPARATION


def _measure(text: str) -> float:
    """Return the width of a text in ems of Computer Modern."""
    return sum(map(_advance, text), 0.0)


@functools.cache
def _advance(letter: str) -> float:
    """Return the width of a letter, from the font; of one that it lacks that of an m.

    A hyphen is set as a minus sign, which is in the font of symbols.
    """
    name, code = ("cmsy10", 0xA1) if letter == "-" else ("cmr10", ord(letter))
    font = get_font(Path(mpl.get_data_path(), "fonts", "ttf", f"{name}.ttf"))
    code = code if font.get_char_index(code) else ord("m")
    return font.load_char(code, LoadFlags.NO_SCALE).horiAdvance / font.units_per_EM
