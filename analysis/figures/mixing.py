"""Figures of the fitted mixing distribution against the truth."""

from collections.abc import Iterator

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from analysis.figures import drawing
from analysis.figures.design_points import (
    choose_largest,
    in_words,
    is_known,
    list_parts,
)
from analysis.figures.picture import Picture, in_brackets, in_panels
from analysis.measures.formulas import Z


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
    ax.fill_between(
        x, mean - error, mean + error, step="post", color="C0", alpha=0.5, lw=0
    )
    ax.step(x, mean, where="post", color="C0", label="mean of fits")
    ax.step(
        chosen["true_cdf_at"],
        chosen["true_cdf"],
        where="post",
        color="0.1",
        lw=0.8,
        ls="--",
        label="truth",
    )
    ax.set_ylim(-0.02, 1.02)
    ax.set_yticks(np.linspace(0, 1, 5))
    ax.set_xlabel("Latent variable")
    ax.set_ylabel("Distribution function")
    return ax


def list_pictures(process: xr.Dataset) -> Iterator[Picture]:
    """List the fitted F of every estimator and grid, at most points, by sample size."""
    if "sample_size" not in process.dims:
        return
    for suffix, where in list_parts(process, ("estimator", "grid")):
        yield from _cdf(process.sel(where), suffix, in_words(where))


def _cdf(process: xr.Dataset, suffix: str, words: str) -> Iterator[Picture]:
    if is_known(process, "fitted_cdf"):
        yield Picture(
            f"cdf{suffix}",
            f"Fitted and true F by sample size{in_brackets(words)}.",
            in_panels(
                plot_cdf,
                process.sel(choose_largest(process, "n_supp")),
                over="sample_size",
                legend=None,
                share_y=True,
            ),
        )
