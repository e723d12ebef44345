"""Write a formatted table in Markdown."""

from collections.abc import Mapping, Sequence

import pandas as pd


def panels_to_markdown(
    panels: Mapping[str, pd.DataFrame], *, notes: Sequence[str] = ()
) -> str:
    """Write what `format_panels` returns in Markdown, the notes below."""
    parts = [
        f"{escape_markdown(name)}:\n\n{to_markdown(text)}"
        if name
        else to_markdown(text)
        for name, text in panels.items()
    ]
    return "\n".join([*parts, *([" ".join(notes) + "\n"] if notes else [])])


def escape_markdown(text: str) -> str:
    """Write plain text so that a cell of a Markdown table shows it as it is."""
    for mark, written in (("\\", r"\\"), ("|", r"\|"), ("<", "&lt;"), ("\n", " ")):
        text = text.replace(mark, written)
    return text


def to_markdown(text: pd.DataFrame) -> str:
    """Write a formatted table in Markdown."""
    columns = [escape_markdown(str(name)) for name in text]
    rows = [
        [escape_markdown(str(x)) for x in row] for row in text.itertuples(index=False)
    ]
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
    return "\n".join(lines) + "\n"


def _is_number(text: str) -> bool:
    return text[:1] in "-0123456789"
