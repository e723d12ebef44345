import re
from base64 import b64encode
from html.parser import HTMLParser

import pandas as pd
import pytest
import xarray as xr
from synthetic_study import make_replications, summarise_study

from analysis.labels import name_groups
from analysis.make import started
from analysis.measures.summarise import summarise
from analysis.report.ademp import describe_replications, describe_study, enumerate_words
from analysis.report.page import group_rows, render_report
from analysis.report.pictures import Drawn
from analysis.tables.catalogue import list_tables

NAME = "linear_factor_discrete"
SMALL = {"sample_sizes": (500, 1000), "n_supp": (25,)}
VOID = {"meta", "img", "br"}
PNG = b"\x89PNG" + bytes(12) + (650).to_bytes(4)  # 650 pixels wide


class Checker(HTMLParser):
    """Collects what a page shows and loads, and refuses unbalanced elements."""

    def __init__(self):
        super().__init__()
        self.open, self.text, self.loaded, self.ids, self.links = [], [], [], [], []

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.loaded += [x for x in (given.get("src"),) if x]
        self.ids += [x for x in (given.get("id"),) if x]
        self.links += [x for x in (given.get("href"),) if x]
        assert tag != "link"
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def render(summary, drawn):
    named = name_groups(summary)
    tables = {x: list(list_tables(named, x)) for x in started(summary)}
    return render_report(summary, drawn, tables)


def read(html):
    page = Checker()
    page.feed(html)
    assert page.open == []
    return page, re.sub(r"\s+", " ", "".join(page.text))


@pytest.fixture(scope="module")
def summary():
    return summarise_study(**SMALL)


def test_report_is_one_balanced_file_that_loads_nothing(summary, tmp_path):
    png = tmp_path / "a.png"
    png.write_bytes(PNG)
    drawn = {NAME: [Drawn("RMSE <n>.", png)], "": [Drawn("All.", png)]}
    page, text = read(render(summary, drawn))
    assert page.loaded == [f"data:image/png;base64,{b64encode(PNG).decode()}"] * 2
    assert render(summary, drawn).count("--share: 50") == 2
    assert "RMSE <n>." in text  # escaped in the source
    assert {x.removeprefix("#") for x in page.links} <= set(page.ids)


def test_report_states_design_failures_precision_and_software(summary):
    _, text = read(render(summary, {}))
    process = summary[NAME].to_dataset()
    for words in (
        "Does the analysis read what the study wrote?",
        "Profile likelihood",
        "solver = active_set",
        "40 at each of 4 design points",
        "Failed: max_steps_reached",
        "Sentence of max_steps_reached.",
        f"{process['coverage_mcse'].max().item():.2g}",
        "takes 1900 replications",
        "0" * 40,
        "jax 0.9.2",
        "Discrete (supp [-1.5, 1.5])",
    ):
        assert words in text
    assert "zero_likelihood" not in text  # never occurred
    assert "still running" not in text


def test_failures_in_the_report_are_those_counted(summary):
    page = render(summary, {})
    table = page[page.index('id="failures"') : page.index('id="precision"')]
    cells = re.findall(r"<td[^>]*>(.*?)</td>", table)
    process = summary[NAME].to_dataset()
    for i, name in enumerate(("profile", "em")):
        one = process.sel(estimator=name)
        expected = [one[x].sum().item() for x in ("attempted", "used", "failed")]
        assert cells[8 * i + 3 : 8 * i + 6] == [str(x) for x in expected]
        assert cells[8 * i + 7] == str(one["by_code"].sel(code=1).sum().item())


def test_number_of_replications_is_justified_as_the_configuration_says():
    set_before = describe_replications({"n_replications": 1000})
    assert "sets 1000 replications" in set_before
    assert "0.0069" in set_before  # sqrt(0.95 x 0.05 / 1000)
    assert "2.2%" in set_before  # 1/sqrt(2000)
    target = {"coverage_mcse": 0.005, "rmse_rel_mcse": 0.02, "max_replications": 9000}
    by_rule = describe_replications({"n_replications": 1000, "target": target})
    for words in ("of the coverage to at most 0.005", "2.00%", "9000 replications"):
        assert words in by_rule
    none = dict.fromkeys(target) | {"max_replications": 9000}
    nothing = describe_replications({"n_replications": 1000, "target": none})
    assert nothing == set_before
    assert describe_replications({}) == ""


