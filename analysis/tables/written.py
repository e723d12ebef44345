"""Tables as files: tidy CSV, Markdown, LaTeX, HTML."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import xarray as xr

from analysis.configuration import read_config
from analysis.exchange import table_to_csv
from analysis.files import slug, write_text
from analysis.symbols import in_unicode
from analysis.tables.catalogue import Table
from analysis.tables.html import to_html
from analysis.tables.latex import to_latex
from analysis.tables.layout import Layout, parse_layout, read_layout
from analysis.tables.markdown import escape_markdown, panels_to_markdown, to_markdown
from analysis.tables.printed import Printed, print_rows, to_frame
from analysis.tables.rounding import format_panels


def find_layouts(
    summary: xr.DataTree, files: Sequence[Path | str] = ()
) -> dict[str, Layout]:
    """Read the tables that the study chose, and those of files, by their names.

    Raises:
        ValueError: One of them is no table file.
    """
    chosen = read_config(summary).get("table") or {}
    found = {x: parse_layout(content, x) for x, content in chosen.items()}
    return found | {Path(x).stem: read_layout(Path(x)) for x in files}


def write_printed(
    printed: Printed, numbers: pd.DataFrame, stem: Path, *, process: str
) -> list[Path]:
    """Write a table that a table file lays out, in all four forms.

    Args:
        printed: The table.
        numbers: Its numbers, tidy.
        stem: The files, without their endings.
        process: The process, or "" of several.
    """
    frame = to_markdown(to_frame(printed))
    notes = " ".join(printed.notes)
    caption = escape_markdown(in_unicode(printed.caption))
    texts = {
        "csv": table_to_csv(numbers),
        "md": f"**{caption}**\n\n{frame}\n{notes}\n",
        "tex": to_latex([printed], label=f"tab:{slug(process or 'all')}-{stem.name}"),
        "html": to_html(printed),
    }
    return [
        write_text(stem.with_name(f"{stem.name}.{ending}"), text)
        for ending, text in texts.items()
    ]


def write_table(table: Table, folder: Path, process: str, label: str) -> list[Path]:
    """Write a table of one process in Markdown and LaTeX."""
    ending = "" if table.name == "performance" else f"-{table.name}"
    shown = table.shown()
    markdown = panels_to_markdown(format_panels(shown), notes=table.notes)
    caption = f"{label}: {table.words} over replications"
    printed = print_rows(shown, caption=caption, notes=table.notes)
    latex = to_latex(printed, label=f"tab:{slug(process)}{ending}")
    head = escape_markdown(label)
    return [
        write_text(folder / f"{table.name}.md", f"**{head}**\n\n{markdown}"),
        write_text(folder / f"{table.name}.tex", latex),
    ]
