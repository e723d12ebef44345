"""Figures of measures: select from the summary and draw, nothing else.

Every function draws one panel on the axes it is given and returns them: one parameter,
estimator and grid, i.e. the dimensions that are left are the sample size and that of
the lines (`by`). Monte Carlo errors are those stored in the summary, drawn as intervals
at 95 percent. `panels.draw_panels` puts panels together, inside `drawing.style()`.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from analysis import labels
from analysis.design_points import (
    choose_largest,
    grid_matters,
    in_words,
    is_known,
    list_parts,
)
from analysis.digits import format_error, format_value
from analysis.figures import drawing
from analysis.figures.picture import ALONE, Picture, Plot, in_brackets, list_pages
from analysis.measures.formulas import Z

_TEXT_LINE = 0.1  # of the height of a panel


def plot_rmse(process: xr.Dataset, ax: Axes, *, by: str = "n_supp") -> Axes:
    """Draw the RMSE against the sample size on log axes, with the slope -1/2.

    The dashed line starts at the first point of the last line drawn and falls at the
    parametric rate; with one sample size there is no rate and no such line. The slopes
    of the lines are in the corner, each with its Monte Carlo standard error.
    """
    chosen = drawing.select(process, ("rmse", "rmse_mcse"), ("sample_size", by))
    sizes = _sizes(chosen)
    start = None
    for i, label, line in drawing.series(chosen, by):
        value, error = _values(line, "rmse"), Z * _values(line, "rmse_mcse")
        error = np.minimum(error, 0.95 * value)  # a log axis has no zero
        _draw_line(ax, sizes, value, (error, error), i, _count(chosen, by), label)
        known = np.flatnonzero(np.isfinite(value))
        if known.size:
            start = sizes[known[0]], value[known[0]]
    if start is not None and sizes.size > 1:
        x = np.array([start[0], sizes[-1]])
        slope = start[1] * (x / start[0]) ** -0.5
        ax.plot(x, slope, "--", color=drawing.GREY, lw=0.8, label=drawing.SLOPE)
        _write_rates(process, ax, "rate", by)
    drawing.plain_log_axis(ax)
    drawing.sample_size_axis(ax, sizes)
    _leave_room(ax)
    ax.set_ylabel(labels.label_measure("rmse"))
    return ax


def plot_coverage(process: xr.Dataset, ax: Axes, *, by: str = "n_supp") -> Axes:
    """Draw the coverage against the sample size beside its nominal level.

    Points carry Wilson's interval. The grey band is where 95 percent of the points
    would fall if the intervals were exact, given the replications used at each sample
    size (the fewest over the lines).
    """
    names = ("coverage", "coverage_lower", "coverage_upper")
    keep = ("sample_size", by)
    chosen = drawing.select(process, names, keep)
    level = process["coverage"].attrs.get("level", 0.95)
    sizes = _sizes(chosen)
    drawing.sample_size_axis(ax, sizes)
    used = drawing.select(process, ("used",), keep)["used"]
    used = used.where(used > 0)  # not of lines that are not there
    used = used.min(by) if by in used.dims else used
    counts = np.nan_to_num(np.atleast_1d(used.values), nan=1.0)
    half = Z * np.sqrt(level * (1 - level) / counts)
    ends = ax.get_xlim()
    x = np.array([ends[0], *sizes, ends[1]])
    half = np.array([half[0], *half, half[-1]])  # to both edges of the panel
    band: dict[str, Any] = {
        "color": "0.9",
        "lw": 0,
        "zorder": 0,
        "label": drawing.EXACT,
    }
    ax.fill_between(x, level - half, np.minimum(level + half, 1), **band)
    ax.axhline(level, color=drawing.GREY, lw=0.8, zorder=1, label=drawing.NOMINAL)
    for i, label, line in drawing.series(chosen, by):
        value, low, high = (_values(line, name) for name in names)
        error = (np.maximum(value - low, 0), np.maximum(high - value, 0))
        _draw_line(ax, sizes, value, error, i, _count(chosen, by), label)
    ax.set_ylabel(labels.label_measure("coverage"))
    return ax


def plot_bias(process: xr.Dataset, ax: Axes, *, by: str = "n_supp") -> Axes:
    """Draw the bias against the sample size, with zero marked."""
    chosen = drawing.select(process, ("bias", "bias_mcse"), ("sample_size", by))
    sizes = _sizes(chosen)
    ax.axhline(0, color=drawing.GREY, lw=0.8, zorder=1, label=drawing.ZERO)
    for i, label, line in drawing.series(chosen, by):
        error = Z * _values(line, "bias_mcse")
        value = _values(line, "bias")
        _draw_line(ax, sizes, value, (error, error), i, _count(chosen, by), label)
    drawing.sample_size_axis(ax, sizes)
    ax.set_ylabel(labels.label_measure("bias"))
    return ax


def plot_seconds(process: xr.Dataset, ax: Axes, *, by: str = "n_supp") -> Axes:
    """Draw the time of one replication against the sample size, on log axes."""
    chosen = drawing.select(process, ("seconds", "seconds_mcse"), ("sample_size", by))
    sizes = _sizes(chosen)
    for i, label, line in drawing.series(chosen, by):
        value, error = _values(line, "seconds"), Z * _values(line, "seconds_mcse")
        error = np.minimum(error, 0.95 * value)  # a log axis has no zero
        _draw_line(ax, sizes, value, (error, error), i, _count(chosen, by), label)
    drawing.plain_log_axis(ax)
    drawing.sample_size_axis(ax, sizes)
    ax.set_ylabel("Seconds per replication")
    return ax


def plot_wasserstein(process: xr.Dataset, ax: Axes, *, by: str = "n_supp") -> Axes:
    """Draw the distance of the fitted from the true F against the sample size."""
    names = ("wasserstein", "wasserstein_mcse")
    chosen = drawing.select(process, names, ("sample_size", by))
    sizes = _sizes(chosen)
    for i, label, line in drawing.series(chosen, by):
        value, error = (_values(line, name) for name in names)
        _draw_line(
            ax, sizes, value, (Z * error, Z * error), i, _count(chosen, by), label
        )
    drawing.sample_size_axis(ax, sizes)
    ax.set_ylabel("Wasserstein-1 distance")
    _write_rates(process, ax, "wasserstein_rate", by)
    _leave_room(ax)
    return ax


def _write_rates(process: xr.Dataset, ax: Axes, name: str, by: str) -> None:
    """Write the slope of every line, in its colour, in the upper right corner."""
    if name not in process:
        return
    chosen = drawing.select(process, (name, f"{name}_mcse"), (by,))
    lines = list(drawing.series(chosen, by))
    for place, (i, _, line) in enumerate(lines):
        value, error = line[name].item(), line[f"{name}_mcse"].item()
        if not np.isfinite(value):
            continue
        text = f"{format_value(value, error)} {format_error(error)}"
        text = text.replace("-", "\N{MINUS SIGN}", 1)  # as on the axes
        ax.annotate(
            f"slope {text}" if len(lines) == 1 else text,
            (1, 1),
            (0, -8.5 * place),
            xycoords="axes fraction",
            textcoords="offset points",
            color=drawing.text_colour(f"C{i % 7}"),
            fontsize=7,
            ha="right",
            va="top",
            zorder=4,
        )


def _leave_room(ax: Axes) -> None:
    """Raise the upper limit so that no error bar on the right reaches the texts."""
    bars = [x for _, _, (bars,) in ax.containers for x in bars.get_segments()]
    # A bar of unknown length, as with a single replication, has no ends.
    ends = np.array([bar[1] for bar in bars if len(bar)]).reshape(-1, 2)
    scale = ax.yaxis.get_transform()
    low, high = scale.transform(np.array(ax.get_ylim()))
    middle = np.sqrt(np.prod(ax.get_xlim()))  # of a log axis
    reached = scale.transform(ends[ends[:, 0] > middle, 1]).max(initial=low)
    free = 1 - _TEXT_LINE * len(ax.texts)
    if reached > max(low, low + free * (high - low)):
        top = low + (reached - low) / free
        ax.set_ylim(top=scale.inverted().transform(np.array([top])).item())


def _draw_line(
    ax: Axes,
    sizes: np.ndarray,
    value: np.ndarray,
    error: tuple[np.ndarray, np.ndarray],
    i: int,
    count: int,
    label: str,
) -> None:
    ax.errorbar(
        drawing.dodge(sizes, i, count),
        value,
        yerr=np.stack(error),
        color=f"C{i % 7}",
        marker=drawing.MARKERS[i % len(drawing.MARKERS)],
        elinewidth=0.7,
        label=label or None,
        zorder=3,
    )


def _sizes(chosen: xr.Dataset) -> np.ndarray:
    return np.atleast_1d(chosen["sample_size"].values).astype(float)


def _values(line: xr.Dataset, name: str) -> np.ndarray:
    return np.atleast_1d(line[name].values)


def _count(chosen: xr.Dataset, by: str) -> int:
    return chosen.sizes.get(by, 1)


_SLOPES = " {at}; in the corner the slopes of the lines (Monte Carlo standard errors)."
FIGURES: tuple[tuple[str, Plot, str, dict[str, object]], ...] = (
    ("rmse", plot_rmse, f"RMSE{_SLOPES}", {}),
    ("bias", plot_bias, "Bias {at}.", {}),
    ("coverage", plot_coverage, "Coverage {at}.", {"share_y": True}),
    (
        "wasserstein",
        plot_wasserstein,
        f"Distance of the fitted from the true F{_SLOPES}",
        {"over": ALONE},
    ),
    (
        "seconds",
        plot_seconds,
        "Time of one replication {at}.",
        {"over": ALONE},
    ),
)


def list_pictures(process: xr.Dataset) -> Iterator[Picture]:
    """List the figures with the sample size across.

    Lines are estimators, at the largest number of points, and beside that numbers of
    points for each estimator that depends on them, as far as there are several.
    """
    if "sample_size" not in process.dims:
        return
    several = {x: process.sizes.get(x, 1) > 1 for x in ("estimator", "n_supp")}
    lines = [x for x, many in several.items() if many] or ["n_supp"]
    for name, plot, caption, options in FIGURES:
        if not is_known(process, name):
            continue
        for by in lines:
            at = choose_largest(process, "n_supp") if by == "estimator" else {}
            over = [x for x in ("estimator", "grid") if x != by]
            for suffix, where in list_parts(process.sel(at), over):
                chosen = process.sel({**at, **where})
                if not is_known(chosen, name):
                    continue
                if by == "n_supp" and several[by] and not grid_matters(chosen):
                    continue
                shown = where if not several["n_supp"] else {**where, **at}
                words = f"against the sample size{in_brackets(in_words(shown))}"
                picture = Picture(
                    f"{name}{suffix}", caption.format(at=words), partial(plot, by=by)
                )
                yield from list_pages(picture, chosen, legend=by, **options)
