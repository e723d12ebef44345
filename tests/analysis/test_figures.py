import functools

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure
from synthetic_study import make_process, summarise_synthetic

from analysis.digits import format_error, format_value
from analysis.figures import against_size, drawing
from analysis.figures.panels import draw_panels, figure_of
from analysis.measures.summarise import summarise_process

PLOTS = [
    against_size.plot_rmse,
    against_size.plot_coverage,
    against_size.plot_bias,
    against_size.plot_seconds,
]


@pytest.fixture
def process():
    return small_summary().copy()


def small_summary(**design):
    return summarise_synthetic(estimators=("profile",), **design)


@functools.cache
def summary_with_a_hole():
    process = make_process(estimators=("profile",), sample_sizes=(500, 1000))
    process["code"].loc[{"n_supp": 100}] = -1
    process["estimate"].loc[{"n_supp": 100}] = np.nan
    return summarise_process(process)


@pytest.fixture
def ax():
    return Figure().subplots()


def drawn(ax):
    """Return the points and the ends of the error bars of every line drawn."""
    for bars in ax.containers:
        line, _, (segments,) = bars
        ends = np.array([segment[:, 1] for segment in segments.get_segments()])
        yield line.get_ydata(), ends


@pytest.mark.parametrize(
    ("plot", "name"),
    [
        (against_size.plot_rmse, "rmse"),
        (against_size.plot_bias, "bias"),
        (against_size.plot_seconds, "seconds"),
    ],
)
def test_drawn_values_and_errors_are_those_of_the_summary(process, ax, plot, name):
    one = process.sel(parameter="coef[1]")
    plot(one, ax)
    lines = list(drawn(ax))
    assert len(lines) == one.sizes["n_supp"]
    for k, (value, ends) in enumerate(lines):
        cell = one.isel(n_supp=k).squeeze()
        np.testing.assert_array_equal(value, cell[name])
        half = 1.959963984540054 * cell[f"{name}_mcse"].values
        np.testing.assert_allclose(ends[:, 0], cell[name].values - half)
        np.testing.assert_allclose(ends[:, 1], cell[name].values + half)


def test_coverage_is_drawn_with_wilsons_limits_band_and_nominal_line(process, ax):
    one = process.sel(parameter="coef[0]")
    against_size.plot_coverage(one, ax)
    shown = one.sel(kind="sandwich").squeeze()  # the default kind of the file
    for k, (value, ends) in enumerate(drawn(ax)):
        cell = shown.isel(n_supp=k)
        np.testing.assert_array_equal(value, cell["coverage"])
        np.testing.assert_allclose(ends[:, 0], cell["coverage_lower"])
        np.testing.assert_allclose(ends[:, 1], cell["coverage_upper"])
    assert any(list(line.get_ydata()) == [0.95, 0.95] for line in ax.lines)
    band = ax.collections[0].get_paths()[0].vertices[:, 1]
    fewest = one["used"].min().item()
    assert band.min() == pytest.approx(
        0.95 - 1.959963984540054 * np.sqrt(0.95 * 0.05 / fewest)
    )
    assert band.max() <= 1


def test_reference_line_falls_at_the_parametric_rate(process, ax):
    against_size.plot_rmse(process.sel(parameter="coef[0]"), ax)
    (line,) = [x for x in ax.lines if x.get_label() == drawing.SLOPE]
    x, y = np.log(line.get_xdata()), np.log(line.get_ydata())
    assert (y[1] - y[0]) / (x[1] - x[0]) == pytest.approx(-0.5)


def test_rates_are_written_in_the_colours_of_the_lines(process, ax):
    one = process.sel(parameter="coef[1]").squeeze()
    against_size.plot_rmse(one, ax)
    rows = zip(one["rate"].values, one["rate_mcse"].values, strict=True)
    assert [x.get_text() for x in ax.texts] == [
        f"{format_value(x, e)} {format_error(e)}".replace("-", "\N{MINUS SIGN}")
        for x, e in rows
    ]
    assert [x.get_color() for x in ax.texts] == [
        drawing.text_colour(f"C{i}") for i in range(3)
    ]


