"""What the figures share: the style, selecting one series a line, axes, saving.

No backend, no pyplot, no global setting: figures are made and saved inside `style()`.
"""

import contextlib
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import matplotlib.style
import numpy as np
import xarray as xr
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
from analysis.figures.fonts import light_font
from analysis.kinds import at_default_kind

STYLE = Path(__file__).with_name("study.mplstyle")
MARKERS = "osD^vPX*"
GREY = "0.45"
SLOPE = "slope \N{MINUS SIGN}1/2"


@contextlib.contextmanager
def style() -> Iterator[None]:
    """Set the style sheet of the study while a figure is made and saved."""
    with light_font() as families:
        with matplotlib.style.context([STYLE, {"font.sans-serif": families}]):
            yield


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
    ax.set_xlabel(labels.label_dim("sample_size"))


def plain_log_axis(ax: Axes) -> None:
    """Make a vertical log axis with three or more ticks written in plain numbers."""
    low, high = ax.dataLim.intervaly
    if 0 < low and high <= low * (1 + 1e-9):
        # One value everywhere leaves a log axis without length.
        ax.set_ylim(0.5 * low, 2.0 * low)
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


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure as PDF or PNG, by the ending of its name.

    The same figure gives the same bytes.

    Call it inside `style()`.
    """
    if path.suffix == ".pdf":
        figure.savefig(path, metadata={"CreationDate": None})
    else:
        figure.savefig(path)
