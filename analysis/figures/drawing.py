"""What the figures share: the style, selecting one series a line, axes, saving.

No backend, no pyplot, no global setting: figures are made and saved inside `style()`.
"""

import contextlib
import math
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path

import matplotlib.style
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.ticker import (
    AutoLocator,
    FixedLocator,
    FuncFormatter,
    Locator,
    MaxNLocator,
    NullLocator,
)

from analysis import labels
from analysis.figures.fonts import light_fonts
from analysis.kinds import at_default_kind

STYLE = Path(__file__).with_name("study.mplstyle")
MARKERS = "osD^vPX*"
GREY = "0.45"
SLOPE = "slope \N{MINUS SIGN}1/2"
NOMINAL, EXACT = "nominal", "95% if exact"
ZERO, TRUTH, EQUAL = "zero", "truth", "equal"
NORMAL_BAND = "95% if normal"
REFERENCES = (SLOPE, NOMINAL, EXACT, ZERO, EQUAL, NORMAL_BAND, TRUTH)
"""Labels of lines and bands that are no series; they are last in a legend."""

_CONTRAST = 4.5  # of text (Web Content Accessibility Guidelines 2.2, 1.4.3)
_LABEL_WIDTH = (0.07, 0.08)  # inches a digit of a tick label, and beside it
_PANEL_WIDTH = 1.4  # inches, of the narrowest panel


@contextlib.contextmanager
def style() -> Generator[None]:
    """Set the style sheet of the study while a figure is made and saved."""
    with matplotlib.style.context(STYLE):
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
    """Make a log axis of sample sizes whose ticks are the sizes, in plain numbers.

    Sizes that stand too close to a larger one have no tick.
    """
    ax.set_xscale("log")
    ratio = min(sizes[1:] / sizes[:-1], default=1.5) if sizes.size > 1 else 1.5
    ax.set_xlim(sizes[0] / ratio**0.4, sizes[-1] * ratio**0.4)
    ax.xaxis.set_major_locator(FixedLocator(_apart(sizes, *ax.get_xlim())))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:.0f}"))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xlabel(labels.label_dim("sample_size"))


def _apart(sizes: np.ndarray, low: float, high: float) -> list[float]:
    """Keep the sizes, from the largest on, whose labels do not touch."""
    inches = _PANEL_WIDTH / np.log(high / low)
    kept: list[float] = []
    for size in map(float, sizes[::-1]):
        width = _LABEL_WIDTH[0] * len(f"{size:.0f}") + _LABEL_WIDTH[1]
        if not kept or inches * np.log(kept[-1] / size) >= width:
            kept.append(size)
    return kept[::-1]


class PlainLogLocator(Locator):
    """Three to seven ticks at round numbers, for whatever range a log axis shows."""

    def __call__(self) -> np.ndarray:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Return the ticks of the axis as it is."""
        assert self.axis is not None
        return self.tick_values(*sorted(self.axis.get_view_interval()))

    def tick_values(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, vmin: float, vmax: float
    ) -> np.ndarray:
        """Return the ticks between two values, the roundest that are enough."""
        if not 0 < vmin < vmax:
            return np.array([])
        first, last = math.floor(math.log10(vmin)), math.ceil(math.log10(vmax))
        every = max(1, math.ceil((last - first) / 7))
        for step, subs in ((every, (1,)), (1, (1, 3)), (1, (1, 2, 5))):
            decades = range(first - first % step, last + 1, step)
            ticks = [x * 10.0**k for k in decades for x in subs]
            inside = [x for x in ticks if vmin <= x <= vmax]
            if len(inside) >= 3:
                return np.array(inside)
        steps = MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]).tick_values(vmin, vmax)
        return np.array([x for x in steps if vmin <= x <= vmax])


def plain_log_axis(ax: Axes) -> None:
    """Make a vertical log axis with three or more ticks written in plain numbers."""
    low, high = ax.dataLim.intervaly
    if 0 < low and high <= low * (1 + 1e-9):
        # One value everywhere leaves a log axis without length.
        ax.set_ylim(0.5 * low, 2.0 * low)
    ax.set_yscale("log")
    ax.yaxis.set_major_locator(PlainLogLocator())
    ax.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:g}"))
    ax.yaxis.set_minor_locator(NullLocator())


def few_ticks(ax: Axes) -> None:
    """Thin the ticks that matplotlib chose, as if no label were longer than `0.1`."""
    for axis in (ax.xaxis, ax.yaxis):
        if isinstance(axis.get_major_locator(), AutoLocator):
            most = 3 if axis is ax.xaxis else 5
            axis.set_major_locator(MaxNLocator(most, steps=[1, 2, 5, 10]))


def widen_x(ax: Axes, low: float, high: float) -> None:
    """Make the horizontal axis reach so far, and no less far than it was set before.

    So axes that are shared show what every panel has.
    """
    if not ax.get_autoscalex_on():
        before = ax.get_xlim()
        low, high = min(low, before[0]), max(high, before[1])
    ax.set_xlim(low, high)


def text_colour(colour: str) -> tuple[float, float, float]:
    """Darken a colour until text in it can be read on white."""
    red, green, blue = to_rgb(colour)
    while contrast((red, green, blue), (1.0, 1.0, 1.0)) < _CONTRAST:
        red, green, blue = 0.95 * red, 0.95 * green, 0.95 * blue
    return red, green, blue


def contrast(one: Sequence[float], other: Sequence[float]) -> float:
    """Return the contrast of two colours, 1 to 21 (WCAG 2.2)."""
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: Sequence[float]) -> float:
    x = np.asarray(colour[:3])
    linear = np.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure as PDF or PNG, by the ending of its name.

    The same figure gives the same bytes.

    Call it inside `style()`.
    """
    with light_fonts(figure):
        if path.suffix == ".pdf":
            figure.savefig(path, metadata={"CreationDate": None})
        else:
            figure.savefig(path)