def test_error_bars_stay_below_the_slopes(process, ax):
    rising = process.sel(parameter="coef[1]").squeeze()
    rising["rmse"] = rising["rmse"].isel(sample_size=[2, 1, 0]).drop_vars("sample_size")
    against_size.plot_rmse(rising, ax)
    low, high = np.log(ax.get_ylim())
    top = np.log(max(ends[-1, 1] for _, ends in drawn(ax)))
    assert (top - low) / (high - low) <= 1 - 0.09 * 3 + 1e-9


def test_ticks_are_the_sample_sizes(process, ax):
    against_size.plot_rmse(process.sel(parameter="coef[0]"), ax)
    ax.figure.draw_without_rendering()
    assert [x.get_text() for x in ax.get_xticklabels()] == ["500", "1000", "2000"]


def test_lines_may_be_estimators(ax):
    both = summarise_synthetic(n_supp=(25,))
    against_size.plot_rmse(both.sel(parameter="coef[0]"), ax, by="estimator")
    assert ax.get_legend_handles_labels()[1] == [drawing.SLOPE, "profile", "em"]


def test_too_many_dimensions_are_refused_with_a_way_out(process, ax):
    with pytest.raises(ValueError, match=r"parameter has 3 entries; choose one, `summ"):
        against_size.plot_rmse(process, ax)
    with pytest.raises(ValueError, match="no seconds"):
        against_size.plot_seconds(process.drop_vars("seconds"), ax)


@pytest.mark.parametrize("plot", PLOTS)
@pytest.mark.parametrize(
    "design",
    [
        {"sample_sizes": (500,)},
        {"n_supp": (50,)},
        {"sample_sizes": (500,), "n_supp": (50,)},
        {"n_replications": 1, "share_failed": 0.0},
    ],
)
def test_one_sample_size_grid_or_replication_is_drawn(plot, design, ax):
    process = small_summary(**design)
    plot(process.isel(parameter=0), ax)
    ax.figure.draw_without_rendering()
    assert len(ax.containers) == len(design.get("n_supp", (25, 50, 100)))


@pytest.mark.parametrize("plot", PLOTS)
def test_cells_not_run_are_left_out(plot, ax):
    plot(summary_with_a_hole().isel(parameter=0), ax)
    ax.figure.draw_without_rendering()
    assert len(ax.containers) == 2
    assert [bars.get_label() for bars in ax.containers] == ["25", "50"]


def test_panels_share_a_legend_and_leave_settings_alone(process):
    before = dict(mpl.rcParams)
    with drawing.style():
        figure = figure_of(draw_panels(process, against_size.plot_rmse))
    assert len(figure.axes) == 3
    assert figure.axes[0].get_title() == "coef[0]"
    (legend,) = figure.legends
    words = [x.get_text() for x in legend.get_texts()]
    assert words == ["25", "50", "100", drawing.SLOPE]
    assert legend.get_title().get_text() == "Grid points"
    assert dict(mpl.rcParams) == before


def test_files_are_of_their_kind_and_the_same_every_time(tmp_path):
    process = small_summary(n_supp=(50,)).isel(parameter=[0])
    written = []
    for name in ("a", "b"):
        with drawing.style():
            figure = figure_of(draw_panels(process, against_size.plot_coverage))
            for ending in ("pdf", "png"):
                drawing.save_figure(figure, tmp_path / f"{name}.{ending}")
                written.append((tmp_path / f"{name}.{ending}").read_bytes())
    assert written[0].startswith(b"%PDF")
    assert written[1].startswith(b"\x89PNG")
    assert written[:2] == written[2:]


@pytest.mark.parametrize(
    ("plot", "over"),
    [(against_size.plot_bias, "parameter"), (against_size.plot_seconds, "")],
)
def test_legends_of_long_names_stay_inside_the_figure(plot, over):
    names = ("profile likelihood", "efficient score, inverted", "moments, weighted")
    summary = summarise_synthetic(n_supp=(25,), estimators=names)
    plot = functools.partial(plot, by="estimator")
    with drawing.style():
        figure = figure_of(draw_panels(summary, plot, over=over, legend="estimator"))
    box = figure.legends[0].get_window_extent()
    assert box.x0 >= 0
    assert box.x1 <= figure.bbox.width
