import re

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from synthetic_study import make_process, summarise_study

from analysis import digits
from analysis.measures.summarise import summarise_process
from analysis.tables import latex, rounding
from analysis.tables.console import render_console_table
from analysis.tables.markdown import panels_to_markdown
from analysis.tables.notes import table_notes
from analysis.tables.performance import MIXING, find_best, performance_table
from analysis.tables.printed import print_rows

ONE = {"estimators": ("profile",), "n_supp": (50,)}  # nothing to compare
NAME = "linear_factor_discrete"


def write_latex(table, *, caption, label, notes=()):
    return latex.to_latex(print_rows(table, caption=caption, notes=notes), label=label)


@pytest.fixture(scope="module")
def summary():
    return summarise_study()


@pytest.fixture(scope="module")
def process(summary):
    return summary[NAME].to_dataset()


def test_table_holds_the_numbers_of_the_summary(process):
    table = performance_table(process)
    assert len(table) == 2 * 3 * 3 * 3
    for _, row in table.iterrows():
        cell = {x: row[x] for x in ("estimator", "grid", "sample_size", "n_supp")}
        one = process.sel(cell).sel(parameter=row["parameter"])
        assert row["rmse"] == one["rmse"].item()
        assert row["coverage_mcse"] == one["coverage_mcse"].sel(kind="sandwich").item()
        assert row["used"] == one["used"].item()


def test_kind_can_be_chosen_and_a_wrong_one_is_refused(process):
    table = performance_table(process, kind="observed")
    assert not table["coverage"].equals(performance_table(process)["coverage"])
    with pytest.raises(ValueError, match="'opg'; choose one of observed, sandwich"):
        performance_table(process, kind="opg")
    with pytest.raises(ValueError, match="none of speed"):
        performance_table(process, measures=["speed"])


def test_digits_follow_the_error():
    assert digits.format_value(-0.002089, 0.005228) == "-0.0021"
    assert digits.format_error(0.005228) == "(0.0052)"
    assert digits.format_error(0.0996) == "(0.10)"
    assert digits.format_value(0.12345, 0.0996) == "0.12"
    assert digits.format_value(1234.5, 37.0) == "1234"
    assert digits.format_value(-0.00001, 0.01) == "0.000"
    assert digits.format_value(np.nan, 0.1) == "-"
    assert digits.format_value(0.5, np.nan) == "0.500"
    assert digits.format_value(1.5e138, np.inf) == "1.5e+138"


def column(errors, **others):
    size = len(errors)
    values = {"x": [1 / 3] * size, "x_mcse": errors}
    return pd.DataFrame({**values, "parameter": ["a"] * size, **others})


def test_a_column_has_the_decimals_of_its_median_error():
    values, errors = rounding.round_column(column([0.012, 0.018, 0.021]), "x")
    assert values == ["0.333"] * 3
    assert errors == ["(0.012)", "(0.018)", "(0.021)"]
    _, errors = rounding.round_column(column([0.012, 0.018, 0.00021, np.nan]), "x")
    assert errors == ["(0.012)", "(0.018)", "(0.0002)", "(-)"]
    _, errors = rounding.round_column(column([0.012, 0.018, 1e-17]), "x")
    assert errors[2] == "(0.000)"  # what rounding leaves of a constant
    values, _ = rounding.round_column(column([0.012, 1.2], parameter=["a", "b"]), "x")
    assert values == ["0.333", "0.3"]


def test_a_proportion_needs_a_digit_less():
    limits = {"x_lower": [0.3], "x_upper": [0.4]}
    for error, text in ((0.0099, "0.333"), (0.0052, "0.333"), (0.0049, "0.3333")):
        assert rounding.round_column(column([error], **limits), "x")[0] == [text]
    assert rounding.round_column(column([0.0052]), "x")[0] == ["0.3333"]


def test_counts_are_shown_only_where_a_replication_is_lost():
    lost = column([0.1, 0.1], used=[40, 39], attempted=[40, 40])
    assert list(rounding.format_table(lost)["Used/attempted"]) == ["40/40", "39/40"]
    none = lost.assign(used=40)
    assert "Used/attempted" not in rounding.format_table(none)
    assert "Used" not in write_latex(none, caption="C", label="tab:a")


