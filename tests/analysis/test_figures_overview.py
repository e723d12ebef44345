import pickle

import numpy as np
import pytest
import xarray as xr
from matplotlib.figure import Figure
from synthetic_study import make_process, summarise_synthetic

from analysis.digits import format_error, format_value
from analysis.figures import against_size, drawing, nested_loops, overview
from analysis.figures import mixing as fm
from analysis.figures.catalogue import list_process, list_study
from analysis.figures.panels import draw_panels, figure_of
from analysis.kinds import at_default_kind
from analysis.labels import name_entries
from analysis.measures.summarise import summarise_process
from analysis.measures.used import used_replications

SMALL = {"sample_sizes": (500, 1000), "n_supp": (25, 50)}


def small_process(**design):
    return make_process(**SMALL, **design)


def summary():
    return summarise_synthetic(**SMALL)


@pytest.fixture
def one():
    return summary().sel(estimator="profile", parameter="coef[1]")


@pytest.fixture
def ax():
    return Figure().subplots()


def test_lollies_start_at_the_reference_and_have_the_errors_in_brackets(ax):
    process = summary().sel(parameter="coef[0]", sample_size=500)
    overview.plot_lolly(process, ax)
    rows = process.squeeze()[["bias", "bias_mcse"]].transpose("estimator", "n_supp")
    value, error = rows["bias"].values.ravel(), rows["bias_mcse"].values.ravel()
    sticks, heads = ax.lines[1::2], ax.lines[2::2]
    assert [x.get_xdata()[0] for x in sticks] == [0.0] * 4
    np.testing.assert_array_equal([x.get_xdata()[0] for x in heads], value)
    low, high = ax.texts[::2], ax.texts[1::2]
    np.testing.assert_allclose(
        [x.get_position()[0] for x in low], value - 1.959963984540054 * error
    )
    np.testing.assert_allclose(
        [x.get_position()[0] for x in high], value + 1.959963984540054 * error
    )
    names = [x.get_text() for x in ax.get_yticklabels()]
    assert names[:2] == ["profile, 25 points", "profile, 50 points"]


def test_coverage_lollies_start_at_the_level(one, ax):
    overview.plot_lolly(one, ax, measure="coverage")
    assert [x.get_xdata()[0] for x in ax.lines[1::2]] == [0.95] * 4


def test_heat_map_holds_every_value_with_its_error(one, ax):
    overview.plot_heatmap(one, ax)
    cells = one[["rmse", "rmse_mcse"]].squeeze().transpose("n_supp", "sample_size")
    value, error = cells["rmse"].values.ravel(), cells["rmse_mcse"].values.ravel()
    drawn = np.asarray(ax.collections[0].get_array()).ravel()
    np.testing.assert_array_equal(drawn, value)
    expected = [
        f"{format_value(x, e)}\n{format_error(e)}"
        for x, e in zip(value, error, strict=True)
    ]
    assert [x.get_text() for x in ax.texts] == expected
    assert [x.get_text() for x in ax.get_xticklabels()] == ["500", "1000"]


def three_processes():
    parts = {"/a": summary(), "/b": summary().isel(sample_size=[0])}
    parts["/c"] = summary().isel(estimator=[1])
    return xr.DataTree.from_dict(parts)


def test_nested_loops_order_points_and_leave_out_those_not_run(ax):
    tree = three_processes()
    groups = {name: node.to_dataset() for name, node in tree.children.items()}
    design = nested_loops.join_processes(groups, ("rmse", "rmse_mcse"))
    nested_loops.plot_nested_loop(design.sel(parameter="coef[0]"), ax)
    profile, em = (x.get_data() for x in ax.patches[:2])
    points = 4 + 2 + 4
    assert len(profile.values) == len(em.values) == points
    value = summary()["rmse"].sel(parameter="coef[0]").squeeze()
    loops = value.transpose("estimator", "n_supp", "sample_size").values
    np.testing.assert_array_equal(profile.values[:4], loops[0].ravel())
    np.testing.assert_array_equal(profile.values[4:6], loops[0, :, 0])
    assert np.isnan(profile.values[6:]).all()
    np.testing.assert_array_equal(em.values[6:], loops[1].ravel())
    words = [x.get_text() for x in ax.texts]
    assert words == [
        "DGP: a, b, c",
        "Grid points: 25, 50",
        "Sample size: 500, 1000",
    ]
    assert min(ax.get_yticks()) >= 0  # no ticks beside the factors


def test_cdf_is_drawn_with_its_band_and_the_truth(one, ax):
    cell = one.sel(sample_size=500, n_supp=25).squeeze()
    fm.plot_cdf(cell, ax)
    mean, truth = ax.lines
    np.testing.assert_array_equal(mean.get_ydata(), cell["fitted_cdf"])
    np.testing.assert_array_equal(truth.get_ydata(), cell["true_cdf"])
    edges = ax.collections[0].get_paths()[0].vertices[:, 1]
    assert edges.max() == cell["cdf_band"].values.max()
    inner = ax.collections[1].get_paths()[0].vertices[:, 1]
    expected = cell["fitted_cdf"] + 1.959963984540054 * cell["fitted_cdf_mcse"]
    assert inner.max() == pytest.approx(expected.max().item())


