"""The first screen of the report: sentences with numbers, choices, a real browser."""

import json
import re
import shutil

import numpy as np
import pytest
import xarray as xr
from open_report import NAMES, browse, find_browser, main
from synthetic_study import make_process, make_replications, summarise_study

from analysis.exchange import read_replications
from analysis.labels import name_groups
from analysis.measures.summarise import summarise
from analysis.report.answers import answer
from analysis.report.explore import MAIN, explore
from analysis.report.page import render_report
from analysis.report.pictures import Drawn, say_seen

NAME = "linear_factor_discrete"


@pytest.fixture(scope="module")
def summary():
    return summarise_study(n_replications=100)


def test_three_to_six_sentences_with_numbers(summary):
    found = answer(name_groups(summary))
    assert 3 <= len(found) <= 6
    assert all(re.search(r"\d", x) for x in found)
    assert found[0].startswith("At n = 2000 and 100 grid points")
    assert any(
        x.startswith("Of the grid: with 25 points in place of 100") for x in found
    )
    assert any("median slope of -0.5" in x or "-0.4" in x for x in found)


def test_the_best_is_the_one_with_the_smallest_rmse():
    tree = make_replications(n_supp=(25,), n_replications=200)
    process = tree[NAME].to_dataset()
    truth = process["truth"]
    factor = xr.where(process["estimator"] == "em", 0.5, 1.0)
    better = process.assign(estimate=truth + factor * (process["estimate"] - truth))
    tree = xr.DataTree.from_dict({f"/{NAME}": better})
    first = answer(name_groups(summarise(tree)))[0]
    assert "em has the smallest RMSE of 3 of 3 parameters (of 3 beyond" in first
    assert re.search(r"profile (1\.9|2\.0)\d and", first, re.IGNORECASE)


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        (lambda p: p.assign(estimate=p["estimate"] + 0.3), "bias,"),
        (
            lambda p: p.assign(
                standard_error=0.3 * p["standard_error"],
                lower=p["estimate"] + 0.3 * (p["lower"] - p["estimate"]),
                upper=p["estimate"] + 0.3 * (p["upper"] - p["estimate"]),
            ),
            "width, standard errors are 0.",
        ),
    ],
)
def test_coverage_that_is_off_has_its_cause(change, cause):
    process = make_process(n_supp=(25,), n_replications=200, bias=0.0, seed=3)
    shifted = change(process)
    if "bias" in cause:  # limits move with the estimate
        shift = shifted["estimate"] - process["estimate"]
        shifted = shifted.assign(
            lower=process["lower"] + shift, upper=process["upper"] + shift
        )
    tree = xr.DataTree.from_dict({f"/{NAME}": shifted})
    sentences = [x for x in answer(name_groups(summarise(tree))) if "Coverage" in x]
    assert cause in sentences[0]


def test_each_of_two_causes_is_told():
    process = make_process(n_supp=(25,), n_replications=400, bias=0.0, seed=3)
    # Off by 0.6 of the spread, limits at 0.75 of their width: each takes a part.
    spread = process["estimate"].std("replication")
    half = 0.75 * (process["upper"] - process["estimate"])
    moved = process["estimate"] + 0.6 * spread
    changed = process.assign(
        estimate=moved,
        standard_error=0.75 * process["standard_error"],
        lower=moved - half,
        upper=moved + half,
    )
    tree = xr.DataTree.from_dict({f"/{NAME}": changed})
    sentences = [x for x in answer(name_groups(summarise(tree))) if "Coverage" in x]
    assert "bias, 0." in sentences[0]
    assert "and width, standard errors are 0." in sentences[0]


def test_what_a_coarse_grid_costs_is_the_largest_ratio():
    tree = make_replications(n_supp=(25, 50), n_replications=200)
    process = tree[NAME].to_dataset()
    factor = xr.ones_like(process["truth"] * process["n_supp"], dtype=float)
    first = process["parameter"].values[0]
    # Far better with few points in one parameter, worse in the others.
    few = process["n_supp"] == 25
    factor = xr.where(few & (process["parameter"] == first), 0.3, factor)
    factor = xr.where(few & (process["parameter"] != first), 1.3, factor)
    changed = process.assign(
        estimate=process["truth"] + factor * (process["estimate"] - process["truth"])
    )
    tree = xr.DataTree.from_dict({f"/{NAME}": changed})
    sentence = next(x for x in answer(name_groups(summarise(tree))) if "grid:" in x)
    assert re.search(r"the RMSE is at most 1\.\d+ \(0\.\d+\) times", sentence)
    assert "within Monte Carlo error" not in sentence


def test_coverage_within_its_error_is_said_to_be_right():
    process = make_process(n_supp=(25,), n_replications=400, bias=0.0, seed=5)
    tree = xr.DataTree.from_dict({f"/{NAME}": process})
    sentences = [x for x in answer(name_groups(summarise(tree))) if "Coverage" in x]
    assert "nowhere off the nominal 0.95" in sentences[-1]


