"""Figures of many design points at once: lolly plot and heat map.

As in `against_size`, each draws one panel from the summary with Monte Carlo errors at
95 percent, here for one parameter and any measure.
"""

import textwrap
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from analysis.copies import NONE, drop_copies
from analysis.design_points import (
    choose_reference,
    grid_matters,
    in_words,
    is_known,
    list_parts,
)
from analysis.digits import format_error, format_value
from analysis.dimensions import OVERVIEW
from analysis.figures import drawing
from analysis.figures.picture import Picture, in_brackets, list_pages
from analysis.labels import label_dim, label_measure
from analysis.measures.formulas import Z

LETTERS_A_LINE = 34  # of the words of a row, which may take several
MOST_ROWS = 45  # lollies above each other on a page


def plot_lolly(process: xr.Dataset, ax: Axes, *, measure: str = "bias") -> Axes:
    """Draw a measure of every design point as a lolly, from where it should be.

    The brackets are the Monte Carlo interval (Morris et al. 2019, figure 5): a stick
    that ends inside them could be no stick. Coverage starts at its level, all else at
    0. Rows are the combinations of the dimensions left, without those not run; colours
    are estimators.
    """
    names = (measure, f"{measure}_mcse")
    chosen = drawing.select(process, ("attempted", *names), OVERVIEW)
    chosen["attempted"] = chosen["attempted"].where(chosen["attempted"] > 0)
    level = process[measure].attrs.get("level")
    reference = level or 0.0
    varying = [x for x in OVERVIEW if chosen.sizes.get(x, 1) > 1]
    table = drop_copies(list_cells(chosen, list(OVERVIEW)), process)
    y = np.arange(len(table))[::-1]
    word = drawing.NOMINAL if level else drawing.ZERO
    ax.axvline(reference, color=drawing.GREY, lw=0.8, zorder=1, label=word)
    colours = _colours(process, table)
    value, error = table[names[0]].to_numpy(), Z * table[names[1]].to_numpy()
    for i, colour in enumerate(colours):
        x, half = value[i], error[i]
        ax.plot([reference, x], [y[i]] * 2, "-", color=colour, lw=0.8, zorder=2)
        ax.plot(x, y[i], "o", color=colour, zorder=3)
        for end, mark in ((x - half, "("), (x + half, ")")):
            if not np.isfinite(end):
                continue
            style: dict[str, Any] = {
                "fontsize": 8,
                "ha": "center",
                "va": "center_baseline",
            }
            dark = drawing.text_colour(colour)
            ax.text(end, y[i], mark, color=dark, **style, clip_on=True)
    # Matplotlib's own limits leave out the brackets, which are text.
    ends = [*(value - 1.1 * error), *(value + 1.1 * error), reference]
    low, high = np.nanmin(ends), np.nanmax(ends)
    room = 0.04 * (high - low) + 1e-12  # an axis needs a length
    drawing.widen_x(ax, low - room, high + room)
    # Panels are narrow, labels such as -0.075 wide.
    ax.xaxis.set_major_locator(MaxNLocator(3, steps=[1, 2, 5, 10]))
    ax.set_yticks(y, [_row_label(row, varying) for _, row in table.iterrows()])
    ax.set_ylim(-0.7, len(table) - 0.3)
    ax.set_xlabel(label_measure(measure))
    ax.grid(visible=False)
    return ax


def plot_heatmap(process: xr.Dataset, ax: Axes, *, measure: str = "rmse") -> Axes:
    """Draw a measure by sample size and number of grid points, in colour and figures.

    Every cell holds the value and, below it, its Monte Carlo standard error.
    """
    names = (measure, f"{measure}_mcse")
    chosen = drawing.select(process, names, ("sample_size", "n_supp"))
    chosen = chosen.expand_dims(
        [x for x in ("sample_size", "n_supp") if x not in chosen.dims]
    ).transpose("n_supp", "sample_size")
    value, error = (chosen[x].values for x in names)
    image = ax.pcolormesh(np.ma.masked_invalid(value), cmap="viridis", ec="white")
    for (row, column), x in np.ndenumerate(value):
        if not np.isfinite(x):
            continue
        spread = float(error[row, column])
        fill = np.asarray(image.cmap(image.norm(x))).tolist()
        # Whichever can be read better on the colour of the cell.
        white, black = (drawing.contrast(fill, [x] * 3) for x in (1.0, 0.0))
        text = f"{format_value(x, spread)}\n"
        ax.text(
            column + 0.5,
            row + 0.5,
            text + format_error(spread),
            color="white" if white > black else "black",
            fontsize=6.5,
            ha="center",
            va="center",
        )
    ax.set_xticks(np.arange(value.shape[1]) + 0.5, _texts(chosen, "sample_size"))
    ax.set_yticks(np.arange(value.shape[0]) + 0.5, _texts(chosen, "n_supp"))
    ax.set_xlabel(label_dim("sample_size"))
    ax.set_ylabel(label_dim("n_supp"))
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    ax.grid(visible=False)
    return ax


