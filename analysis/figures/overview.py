"""Figures of many design points at once: lolly plot, heat map, nested loops.

As in `against_size`, each draws one panel from the summary with Monte Carlo errors at
95 percent, here for one parameter and any measure.
"""

from collections.abc import Mapping
from textwrap import shorten

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from analysis.digits import format_error, format_value
from analysis.dimensions import LOOPS, OVERVIEW
from analysis.figures import drawing
from analysis.labels import label_dim, label_measure
from analysis.measures.formulas import Z

_DARK = 0.5  # luminance below which text is white
_STRIP = 0.09  # of the height of the axes, one factor of a nested-loop plot


def plot_lolly(process: xr.Dataset, ax: Axes, *, measure: str = "bias") -> Axes:
    """Draw a measure of every design point as a lolly, from where it should be.

    The brackets are the Monte Carlo interval (Morris et al. 2019, figure 5): a stick
    that ends inside them could be no stick. Coverage starts at its level, all else at
    0. Rows are the combinations of the dimensions left, without those not run; colours
    are estimators.
    """
    names = (measure, f"{measure}_mcse")
    chosen = drawing.select(process, names, OVERVIEW)
    reference = process[measure].attrs.get("level", 0.0)
    varying = [x for x in OVERVIEW if chosen.sizes.get(x, 1) > 1]
    table = _rows(chosen, list(OVERVIEW))
    y = np.arange(len(table))[::-1]
    ax.axvline(reference, color=drawing.GREY, lw=0.8, zorder=1)
    colours = _colours(process, table)
    value, error = table[names[0]].to_numpy(), Z * table[names[1]].to_numpy()
    for i, colour in enumerate(colours):
        x, half = value[i], error[i]
        ax.plot([reference, x], [y[i]] * 2, "-", color=colour, lw=0.8, zorder=2)
        ax.plot(x, y[i], "o", color=colour, zorder=3)
        for end, mark in ((x - half, "("), (x + half, ")")):
            style = {"fontsize": 8, "ha": "center", "va": "center_baseline"}
            ax.text(end, y[i], mark, color=colour, **style, clip_on=True)
    ends = [*(value - 1.1 * error), *(value + 1.1 * error), reference]
    low, high = np.nanmin(ends), np.nanmax(ends)
    ax.set_xlim(low - 0.04 * (high - low), high + 0.04 * (high - low) + 1e-12)
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
        red, green, blue, _ = image.cmap(image.norm(x))
        dark = 0.299 * red + 0.587 * green + 0.114 * blue < _DARK
        text = f"{format_value(x, spread)}\n"
        ax.text(
            column + 0.5,
            row + 0.5,
            text + format_error(spread),
            color="white" if dark else "black",
            fontsize=5.5,
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
    table = _rows(chosen, [*factors, "estimator"])
    points = pd.DataFrame(table[factors]).drop_duplicates()
    reference = design[measure].attrs.get("level", 0.0)
    if measure != "rmse":
        ax.axhline(reference, color=drawing.GREY, lw=0.8, zorder=0)
    position = {tuple(row): i for i, row in enumerate(points.to_numpy().tolist())}
    edges = np.arange(len(points) + 1)
    count = chosen.sizes.get("estimator", 1)
    for i, label, line in drawing.series(chosen, "estimator"):
        value, error = np.full((2, len(points)), np.nan)
        for _, row in _rows(line, factors).iterrows():
            at = position[tuple(row[x] for x in factors)]
            value[at], error[at] = row[names[0]], Z * row[names[1]]
        colour = f"C{i % 7}"
        ax.stairs(value, edges, baseline=None, color=colour, label=label or None, lw=1)
        middle = edges[:-1] + (i + 1) / (count + 1)  # side by side within a step
        bars = {"fmt": "none", "ecolor": colour, "elinewidth": 0.7}
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
    low, high = ax.get_ylim()
    ax.set_yticks([x for x in ax.get_yticks() if low <= x <= high])
    below = min(0.8, 1.6 * _STRIP * len(factors))
    ax.set_ylim(low - (high - low) * below / (1 - below), high)
    across = ax.get_xaxis_transform()  # x in data, y in the axes' height
    for i, factor in enumerate(factors):
        top = below - 1.6 * _STRIP * (i + 0.45)
        levels = list(dict.fromkeys(points[factor]))
        step = _STRIP * 0.7 / max(len(levels) - 1, 1)
        height = top - _STRIP * 0.7 + step * points[factor].map(levels.index).to_numpy()
        ax.stairs(height, edges, baseline=None, color="0.35", lw=0.8, transform=across)
        between = "; " if any("," in str(x) for x in levels) else ", "
        words = f"{label_dim(factor)}: {between.join(map(str, levels))}"
        words = shorten(words, 110)
        style = {"fontsize": 6, "va": "bottom", "transform": across, "color": "0.25"}
        ax.text(0.0, top + 0.008, words, **style)


def _rows(chosen: xr.Dataset, dims: list[str]) -> pd.DataFrame:
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
    return ", ".join(words.get(x, "{}").format(row[x]) for x in varying)


def _colours(process: xr.Dataset, table: pd.DataFrame) -> list[str]:
    if "estimator" not in table:
        return ["C0"] * len(table)
    order = [str(x) for x in process["estimator"].values]
    return [f"C{order.index(str(x)) % 7}" for x in table["estimator"]]


def _texts(chosen: xr.Dataset, dim: str) -> list[str]:
    return [str(x) for x in np.atleast_1d(chosen[dim].values)]
