"""What a figure is before it is drawn: a name, a caption, and how to draw it."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.figures.panels import draw_panels

ALONE = ""  # no dimension to have panels over
Plot = Callable[..., Axes]


class Picture(NamedTuple):
    """A figure to be drawn: the stem of its file name, its caption, how to draw it.

    Call `draw` inside `drawing.style()`. A figure in detail is one of the replications
    of one estimator, which a reader looks at second.
    """

    name: str
    caption: str
    draw: Callable[[], Figure]
    detail: bool = False


def in_panels(plot: Plot, process: xr.Dataset, **options) -> Callable[[], Figure]:
    """Return how to draw a panel for every parameter, see `panels.draw_panels`."""
    return partial(draw_panels, process, plot, **options)


def in_brackets(words: str) -> str:
    """Add words to a caption, if there are any."""
    return f" ({words})" if words else ""
