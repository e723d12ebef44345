"""Write a printed table in HTML, for the report or any other page."""

from html import escape

from analysis.symbols import in_unicode
from analysis.tables.printed import Printed


def to_html(printed: Printed) -> str:
    """Write a printed table as an HTML element, with its caption and its note.

    Heads say what they head (`scope`), so that a screen reader can tell it.
    """
    words = len(printed.names)
    levels = len(printed.heads[0]) if printed.heads else 1
    lines = ["<table>", f"<caption>{_word(printed.caption)}</caption>", "<thead>"]
    for level in range(levels):
        cells = []
        if level == 0:
            cells = [
                f'<th class="text" scope="col" rowspan="{levels}">{_word(x)}</th>'
                for x in printed.names
            ]
        last = level == levels - 1
        groups = [(x[-1], 1) for x in printed.heads] if last else printed.groups(level)
        for word, count in groups:
            scope = "col" if last else "colgroup"
            cells.append(f'<th scope="{scope}" colspan="{count}">{_word(word)}</th>')
        lines.append(f"<tr>{''.join(cells)}</tr>")
    lines += ["</thead>", "<tbody>"]
    for i, row in enumerate(printed.rows):
        if row.heading and (i == 0 or row.heading != printed.rows[i - 1].heading):
            heading = ", ".join(map(_word, row.heading))
            span = words + len(printed.heads)
            lines.append(
                f'<tr><th class="text group" scope="rowgroup" colspan="{span}">'
                f"<span>{heading}</span></th></tr>"
            )
        cells = [f'<th class="text" scope="row">{_word(x)}</th>' for x in row.names]
        cells += [f"<td>{escape(x.text())}</td>" for x in row.cells]
        lines.append(f"<tr>{''.join(cells)}</tr>")
    lines += ["</tbody>", "</table>"]
    if printed.notes:
        lines.append(f'<p class="notes">{escape(" ".join(printed.notes))}</p>')
    return "\n".join(lines) + "\n"


def _word(word: str) -> str:
    return escape(in_unicode(word))
