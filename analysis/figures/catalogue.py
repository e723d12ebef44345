"""Which figures a study gets, and what each shows: the list that `make` writes.

A figure whose numbers the study does not hold, or that has nothing to compare, is left
out. Figures of the replications themselves are drawn at one design point for each
estimator: the largest sample, on the grid with most points.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.figures import against_size, intervals, mixing, overview
from analysis.figures import replications as fr
from analysis.figures.design_points import (
    choose_largest,
    choose_reference,
    in_words,
    is_known,
    list_parts,
    stem_of,
)
from analysis.figures.panels import draw_panels
from analysis.kinds import at_default_kind
from analysis.labels import label_measure

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
        yield from _against_size(process)
        for figure in (_heat_map, _cdf):
            for suffix, where in list_parts(process, ("estimator", "grid")):
                yield from figure(process.sel(where), suffix, in_words(where))
    if "coverage" in process and process.sizes.get("kind", 1) > 1:
        for suffix, where in list_parts(process, ("grid",)):
            yield from _kinds(process.sel(where), suffix)
    point = choose_reference(process)
    if point is None:
        return
    yield from _overview(process, point)
    at_point = replications.sel(point)
    fixed = in_words(point)
    for suffix, where in list_parts(process.sel(point), ("estimator",)):
        words = ", ".join(x for x in (in_words(where), fixed) if x)
        yield from _replications(at_point.sel(where), suffix, words)
    varying = "replication" in replications["truth"].dims
    if process.sizes.get("estimator", 1) > 1 and not varying:
        names = [str(x) for x in process["estimator"].values]
        stems = [stem_of(process, "estimator", x) for x in names]
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
    at = process.sel(choose_largest(process, "n_supp"))
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


AGAINST_SIZE: tuple[tuple[str, Plot, str, dict[str, object]], ...] = (
    ("rmse", against_size.plot_rmse, f"RMSE{_SLOPES}", {}),
    ("bias", against_size.plot_bias, "Bias {at}.", {}),
    ("coverage", against_size.plot_coverage, "Coverage {at}.", {"share_y": True}),
    (
        "wasserstein",
        against_size.plot_wasserstein,
        f"Distance of the fitted from the true F{_SLOPES}",
        {"over": ALONE},
    ),
    (
        "seconds",
        against_size.plot_seconds,
        "Time of one replication {at}.",
        {"over": ALONE},
    ),
)


def _against_size(process: xr.Dataset) -> Iterator[Picture]:
    """List the figures with the sample size across.

    Lines are estimators, at the largest number of points, and beside that numbers of
    points for each estimator that depends on them, as far as there are several.
    """
    several = {x: process.sizes.get(x, 1) > 1 for x in ("estimator", "n_supp")}
    lines = [x for x, many in several.items() if many] or ["n_supp"]
    for name, plot, caption, options in AGAINST_SIZE:
        if not is_known(process, name):
            continue
        for by in lines:
            at = choose_largest(process, "n_supp") if by == "estimator" else {}
            over = [x for x in ("estimator", "grid") if x != by]
            for suffix, where in list_parts(process.sel(at), over):
                chosen = process.sel({**at, **where})
                if not is_known(chosen, name):
                    continue
                if by == "n_supp" and several[by] and not _grid_matters(chosen):
                    continue
                shown = where if not several["n_supp"] else {**where, **at}
                words = f"against the sample size{_in_brackets(in_words(shown))}"
                yield Picture(
                    f"{name}{suffix}",
                    caption.format(at=words),
                    _panels(partial(plot, by=by), chosen, legend=by, **options),
                )


def _heat_map(process: xr.Dataset, suffix: str, words: str) -> Iterator[Picture]:
    """List the RMSE of one estimator and grid by sample size and number of points."""
    if process.sizes.get("sample_size", 1) > 1 and _grid_matters(process):
        yield Picture(
            f"heatmap-rmse{suffix}",
            f"RMSE by sample size and number of grid points{_in_brackets(words)}.",
            _panels(overview.plot_heatmap, process, legend=None),
        )


def _cdf(process: xr.Dataset, suffix: str, words: str) -> Iterator[Picture]:
    """List the fitted F of one estimator and grid, at most points, by sample size."""
    if is_known(process, "fitted_cdf"):
        yield Picture(
            f"cdf{suffix}",
            f"Fitted and true F by sample size{_in_brackets(words)}.",
            _panels(
                mixing.plot_cdf,
                process.sel(choose_largest(process, "n_supp")),
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
        if is_known(at, measure):
            yield Picture(
                f"lolly-{measure}",
                f"{label_measure(measure)} of every estimator and grid "
                f"({in_words(size)}).",
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
        if all(is_known(process, x) for x in needed):
            yield Picture(
                f"{name}{suffix}",
                f"{caption}{_in_brackets(words)}.",
                _panels(plot, process, legend=None, share_x=name == "qq"),
                detail=True,
            )


def _panels(plot: Plot, process: xr.Dataset, **options) -> Callable[[], Figure]:
    return partial(draw_panels, process, plot, **options)


def _grid_matters(process: xr.Dataset) -> bool:
    """Tell whether estimates change with the number of grid points, as most do."""
    if "n_supp" not in process.dims:
        return False
    spread = process["rmse"].max("n_supp") - process["rmse"].min("n_supp")
    return bool((spread > 0).any())


def _in_brackets(words: str) -> str:
    return f" ({words})" if words else ""
