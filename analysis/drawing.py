"""What the figures share: the style, selecting one series a line, axes, saving.

No backend, no pyplot, no global setting: figures are made and saved inside `style()`.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import matplotlib.style
import numpy as np
import xarray as xr
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import (
    FixedLocator,
    FuncFormatter,
    LogLocator,
    MaxNLocator,
    NullLocator,
)

from analysis import labels
from analysis.kinds import at_default_kind

STYLE = Path(__file__).with_name("study.mplstyle")
COLUMN_WIDTH = 3.4  # inches, one column of a two-column page
TEXT_WIDTH = 6.5  # inches, the whole page
MARKERS = "osD^vPX*"
PANEL_HEIGHT = 1.9  # inches, a row of panels
LEGEND_HEIGHT = 0.5  # inches, below them
_HANDLE, _LETTER = 0.5, 0.055  # inches, of a legend of 7 points
GREY = "0.45"
SLOPE = r"slope $-1/2$"


def style() -> AbstractContextManager[None]:
    """Set the style sheet of the study while a figure is made and saved."""
    return matplotlib.style.context(STYLE)


def select(
    process: xr.Dataset, names: Sequence[str], keep: Sequence[str]
) -> xr.Dataset:
    """Select the measures of one figure, with only the dimensions it draws.

    Dimensions of length one are dropped and every estimator has its default `kind`. Any
    other dimension left over is an error: the caller chooses what is shown.

    Args:
        process: One group of `summary.nc`, or part of it.
        names: The measures to be drawn.
        keep: The dimensions the figure draws; they may be absent.
    """
    absent = [name for name in names if name not in process]
    if absent:
        raise ValueError(f"the summary has no {', '.join(absent)} to draw.")
    chosen = process[list(names)]
    if "kind" not in keep:
        chosen = at_default_kind(chosen)
    chosen = chosen.squeeze(
        [d for d in chosen.dims if d not in keep and chosen.sizes[d] == 1]
    )
    left = [str(d) for d in chosen.dims if d not in keep]
    if left:
        raise ValueError(
            f"dimension {left[0]} has {chosen.sizes[left[0]]} entries; choose one, "
            f"`summary.sel({left[0]}={chosen[left[0]].values[0]!r})`."
        )
    return chosen


def series(chosen: xr.Dataset, by: str) -> Iterator[tuple[int, str, xr.Dataset]]:
    """Iterate over the lines of a figure: index, label, values along the other axis.

    A line on which every value is missing is left out; its colour stays reserved.
    """
    if by not in chosen.dims:
        yield 0, "", chosen
        return
    for i, value in enumerate(chosen[by].values):
        line = chosen.isel({by: i}, drop=True)
        if any(line[name].notnull().any() for name in line.data_vars):
            yield i, str(value), line


def dodge(x: np.ndarray, i: int, count: int) -> np.ndarray:
    """Move the points of line `i` of `count` aside on a log axis, so none is hidden."""
    ratio = min(x[1:] / x[:-1], default=1.5) if x.size > 1 else 1.5
    return x * ratio ** (0.3 * (i - (count - 1) / 2) / max(count, 2))


def sample_size_axis(ax: Axes, sizes: np.ndarray) -> None:
    """Make a log axis of sample sizes whose ticks are the sizes, in plain numbers."""
    ax.set_xscale("log")
    ratio = min(sizes[1:] / sizes[:-1], default=1.5) if sizes.size > 1 else 1.5
    ax.set_xlim(sizes[0] / ratio**0.4, sizes[-1] * ratio**0.4)
    shown = sizes[:: math.ceil(sizes.size / 7)]
    ax.xaxis.set_major_locator(FixedLocator(list(shown)))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:.0f}"))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xlabel(f"{labels.label_dim('sample_size')}, $n$")


def plain_log_axis(ax: Axes) -> None:
    """Make a vertical log axis with three or more ticks written in plain numbers."""
    ax.set_yscale("log")
    low, high = ax.get_ylim()
    if high / low > 30:
        ax.yaxis.set_major_locator(LogLocator(10))
    elif high / low > 8:
        ax.yaxis.set_major_locator(LogLocator(10, subs=(1, 2, 5)))
    else:
        ax.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:g}"))
    ax.yaxis.set_minor_locator(NullLocator())


def draw_panels(
    process: xr.Dataset,
    plot: Callable[[xr.Dataset, Axes], Axes],
    *,
    over: str = "parameter",
    legend: str | None = "n_supp",
    columns: int = 3,
    share_x: bool = True,
    share_y: bool = False,
    height: float = PANEL_HEIGHT,
    wide: bool = False,
) -> Figure:
    """Draw one panel for every entry of a dimension, with one legend for all.

    Call it inside `style()`.

    Args:
        process: One group of `summary.nc` at one estimator and grid.
        plot: Draws one panel, as the functions of `figures`.
        over: The dimension of the panels.
        legend: The dimension of the lines, the title of the legend, if it has one.
        columns: Panels side by side at most.
        share_x: Give all panels the same horizontal axis.
        share_y: Give all panels the same vertical axis.
        height: Of a row of panels, in inches.
        wide: Let a single column of panels take the width of the page.
    """
    entries = process[over].values if over in process.dims else [None]
    across = 2 if len(entries) == 4 and columns == 3 else min(columns, len(entries))
    down = math.ceil(len(entries) / across)
    width = COLUMN_WIDTH if across == 1 and not wide else TEXT_WIDTH
    size = (width, height * down + LEGEND_HEIGHT)
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(down, across, squeeze=False, sharex=share_x, sharey=share_y)
    axes = list(grid.flat)
    for ax, entry in zip(axes, entries, strict=False):
        part = process if entry is None else process.sel({over: entry})
        plot(part, ax)
        if entry is not None:
            ax.set_title(_title(over, str(entry)))
    for ax in axes[len(entries) :]:
        ax.remove()
    _trim_labels(figure, across, share_x=share_x, share_y=share_y)
    _add_legend(figure, legend)
    figure.draw_without_rendering()  # places everything, once for both files
    figure.set_layout_engine("none")
    return figure


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure as PDF or PNG, by the ending of its name.

    The same figure gives the same bytes.

    Call it inside `style()`.
    """
    if path.suffix == ".pdf":
        figure.savefig(path, metadata={"CreationDate": None})
    else:
        figure.savefig(path)


def _title(dim: str, entry: str) -> str:
    if dim == "parameter":
        return labels.label_parameter_math(entry)
    return f"$n = {entry}$" if dim == "sample_size" else entry


def _trim_labels(figure: Figure, across: int, *, share_x: bool, share_y: bool) -> None:
    for i, ax in enumerate(figure.axes):
        below = i + across < len(figure.axes)
        if below:
            ax.set_xlabel("")
        ax.tick_params(labelbottom=not (below and share_x))
        if i % across:
            ax.set_ylabel("")
            ax.tick_params(labelleft=not share_y)


def _add_legend(figure: Figure, dim: str | None) -> None:
    found: dict[str, Artist] = {}
    for ax in figure.axes:
        for handle, label in zip(*ax.get_legend_handles_labels(), strict=True):
            found.setdefault(label, handle)
    if SLOPE in found:
        found[SLOPE] = found.pop(SLOPE)  # last
    if found:
        longest = max(len(x) for x in found if x != SLOPE or len(found) == 1)
        fit = int(figure.get_figwidth() / (_HANDLE + _LETTER * longest))
        figure.legend(
            list(found.values()),
            list(found),
            loc="outside lower center",
            ncols=max(1, min(len(found), fit, 6)),
            title=labels.label_dim(dim) if dim and set(found) - {SLOPE} else None,
        )
