"""A table of words, and its forms: text, Markdown, LaTeX and HTML."""

import html
import re
import textwrap
from typing import NamedTuple

from spmlex._words.arguments import check_text

WIDTH = 80
"""Columns of a terminal, which titles and notes keep to."""

_LATEX = {
    **{letter: rf"\{letter}" for letter in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "\\": r"\textbackslash{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
}
_CLOSED = (")", "]")


class Table(NamedTuple):
    """A table of words: how numbers are written is settled.

    Attributes:
        title: What it shows.
        head: Heads of the columns; the first is that of the rows' names.
        rows: Cells, the name of the row first.
        notes: Sentences below it.
        rules: Numbers of the rows that have a rule above them, beside the first.
    """

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()
    rules: tuple[int, ...] = ()


def to_text(table: Table) -> str:
    """Return the table as lines of text."""
    cells = [list(table.head), *(_padded(table, row, " ") for row in table.rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [
        f"{name:{widths[0]}}"
        + "".join(f"  {cell:>{w}}" for cell, w in zip(rest, widths[1:], strict=True))
        for name, *rest in cells
    ]
    title = textwrap.wrap(table.title, WIDTH)
    rule = "-" * max(map(len, [*title, *lines]), default=0)
    body = [line.rstrip() for line in lines]
    for number in sorted({0, *table.rules}, reverse=True):
        body.insert(number + 1, rule)
    if not table.rows:
        body = []
    notes = [line for note in table.notes for line in textwrap.wrap(note, WIDTH)]
    return "\n".join([*title, *([rule, *body, rule] if body else []), *notes])


def to_markdown(table: Table) -> str:
    """Return the table in Markdown, as GitHub has it, the title above it."""
    rows = [list(table.head), *map(list, table.rows)]
    rows = [[_in_markdown(cell) for cell in row] for row in rows]
    rows.insert(1, ["---", *["---:"] * (len(table.head) - 1)])
    lines = [f"| {' | '.join(row)} |" for row in rows]
    notes = [_in_markdown(note) for note in table.notes]
    below = ["", "  \n".join(notes)] if notes else []
    return "\n".join([_in_markdown(table.title), "", *lines, *below]) + "\n"


def to_latex(table: Table, caption: str | None = None, label: str | None = None) -> str:
    r"""Return the table in LaTeX, with the rules of `booktabs`.

    Args:
        table: The table.
        caption: Of a `table` around it; without there is only the `tabular`.
        label: Key for `\ref`; only with a caption.

    Raises:
        ValueError: These are no text.
    """
    check_text("caption", caption)
    check_text("label", label)
    count = len(table.head)
    head = " & ".join(_in_latex(word) for word in table.head)
    lines = [
        rf"\begin{{tabular}}{{@{{}}l{'r' * (count - 1)}@{{}}}}",
        r"\toprule",
        rf"{head} \\",
        r"\midrule",
    ]
    for number, row in enumerate(table.rows):
        if number in table.rules:
            lines.append(r"\midrule")
        cells = (_in_latex(row[0]), *map(_number_in_latex, row[1:]))
        # An invisible bracket, so that digits stand below each other.
        padded = _padded(table, cells, r"\phantom{)}")
        lines.append(rf"{' & '.join(padded)} \\")
    lines.append(r"\bottomrule")
    for note in table.notes:
        # A box of no width of its own, so that a note does not widen the columns.
        text = rf"\rlap{{\footnotesize {_in_latex(note)}}}"
        lines.append(rf"\multicolumn{{{count}}}{{@{{}}l@{{}}}}{{{text}}} \\")
    lines.append(r"\end{tabular}")
    if caption is not None:
        key = [] if label is None else [rf"\label{{{label}}}"]
        opening = [r"\begin{table}", r"\centering"]
        opening += [rf"\caption{{{_in_latex(caption)}}}", r"\smallskip"]
        lines = [*opening[:3], *key, *opening[3:], *lines, r"\end{table}"]
    return "\n".join(lines) + "\n"


def to_html(table: Table) -> str:
    """Return the table in HTML, with caption and scopes, for notebooks."""

    def cell(tag: str, text: str, scope: str = "") -> str:
        scope = f' scope="{scope}"' if scope else ""
        return f"<{tag}{scope}>{html.escape(text)}</{tag}>"

    head = "".join(cell("th", word, "col") for word in table.head)
    rows = "".join(
        f"<tr>{cell('th', name, 'row')}{''.join(cell('td', x) for x in rest)}</tr>\n"
        for name, *rest in table.rows
    )
    notes = "".join(f"<p>{html.escape(note)}</p>\n" for note in table.notes)
    return (
        f"<table>\n<caption>{html.escape(table.title)}</caption>\n"
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}</tbody>\n</table>\n{notes}"
    )


def _padded(table: Table, row: tuple[str, ...], padding: str) -> list[str]:
    """Return cells of which those without brackets line up with those that have."""
    cells = [row[0]]
    for k, cell in enumerate(row[1:], start=1):
        brackets = any(each[k].endswith(_CLOSED) for each in table.rows)
        cells.append(
            cell + padding if brackets and cell and not cell.endswith(_CLOSED) else cell
        )
    return cells


def _in_latex(text: str) -> str:
    return "".join(_LATEX.get(letter, letter) for letter in text)


def _number_in_latex(text: str) -> str:
    """Return a cell with minus signs and infinities as mathematics has them."""
    return _in_latex(text).replace("-", "$-$").replace("inf", r"$\infty$")


def _in_markdown(text: str) -> str:
    return re.sub(r"([\\|*_<>`\[\]])", r"\\\1", text)
