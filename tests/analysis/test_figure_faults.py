"""Faults that figures had once, of every kind of figure."""

import functools
from typing import Any

import numpy as np
import pytest
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox
from synthetic_study import make_process, summarise_synthetic

from analysis.figures import against_size, drawing, intervals, mixing, overview
from analysis.figures import replications as fr
from analysis.figures.catalogue import list_process, list_study
from analysis.figures.panels import PAGE_HEIGHT, WIDTHS, draw_panels, figure_of
from analysis.measures.summarise import summarise_process
from analysis.measures.used import used_replications

DESIGN: dict[str, Any] = {"sample_sizes": (500, 1000, 1200), "n_supp": (25, 50)}
SMALL: dict[str, Any] = {"sample_sizes": (500, 1000), "n_supp": (25, 50)}
BIG_LABEL = "A process with a name that says at length what it does, number {}"


@functools.cache
def study():
    process = make_process(**DESIGN)
    return summarise_process(process), used_replications(process)


@functools.cache
def figures():
    """Draw every figure of a study, once."""
    summary, used = study()
    tree = xr.DataTree.from_dict({"/a": summary, "/b": summary})
    found = {}
    with drawing.style():
        for picture in (*list_process(summary, used), *list_study(tree)):
            figure = picture.draw()
            figure.draw_without_rendering()
            found[picture.name] = figure
    return found


def draw(plot, process, **options):
    with drawing.style():
        axes = draw_panels(process, plot, **options)
        figure_of(axes).draw_without_rendering()
    return axes


def test_every_head_of_a_lolly_is_on_its_axis():
    process = summarise_synthetic(**SMALL).sel(sample_size=500).copy(deep=True)
    process["coverage"][{"parameter": 0}] = 0.0
    plot = functools.partial(overview.plot_lolly, measure="coverage")
    for share in (True, False):
        for ax in draw(plot, process, legend=None, share_x=share, share_y=True):
            low, high = ax.get_xlim()
            heads = [float(np.asarray(line.get_xdata())[0]) for line in ax.lines[2::2]]
            assert len(heads) == 4
            assert all(low <= x <= high for x in heads)
            if share:
                assert low <= 0.0


@pytest.mark.parametrize("width", ["column", "page"])
def test_long_names_leave_room_for_panels_ticks_and_legend(width):
    process = summarise_synthetic(**SMALL).sel(sample_size=500).copy(deep=True)
    process["coverage"][{"parameter": 0, "estimator": 0}] = 0.0
    names = ["An estimator with a name as long as the column", "em"]
    process = process.assign_coords(estimator=names)
    plot = functools.partial(overview.plot_lolly, measure="coverage")
    axes = draw(plot, process, legend=None, share_x=True, share_y=True, width=width)
    figure = figure_of(axes)
    assert figure.get_figheight() <= PAGE_HEIGHT
    (legend,) = figure.legends
    frame = legend.get_window_extent()
    for ax in axes:
        assert not Bbox.intersection(ax.get_window_extent(), frame)
        assert ax.get_window_extent().width >= 0.7 * figure.dpi
        if ax.xaxis.get_tick_params().get("labelbottom", True):
            boxes = [x.get_window_extent() for x in shown_ticks(ax.xaxis)]
            assert all(x.x1 < y.x0 for x, y in zip(boxes, boxes[1:], strict=False))
        for word in ax.get_yticklabels():
            if ax.yaxis.get_tick_params().get("labelleft", True):
                assert word.get_window_extent().x0 >= 0


def test_rows_of_lollies_are_the_same_in_every_panel():
    process = summarise_synthetic(**SMALL).sel(sample_size=500).copy(deep=True)
    process["bias"][{"parameter": 2, "estimator": 0, "n_supp": 0}] = np.nan
    axes = draw(overview.plot_lolly, process, legend=None, share_y=True)
    places = [
        [float(np.asarray(x.get_ydata())[0]) for x in ax.lines[2::2]] for ax in axes
    ]
    assert places[0] == places[2] == [3, 2, 1, 0]


def test_rows_of_intervals_are_those_of_every_panel():
    process = summarise_synthetic(**SMALL).copy(deep=True)
    process["coverage"][{"parameter": 2, "kind": 0}] = np.nan  # as of an estimand
    (picture,) = intervals.list_pictures(process)
    with drawing.style():
        axes = picture.draw().axes
    words = [x.get_text() for x in axes[0].get_yticklabels()]
    kinds = [str(x) for x in process["kind"].values]
    assert words == ["profile", *kinds, "em", *kinds]
    points = [ax.containers[0].lines[0].get_ydata() for ax in axes]
    np.testing.assert_array_equal(points[0], points[2])
    kept = np.isfinite(np.asarray(axes[2].containers[0].lines[0].get_xdata()))
    assert kept.tolist() == [False, True, False, True]


