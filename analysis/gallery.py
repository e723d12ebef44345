"""Which figures a study gets, and what each shows: the list that `make` writes.

A figure whose numbers the study does not hold, or that has nothing to compare, is left
out. Figures of the replications themselves are drawn at one design point for each
estimator: the largest sample, on the grid with most points.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis import drawing, figures, figures_mixing
from analysis import figures_overview as overview
from analysis import figures_replications as fr
from analysis.labels import label_dim, label_measure

ALONE = ""  # no dimension to have panels over
Plot = Callable[[xr.Dataset, Axes], Axes]


class Picture(NamedTuple):
    """A figure to be drawn: the stem of its file name, its caption, how to draw it.

    Call `draw` inside `drawing.style()`.
    """

    name: str
    caption: str
    draw: Callable[[], Figure]


def list_process(process: xr.Dataset, replications: xr.Dataset) -> Iterator[Picture]:
    """List the figures of one process.

    Args:
        process: One group of `summary.nc`.
        replications: The same group after `summarise.used_replications`.
    """
    if "sample_size" in process.dims:
        for suffix, where in _parts(process):
            yield from _against_size(process.sel(where), suffix, _words(where))
    point = _reference(process)
    if point is None:
        return
    yield from _overview(process, point)
    at_point = replications.sel(point)
    fixed = _words(point)
    for suffix, where in _parts(process.sel(point), ("estimator",)):
        words = ", ".join(x for x in (_words(where), fixed) if x)
        yield from _replications(at_point.sel(where), suffix, words)
    varying = "replication" in replications["truth"].dims
    if process.sizes.get("estimator", 1) > 1 and not varying:
        names = [str(x) for x in process["estimator"].values]
        for other in names[1:]:
            plot = partial(fr.plot_pairwise, pair=(names[0], other))
            yield Picture(
                f"pairwise-{names[0]}-{other}",
                f"Estimates of {other} against {names[0]}, draw by draw ({fixed}).",
                _panels(plot, at_point, legend=None, share_x=False),
            )


def list_study(summary: xr.DataTree) -> Iterator[Picture]:
    """List the figures that compare processes, one per parameter they share."""
    if len(summary.children) < 2:
        return
    design = overview.join_processes(summary, ("rmse", "rmse_mcse"))

    def draw(part: xr.Dataset) -> Figure:
        return drawing.draw_panels(
            part,
            overview.plot_nested_loop,
            legend="estimator",
            columns=1,
            height=2.4,
            wide=True,
        )

    yield Picture(
        "nested_loop-rmse",
        "RMSE over all processes, grids and sample sizes.",
        partial(draw, design),
    )


def _against_size(process: xr.Dataset, suffix: str, words: str) -> Iterator[Picture]:
    """List the figures of one estimator and grid with the sample size across."""
    at = f" ({words})" if words else ""
    for name, plot, caption, share_y in (
        ("rmse", figures.plot_rmse, "RMSE", False),
        ("bias", figures.plot_bias, "Bias", False),
        ("coverage", figures.plot_coverage, "Coverage of confidence intervals", True),
    ):
        if _known(process, name):
            yield Picture(
                f"{name}{suffix}",
                f"{caption} against the sample size{at}.",
                _panels(plot, process, share_y=share_y),
            )
    both = (
        process.sizes.get("sample_size", 1) > 1 and process.sizes.get("n_supp", 1) > 1
    )
    if both:
        yield Picture(
            f"heatmap-rmse{suffix}",
            f"RMSE by sample size and number of grid points{at}.",
            _panels(overview.plot_heatmap, process, legend=None),
        )
    if _known(process, "wasserstein"):
        yield Picture(
            f"wasserstein{suffix}",
            f"Distance of the fitted from the true F against the sample size{at}.",
            _panels(figures.plot_wasserstein, process, over=ALONE),
        )
    if _known(process, "fitted_cdf"):
        largest = _largest(process, "n_supp")
        yield Picture(
            f"cdf{suffix}",
            f"Fitted and true F by sample size{at}.",
            _panels(
                figures_mixing.plot_cdf,
                process.sel(largest),
                over="sample_size",
                legend=None,
                share_y=True,
            ),
        )
    if _known(process, "seconds"):
        yield Picture(
            f"seconds{suffix}",
            f"Time of one replication against the sample size{at}.",
            _panels(figures.plot_seconds, process, over=ALONE),
        )


def _overview(process: xr.Dataset, point: dict[str, object]) -> Iterator[Picture]:
    """List the figures of all estimators and grids at the largest sample."""
    size = {x: y for x, y in point.items() if x == "sample_size"}
    at = process.sel(size)
    cells = int((at["attempted"] > 0).sum())
    if cells < 2:
        return
    for measure in ("bias", "coverage"):
        if _known(at, measure):
            yield Picture(
                f"lolly-{measure}",
                f"{label_measure(measure)} of every estimator and grid "
                f"({_words(size)}).",
                _panels(
                    partial(overview.plot_lolly, measure=measure),
                    at,
                    legend=None,
                    share_x=measure == "coverage",
                    share_y=True,
                    height=0.6 + 0.17 * cells,
                ),
            )


def _replications(process: xr.Dataset, suffix: str, words: str) -> Iterator[Picture]:
    """List the figures of the replications of one estimator at one design point."""
    at = f" ({words})" if words else ""
    plots: list[tuple[str, Plot, str, tuple[str, ...]]] = [
        ("density", fr.plot_density, "Sampling distributions", ("estimate",)),
        ("qq", fr.plot_qq, "Normal quantiles of the estimates", ("estimate",)),
        ("zip", fr.plot_zip, "All confidence intervals", ("lower", "upper")),
        (
            "estimate_se",
            fr.plot_estimate_se,
            "Standard errors against estimates",
            ("standard_error",),
        ),
    ]
    varying = "replication" in process["truth"].dims  # no one truth to mark
    for name, plot, caption, needed in plots:
        if varying and name != "qq":
            continue
        if all(_known(process, x) for x in needed):
            yield Picture(
                f"{name}{suffix}",
                f"{caption}{at}.",
                _panels(plot, process, legend=None, share_x=name == "qq"),
            )


def _panels(plot: Plot, process: xr.Dataset, **options) -> Callable[[], Figure]:
    return partial(drawing.draw_panels, process, plot, **options)


def _known(process: xr.Dataset, name: str) -> bool:
    return name in process and bool(process[name].notnull().any())


def _parts(
    process: xr.Dataset, over: tuple[str, ...] = ("estimator", "grid")
) -> Iterator[tuple[str, dict[str, str]]]:
    """Iterate over the combinations that were run, each with an end for file names."""
    varying = [x for x in over if process.sizes.get(x, 1) > 1]
    attempted = process["attempted"]
    run = attempted.sum([d for d in attempted.dims if d not in varying]) > 0
    for index in np.ndindex(*run.transpose(*varying).shape):
        cell = run.transpose(*varying)[index]
        if bool(cell):
            where = {x: str(cell[x].item()) for x in varying}
            yield "".join(f"-{value}" for value in where.values()), where


def _reference(process: xr.Dataset) -> dict[str, object] | None:
    """Choose a design point: the largest sample, most points, first grid, if run."""
    attempted = process["attempted"]
    point = {}
    for dim in ("sample_size", "n_supp", "grid"):
        if dim not in attempted.dims:
            continue
        others = [d for d in attempted.dims if d != dim]
        run = np.flatnonzero((attempted > 0).any(others))
        if run.size == 0:
            return None
        index = int(run[0] if dim == "grid" else run[-1])
        attempted = attempted.isel({dim: index})
        point[dim] = attempted[dim].item()
    return point


def _largest(process: xr.Dataset, dim: str) -> dict[str, object]:
    point = _reference(process) or {}
    return {x: y for x, y in point.items() if x == dim}


def _words(where: dict) -> str:
    return ", ".join(f"{label_dim(x).lower()} {value}" for x, value in where.items())