def test_nothing_is_said_before_there_is_a_replication():
    waiting = name_groups(summarise_study(n_supp=(25,), not_run=40))
    assert answer(waiting) == []
    assert explore(waiting) is None


def test_choices_hold_every_design_point(summary):
    named = name_groups(summary)
    found = explore(named)
    assert found is not None
    data = json.loads(found.payload)
    process = named[NAME].to_dataset()
    dims = {x["name"]: x for x in data["dims"]}
    assert len(data["rows"]) == process["rmse"].size
    assert dims["n_supp"]["values"] == ["25", "50", "100"]
    assert not dims["process"]["choice"]
    assert dims["estimator"]["choice"]
    place = [x["name"] for x in data["measures"]].index("rmse")
    row = data["rows"][0]
    at = {x["name"]: x["values"][i] for x, i in zip(data["dims"], row, strict=False)}
    cell = process["rmse"].sel(
        parameter=at["parameter"],
        estimator=at["estimator"],
        sample_size=int(at["sample_size"]),
        n_supp=int(at["n_supp"]),
    )
    assert row[len(dims) + 4 * place] == pytest.approx(cell.item(), rel=1e-5)
    # Without a script: the largest sizes, a row for each estimator and parameter.
    assert len(found.rows) == 6
    assert found.caption == "n = 2000, 100 grid points"
    # What fits beside the figure; a selector has all measures.
    assert found.columns[-4:] == ["Bias", "RMSE", "Coverage", "SE/SD"]
    assert [data["measures"][i]["name"] for i in data["main"]] == list(MAIN)
    assert len(data["measures"]) > len(MAIN)


def test_intervals_of_a_proportion_stay_within_it():
    """Brackets of a coverage of 1 reached beyond it."""
    tree = make_replications(n_supp=(25,))
    process = tree[NAME].to_dataset()
    wide = process.assign(lower=process["lower"] - 99, upper=process["upper"] + 99)
    found = explore(name_groups(summarise(xr.DataTree.from_dict({f"/{NAME}": wide}))))
    assert found is not None
    data = json.loads(found.payload)
    place = [x["name"] for x in data["measures"]].index("coverage")
    for row in data["rows"]:
        value, low, high, _ = row[len(data["dims"]) + 4 * place :][:4]
        assert value == high == 1.0
        assert 0.8 < low < 1.0


def test_a_coverage_of_zero_is_not_said_to_be_exact():
    """The sentence had (0.000) where tables have half of Wilson's interval."""
    tree = make_replications(n_supp=(25,))
    process = tree[NAME].to_dataset()
    missed = process.assign(lower=process["upper"] + 9, upper=process["upper"] + 99)
    node = summarise(xr.DataTree.from_dict({f"/{NAME}": missed}))
    text = " ".join(answer(name_groups(node)))
    found = re.search(r"where it is (0\.0+) \((0\.\d+)\)", text)
    assert found, text
    assert float(found[1]) == 0.0 < float(found[2])


def test_every_process_has_figures_to_point_at(summary):
    page = render_report(summary, {}, {})
    label = summary[NAME].attrs["label"]
    assert f'<details class="live" data-process="{label}" hidden>' in page


def test_names_cannot_end_the_script():
    tree = make_replications(n_supp=(25,), sample_sizes=(500, 1000))
    process = tree[NAME].to_dataset()
    process = process.assign_attrs(label="</script><b>")
    found = explore(name_groups(summarise(xr.DataTree.from_dict({"/a": process}))))
    assert found is not None
    assert "<" not in found.payload


def test_alternatives_say_what_is_seen(summary, tmp_path):
    process = name_groups(summary)[NAME].to_dataset()
    said = say_seen(process, Drawn("RMSE.", tmp_path / "rmse-em.png"))
    values = process["rmse"].sel(parameter="coef[0]")
    assert said.startswith("RMSE. RMSE: coef[0] from ")
    assert f"{float(values.min()):.3g} to {float(values.max()):.3g}" in said
    assert say_seen(process, Drawn("Other.", tmp_path / "x.png")) == "Other."


def test_few_rows_of_one_size_are_all_shown_at_first():
    one = make_process(n_supp=(25,), sample_sizes=(500,))
    for number, chosen in ((4, ""), (5, "process 0")):  # of six rows each
        processes = {
            f"/p{i}": one.assign_attrs(label=f"process {i}") for i in range(number)
        }
        named = name_groups(summarise(xr.DataTree.from_dict(processes)))
        found = explore(named)
        assert found is not None
        assert found.caption == chosen
        assert len(found.rows) == (6 if chosen else 6 * number)
        assert (found.columns[0] == "DGP") == (not chosen)


needs_browser = pytest.mark.skipif(
    not any(map(shutil.which, NAMES)), reason="needs Chromium"
)


