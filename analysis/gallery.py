"""Which figures a study gets, and what each shows: the list that `make` writes.

A figure whose numbers the study does not hold, or that has nothing to compare, is left
out. Figures of the replications themselves are drawn at one design point for each
estimator: the largest sample, on the grid with most points.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis import figures, figures_mixing
from analysis import figures_intervals as intervals
from analysis import figures_overview as overview
from analysis import figures_replications as fr
from analysis.kinds import at_default_kind
from analysis.labels import label_dim, label_measure
from analysis.panels import draw_panels

_SLOPES = " {at}; in the corner the slopes of the lines (Monte Carlo standard errors)."
ALONE = ""  # no dimension to have panels over
Plot = Callable[..., Axes]


class Picture(NamedTuple):
    """A figure to be drawn: the stem of its file name, its caption, how to draw it.

    Call `draw` inside `drawing.style()`. A figure in detail is one of the replications
    of one estimator, which a reader looks at second.
    """

    name: str
    caption: str
    draw: Callable[[], Figure]
    detail: bool = False


def list_process(process: xr.Dataset, replications: xr.Dataset) -> Iterator[Picture]:
    """List the figures of one process.

    Args:
        process: One group of `summary.nc`.
        replications: The same group after `summarise.used_replications`.
    """
    if "sample_size" in process.dims:
        # Lines are numbers of points, or estimators where there is one number only.
        many = process.sizes.get("n_supp", 1) > 1
        by = "n_supp" if many or process.sizes.get("estimator", 1) == 1 else "estimator"
        over = [x for x in ("estimator", "grid") if x != by]
        for suffix, where in _parts(process, over):
            yield from _against_size(process.sel(where), suffix, _words(where), by)
        for suffix, where in _parts(process):
            yield from _of_one_estimator(process.sel(where), suffix, _words(where))
    if "coverage" in process and process.sizes.get("kind", 1) > 1:
        for suffix, where in _parts(process, ("grid",)):
            yield from _kinds(process.sel(where), suffix)
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
        stems = [_stem(process, "estimator", x) for x in names]
        known = at_point["estimate"].notnull()
        paired = known & known.isel(estimator=0, drop=True)
        paired = paired.any([x for x in paired.dims if x != "estimator"])
        for other, stem in zip(names[1:], stems[1:], strict=True):
            if not bool(paired.sel(estimator=other)):
                continue
            plot = partial(fr.plot_pairwise, pair=(names[0], other))
            yield Picture(
                f"pairwise-{stems[0]}-{stem}",
                f"Estimates of {other} against {names[0]}, draw by draw ({fixed}).",
                _panels(plot, at_point, legend=None, share_x=False),
                detail=True,
            )


def list_study(summary: xr.DataTree) -> Iterator[Picture]:
    """List the figures that compare processes, by the parameters that two share."""
    if len(summary.children) < 2:
        return
    found = {x: str(y.attrs.get("label", x)) for x, y in summary.children.items()}
    labels = list(found.values())
    words = {x: y if labels.count(y) == 1 else x for x, y in found.items()}
    for measure in ("rmse", "bias", "coverage"):
        groups = {
            words[name]: at_default_kind(node.to_dataset())
            for name, node in summary.children.items()
            if measure in node
        }
        if len(groups) < 2:
            continue
        design = overview.join_processes(groups, (measure, f"{measure}_mcse"))
        known = design[measure].notnull()
        known = known.any([x for x in known.dims if x not in ("process", "parameter")])
        shared = known.sum("process") > 1
        if not bool(shared.any()):
            continue
        yield Picture(
            f"nested_loop-{measure}",
            f"{label_measure(measure)} over all processes, grids and sample sizes.",
            _panels(
                partial(overview.plot_nested_loop, measure=measure),
                design.sel(parameter=shared),
                legend="estimator",
                columns=1,
                height=2.4,
                wide=True,
            ),
        )


def _kinds(process: xr.Dataset, suffix: str) -> Iterator[Picture]:
    """List the figures that compare intervals, at the largest number of points."""
    at = process.sel(_largest(process, "n_supp"))
    rows = int(
        (at["used_interval"] > 0)
        .any([x for x in at["used_interval"].dims if x not in ("estimator", "kind")])
        .sum()
    )
    estimators, sizes = (at.sizes.get(x, 1) for x in ("estimator", "sample_size"))
    yield Picture(
        f"coverage_by_kind{suffix}",
        "Coverage of every kind of interval, by sample size; grey, "
        f"{intervals.BAND[0]:g} to {intervals.BAND[1]:g}.",
        _panels(
            intervals.plot_coverage_by_kind,
            at,
            legend="sample_size",
            share_y=True,
            height=0.6 + (0.08 + 0.04 * sizes) * (rows + estimators),
        ),
    )


def _against_size(
    process: xr.Dataset, suffix: str, words: str, by: str
) -> Iterator[Picture]:
    """List the figures with the sample size across and a line for each of `by`."""
    at = f" ({words})" if words else ""
    for name, plot, caption, share_y in (
        ("rmse", figures.plot_rmse, f"RMSE{_SLOPES}", False),
        ("bias", figures.plot_bias, "Bias {at}.", False),
        ("coverage", figures.plot_coverage, "Coverage of intervals {at}.", True),
    ):
        if _known(process, name):
            yield Picture(
                f"{name}{suffix}",
                caption.format(at=f"against the sample size{at}"),
                _panels(partial(plot, by=by), process, share_y=share_y, legend=by),
            )
    for name, plot, caption in (
        (
            "wasserstein",
            figures.plot_wasserstein,
            f"Distance of the fitted from the true F{_SLOPES}",
        ),
        ("seconds", figures.plot_seconds, "Time of one replication {at}."),
    ):
        if _known(process, name):
            yield Picture(
                f"{name}{suffix}",
                caption.format(at=f"against the sample size{at}"),
                _panels(partial(plot, by=by), process, over=ALONE, legend=by),
            )


def _of_one_estimator(
    process: xr.Dataset, suffix: str, words: str
) -> Iterator[Picture]:
    """List the figures of one estimator and grid at every sample size."""
    at = f" ({words})" if words else ""
    both = (
        process.sizes.get("sample_size", 1) > 1 and process.sizes.get("n_supp", 1) > 1
    )
    if both:
        yield Picture(
            f"heatmap-rmse{suffix}",
            f"RMSE by sample size and number of grid points{at}.",
            _panels(overview.plot_heatmap, process, legend=None),
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
                detail=True,
            )


def _panels(plot: Plot, process: xr.Dataset, **options) -> Callable[[], Figure]:
    return partial(draw_panels, process, plot, **options)


def _known(process: xr.Dataset, name: str) -> bool:
    return name in process and bool(process[name].notnull().any())


def _parts(
    process: xr.Dataset, over: Sequence[str] = ("estimator", "grid")
) -> Iterator[tuple[str, dict[str, str]]]:
    """Iterate over the combinations that were run, each with an end for file names."""
    varying = [x for x in over if process.sizes.get(x, 1) > 1]
    attempted = process["attempted"]
    run = attempted.sum([d for d in attempted.dims if d not in varying]) > 0
    for index in np.ndindex(*run.transpose(*varying).shape):
        cell = run.transpose(*varying)[index]
        if bool(cell):
            where = {x: str(cell[x].item()) for x in varying}
            yield "".join(f"-{_stem(process, *x)}" for x in where.items()), where


def _stem(process: xr.Dataset, dim: str, label: str) -> str:
    """Name an entry in a file name as the study's configuration does."""
    if f"{dim}_name" not in process.coords:
        return label
    return str(process[f"{dim}_name"].sel({dim: label}).item())


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
