"""Power curves: how often tests reject, against the value under the null."""

from collections.abc import Iterator
from functools import partial

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from analysis import labels
from analysis.design_points import choose_largest, list_parts
from analysis.figures import drawing
from analysis.figures.picture import Picture, list_pages

FEWEST = 3
"""Nulls of a parameter from which on there is a curve."""


def plot_power(process: xr.Dataset, ax: Axes, *, by: str = "estimator") -> Axes:
    """Draw the share of tests that reject against the value under the null.

    One parameter: the tests of it are the points of a line, with Wilson's intervals.
    The grey line is the level of the tests, the dotted one the true value, where the
    curve is the size.

    Args:
        process: What `curves` returns, at one parameter, grid, number of points and
            sample size or estimator.
        ax: Axes to draw on.
        by: Dimension of the lines.
    """
    names = ("power_curve", "power_curve_lower", "power_curve_upper", "null_at")
    chosen = drawing.select(process, (*names, "true_value"), (by, "point"))
    alpha = 1 - float(process.attrs["nominal"])
    ax.axhline(alpha, color=drawing.GREY, lw=0.8, zorder=1, label=drawing.NOMINAL)
    truth = np.unique(chosen["true_value"].values)
    if truth.size == 1:
        ax.axvline(
            truth[0], color=drawing.GREY, lw=0.8, ls=":", zorder=1, label=drawing.TRUTH
        )
    for i, label, line in drawing.series(chosen[list(names)], by):
        x, value, low, high = (
            np.atleast_1d(line[name].values)
            for name in (
                "null_at",
                "power_curve",
                "power_curve_lower",
                "power_curve_upper",
            )
        )
        known = np.isfinite(x) & np.isfinite(value)
        order = np.flatnonzero(known)[np.argsort(x[known])]
        ax.errorbar(
            x[order],
            value[order],
            yerr=np.maximum([value - low, high - value], 0)[:, order],
            color=f"C{i % 7}",
            marker=drawing.MARKERS[i % len(drawing.MARKERS)],
            elinewidth=0.7,
            label=label or None,
            zorder=3,
        )
    ax.set_ylim(-0.03, 1.03)
    ax.set_xlabel("Value under the null")
    ax.set_ylabel("Share of tests that reject")
    return ax


def curves(process: xr.Dataset) -> xr.Dataset | None:
    """Put the tests of every parameter along `point`; None without a curve.

    Args:
        process: One group of `summary.nc`, at the first level of its tests.
    """
    if "rejection" not in process or "parameter" not in process.dims:
        return None
    owners = process.coords.get("parameter_name", process["parameter"]).values
    tested = process["test_parameter"].values
    parts, kept = [], []
    for place, owner in enumerate(owners):
        own = np.flatnonzero(tested == owner)
        own = own[np.isfinite(process["null"].values[own])]
        if len(set(process["null"].values[own])) < FEWEST:
            continue
        at = process.isel(test=own, nominal=0)
        part = xr.Dataset(
            {
                f"power_curve{end}": at[f"rejection{end}"].drop_vars(
                    ["test", "test_parameter", "null", "holds", "nominal"]
                )
                for end in ("", "_lower", "_upper")
            }
        ).rename(test="point")
        part["null_at"] = ("point", process["null"].values[own])
        truth = process["truth"]
        if truth.dims == ("parameter",):
            part["true_value"] = float(truth[place])
        else:
            part["true_value"] = np.nan
        parts.append(part.assign_coords(point=np.arange(own.size)))
        kept.append(process["parameter"].values[place])
    if not parts:
        return None
    found = xr.concat(parts, "parameter", join="outer").assign_coords(parameter=kept)
    assert isinstance(found, xr.Dataset)
    found["attempted"] = process["attempted"]
    level = float(process["nominal"].values[0])
    return found.assign_attrs(process.attrs | {"nominal": level})


def list_pictures(process: xr.Dataset) -> Iterator[Picture]:
    """List the power curves: lines are estimators, or else sample sizes."""
    found = curves(process)
    if found is None:
        return
    several = found.sizes.get("estimator", 1) > 1
    by = "estimator" if several else "sample_size"
    at = choose_largest(process, "n_supp")
    if several:
        at |= choose_largest(process, "sample_size")
    for suffix, where in list_parts(found.sel(at), ("grid",)):
        words = ", ".join(f"{labels.label_dim(x).lower()} {y}" for x, y in at.items())
        picture = Picture(
            f"power{suffix}",
            "Share of tests at the level of the study that reject, against the value "
            f"under the null{f' ({words})' if words else ''}.",
            partial(plot_power, by=by),
        )
        chosen = found.sel({**at, **where})
        yield from list_pages(picture, chosen, legend=by, share_x=False, share_y=True)