def test_rows_stand_below_headings_that_several_share():
    text = pd.DataFrame(
        {"Estimator": ["a", "a", "b", "b"], "Parameter": list("xyxy"), "Bias": "1 (2)"}
    )
    rows = group_rows(text)
    assert rows.columns == ["Parameter", "Bias"]
    assert rows.groups[1] == ("b", [["x", "1 (2)"], ["y", "1 (2)"]])
    assert len(rows) == 4
    twice = pd.concat([text.assign(N=1), text.assign(N=2)])
    assert [x for x, _ in group_rows(twice).groups] == ["a, x", "a, y", "b, x", "b, y"]
    assert group_rows(text.head(1)).groups == [("", [["a", "x", "1 (2)"]])]


def test_report_of_a_study_that_runs_or_waits_says_so():
    running = summarise_study(complete=False, not_run=5, **SMALL)
    assert "still running" in read(render(running, {}))[1]
    waiting = summarise_study(complete=False, not_run=40, **SMALL)
    text = read(render(waiting, {}))[1]
    assert "No replication yet." in text
    assert "No Monte Carlo error is known yet." in text


def test_report_needs_no_attributes_and_few_measures():
    tree = make_replications(**SMALL)
    process = tree[NAME].to_dataset()[["estimate", "truth"]].drop_attrs()
    _, text = read(render(summarise(xr.DataTree.from_dict({NAME: process})), {}))
    assert "[State the question of the study.]" in text
    assert "RMSE" in text


def test_paragraphs_are_in_the_order_of_ademp(summary):
    found = describe_study(summary)
    assert "".join(x[0] for x in found) == "ADEMP"
    assert "coef[0] (1.5)" in found["Estimands"]
    assert "500 and 1000" in found["Data-generating mechanisms"]
    assert "Profile likelihood and em" in found["Methods"]
    assert "40 replications" in found["Performance measures"]


def test_processes_with_the_same_truth_share_a_sentence():
    process = summarise_study(**SMALL)[NAME].to_dataset()
    same = process.assign_attrs(label="Normal F")
    other = process.assign(truth=process["truth"] + 1).assign_attrs(label="Other")
    margins = other.rename(wasserstein="margin_wasserstein")
    config = """
    dgp:
      a: {mixing: {_target_: m.Copula, margins: [{_target_: m.Normal, loc: 0}, 1]}}
    """
    tree = xr.DataTree.from_dict({"/a": process, "/b": same, "/c": margins})
    tree.attrs["config"] = config
    found = describe_study(tree)
    text = found["Estimands"]
    assert "Linear factor model, discrete F; and Normal F the parameters" in text
    assert "In Other the parameters and their true values are coef[0] (2.5)" in text
    assert text.endswith("The margins of the mixing distribution are estimands too.")
    mechanisms = found["Data-generating mechanisms"]
    assert "Copula (margins Normal (loc 0) and 1)" in mechanisms
    assert "The estimators are profile and em." in found["Methods"]
    assert "The support grid is uniform with 25 points." in found["Methods"]


def test_wrong_attributes_are_refused(summary):
    for name, value, words in (
        ("config", "- a", "no YAML mapping"),
        ("packages", "[1]", "packages of the study is no JSON object"),
    ):
        broken = summary.copy()
        broken.attrs = {**summary.attrs, name: value}
        with pytest.raises(ValueError, match=words):
            render_report(broken, {}, {})


def test_lists_in_sentences():
    assert enumerate_words(["a"]) == "a"
    assert enumerate_words([1, 2, 3]) == "1, 2 and 3"
    assert enumerate_words(["a", "a, b", "c"]) == "a; a, b; and c"


def test_details_are_folded_and_a_short_main_table_is_not(summary, tmp_path):
    png = tmp_path / "a.png"
    png.write_bytes(PNG)
    drawn = {NAME: [Drawn("Main.", png), Drawn("Detail.", png, detail=True)]}
    html = render(summary, drawn)
    read(html)
    process = html[html.index(f'<h2 id="{NAME}">') : html.index('<h2 id="failures">')]
    figures, live, *folded = process.split("<details")
    assert "Main." in figures
    assert live.startswith(' class="live"')  # empty, and drawn when it is opened
    opened = [x.startswith(" open") for x in folded]
    assert opened == [True] + [False] * 5  # a table of so few rows
    assert [re.search(r"<summary>(.*)</summary>", x)[1] for x in folded] == [  # pyright: ignore
        "Table: performance",
        "Table: intervals of every kind",
        "Table: comparison over estimator",
        "Table: rates in the sample size",
        "Table: the fitted mixing distribution",
        "Figures of the replications, estimator by estimator",
    ]
    assert "Detail." in folded[-1]
