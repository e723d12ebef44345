"""A figure of many design points at once, and over processes: nested loops."""

from collections.abc import Iterator, Mapping
from functools import partial
from textwrap import wrap
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes

from analysis.dimensions import LOOPS
from analysis.figures import drawing
from analysis.figures.overview import list_cells
from analysis.figures.picture import Picture, list_pages
from analysis.kinds import at_default_kind
from analysis.labels import label_dim, label_measure
from analysis.measures.formulas import Z

_STRIP = 0.08  # of the height of the axes, the steps of one factor
_LINE = 0.055  # likewise, a line of its words
_LETTERS = 105  # in a line of words


def join_processes(
    groups: Mapping[str, xr.Dataset], names: tuple[str, ...]
) -> xr.Dataset:
    """Put measures of all processes side by side along `process`.

    Parameters and design points that a process lacks are missing; labels keep the
    order in which they are first met, sizes increase.
    """
    parts = {name: _bare(group[list(names)]) for name, group in groups.items()}
    along = pd.Index(list(parts), name="process")
    joined = xr.concat(
        list(parts.values()), along, join="outer", combine_attrs="override"
    )
    order = {
        x: list(dict.fromkeys(y for part in parts.values() for y in part.indexes[x]))
        for x in next(iter(parts.values())).indexes
        if joined[x].dtype.kind not in "if"
    }
    return joined.sel(order)


def _bare(chosen: xr.Dataset) -> xr.Dataset:
    """Drop the coordinates that are no axis, which may differ between processes."""
    return chosen.drop_vars([x for x in chosen.coords if x not in chosen.dims])


def plot_nested_loop(design: xr.Dataset, ax: Axes, *, measure: str = "rmse") -> Axes:
    """Draw a measure over every design point, in the order of nested loops.

    One line per estimator with its Monte Carlo intervals; below, one step line per
    factor says where it changes (Ruecker and Schwarzer 2014, BMC Medical Research
    Methodology 14). The first of process, grid, grid points and sample size changes
    slowest. A design point that no estimator ran is left out.

    Args:
        design: What `join_processes` returns, at one parameter.
        ax: Axes to draw on.
        measure: The measure.
    """
    names = (measure, f"{measure}_mcse")
    chosen = drawing.select(design, names, (*LOOPS, "estimator"))
    factors = [x for x in LOOPS if x in chosen.dims]
    table = list_cells(chosen, [*factors, "estimator"])
    points = pd.DataFrame(table[factors]).drop_duplicates()
    reference = design[measure].attrs.get("level", 0.0)
    if measure != "rmse":
        word = drawing.NOMINAL if reference else drawing.ZERO
        ax.axhline(reference, color=drawing.GREY, lw=0.8, zorder=0, label=word)
    position = {tuple(row): i for i, row in enumerate(points.to_numpy().tolist())}
    edges = np.arange(len(points) + 1)
    count = chosen.sizes.get("estimator", 1)
    for i, label, line in drawing.series(chosen, "estimator"):
        value, error = np.full((2, len(points)), np.nan)
        for _, row in list_cells(line, factors).iterrows():
            at = position[tuple(row[x] for x in factors)]
            value[at], error[at] = row[names[0]], Z * row[names[1]]
        colour = f"C{i % 7}"
        ax.stairs(value, edges, baseline=None, color=colour, label=label or None, lw=1)
        middle = edges[:-1] + (i + 1) / (count + 1)  # side by side within a step
        bars: dict[str, Any] = {"fmt": "none", "ecolor": colour, "elinewidth": 0.7}
        ax.errorbar(middle, value, yerr=error, **bars)
    _draw_factors(ax, points, factors, edges)
    ax.set_xlim(0, len(points))
    ax.set_xticks([])
    ax.set_ylabel(label_measure(measure))
    return ax


def _draw_factors(
    ax: Axes, points: pd.DataFrame, factors: list[str], edges: np.ndarray
) -> None:
    """Draw step lines of the factors that vary in the lower part of the axes."""
    factors = [x for x in factors if len(set(points[x])) > 1]
    words = {x: _name_levels(x, list(dict.fromkeys(points[x]))) for x in factors}
    heights = [1.4 * _STRIP + _LINE * len(words[x]) for x in factors]
    low, high = ax.get_ylim()
    ax.set_yticks([x for x in ax.get_yticks() if low <= x <= high])
    # The strips take the lower part: the range grows, and the ticks stay above.
    below = min(0.8, sum(heights))
    ax.set_ylim(low - (high - low) * below / (1 - below), high)
    across = ax.get_xaxis_transform()  # x in data, y in the axes' height
    top = below
    for factor, whole in zip(factors, heights, strict=True):
        lines = words[factor]
        foot = top - whole
        levels = list(dict.fromkeys(points[factor]))
        step = _STRIP * 0.7 / max(len(levels) - 1, 1)
        height = foot + 0.3 * _STRIP + step * points[factor].map(levels.index)
        line: dict[str, Any] = {"color": "0.35", "lw": 0.8, "transform": across}
        ax.stairs(height.to_numpy(), edges, baseline=None, **line)
        style: dict[str, Any] = {"fontsize": 7, "va": "bottom", "transform": across}
        style |= {"color": "0.25", "linespacing": 1.1}
        ax.text(0.0, foot + 1.05 * _STRIP, "\n".join(lines), **style)
        top = foot


def _name_levels(factor: str, levels: list[object]) -> list[str]:
    """Name a factor and all its levels, in as many lines as that takes."""
    between = "; " if any("," in str(x) for x in levels) else ", "
    text = f"{label_dim(factor)}: {between.join(map(str, levels))}"
    return wrap(text, _LETTERS, break_long_words=False)


def list_study(summary: xr.DataTree) -> Iterator[Picture]:
    """List the figures that compare processes, by the parameters that two share."""
    if len(summary.children) < 2:
        return
    found = {x: str(y.attrs.get("label", x)) for x, y in summary.children.items()}
    labels = list(found.values())
    words = {x: y if labels.count(y) == 1 else x for x, y in found.items()}
    for measure in ("rmse", "bias", "coverage"):
        groups = {
            words[name]: at_default_kind(node.to_dataset())
            for name, node in summary.children.items()
            if measure in node
        }
        if len(groups) < 2:
            continue
        design = join_processes(groups, (measure, f"{measure}_mcse"))
        known = design[measure].notnull()
        known = known.any([x for x in known.dims if x not in ("process", "parameter")])
        shared = known.sum("process") > 1
        if not bool(shared.any()):
            continue
        picture = Picture(
            f"nested_loop-{measure}",
            f"{label_measure(measure)} over all processes, grids and sample sizes.",
            partial(plot_nested_loop, measure=measure),
        )
        yield from list_pages(
            picture,
            design.sel(parameter=shared),
            legend="estimator",
            columns=1,
            share_x=False,
            height=2.4,
            width="page",
        )
