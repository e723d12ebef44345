"""Figures of sampling distributions: are the estimates normal around the truth?"""

from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from scipy import special

from analysis.figures import drawing
from analysis.measures.formulas import Z

MANY = 3000  # marks: more are pixels inside a PDF


def plot_density(process: xr.Dataset, ax: Axes) -> Axes:
    """Draw a histogram of the estimates, the normal of equal moments, and the truth.

    The grey band is where 95 percent of the bars would end if the estimates were
    normal: the binomial error of a bar.
    """
    chosen = drawing.select(process, ("estimate", "truth"), ("replication",))
    values = _present(chosen["estimate"])
    ax.set_xlabel("Estimate")
    ax.set_ylabel("Density")
    if np.unique(values).size < 2:
        return ax
    heights, edges = np.histogram(values, bins="auto", density=True)
    ax.stairs(heights, edges, fill=True, color="C0", alpha=0.35, label="estimates")
    # Divisor n - 1, as the empirical standard error of the summary has it.
    mean, spread = values.mean(), values.std(ddof=1)
    x = np.linspace(edges[0], edges[-1], 200)
    normal = np.exp(-0.5 * ((x - mean) / spread) ** 2) / (spread * np.sqrt(2 * np.pi))
    ax.plot(x, normal, color="0.2", label="normal of equal moments")
    width = edges[1] - edges[0]
    share = np.diff(special.ndtr((edges - mean) / spread))
    half = Z * np.sqrt(share * (1 - share) / values.size) / width
    low, high = np.maximum(share / width - half, 0), share / width + half
    band: dict[str, Any] = {"fill": True, "color": "0.8", "alpha": 0.6, "zorder": 0}
    ax.stairs(high, edges, baseline=low, label=drawing.NORMAL_BAND, **band)
    ax.axvline(float(chosen["truth"]), color="C1", ls="--", label=drawing.TRUTH)
    ax.grid(visible=False)
    return ax


def plot_qq(process: xr.Dataset, ax: Axes, *, by: str = "sample_size") -> Axes:
    """Draw quantiles of the standardised estimates against those of the normal.

    The grey band holds 95 percent of every single order statistic under normality, for
    the line with the fewest replications.
    """
    chosen = drawing.select(process, ("estimate",), ("replication", by))
    fewest = None
    for i, label, line in drawing.series(chosen, by):
        values = np.sort(_present(line["estimate"]))
        if np.unique(values).size < 2:
            continue
        standard = (values - values.mean()) / values.std(ddof=1)
        ax.plot(
            _normal_scores(values.size),
            standard,
            drawing.MARKERS[i % len(drawing.MARKERS)],
            color=f"C{i % 7}",
            markersize=2,
            label=label or None,
            zorder=2,
            rasterized=values.size > MANY,
        )
        fewest = values.size if fewest is None else min(fewest, values.size)
    if fewest is not None:
        x = _normal_scores(fewest)
        # Of n uniform draws the k-th is Beta(k, n + 1 - k).
        rank = np.arange(1, fewest + 1)
        low, high = (
            special.ndtri(special.betaincinv(rank, fewest + 1 - rank, p))
            for p in (0.025, 0.975)
        )
        band: dict[str, Any] = {
            "color": "0.9",
            "lw": 0,
            "zorder": 0,
            "label": drawing.NORMAL_BAND,
        }
        ax.fill_between(x, low, high, **band)
        grey = drawing.GREY
        ax.plot(x[[0, -1]], x[[0, -1]], c=grey, lw=0.8, zorder=1, label=drawing.EQUAL)
    ax.set_xlabel("Normal quantile")
    ax.set_ylabel("Standardised estimate")
    return ax


def _present(values: xr.DataArray) -> np.ndarray:
    array = np.atleast_1d(values.values)
    return array[np.isfinite(array)]


def _normal_scores(n: int) -> np.ndarray:
    """Return the quantiles at which n ordered normal draws are expected (Blom 1958)."""
    return special.ndtri((np.arange(1, n + 1) - 0.375) / (n + 0.25))