def test_a_proportion_of_one_is_not_printed_without_error():
    table = pd.DataFrame(
        {
            "coverage": [1.0],
            "coverage_mcse": [0.0],
            "coverage_lower": [0.98],
            "coverage_upper": [1.0],
        }
    )
    assert rounding.shown_errors(table, "coverage")[0] == pytest.approx(0.01 / 1.959964)


def test_decimal_points_align():
    assert rounding.align_decimals(["-0.12", "1.5", "10"]) == [
        "-0.12",
        " 1.5 ",
        "10   ",
    ]


def test_console_table_fits_the_terminal_and_shows_every_number(summary):
    text = render_console_table(summary)
    assert max(map(len, text.splitlines())) <= 100
    assert "estimator profile, grid uniform" in text
    assert "Linear factor model, discrete F" in text
    for word in ("Bias (MCSE)", "RMSE (MCSE)", "Coverage (MCSE)", "used/run"):
        assert word in text
    rows = [x for x in text.splitlines() if re.search(r"\d+/40( +\d+)?$", x)]
    assert len(rows) == 2 * 3 * 3 * 3
    assert all(x.count("(") == 3 for x in rows)


def test_console_table_narrows_digits_before_it_grows_too_wide():
    study = summarise_study(sample_sizes=(500_000, 50_000_000), n_supp=(50,))
    text = render_console_table(study)
    assert max(map(len, text.splitlines())) <= 100


def test_console_table_of_a_study_not_started():
    text = render_console_table(summarise_study(not_run=40, n_supp=(50,)))
    assert "no replication yet" in text


def test_notes_state_counts_rule_and_largest_error(summary, process):
    table = performance_table(process)
    notes = " ".join(table_notes(summary, NAME, table))
    used = process["used"]
    assert f"used {int(used.min())} to {int(used.max())} per design point" in notes
    assert f"{int(process['failed'].sum())} of {2 * 9 * 40} fits failed" in notes
    assert "all its own successes" in notes
    assert f"RMSE {float(process['rmse_mcse'].max()):.2g}" in notes
    assert "Nominal coverage 0.95. Intervals shown: sandwich." in notes
    assert "incomplete" not in notes


def test_the_largest_error_of_a_proportion_of_one_is_not_zero(summary, process):
    limits = {"coverage_lower": 0.98, "coverage_upper": 1.0}
    table = performance_table(process).assign(coverage=1.0, coverage_mcse=0.0, **limits)
    assert "Coverage 0.0051," in " ".join(table_notes(summary, NAME, table))


def test_notes_count_a_fit_without_a_grid_once(summary, process):
    first = process.sel(estimator=process["estimator"][0])
    alone = first.sel(n_supp=process["n_supp"][0])["attempted"].sum()
    shared = process.assign_coords(grid_use=("estimator", ["nothing", "points"]))
    tree = xr.DataTree.from_dict({f"/{NAME}": shared})
    tree.attrs = summary.attrs
    notes = " ".join(table_notes(tree, NAME, performance_table(shared)))
    other = process.sel(estimator=process["estimator"][1])["attempted"].sum()
    assert f"of {int(alone + other)} fits failed" in notes
    assert int(alone) < int(first["attempted"].sum())


def test_notes_say_that_a_study_is_incomplete():
    summary = summarise_study(complete=False, not_run=10, n_supp=(50,))
    table = performance_table(summary[NAME].to_dataset())
    assert "incomplete" in table_notes(summary, NAME, table)[-1]


def test_markdown_rows_have_the_same_number_of_columns(process):
    panels = rounding.format_panels(performance_table(process))
    text = panels_to_markdown(panels, notes=["Note."])
    lines = [x for x in text.splitlines() if x.startswith("|")]
    assert len({x.count("|") for x in lines}) == 1
    assert len({len(x) for x in lines}) == 1
    assert "coef[0]" in text
    assert text.endswith("Note.\n")


def test_latex_is_balanced_and_escaped(process):
    table = performance_table(process).assign(estimator=lambda x: x["estimator"] + "_a")
    text = write_latex(table, caption="A & B_1, 5%", label="tab:a", notes=["n_x."])
    assert r"\caption{A \& B\_1, 5\%}" in text
    assert r"estimator profile\_a" in text
    assert text.count(r"\begin{longtable}") == text.count(r"\end{longtable}") == 2
    assert text.count("{") == text.count("}")
    for body in text.split(r"\begin{longtable}")[1:]:
        kinds = re.sub(r"\[[^]]*\]", "", body.splitlines()[0])  # without their options
        columns = len(re.search(r"\{@\{\}([lrS]+)@", kinds)[1])  # pyright: ignore
        lines = [x.removesuffix("*") for x in body.splitlines() if "&" in x]
        rows = [x for x in lines if x.endswith(r"\\")]
        assert {x.count("&") for x in rows} == {columns - 1}
        assert len(rows) == 2 + 2 * 3 * 3 * 3  # the head is there twice


