"""How wide columns of a LaTeX table are, and which of them a page has room for.

Widths are those of Computer Modern in an article at 10 points.
"""

import functools
import re
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.font_manager import get_font
from matplotlib.ft2font import LoadFlags

from analysis.symbols import in_unicode
from analysis.tables.printed import Cell, Printed

TEXT_WIDTH = 345.0  # points, an article at 10 pt

_FOOTNOTE, _SCRIPT = 8 * 17 / 16, 7 * 41 / 36
"""Points of an em of cmr10 in \\footnotesize and \\scriptsize.

Small letters are drawn wider: a digit of cmr8 has 17/32 of its size, one of cmr7 41/72,
one of cmr10, which is measured, a half.
"""

NUMBER = re.compile(r"(-?)(\d+)(?:\.(\d+))?")


_SEPARATION = 6.0  # points, twice \tabcolsep as set below
_THIN = _FOOTNOTE / 6  # the space before an error


def fit_width(table: Printed) -> list[Printed]:
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
            _column_width([row.cells[i] for row in table.rows], table.below),
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
    for level in range(table.levels - 1):
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


def _column_width(cells: Sequence[Cell], below: bool) -> float:
    """Return the width of a column: room for its numbers and, beside them, errors."""
    sign, whole, decimals = find_format(cells)
    room = sign + "0" * whole + "." * bool(decimals) + "0" * decimals
    errors = max(measure(x.error) for x in cells) * _SCRIPT
    if below:
        numbers = max(measure(room) * _FOOTNOTE, errors)
    else:
        numbers = measure(room) * _FOOTNOTE + errors + _THIN * bool(errors)
    words = max(measure(x.value) for x in cells) * _FOOTNOTE
    return max(numbers, words) + _SEPARATION


def _words_width(*texts: str) -> float:
    """Return the width of the widest of some words, with what separates columns."""
    return max(measure(in_unicode(x)) for x in texts) * _FOOTNOTE + _SEPARATION


def measure(text: str) -> float:
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


def find_format(cells: Sequence[Cell]) -> tuple[str, int, int]:
    """Return sign, digits before and after the point that a column has room for."""
    numbers = [x for cell in cells if (x := NUMBER.fullmatch(cell.value))]
    sign = "-" if any(x[1] for x in numbers) else ""
    whole = max((len(x[2]) for x in numbers), default=0)
    return sign, whole, max((len(x[3] or "") for x in numbers), default=0)
