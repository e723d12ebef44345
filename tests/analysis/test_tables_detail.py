import numpy as np
import pytest
import xarray as xr
from matplotlib.figure import Figure
from synthetic_study import make_process, summarise_study, summarise_synthetic

from analysis.figures.intervals import plot_coverage_by_kind
from analysis.measures.summarise import summarise, summarise_process
from analysis.tables import rounding
from analysis.tables.catalogue import list_tables
from analysis.tables.details import (
    INTERVALS,
    comparison_table,
    interval_table,
    rate_table,
    widen_intervals,
)
from analysis.tables.latex import to_latex
from analysis.tables.markdown import panels_to_markdown
from analysis.tables.printed import print_rows

NAME = "linear_factor_discrete"


def summary():
    return summarise_study(sample_sizes=(500, 1000), n_supp=(25, 50))


@pytest.fixture
def process():
    return summary()[NAME].to_dataset()


def own_kinds():
    process = make_process(n_supp=(50,), sample_sizes=(500, 1000))
    for name in ("standard_error", "lower", "upper"):
        process[name].loc[{"estimator": "em", "kind": "sandwich"}] = np.nan
    return process


def test_comparisons_are_those_of_the_summary_with_one_entry(process):
    table, against = comparison_table(process, "estimator")
    assert against == "profile"
    assert set(table["estimator"]) == {"em"}
    assert len(table) == 2 * 2 * 3
    for row in table.to_dict("records"):
        cell = process.sel({x: row[x] for x in ("sample_size", "n_supp", "parameter")})
        pair = cell.sel(estimator="em", other_estimator="profile").squeeze()
        for name in ("bias_difference", "rmse_ratio", "coverage_difference"):
            for end in ("", "_mcse"):
                stored = pair[f"{name}_over_estimator{end}"].item()
                assert row[f"{name}{end}"] == stored
    table, against = comparison_table(process, "n_supp")
    assert against == "50 points"
    assert set(table["n_supp"]) == {25}
    with pytest.raises(ValueError, match="nothing along 'grid'"):
        comparison_table(process, "grid")


def test_comparisons_with_what_was_not_run_are_left_out():
    process = make_process(n_supp=(50,), sample_sizes=(500, 1000))
    process["code"].loc[{"estimator": "profile", "sample_size": 500}] = -1
    process["estimate"].loc[{"estimator": "profile", "sample_size": 500}] = np.nan
    table, _ = comparison_table(summarise_process(process), "estimator")
    assert set(table["sample_size"]) == {1000}


def test_intervals_are_of_the_kinds_an_estimator_has():
    process = summarise_process(own_kinds())
    table = interval_table(process)
    assert {*zip(table["estimator"], table["kind"], strict=True)} == {
        ("profile", "observed"),
        ("profile", "sandwich"),
        ("em", "observed"),
    }
    for row in table.to_dict("records"):
        where = ("estimator", "parameter", "sample_size", "kind")
        cell = process.sel({x: row[x] for x in where}).squeeze()
        for name in ("coverage", "interval_width_mcse", "coverage_unflagged"):
            assert row[name] == cell[name].item()
        assert row["used_interval"] == cell["used_interval"].item()
    calm = own_kinds()
    calm["flagged"][...] = 0
    assert "coverage_unflagged" not in interval_table(summarise_process(calm))


def test_intervals_are_laid_out_with_a_column_for_every_parameter():
    table = interval_table(summarise_process(own_kinds()))
    panels = rounding.split_panels(widen_intervals(table))
    names = ["Coverage", "Width", "Coverage of attempted", "Coverage, unflagged"]
    names += ["Width, unflagged", "Flagged"]
    assert list(panels) == names
    where = ["estimator", "sample_size", "kind"]
    tidy = table.set_index([*where, "parameter"])
    for name, panel in zip(INTERVALS, panels.values(), strict=False):
        assert len(panel) == len(table) / 3
        for row in panel.to_dict("records"):
            for parameter in ("coef[0]", "coef[1]", "log_std_e[0]"):
                cell = tidy.loc[(*(row[x] for x in where), parameter)]
                assert row[parameter] == cell[name]
                assert row[f"{parameter}_mcse"] == cell[f"{name}_mcse"]
            assert row["used_interval"] == cell["used_interval"]
    attempted = panels["Coverage of attempted"]
    assert np.all(attempted["used_interval"] == attempted["attempted"])
    unflagged = panels["Coverage, unflagged"]["used_interval"]
    assert np.all(unflagged < panels["Coverage"]["used_interval"])
    flagged = panels["Flagged"]
    assert list(flagged["sample_size"]) == [500, 1000, 500, 1000]
    assert "kind" not in flagged
    heads = list(rounding.format_panels(widen_intervals(table))["Coverage"])
    assert heads[:3] == ["Estimator", "Sample size", "Interval"]
    assert heads[3:6] == ["coef[0]", "coef[1]", "log_std_e[0]"]


