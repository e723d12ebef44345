"""Put the panels of a figure together: a place for each, one legend for all.

Places follow from the widths of the words on the axes, measured once. The layouts of
matplotlib draw the figure to find them, and with it measure every word several times.
All lengths are in inches.
"""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, Literal

import xarray as xr
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis, XAxis
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path

from analysis import labels
from analysis.figures import drawing
from analysis.figures.fonts import choose_font
from analysis.symbols import in_unicode

Width = Literal["column", "page"]
WIDTHS = {"column": 3.4, "page": 6.5}  # of a page with two columns
PAGE_HEIGHT = 9.0  # of the text on a page
PANEL_HEIGHT = 1.9  # a row of panels

_TICK = 0.1  # a tick and the space to its word
_LINE = 0.12  # height of a word on an axis
_LABEL = 0.17  # height of the name of an axis, with its space
_TITLE = 0.22
_EDGE = 0.06  # white on every side
_LEGEND_EDGE, _LEGEND_LINE = 0.14, 0.147
_LEGEND_HANDLE = 0.5
_MOST_LEGEND = 0.8
_HINTED = 1.03  # letters of a picture in dots are wider than those of its font
_NARROWEST = 0.75  # of a panel, unless it stands alone


def draw_panels(
    process: xr.Dataset,
    plot: Callable[[xr.Dataset, Axes], Axes],
    *,
    over: str = "parameter",
    legend: str | None = "n_supp",
    columns: int = 3,
    share_x: bool = True,
    share_y: bool = False,
    panels: Sequence[object] | None = None,
    height: float = PANEL_HEIGHT,
    width: Width | None = None,
) -> list[Axes]:
    """Draw one panel for every entry of a dimension, with one legend for all.

    Call it inside `drawing.style()`. Parameters are headed by their symbols where the
    process has them, see `labels.name_entries`. No figure is taller than a page.

    Args:
        process: One group of `summary.nc` at one estimator and grid.
        plot: Draws one panel, as the functions of `against_size`.
        over: The dimension of the panels.
        legend: The dimension of the lines, the title of the legend, if it has one.
        columns: Panels side by side at most.
        share_x: Give all panels the same horizontal axis.
        share_y: Give all panels the same vertical axis.
        panels: The entries to be drawn, in order, by label or name; else all.
        height: Of a row of panels, in inches.
        width: `column` of a page with two, or `page`; else what the panels take.

    Returns:
        The axes of the panels, in order; their figure is `axes[0].figure`.
    """
    entries = process[over].values if over in process.dims else [None]
    if panels is not None and over in process.dims:
        entries = [_find_entry(process, over, x) for x in panels]
    if width == "column":
        columns = min(columns, 2)
    across = 2 if len(entries) == 4 and columns == 3 else min(columns, len(entries))
    chosen = width or ("column" if across == 1 else "page")

    def draw(across: int) -> list[Axes]:
        down = math.ceil(len(entries) / across)
        tall = min(height, (PAGE_HEIGHT - _MOST_LEGEND) / down)
        figure = Figure(figsize=(WIDTHS[chosen], tall * down))
        shared: dict[str, Any] = {"sharex": share_x, "sharey": share_y}
        grid = figure.subplots(down, across, squeeze=False, **shared)
        axes = list(grid.flat)
        for ax, entry in zip(axes, entries, strict=False):
            part = process if entry is None else process.sel({over: entry})
            plot(part, ax)
            drawing.few_ticks(ax)
            if entry is not None:
                ax.set_title(_title(over, entry))
        for ax in axes[len(entries) :]:
            ax.remove()
        axes = axes[: len(entries)]
        _trim_labels(axes, across, share_x=share_x, share_y=share_y)
        # Where the legend is too wide for the free places it goes below all panels.
        for free in (across * down - len(axes), 0):
            below, needed = _add_legend(figure, legend, free=free, down=down)
            figure.set_figheight(tall * down + below)
            _place(figure, axes, across, below)
            end = axes[-1].get_position().x1
            if needed <= (1 - end) * WIDTHS[chosen]:
                break
            figure.legends[0].remove()  # words beside the panels leave it no room
        return axes

    axes = draw(across)
    # What words on the axes leave of the width is known only once it is drawn.
    while across > 1 and axes[0].get_position().width * WIDTHS[chosen] < _NARROWEST:
        across -= 1
        axes = draw(across)
    return axes


def _find_entry(process: xr.Dataset, over: str, entry: object) -> object:
    """Find an entry that is called by its label, or by its name in the study."""
    names = list(process.coords.get(f"{over}_name", process[over]).values)
    return process[over].values[names.index(entry)] if entry in names else entry


def figure_of(axes: Sequence[Axes]) -> Figure:
    """Return the figure that axes are in."""
    figure = axes[0].get_figure(root=True)
    assert figure is not None
    return figure


def panels_a_page(columns: int, height: float | None = None) -> int:
    """Count the panels that a page has room for, a row of them at least."""
    rows = int((PAGE_HEIGHT - _MOST_LEGEND) / (height or PANEL_HEIGHT))
    return columns * max(1, rows)


def _title(over: str, entry: object) -> str:
    return f"n = {entry}" if over == "sample_size" else in_unicode(str(entry))