@pytest.mark.parametrize("level", [0.9, 0.99])
def test_the_band_of_coverages_is_that_of_the_level(level):
    process = summarise_synthetic(**SMALL).copy(deep=True).isel(parameter=0, n_supp=0)
    process["coverage"].attrs["level"] = level
    ax = intervals.plot_coverage_by_kind(process, Figure().subplots())
    band = ax.patches[0].get_extents().transformed(ax.transData.inverted())
    fewest = process["used_interval"].min().item()
    half = 1.959963984540054 * np.sqrt(level * (1 - level) / fewest)
    assert (band.x0, band.x1) == pytest.approx((level - half, min(level + half, 1)))


def many_parameters(count, **design):
    process = summarise_synthetic(**design)
    again = process.isel(parameter=np.zeros(count, int))
    return again.assign_coords(parameter=[f"coef[{i}]" for i in range(count)])


def test_no_figure_is_taller_than_a_page():
    process = many_parameters(30, **SMALL, grids=("a", "b", "c"))
    used = many_used(30)
    listed = list(list_process(process, used))
    with drawing.style():
        for picture in listed:
            if picture.name.partition("-")[0] not in ("rmse", "lolly", "zip"):
                continue
            assert picture.draw().get_figheight() <= PAGE_HEIGHT
    parts = [x for x in listed if x.name.startswith("lolly-bias")]
    assert len(parts) > 1
    assert parts[1].caption.endswith(f"Part 2 of {len(parts)}.")
    assert len({x.name for x in listed}) == len(listed)


def many_used(count):
    used = used_replications(make_process(**SMALL, grids=("a", "b", "c")))
    again = used.isel(parameter=np.zeros(count, int))
    return again.assign_coords(parameter=[f"coef[{i}]" for i in range(count)])


def test_every_panel_of_a_figure_in_parts_is_drawn():
    listed = list_process(
        many_parameters(30, **SMALL, grids=("a", "b", "c")), many_used(30)
    )
    with drawing.style():
        drawn = [x.draw() for x in listed if x.name.startswith("bias-profile-a")]
    titles = [ax.get_title() for figure in drawn for ax in figure.axes]
    assert titles == [f"coef[{i}]" for i in range(30)]


def test_names_of_processes_are_not_cut():
    names = [BIG_LABEL.format(i) for i in range(5)]
    tree = xr.DataTree.from_dict(
        {f"/p{i}": study()[0].assign_attrs(label=x) for i, x in enumerate(names)}
    )
    (picture, *_) = list_study(tree)
    with drawing.style():
        figure = picture.draw()
        figure.draw_without_rendering()
        words = " ".join(x.get_text() for x in figure.axes[0].texts)
        boxes = [x.get_window_extent() for x in figure.axes[0].texts]
    for name in names:
        assert name in words.replace("\n", " ")
    assert max(x.x1 for x in boxes) <= figure.bbox.width
    assert not any(
        Bbox.intersection(x, y) for i, x in enumerate(boxes) for y in boxes[:i]
    )


def shown_ticks(axis):
    low, high = sorted(axis.get_view_interval())
    return [
        text
        for place, text in zip(
            axis.get_majorticklocs(), axis.get_majorticklabels(), strict=True
        )
        if low <= place <= high and text.get_text() and text.get_visible()
    ]


def test_tick_labels_do_not_touch_and_there_are_two_at_least():
    for name, figure in figures().items():
        for ax in figure.axes:
            for axis in (ax.xaxis, ax.yaxis):
                side = "labelbottom" if axis is ax.xaxis else "labelleft"
                if not axis.get_tick_params().get(side, True):
                    continue
                texts = shown_ticks(axis)
                if len(axis.get_majorticklocs()) == 0:
                    continue  # nested loops have no horizontal ticks
                assert len(texts) >= 2, (name, ax.get_title())
                boxes = [x.get_window_extent() for x in texts]
                for i, box in enumerate(boxes):
                    assert not any(Bbox.intersection(box, y) for y in boxes[:i]), name


def test_tick_labels_of_panels_side_by_side_do_not_touch():
    process = summarise_synthetic(**SMALL).sel(sample_size=500).copy(deep=True)
    process["coverage"][{"parameter": 0, "estimator": 0}] = 0.0
    plot = functools.partial(overview.plot_lolly, measure="coverage")
    both = {"share_x": True, "share_y": True, "legend": None}
    drawn = [draw(plot, process, **both)] + [x.axes for x in figures().values()]
    for axes in drawn:
        boxes = [
            (ax, x.get_window_extent())
            for ax in axes
            if ax.xaxis.get_tick_params().get("labelbottom", True)
            for x in shown_ticks(ax.xaxis)
        ]
        for i, (ax, box) in enumerate(boxes):
            for other, near in boxes[:i]:
                wide = Bbox.from_extents(near.x0 - 3, near.y0, near.x1 + 3, near.y1)
                assert ax is other or not Bbox.intersection(box, wide), (
                    ax.get_title(),
                    other.get_title(),
                )


@pytest.mark.parametrize(
    ("low", "high"), [(0.02, 0.9), (0.011, 0.013), (3e-6, 4), (0.2, 1.9), (1, 30)]
)
def test_a_log_axis_has_three_readable_ticks_whatever_its_range(low, high):
    ax = Figure().subplots()
    ax.plot([1, 2], [low, high])
    drawing.plain_log_axis(ax)
    ticks = [x for x in ax.get_yticks() if low <= x <= high]
    assert 3 <= len(ticks) <= 8