def test_rates_are_of_every_parameter_and_of_f(process):
    table = rate_table(process)
    assert len(table) == 2 * 2 * (3 + 3)
    one = {"estimator": "em", "n_supp": 25}
    chosen = table.loc[(table["estimator"] == "em") & (table["n_supp"] == 25)]
    found = dict(zip(chosen["parameter"], chosen["rate"], strict=True))
    cell = process.sel(one).squeeze()
    assert found["coef[1]"] == cell["rate"].sel(parameter="coef[1]").item()
    assert found["F: Wasserstein-1"] == cell["wasserstein_rate"].item()
    assert chosen["used"].iloc[0] == cell["used"].sum().item()
    alone = summarise_synthetic(sample_sizes=(500,), n_supp=(25,))
    assert rate_table(alone).empty


def test_every_table_is_written_in_markdown_and_latex():
    listed = list(list_tables(summary(), NAME))
    assert [x.name for x in listed] == [
        *("performance", "intervals", "comparison-estimator", "comparison-n_supp"),
        *("rates", "mixing"),
    ]
    for table in listed:
        panels = rounding.format_panels(table.shown())
        text = panels_to_markdown(panels, notes=table.notes)
        lines = [x for x in text.splitlines() if x.startswith("|")]
        assert len(lines) == 2 * len(panels) + len(table.shown())
        assert text.endswith(f"{table.notes[-1]}\n")
        latex = to_latex(
            print_rows(table.shown(), caption=table.words, notes=table.notes), label="a"
        )
        assert latex.count("{") == latex.count("}")
    notes = {x.name: " ".join(x.notes) for x in listed}
    assert "Every estimator against profile, paired" in notes["comparison-estimator"]
    assert "what is named unflagged leaves them out" in notes["intervals"]
    assert "used like any other" in notes["performance"]


def test_margins_of_several_coordinates_have_a_table_that_says_so():
    process = make_process(estimators=("profile",), sample_sizes=(500,), n_supp=(25,))
    pair = xr.concat([process["supp"], process["supp"] / 2], "coordinate")
    margins = {
        x: xr.concat([process[x], process[x]], "coordinate")
        for x in ("true_cdf_at", "true_cdf", "true_mean", "true_variance")
    }
    process = process.drop_vars(["supp", *margins]).assign({"supp": pair} | margins)
    process = process.assign_coords(coordinate=[0, 1])
    tree = xr.DataTree.from_dict({f"/{NAME}": process})
    tables = {x.name: x for x in list_tables(summarise(tree), NAME)}
    margin = tables["margins"]
    assert list(margin.numbers["coordinate"]) == [0, 1]
    assert "each margin is measured, the joint" in " ".join(margin.notes)
    assert "Margin &" in to_latex(print_rows(margin.numbers, caption="F"), label="f")
    assert "wasserstein" not in tables["mixing"].numbers


def test_best_entries_have_a_star_in_markdown(process):
    (performance, *_) = list_tables(summary(), NAME)
    marked = performance.numbers.assign(
        rmse_best_over_estimator=[True] + [False] * (len(performance.numbers) - 1)
    )
    column = rounding.format_table(marked)["RMSE"]
    assert [x.endswith("*") for x in column] == list(marked["rmse_best_over_estimator"])


def test_coverages_are_drawn_by_estimator_and_kind_with_wilsons_limits():
    process = summarise_process(own_kinds()).sel(parameter="coef[0]")
    ax = Figure().subplots()
    plot_coverage_by_kind(process, ax, band=(0.9, 0.99))
    words = [x.get_text() for x in ax.get_yticklabels()]
    assert words == ["profile", "observed", "sandwich", "em", "observed"]
    rows = (("profile", "observed"), ("profile", "sandwich"), ("em", "observed"))
    assert len(ax.containers) == 2  # sample sizes
    for i, (line, _, (bars,)) in enumerate(ax.containers):
        cells = [
            process.isel(sample_size=i).sel(estimator=e, kind=k).squeeze()
            for e, k in rows
        ]
        np.testing.assert_array_equal(line.get_xdata(), [x["coverage"] for x in cells])
        ends = np.array([x[:, 0] for x in bars.get_segments()])
        np.testing.assert_allclose(ends[:, 0], [x["coverage_lower"] for x in cells])
        np.testing.assert_allclose(ends[:, 1], [x["coverage_upper"] for x in cells])
    shaded = ax.patches[0].get_extents().transformed(ax.transData.inverted())
    assert (shaded.x0, shaded.x1) == pytest.approx((0.9, 0.99))


def test_one_estimator_has_no_heading_of_its_own():
    process = summarise_process(own_kinds()).sel(parameter="coef[0]", estimator="em")
    ax = plot_coverage_by_kind(process, Figure().subplots())
    assert [x.get_text() for x in ax.get_yticklabels()] == ["observed"]
