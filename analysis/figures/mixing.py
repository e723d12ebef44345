"""Figures of the fitted mixing distribution against the truth."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from analysis.design_points import (
    choose_largest,
    in_words,
    is_known,
    list_parts,
)
from analysis.figures import drawing
from analysis.figures.picture import Picture, in_brackets, list_pages
from analysis.measures.formulas import Z

_TAIL = 0.002  # mass that is not worth its room


def plot_cdf(process: xr.Dataset, ax: Axes) -> Axes:
    """Draw the mean fitted cdf, its band over replications, and the true cdf.

    The light band holds 95 percent of the fitted cdfs at every point; the dark one is
    the Monte Carlo interval of their mean.

    Args:
        process: One group of `summary.nc` at one design point (not the parameter, on
            which F does not depend).
        ax: Axes to draw on.
    """
    names = ("fitted_cdf", "fitted_cdf_mcse", "cdf_band", "true_cdf", "true_cdf_at")
    keep = ("band_point", "band", "cdf_point")
    chosen = drawing.select(process, names, keep)
    x = chosen["band_point"].values
    low, high = chosen["cdf_band"].transpose("band", "band_point").values
    ax.fill_between(
        x, low, high, step="post", color="C0", alpha=0.2, lw=0, label="95% of fits"
    )
    mean, error = chosen["fitted_cdf"].values, Z * chosen["fitted_cdf_mcse"].values
    dark: dict[str, Any] = {
        "color": "C0",
        "alpha": 0.5,
        "lw": 0,
        "label": "95% of their mean",
    }
    ax.fill_between(x, mean - error, mean + error, step="post", **dark)
    ax.step(x, mean, where="post", color="C0", label="mean of fits")
    ax.step(
        chosen["true_cdf_at"],
        chosen["true_cdf"],
        where="post",
        color="0.1",
        lw=0.8,
        ls="--",
        label=drawing.TRUTH,
    )
    at, truth = chosen["true_cdf_at"].values, chosen["true_cdf"].values
    drawing.widen_x(ax, *_find_mass((x, low), (x, high), (at, truth)))
    ax.set_ylim(-0.02, 1.02)
    ax.set_yticks(np.linspace(0, 1, 5))
    ax.set_xlabel("Latent variable")
    ax.set_ylabel("Distribution function")
    return ax


def _find_mass(*curves: tuple[np.ndarray, np.ndarray]) -> tuple[float, float]:
    """Find where distribution functions rise from 0 to 1, with some room beside."""
    ends = []
    for x, height in curves:
        inside = np.flatnonzero((height > _TAIL) & (height < 1 - _TAIL))
        above = np.flatnonzero(height >= 1 - _TAIL)
        rises = [*inside[:1], *above[:1]]  # the last step is to the first value above
        if rises:
            ends += [x[min(rises)], x[above[0] if above.size else inside[-1]]]
    if not ends:
        return float(curves[0][0][0]), float(curves[0][0][-1])
    low, high = float(min(ends)), float(max(ends))
    room = 0.08 * (high - low) or 0.5
    return low - room, high + room


def list_pictures(process: xr.Dataset) -> Iterator[Picture]:
    """List the fitted F of every estimator and grid, at most points, by sample size."""
    if "sample_size" not in process.dims:
        return
    for suffix, where in list_parts(process, ("estimator", "grid")):
        yield from _cdf(process.sel(where), suffix, in_words(where))


def _cdf(process: xr.Dataset, suffix: str, words: str) -> Iterator[Picture]:
    if is_known(process, "fitted_cdf"):
        picture = Picture(
            f"cdf{suffix}",
            f"Fitted and true F by sample size{in_brackets(words)}.",
            plot_cdf,
        )
        at = process.sel(choose_largest(process, "n_supp"))
        yield from list_pages(
            picture, at, over="sample_size", legend=None, share_y=True
        )