def test_lines_and_bands_are_in_the_legend():
    expected = {
        "coverage": {"nominal", "95% if exact"},
        "coverage_by_kind": {"nominal", "95% if exact"},
        "bias": {"zero"},
        "lolly-coverage": {"nominal"},
        "nested_loop-coverage": {"nominal"},
        "cdf-em": {"95% of fits", "95% of their mean", "mean of fits", "truth"},
        "density-em": {"estimates", "95% if normal", "truth"},
        "qq-em": {"equal", "95% if normal"},
        "zip-em": {"nominal", "truth", "95% of coverage"},
        "estimate_se-em": {"empirical SE", "95% of it", "truth"},
        "pairwise-profile-em": {"equal", "truth"},
    }
    for name, words in expected.items():
        (legend,) = figures()[name].legends
        assert words <= {x.get_text() for x in legend.get_texts()}, name


def list_texts(artist):
    for child in artist.get_children():
        if isinstance(child, Text) and child.get_text() and child.get_visible():
            yield child
        yield from list_texts(child)


def test_text_is_of_six_and_a_half_points_and_stands_out():
    for name, figure in figures().items():
        for text in list_texts(figure):
            assert float(text.get_fontsize()) >= 6.5, (name, text.get_text())
            colour = drawing.to_rgb(text.get_color())
            if name.startswith("heatmap") and "\n" in text.get_text():
                continue  # on a coloured ground
            assert drawing.contrast(colour, (1.0, 1.0, 1.0)) >= 4.5, (
                name,
                text.get_text(),
            )


def test_figures_on_a_coloured_ground_stand_out():
    (figure,) = [x for name, x in figures().items() if name == "heatmap-rmse-em"]
    ax: Axes = figure.axes[0]
    fills = ax.collections[0].get_facecolor()
    for text, fill in zip(ax.texts, fills, strict=True):
        ground = drawing.to_rgb(tuple(np.asarray(fill)[:3]))
        assert drawing.contrast(drawing.to_rgb(text.get_color()), ground) >= 4.5


def test_both_axes_of_a_pair_are_the_same():
    for ax in figures()["pairwise-profile-em"].axes:
        assert ax.get_xlim() == ax.get_ylim()
        box = ax.get_window_extent()
        assert box.width == pytest.approx(box.height)


def test_f_is_drawn_where_it_has_mass():
    summary, _ = study()
    one = summary.sel(estimator="em", n_supp=50).squeeze()
    wide = one.assign_coords(band_point=one["band_point"] * 1.0)
    axes = draw(mixing.plot_cdf, wide, over="sample_size", legend=None, share_y=True)
    for ax in axes:
        low, high = ax.get_xlim()
        assert -2.5 < low < -1.5
        assert 1.5 < high < 2.5
    limits = {ax.get_xlim() for ax in axes}
    assert len(limits) == 1


def test_f_with_a_long_tail_is_drawn_to_its_end():
    at = np.linspace(0, 100, 1001)
    summary, _ = study()
    cell = summary.sel(estimator="em", n_supp=50, sample_size=500).squeeze()
    truth = 1 - np.exp(-at / 3)
    tail = cell.drop_vars(["true_cdf_at", "true_cdf"]).assign(
        true_cdf_at=("cdf_point", at), true_cdf=("cdf_point", truth)
    )
    low, high = mixing.plot_cdf(tail, Figure().subplots()).get_xlim()
    assert low < -1
    assert 18 < high < 25


def test_a_figure_takes_panels_a_width_and_returns_its_axes():
    process = summarise_synthetic(**SMALL).sel(estimator="em")
    axes = draw(
        against_size.plot_bias, process, panels=["coef[1]", "coef[0]"], width="column"
    )
    assert [ax.get_title() for ax in axes] == ["coef[1]", "coef[0]"]
    figure = axes[0].figure
    assert isinstance(figure, Figure)
    assert figure.get_figwidth() == WIDTHS["column"]
    (one,) = draw(against_size.plot_seconds, process, over="", width="page")
    assert isinstance(one.figure, Figure)
    assert one.figure.get_figwidth() == WIDTHS["page"]


def test_an_estimator_without_a_grid_is_one_lolly():
    process = summarise_synthetic(**SMALL).sel(sample_size=500, parameter="coef[0]")
    process = process.assign_coords(grid_use=("estimator", ["points", "nothing"]))
    ax = overview.plot_lolly(process, Figure().subplots())
    words = [x.get_text() for x in ax.get_yticklabels()]
    assert words == ["profile, 25 points", "profile, 50 points", "em"]


def test_a_pair_of_estimates_that_all_agree_is_drawn():
    used = used_replications(make_process(**SMALL))
    cell = used.isel(parameter=0, sample_size=0, n_supp=0, grid=0)
    fr.plot_pairwise(cell, Figure().subplots(), pair=("profile", "profile"))
