"""Figures of the replications themselves: how the estimates are distributed.

Every function takes what `used.used_replications` returns, at one parameter and
one design point (the estimator too, unless it compares estimators), and draws one
panel. Statistics drawn beside the replications are those of `analysis.measures`.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from analysis.design_points import (
    choose_reference,
    in_words,
    is_known,
    list_parts,
    stem_of,
)
from analysis.figures import drawing
from analysis.figures.picture import Picture, Plot, in_brackets, list_pages
from analysis.figures.sampling import MANY, plot_density, plot_qq
from analysis.measures import estimates as me
from analysis.measures.formulas import Z, covers
from analysis.measures.intervals import coverage

_MISSED = "C1"


def plot_zip(process: xr.Dataset, ax: Axes) -> Axes:
    """Draw every interval, sorted by how far its estimate is from the truth.

    The distance is in units of the half width; intervals that miss the truth are in the
    other colour and, if the level were exact, start at the dashed line. The band is the
    Monte Carlo interval (Wilson) of the coverage (Morris et al. 2019, figure 6). Open
    intervals come first and end where the others do.
    """
    names = ("estimate", "lower", "upper", "truth")
    chosen = drawing.select(process, names, ("replication",))
    level = process["lower"].attrs.get("level", 0.95)
    truth = float(chosen["truth"])
    arrays = [chosen[x].values for x in names[:3]]
    known = np.isfinite(arrays[0]) & ~np.isnan(arrays).any(axis=0)
    estimate, lower, upper = (x[known] for x in arrays)
    shown = np.concatenate([[truth], estimate, lower, upper])
    shown = shown[np.isfinite(shown)]
    # An interval without width is the farthest, unless its estimate is the truth.
    distance = abs(estimate - truth) / np.maximum((upper - lower) / 2, 1e-300)
    order = np.argsort(distance)
    centile = 100 * (np.arange(order.size) + 0.5) / max(order.size, 1)
    inside = covers(lower, upper, truth)[order]
    drawn = [np.clip(x, shown.min(), shown.max()) for x in (lower, upper)]
    for hit, colour, label in (
        (inside, "C0", "covers the truth"),
        (~inside, _MISSED, "misses the truth"),
    ):
        breaks = np.full(hit.sum(), np.nan)  # one path for all is drawn the fastest
        ax.plot(
            np.stack([*(x[order][hit] for x in drawn), breaks], axis=1).ravel(),
            np.repeat(centile[hit], 3),
            color=colour,
            lw=0.4,
            label=label,
            zorder=2,
            rasterized=order.size > MANY,
        )
    if order.size:
        low, high = (xr.DataArray(x, dims="replication") for x in (lower, upper))
        share = coverage(low, high, truth)
        low, high = share["coverage_lower"].item(), share["coverage_upper"].item()
        band: dict[str, Any] = {
            "color": "0.75",
            "alpha": 0.5,
            "zorder": 3,
            "label": "95% of coverage",
        }
        ax.axhspan(100 * low, 100 * high, **band)
    line: dict[str, Any] = {"color": "0.2", "lw": 0.8, "zorder": 4}
    ax.axhline(100 * level, ls="--", label=drawing.NOMINAL, **line)
    ax.axvline(truth, label=drawing.TRUTH, **line)
    ax.set_ylim(0, 100)
    ax.set_xlabel("Interval")
    ax.set_ylabel("Centile of the distance")
    return ax


def plot_estimate_se(process: xr.Dataset, ax: Axes) -> Axes:
    """Draw every standard error against its estimate.

    The vertical line is the truth; the horizontal one is the empirical standard error,
    which the points should surround, with its Monte Carlo interval.
    """
    names = ("estimate", "standard_error", "truth")
    chosen = drawing.select(process, names, ("replication",))
    ax.plot(
        chosen["estimate"],
        chosen["standard_error"],
        "o",
        color="C0",
        markersize=1.5,
        alpha=0.6,
        mew=0,
        zorder=2,
        rasterized=chosen.sizes["replication"] > MANY,
    )
    values = xr.DataArray(chosen["estimate"].values, dims="replication")
    spread = me.empirical_se(values)
    value, error = (x.item() for x in spread.values())
    if np.isfinite(value):
        ax.axhline(value, color="C1", label="empirical SE")
        if np.isfinite(error):
            half = Z * error
            band: dict[str, Any] = {
                "color": "C1",
                "alpha": 0.2,
                "lw": 0,
                "label": "95% of it",
            }
            ax.axhspan(value - half, value + half, **band)
    line: dict[str, Any] = {
        "color": "0.2",
        "ls": "--",
        "lw": 0.8,
        "label": drawing.TRUTH,
    }
    ax.axvline(float(chosen["truth"]), **line)
    ax.set_xlabel("Estimate")
    ax.set_ylabel("Standard error")
    return ax


def plot_pairwise(process: xr.Dataset, ax: Axes, *, pair: tuple[str, str]) -> Axes:
    """Draw the estimates of one estimator against those of another, draw by draw.

    On the diagonal both are equal; the cross is the truth. Both axes are the same.

    Args:
        process: Replications with the dimension `estimator`.
        ax: Axes to draw on.
        pair: The estimator on the horizontal and the one on the vertical axis.
    """
    chosen = drawing.select(
        process, ("estimate", "truth"), ("replication", "estimator")
    )
    x, y = (chosen["estimate"].sel(estimator=name).values for name in pair)
    ax.plot(
        x,
        y,
        "o",
        color="C0",
        markersize=1.5,
        alpha=0.6,
        mew=0,
        zorder=2,
        rasterized=x.size > MANY,
    )
    truth = float(chosen["truth"])
    line: dict[str, Any] = {
        "color": drawing.GREY,
        "lw": 0.8,
        "zorder": 1,
        "label": drawing.EQUAL,
    }
    ax.axline((truth, truth), slope=1, **line)
    cross: dict[str, Any] = {"color": "C1", "markersize": 9, "mew": 1.5, "zorder": 3}
    ax.plot(truth, truth, "+", label=drawing.TRUTH, **cross)
    shown = np.concatenate([x[np.isfinite(x)], y[np.isfinite(y)], [truth]])
    room = 0.05 * (shown.max() - shown.min()) + 1e-12  # an axis needs a length
    for limits in (ax.set_xlim, ax.set_ylim):
        limits(shown.min() - room, shown.max() + room)
    ax.set_aspect("equal", adjustable="box")
    ax.set_xlabel(str(pair[0]))
    ax.set_ylabel(str(pair[1]))
    return ax


def list_pictures(process: xr.Dataset, replications: xr.Dataset) -> Iterator[Picture]:
    """List the figures of replications, at one design point for each estimator.

    Args:
        process: One group of `summary.nc`.
        replications: The same group after `used.used_replications`.
    """
    point = choose_reference(process)
    if point is None:
        return
    at_point = replications.sel(point)
    fixed = in_words(point)
    for suffix, where in list_parts(process.sel(point), ("estimator",)):
        words = ", ".join(x for x in (in_words(where), fixed) if x)
        yield from _replications(at_point.sel(where), suffix, words)
    varying = "replication" in replications["truth"].dims
    if process.sizes.get("estimator", 1) > 1 and not varying:
        yield from _pairs(process, at_point, fixed)


def _replications(process: xr.Dataset, suffix: str, words: str) -> Iterator[Picture]:
    """List the figures of the replications of one estimator at one design point."""
    plots: list[tuple[str, Plot, str, tuple[str, ...]]] = [
        ("density", plot_density, "Sampling distributions", ("estimate",)),
        ("qq", plot_qq, "Normal quantiles of the estimates", ("estimate",)),
        ("zip", plot_zip, "All confidence intervals", ("lower", "upper")),
        (
            "estimate_se",
            plot_estimate_se,
            "Standard errors against estimates",
            ("standard_error",),
        ),
    ]
    varying = "replication" in process["truth"].dims  # no one truth to mark
    for name, plot, caption, needed in plots:
        if varying and name != "qq":
            continue
        if all(is_known(process, x) for x in needed):
            picture = Picture(
                f"{name}{suffix}", f"{caption}{in_brackets(words)}.", plot, detail=True
            )
            share = name == "qq"
            yield from list_pages(picture, process, legend=None, share_x=share)


def _pairs(process: xr.Dataset, at_point: xr.Dataset, fixed: str) -> Iterator[Picture]:
    """List the figures of every estimator against the first."""
    names = [str(x) for x in process["estimator"].values]
    stems = [stem_of(process, "estimator", x) for x in names]
    known = at_point["estimate"].notnull()
    paired = known & known.isel(estimator=0, drop=True)
    paired = paired.any([x for x in paired.dims if x != "estimator"])
    for other, stem in zip(names[1:], stems[1:], strict=True):
        if not bool(paired.sel(estimator=other)):
            continue
        plot = partial(plot_pairwise, pair=(names[0], other))
        picture = Picture(
            f"pairwise-{stems[0]}-{stem}",
            f"Estimates of {other} against {names[0]}, draw by draw ({fixed}).",
            plot,
            detail=True,
        )
        yield from list_pages(picture, at_point, legend=None, share_x=False, height=2.3)