def test_distance_is_drawn_with_its_error(one, ax):
    against_size.plot_wasserstein(one, ax)
    cell = one.isel(n_supp=0).squeeze()
    line, _, (bars,) = ax.containers[0]
    np.testing.assert_array_equal(line.get_ydata(), cell["wasserstein"])
    high = [x[1, 1] for x in bars.get_segments()]
    np.testing.assert_allclose(
        high, cell["wasserstein"] + 1.959963984540054 * cell["wasserstein_mcse"]
    )


@pytest.mark.parametrize("measure", ["bias", "coverage"])
def test_nested_loops_draw_any_measure_with_its_error(measure, ax):
    groups = {"a": at_default_kind(summary()), "b": at_default_kind(summary())}
    design = nested_loops.join_processes(groups, (measure, f"{measure}_mcse"))
    nested_loops.plot_nested_loop(design.sel(parameter="coef[0]"), ax, measure=measure)
    cells = groups["a"].sel(parameter="coef[0]", estimator="em").squeeze()
    cells = cells.transpose("n_supp", "sample_size", ...)
    value, error = (cells[x].values.ravel() for x in (measure, f"{measure}_mcse"))
    np.testing.assert_array_equal(ax.patches[1].get_data().values[:4], value)
    bars = ax.containers[1][2][0].get_segments()[:4]
    np.testing.assert_allclose(
        [x[1, 1] for x in bars], value + 1.959963984540054 * error
    )
    marked = {"bias": 0.0, "coverage": 0.95}[measure]
    assert any(set(line.get_ydata()) == {marked} for line in ax.lines)


def test_studies_are_compared_at_the_parameters_that_two_processes_share():
    tree = three_processes()
    listed = list(list_study(tree))
    assert [x.name for x in listed] == [
        f"nested_loop-{x}" for x in ("rmse", "bias", "coverage")
    ]
    other = summary().assign_coords(parameter=["coef[0]", "x", "y"])
    (rmse, *_) = list_study(xr.DataTree.from_dict({"/a": summary(), "/b": other}))
    with drawing.style():
        assert len(rmse.draw().axes) == 1
    alien = summary().assign_coords(parameter=["u", "v", "w"])
    assert not list(list_study(xr.DataTree.from_dict({"/a": summary(), "/b": alien})))


def test_lines_are_estimators_where_there_is_one_number_of_points():
    process = make_process(sample_sizes=(500, 1000), n_supp=(25,))
    listed = names(process, summarise_process(process))
    assert {"rmse", "coverage", "seconds", "wasserstein", "cdf-em"} < set(listed)
    assert "rmse-em" not in listed


def test_figures_can_be_drawn_in_other_processes():
    process = small_process()
    for picture in list_process(summary(), used_replications(process)):
        pickle.loads(pickle.dumps(picture))


def test_files_are_named_as_the_configuration_and_captions_by_labels():
    process = small_process().assign_coords(
        estimator_label=("estimator", ["Profile likelihood", "EM"])
    )
    shown = name_entries(summarise_process(process))
    listed = list(list_process(shown, name_entries(used_replications(process))))
    captions = {x.name: x.caption for x in listed}
    assert "estimator EM" in captions["rmse-em"]
    assert "EM against Profile likelihood" in captions["pairwise-profile-em"]


def names(process, summary):
    return [x.name for x in list_process(summary, used_replications(process))]


def test_a_study_gets_the_figures_that_apply():
    listed = names(small_process(), summary())
    assert len(set(listed)) == len(listed)
    for name in ("rmse-em", "heatmap-rmse-em", "cdf-em", "seconds-em", "zip-em"):
        assert name in listed
    assert {"lolly-bias", "lolly-coverage", "pairwise-profile-em"} < set(listed)


def test_estimators_are_compared_at_most_points_and_points_by_estimator():
    listed = list(list_process(summary(), used_replications(small_process())))
    against = [x for x in listed if x.name.partition("-")[0] == "rmse"]
    assert [x.name for x in against] == ["rmse", "rmse-profile", "rmse-em"]
    assert "(grid points 50)" in against[0].caption
    assert "(estimator em)" in against[2].caption
    with drawing.style():
        legends = [x.draw().legends[0].get_title().get_text() for x in against[:2]]
    assert legends == ["Estimator", "Grid points"]


def test_points_are_not_compared_where_they_do_not_matter():
    process = small_process()
    for name in ("estimate", "lower", "upper", "standard_error", "code"):
        alike = process[name].isel(n_supp=[0, 0]).values
        process[name].loc[{"estimator": "em"}] = alike[1]
    listed = names(process, summarise_process(process))
    assert "heatmap-rmse-profile" in listed
    assert not {"rmse-em", "bias-em", "heatmap-rmse-em"} & set(listed)


def test_figures_of_what_is_absent_are_left_out():
    process = make_process(estimators=("profile",), sample_sizes=(500,), n_supp=(25,))
    bare = process[["estimate", "truth", "code"]]
    assert names(bare, summarise_process(bare)) == ["rmse", "bias", "density", "qq"]
    waiting = small_process(not_run=40)
    assert names(waiting, summarise_process(waiting)) == []


def test_panels_in_excess_are_removed():
    process = summary().sel(estimator="profile")
    with drawing.style():
        figure = figure_of(draw_panels(process, against_size.plot_bias, columns=2))
    assert len(figure.axes) == 3
    assert list(list_study(xr.DataTree.from_dict({"/a": process}))) == []