def _trim_labels(
    axes: Sequence[Axes], across: int, *, share_x: bool, share_y: bool
) -> None:
    for i, ax in enumerate(axes):
        below = (i // across + 2) * across <= len(axes)  # a whole row of panels
        if below:
            ax.set_xlabel("")
        ax.tick_params(labelbottom=not (below and share_x))
        if i % across:
            ax.set_ylabel("")
            ax.tick_params(labelleft=not share_y)


def _add_legend(
    figure: Figure, dim: str | None, *, free: int, down: int
) -> tuple[float, float]:
    """Add one legend for all panels; return the height it takes below them.

    It takes none where it goes in the place of the `free` panels that the last row of
    `down` lacks; the width it needs there comes behind.
    """
    found: dict[str, Artist] = {}
    for ax in figure.axes:
        for handle, label in zip(*ax.get_legend_handles_labels(), strict=True):
            found.setdefault(label, handle)
    if not found:
        return 0.0, 0.0
    lines = [x for x in found if x not in drawing.REFERENCES]
    found |= {x: found.pop(x) for x in drawing.REFERENCES if x in found}  # last
    title = labels.label_dim(dim) if dim and lines else None
    full_width, full_height = figure.get_size_inches()
    entry = _LEGEND_HANDLE + max(_width(x, FontProperties(size=7)) for x in found)
    list_height = _LEGEND_EDGE + _LEGEND_LINE * (len(found) + (title is not None))
    free_width = free / (len(figure.axes) + free) * down * full_width
    fits = entry + 2 * _EDGE < free_width and list_height < full_height / down - 0.3
    if fits:
        columns, place = 1, "center"
        position = 1 - free_width / full_width / 2, 0.5 / down
    else:
        columns = int((full_width - 2 * _EDGE) / entry)
        columns = max(1, min(len(found), columns, 6))
        place, position = "lower center", (0.5, 0.0)
    figure.legend(
        list(found.values()),
        list(found),
        loc=place,
        bbox_to_anchor=position,
        ncols=columns,
        title=title,
    )
    lines = math.ceil(len(found) / columns) + (title is not None)
    if fits:
        return 0.0, entry + _EDGE
    return _LEGEND_EDGE + _LEGEND_LINE * lines, 0.0


def _place(figure: Figure, axes: Sequence[Axes], across: int, below: float) -> None:
    """Give every panel its place, all of one size, and the names of axes theirs."""
    full_width, full_height = figure.get_size_inches()
    columns = [axes[i::across] for i in range(across)]
    rows = [axes[i : i + across] for i in range(0, len(axes), across)]
    words = [max(_word_width(ax.yaxis) for ax in column) for column in columns]
    named = [any(ax.get_ylabel() for ax in column) for column in columns]
    # Words below an axis stand out of it on both sides.
    half = [max(_end_width(ax.xaxis) / 2 + _EDGE for ax in x) for x in columns]
    left = [
        max(_EDGE + (_TICK + x if x else 0.0) + _LABEL * name, end)
        for x, name, end in zip(words, named, half, strict=True)
    ]
    right = [max(_EDGE, x) for x in half]
    top = [_TITLE if any(ax.get_title() for ax in row) else 2 * _EDGE for row in rows]
    ticks = [
        max((_TICK + _LINE) * bool(_word_width(ax.xaxis)) for ax in row) for row in rows
    ]
    bottom = [
        _EDGE + tick + _LABEL * any(ax.get_xlabel() for ax in row)
        for tick, row in zip(ticks, rows, strict=True)
    ]
    width = max(0.3, (full_width - sum(left) - sum(right)) / across)
    height = max(0.3, (full_height - below - sum(top) - sum(bottom)) / len(rows))
    for i, ax in enumerate(axes):
        row, column = divmod(i, across)
        x = sum(left[: column + 1]) + sum(right[:column]) + column * width
        y = full_height - sum(top[: row + 1]) - sum(bottom[:row]) - (row + 1) * height
        ax.set_position(
            (x / full_width, y / full_height, width / full_width, height / full_height)
        )
        ax.xaxis.set_label_coords(0.5, -(ticks[row] + 0.02) / height)
        ax.yaxis.set_label_coords(-(_TICK + words[column] + 0.03) / width, 0.5)


def _words(axis: Axis) -> list[tuple[str, FontProperties]]:
    """List the words on an axis that are shown, with their fonts."""
    side = "labelbottom" if isinstance(axis, XAxis) else "labelleft"
    if not axis.get_tick_params().get(side, True):
        return []
    low, high = sorted(axis.get_view_interval())
    places = zip(axis.get_majorticklocs(), axis.get_majorticklabels(), strict=True)
    return [
        (text.get_text(), text.get_fontproperties())
        for x, text in places
        if low <= x <= high
    ]


def _word_width(axis: Axis) -> float:
    return max((_width(*x) for x in _words(axis)), default=0.0)


def _end_width(axis: Axis) -> float:
    """Return the width of the wider one of the first and the last word."""
    words = _words(axis)
    return max(_width(*words[0]), _width(*words[-1])) if words else 0.0


def _width(text: str, font: FontProperties) -> float:
    shape = font.get_weight(), font.get_size_in_points()
    return max(_measure(line, *shape) for line in text.split("\n"))


@functools.cache
def _measure(text: str, weight: str | int, size: float) -> float:
    """Measure words on one line, in the style that is set."""
    font = FontProperties(weight=weight, size=size)
    points, _, _ = text_to_path.get_text_width_height_descent(
        text, choose_font(text, font), ismath=False
    )
    return _HINTED * points / 72
