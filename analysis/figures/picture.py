"""What a figure is before it is drawn: a name, a caption, and how to draw it."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.figures.panels import draw_panels, figure_of, panels_a_page

ALONE = ""  # no dimension to have panels over
Plot = Callable[..., Axes]


class Picture(NamedTuple):
    """A figure to be drawn: the stem of its file name, its caption, how to draw it.

    Call `draw` inside `drawing.style()`. A figure in detail is one of the replications
    of one estimator, which a reader looks at second.
    """

    name: str
    caption: str
    draw: Callable[..., Any]
    detail: bool = False


def list_pages(
    picture: Picture, process: xr.Dataset, **options: Any
) -> Iterator[Picture]:
    """Cut a figure of many panels into figures that fit a page.

    Args:
        picture: The figure; `draw` draws a panel, as `panels.draw_panels` takes it.
        process: What is drawn.
        **options: Those of `panels.draw_panels`.
    """
    over = options.get("over", "parameter")
    entries = list(process[over].values) if over in process.dims else [None]
    most = panels_a_page(options.get("columns", 3), options.get("height"))
    parts = [entries[i : i + most] for i in range(0, len(entries), most)]
    for i, part in enumerate(parts):
        chosen = process if len(parts) == 1 else process.sel({over: part})
        draw = partial(_draw, chosen, picture.draw, **options)
        if i == 0 and len(parts) == 1:
            yield picture._replace(draw=draw)
            continue
        yield picture._replace(
            name=picture.name if i == 0 else f"{picture.name}-{i + 1}",
            caption=f"{picture.caption} Part {i + 1} of {len(parts)}.",
            draw=draw,
        )


def _draw(process: xr.Dataset, plot: Plot, **options: Any) -> Figure:
    return figure_of(draw_panels(process, plot, **options))


def in_brackets(words: str) -> str:
    """Add words to a caption, if there are any."""
    return f" ({words})" if words else ""