def list_cells(chosen: xr.Dataset, dims: list[str]) -> pd.DataFrame:
    """Turn the cells that have a value into rows, in the order of `dims`."""
    dims = [x for x in dims if x in chosen.dims]
    keep = [x for x in chosen.coords if x in dims]
    chosen = chosen.drop_vars([x for x in chosen.coords if x not in keep])
    if not dims:
        return pd.DataFrame({x: [chosen[x].item()] for x in chosen.data_vars})
    table = chosen.to_dataframe(dim_order=dims).reset_index()
    name = str(next(iter(chosen.data_vars)))
    return table.loc[table[name].notna()].reset_index(drop=True)


def _row_label(row: pd.Series, varying: list[str]) -> str:
    words = {"n_supp": "{} points", "sample_size": "n = {}"}
    texts = {x: str(row[x]) for x in varying}
    label = ", ".join(
        words.get(x, "{}").format(y) for x, y in texts.items() if y != NONE
    )
    return textwrap.fill(label, LETTERS_A_LINE)


def _colours(process: xr.Dataset, table: pd.DataFrame) -> list[str]:
    if "estimator" not in table:
        return ["C0"] * len(table)
    order = [str(x) for x in process["estimator"].values]
    return [f"C{order.index(str(x)) % 7}" for x in table["estimator"]]


def _texts(chosen: xr.Dataset, dim: str) -> list[str]:
    return [str(x) for x in np.atleast_1d(chosen[dim].values)]


def list_pictures(process: xr.Dataset) -> Iterator[Picture]:
    """List the figures of all design points of one process."""
    if "sample_size" in process.dims:
        for suffix, where in list_parts(process, ("estimator", "grid")):
            yield from _heat_map(process.sel(where), suffix, in_words(where))
    point = choose_reference(process)
    if point is not None:
        yield from _lollies(process, point)


def _heat_map(process: xr.Dataset, suffix: str, words: str) -> Iterator[Picture]:
    """List the RMSE of one estimator and grid by sample size and number of points."""
    if process.sizes.get("sample_size", 1) > 1 and grid_matters(process):
        picture = Picture(
            f"heatmap-rmse{suffix}",
            f"RMSE by sample size and number of grid points{in_brackets(words)}.",
            plot_heatmap,
        )
        yield from list_pages(picture, process, legend=None, columns=2)


def _count_rows(process: xr.Dataset) -> int:
    """Count the lines of words of the design points that were run, copies once."""
    run = process[["attempted"]].where(process["attempted"] > 0)
    table = drop_copies(list_cells(run, list(OVERVIEW)), process)
    varying = [x for x in OVERVIEW if run.sizes.get(x, 1) > 1]
    words = [_row_label(row, varying) for _, row in table.iterrows()]
    return sum(x.count("\n") + 1 for x in words)


def _lollies(process: xr.Dataset, point: dict[str, object]) -> Iterator[Picture]:
    """List the figures of all estimators and grids at the largest sample."""
    size = {x: y for x, y in point.items() if x == "sample_size"}
    at = process.sel(size)
    cells = _count_rows(at)
    if cells > MOST_ROWS and "n_supp" in point:
        size["n_supp"] = point["n_supp"]
        at = process.sel(size)
        cells = _count_rows(at)
    if cells < 2:
        return
    for measure in ("bias", "coverage"):
        if is_known(at, measure):
            picture = Picture(
                f"lolly-{measure}",
                f"{label_measure(measure)} of every estimator and grid"
                f"{in_brackets(in_words(size))}.",
                partial(plot_lolly, measure=measure),
            )
            yield from list_pages(
                picture,
                at,
                legend=None,
                share_x=measure == "coverage",
                share_y=True,
                height=0.6 + 0.17 * cells,
            )
