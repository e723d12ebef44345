"""Figures that compare kinds of confidence interval."""

from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from analysis.design_points import choose_largest, list_parts
from analysis.figures import drawing
from analysis.figures.picture import Picture, list_pages
from analysis.labels import label_measure
from analysis.measures.formulas import Z

_SPREAD = 0.7  # of the distance of two rows, over which sample sizes are spread


class Rows(NamedTuple):
    """What is in the rows of a figure, from the top.

    Attributes:
        kinds: Estimator, kind of interval and place of every row.
        words: What stands beside every place.
    """

    kinds: list[tuple[str, str, int]]
    words: list[tuple[str, int]]


def plot_coverage_by_kind(
    process: xr.Dataset,
    ax: Axes,
    *,
    band: tuple[float, float] | None = None,
    rows: Rows | None = None,
) -> Axes:
    """Draw the coverage of every kind of interval that an estimator has.

    A row is a kind, under the name of its estimator; colours are sample sizes. Points
    carry Wilson's interval; the line is the nominal level. The grey band is where 95
    percent of the points would fall if the intervals were exact, given the fewest
    replications used of those shown.

    Args:
        process: One group of `summary.nc` at one parameter, grid and number of points.
        ax: Axes to draw on.
        band: Coverages to be shaded instead.
        rows: The rows, of panels that share them; else those that the parameter has.
    """
    names = ("coverage", "coverage_lower", "coverage_upper")
    chosen = drawing.select(process, names, ("estimator", "kind", "sample_size"))
    for dim in ("estimator", "kind"):
        if dim not in chosen.dims:
            chosen = chosen.expand_dims(dim)
    places, ticks = rows or list_rows(chosen["coverage"])
    level = process["coverage"].attrs.get("level", 0.95)
    used = process["used_interval"].where(process["used_interval"] > 0)
    label = None if band else drawing.EXACT
    if band is None:
        half = Z * np.sqrt(level * (1 - level) / np.nan_to_num(used.min(), nan=1.0))
        band = (level - half, min(level + half, 1.0))
    ax.axvspan(*band, color="0.9", lw=0, zorder=0, label=label)
    ax.axvline(level, color=drawing.GREY, lw=0.8, zorder=1, label=drawing.NOMINAL)
    count = chosen.sizes.get("sample_size", 1)
    for i, label, line in drawing.series(chosen, "sample_size"):
        value, low, high = (
            np.array([line[x].sel(estimator=e, kind=k).item() for e, k, _ in places])
            for x in names
        )
        shift = _SPREAD * (i - (count - 1) / 2) / max(count, 2)
        ax.errorbar(
            value,
            np.array([y for _, _, y in places]) + shift,
            xerr=np.maximum([value - low, high - value], 0),
            fmt=drawing.MARKERS[i % len(drawing.MARKERS)],
            color=f"C{i % 7}",
            elinewidth=0.7,
            label=label or None,
            zorder=3,
        )
    # Downwards, as a list is read.
    ax.set_ylim(max((y for _, y in ticks), default=0) + 0.7, -0.7)
    ax.set_yticks([y for _, y in ticks], [word for word, _ in ticks])
    for (_, y), text in zip(ticks, ax.get_yticklabels(), strict=False):
        if y not in {place for _, _, place in places}:
            text.set_fontweight("bold")
    ax.tick_params(axis="y", length=0)
    ax.set_xlabel(label_measure("coverage"))
    ax.grid(visible=False)
    return ax


def list_rows(coverage: xr.DataArray) -> Rows:
    """List the rows of a figure of coverages, of one parameter or several.

    With several estimators each has a place for its name above its kinds.
    """
    known = coverage.notnull()
    known = known.any([x for x in known.dims if x not in ("estimator", "kind")])
    several = int(known.any("kind").sum()) > 1
    rows, ticks = [], []
    place = 0
    for estimator in known["estimator"].values:
        kinds = [
            str(x)
            for x in known["kind"].values
            if bool(known.sel(estimator=estimator, kind=x))
        ]
        if kinds and several:
            ticks.append((str(estimator), place))
            place += 1
        for kind in kinds:
            rows.append((str(estimator), kind, place))
            ticks.append((kind, place))
            place += 1
    return Rows(rows, ticks)


def list_pictures(process: xr.Dataset) -> Iterator[Picture]:
    """List the figures that compare intervals, at the largest number of points."""
    if "coverage" in process and process.sizes.get("kind", 1) > 1:
        for suffix, where in list_parts(process, ("grid",)):
            yield from _kinds(process.sel(where), suffix)


def _kinds(process: xr.Dataset, suffix: str) -> Iterator[Picture]:
    at = process.sel(choose_largest(process, "n_supp"))
    rows = int(
        (at["used_interval"] > 0)
        .any([x for x in at["used_interval"].dims if x not in ("estimator", "kind")])
        .sum()
    )
    estimators, sizes = (at.sizes.get(x, 1) for x in ("estimator", "sample_size"))
    picture = Picture(
        f"coverage_by_kind{suffix}",
        "Coverage of every kind of interval, by sample size; grey, where 95 percent "
        "would fall if intervals were exact.",
        # Estimands have an interval of one kind only, in the row that others have too.
        partial(plot_coverage_by_kind, rows=list_rows(at["coverage"])),
    )
    yield from list_pages(
        picture,
        at,
        legend="sample_size",
        share_y=True,
        height=0.6 + (0.08 + 0.04 * sizes) * (rows + estimators),
    )