def open_chart(report, summary):
    """Return the main figure, as a browser draws it."""
    report.write_text(render_report(summary, {}, {}), encoding="utf-8")
    page = browse(find_browser(), report, "--dump-dom")
    return page[page.index('<figure id="chart"') : page.index('id="numbers"')]


@pytest.mark.slow
@needs_browser
def test_a_published_study_has_lollies_beside_its_table(tmp_path):
    morris = read_replications(
        "tests/data/morris_simtutorial.csv",
        estimate="theta",
        standard_error="se",
        truth=-0.5,
        replication="idrep",
        estimator="method",
        process="dgm",
    )
    summary = summarise(morris)
    chart = open_chart(tmp_path / "report.html", summary)
    marks = re.findall(r'<circle cx="([^"]+)"[^>]* aria-label="([^"]+)"', chart)
    nodes = {name: node.to_dataset() for name, node in summary.children.items()}
    cells = [
        (f"DGP {name}, {label}", node.sel(estimator=label))
        for name, node in nodes.items()
        for label in node["estimator"].values
    ]
    expected = [(name, cell["coverage"].item()) for name, cell in cells]
    said = [x.split(": Coverage ") for _, x in marks]
    assert [x for x, _ in said] == [x for x, _ in expected]
    values = np.array([x for _, x in expected])
    np.testing.assert_allclose(
        [float(x.split()[0]) for _, x in said], values, atol=5e-4
    )
    # One axis for all, and sticks begin where the reference is.
    places = np.array([float(x) for x, _ in marks])
    slope, start = np.polyfit(values, places, 1)
    np.testing.assert_allclose(start + slope * values, places, atol=0.01)
    line = re.search(r'<line x1="([^"]+)"[^>]*class="reference"', chart)
    assert line is not None
    assert float(line[1]) == pytest.approx(start + slope * 0.95, abs=0.01)
    sticks = re.findall(r'<line x1="([^"]+)" x2="([^"]+)"[^>]*stroke="#', chart)
    assert [x for _, x in sticks] == [x for x, _ in marks]
    assert {x for x, _ in sticks} == {line[1]}
    # The alternative names every value; brackets are where Monte Carlo intervals end.
    seen = re.search(r'<svg [^>]*aria-label="([^"]+)"', chart)
    assert seen is not None
    assert all(x.replace(": Coverage", "") in seen[1] for _, x in marks)
    ends = np.array([float(x) for x in re.findall(r'<path d="M (\S+) ', chart)])
    limits = np.array(
        [
            [cell[f"coverage_{x}"].item() for x in ("lower", "upper")]
            for _, cell in cells
        ]
    )
    both = (start + slope * limits + [2, -2]).ravel()
    np.testing.assert_allclose(ends, both, atol=0.5)


@pytest.mark.slow
@needs_browser
def test_lollies_say_what_is_not_known_and_what_misses(tmp_path):
    names = ("profile", "a rather long name of an estimator", "moments")
    one = make_process(
        estimators=names, n_supp=(25,), sample_sizes=(500,), n_replications=100
    )
    spread = 0.3 * (one["upper"] - one["estimate"])
    narrow = {"lower": one["estimate"] - spread, "upper": one["estimate"] + spread}
    gone = one["estimator"] == "moments"
    given = {x: one[x].where(~gone) for x in ("lower", "upper", "standard_error")}
    labels = [f"Process with a name, number {i}" for i in range(7)]
    tree = {
        f"/p{i}": (one.assign(narrow) if i == 5 else one.assign(given)).assign_attrs(
            label=label
        )
        for i, label in enumerate(labels)
    }
    summary = summarise(xr.DataTree.from_dict(tree))
    chart = open_chart(tmp_path / "report.html", summary)
    assert chart.count("<circle") == 6
    assert chart.count(">not known</text>") == 3
    assert "by parameter and estimator, Process with a name, number 0; sticks" in chart
    assert main(str(tmp_path / "report.html"), str(tmp_path / "seen")) == 0
    unbroken = tree["/p5"].assign_coords(estimator=[x.replace(" ", "_") for x in names])
    alone = summarise(xr.DataTree.from_dict({"/p5": unbroken}))
    chart = open_chart(tmp_path / "alone.html", alone)
    assert "a_rather_long_name_of_</text>" in chart
    seen = re.search(r'<svg [^>]*aria-label="([^"]+)"', chart)
    assert seen is not None
    assert "9 values from coef[" in seen[1]
    assert "9 Monte Carlo intervals miss the nominal 0.95: coef[0], profile" in seen[1]
    assert seen[1].endswith("; and 3 more.")


@pytest.mark.slow
@needs_browser
def test_a_browser_chooses_sorts_points_and_prints(summary, tmp_path):
    report = tmp_path / "report.html"
    report.write_text(render_report(summary, {}, {}), encoding="utf-8")
    assert main(str(report), str(tmp_path / "seen")) == 0
    assert (tmp_path / "seen" / "print.pdf").stat().st_size > 10_000
    assert np.any([x.name.startswith("phone") for x in (tmp_path / "seen").iterdir()])