def test_no_float_is_longer_than_a_page_and_there_is_one_note(process):
    table = performance_table(process)
    text = write_latex(table, caption="C", label="tab:a", notes=["Once."])
    assert r"\begin{table}" not in text
    assert text.count(r"\begin{longtable}") == 2  # two runs of measures
    assert text.count(r"\caption{C (continued)}") == 1
    assert text.count("Once.") == 1
    assert text.rstrip().endswith("Once.}}} \\\\\n\\end{longtable}}")
    small = performance_table(process, measures=["bias"])
    small = small.loc[np.asarray(small["parameter"]) == "coef[0]"]
    short = write_latex(small, caption="C", label="tab:a")
    assert short.count(r"\begin{table}") == 1
    with pytest.raises(ValueError, match="no rows"):
        write_latex(table.head(0), caption="C", label="tab:a")


def test_best_is_marked_only_beyond_the_error_of_the_paired_ratio(process):
    # Only the number of grid points matters here: 100 points have the least bias.
    biased = summarise_process(
        make_process(
            estimators=("profile",), n_replications=400, bias=0.2, share_failed=0.2
        )
    )
    best = find_best(biased, "n_supp")
    assert int(best.sum("n_supp").max()) <= 1
    assert best.sel(n_supp=100, sample_size=2000).all()
    assert not best.sel(n_supp=25).any()
    ratio = biased["rmse_ratio_over_n_supp"].sel(n_supp=100)
    error = biased["rmse_ratio_over_n_supp_mcse"].sel(n_supp=100)
    high = (ratio + 1.959964 * error).sel(other_n_supp=[25, 50]).max("other_n_supp")
    np.testing.assert_array_equal(best.sel(n_supp=100), high < 1)
    alike = find_best(process, "estimator")  # two that differ by chance
    assert alike.mean() < 0.1
    with pytest.raises(ValueError, match="nothing along 'grid'"):
        find_best(process, "grid")


def test_nothing_is_best_without_another():
    alone = make_process(estimators=("profile",), n_supp=(25, 50))
    lost = {"n_supp": 50}
    alone["code"].loc[lost] = -1
    alone["estimate"].loc[lost] = np.nan
    assert not find_best(summarise_process(alone), "n_supp").any()


def test_best_is_bold_in_latex_and_explained(summary, process):
    table = performance_table(process, best_over="estimator")
    marked = table.assign(rmse_best_over_estimator=[True] + [False] * (len(table) - 1))
    text = write_latex(marked, caption="C", label="tab:a")
    assert text.count(r"\bfseries ") == 1
    first = table.to_dict("records")[0]
    value = digits.format_value(first["rmse"], first["rmse_mcse"])
    assert rf"\bfseries {value} \,{{\mdseries\scriptsize (" in text
    assert text.count("{") == text.count("}")
    notes = table_notes(summary, NAME, marked)
    assert sum(x.startswith("Bold or *: the RMSE is below") for x in notes) == 1
    plain = table.assign(rmse_best_over_estimator=False)
    assert not any("Bold" in x for x in table_notes(summary, NAME, plain))


def test_measures_of_f_make_a_table_without_parameters(summary, process):
    table = performance_table(process, measures=MIXING)
    assert len(table) == 2 * 3 * 3
    assert "parameter" not in table
    one = process.isel(estimator=0, sample_size=0, n_supp=0).squeeze()
    first = table.to_dict("records")[0]
    assert first["wasserstein"] == one["wasserstein"].item()
    assert first["edge_mass_mcse"] == one["edge_mass_mcse"].item()
    text = write_latex(table, caption="F", label="tab:f")
    assert "estimator em" in text
    alone = write_latex(table.head(3).drop(columns="estimator"), caption="F", label="f")
    assert "multicolumn" not in alone
    assert "W1 0.0" in table_notes(summary, NAME, table)[-1]
