"""A table file says what is in the rows and columns of a table, as papers print it."""

import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr
import yaml
from synthetic_study import CONFIG, make_process, make_replications, summarise_study

from analysis.make import make
from analysis.measures.summarise import summarise_process
from analysis.stored import StudyError
from analysis.tables.catalogue import list_tables
from analysis.tables.compose import list_composed
from analysis.tables.html import to_html
from analysis.tables.latex import TEXT_LINES, to_latex
from analysis.tables.layout import parse_layout, read_layout
from analysis.tables.notes import table_notes
from analysis.tables.performance import performance_table
from analysis.tables.printed import Cell, Printed, Row, print_rows, to_frame

FILES = sorted((Path(__file__).parents[2] / "conf" / "table").glob("*.yaml"))
NAME = "linear_factor_discrete"
SMALL: dict[str, Any] = {"sample_sizes": (500, 1000), "n_supp": (25, 50)}
PAPER: dict[str, Any] = {
    "rows": ["parameter", "sample_size"],
    "columns": ["estimator", "measure"],
    "measures": ["bias", "coverage"],
    "where": {"n_supp": 50},
    "symbol": {"coef": [r"\lambda_2", r"\lambda_3"]},
}


@pytest.fixture(scope="module")
def summary():
    return summarise_study(**SMALL)


def compose(summary, content, **changes):
    layout = parse_layout({**content, **changes}, "a")
    ((_, _, printed, numbers),) = list_composed(summary, {"a": layout}, [NAME])
    return printed, numbers


def test_every_cell_is_where_the_file_puts_it(summary):
    printed, numbers = compose(summary, PAPER)
    assert printed.names == ("Parameter", "$n$")
    assert printed.heads == tuple(
        (e, m) for e in ("profile", "em") for m in ("Bias", "Coverage")
    )
    assert [row.names for row in printed.rows[:3]] == [
        (r"$\lambda_2$", "500"),
        (r"$\lambda_2$", "1000"),
        (r"$\lambda_3$", "500"),
    ]
    process = summary[NAME].to_dataset().squeeze("grid")
    at = {"parameter": "coef[1]", "sample_size": 1000, "n_supp": 50}
    cell = process.sel(at).sel(estimator="em", kind="sandwich")
    row = next(x for x in printed.rows if x.names == (r"$\lambda_3$", "1000"))
    for i, measure in ((2, "bias"), (3, "coverage")):
        value, error = (cell[f"{measure}{x}"].item() for x in ("", "_mcse"))
        assert float(row.cells[i].value) == pytest.approx(value, abs=error / 5)
        assert float(row.cells[i].error[1:-1]) == pytest.approx(error, rel=0.1)
    assert set(map(str, numbers["parameter"])) == {"coef[0]", "coef[1]", "log_std_e[0]"}
    assert len(numbers) == 2 * 3 * 2
    assert np.isfinite(numbers["bias"].to_numpy()).all()


def test_groups_of_columns_have_a_rule_each(summary):
    printed, _ = compose(summary, PAPER)
    text = to_latex([printed], label="tab:a")
    assert r" &  & \multicolumn{2}{c}{profile} & \multicolumn{2}{c}{em} \\" in text
    assert r"\cmidrule(lr){3-4} \cmidrule(lr){5-6}" in text
    body = text[text.index(r"\midrule") : text.index(r"\bottomrule")]
    rows = [x for x in body.splitlines() if "&" in x]
    assert {x.count("&") for x in rows} == {5}
    assert [x.split(" & ")[0] for x in rows[:3]] == [
        *(r"$\lambda_2$", "", r"$\lambda_3$")
    ]
    assert text.count("{") == text.count("}")


def test_errors_stand_beside_or_below_or_in_the_note(summary):
    beside, _ = compose(summary, PAPER)
    assert r"\scriptsize (0.0" in to_latex([beside], label="a")
    below, _ = compose(summary, PAPER, errors="below")
    text = to_latex([below], label="a")
    lines = text[text.index(r"\midrule") :].splitlines()
    value, error = lines[1:3]
    assert "scriptsize" not in value
    assert value.endswith(r"\\*")  # no page ends between them
    assert error.startswith(r" &  & {{\scriptsize (")
    noted, _ = compose(summary, PAPER, errors="note")
    assert "scriptsize" not in to_latex([noted], label="a")
    assert "Monte Carlo standard errors, at most: Bias 0.0" in " ".join(noted.notes)


def test_numbers_stand_in_columns_that_have_room_for_all_of_them():
    cells = [
        Cell("-0.25", "(0.01)"),
        Cell("112.5", "(0.003)", best=True),
        Cell("-", ""),
    ]
    rows = tuple(Row((), (x.value,), (x, Cell("3/4"))) for x in cells)
    printed = Printed("C", ("Name",), (("A",), ("B",)), rows)
    text = to_latex([printed], label="a")
    column = (
        r"S[table-format=-3.2,detect-weight,mode=text,"
        r"table-space-text-post={\,{\mdseries\scriptsize (0.003)}}]"
    )
    assert rf"\begin{{tabular}}{{@{{}}l{column}r@{{}}}}" in text
    assert r"Name & {A} & {B} \\" in text
    assert r"-0.25 & -0.25 \,{\mdseries\scriptsize (0.01)} & {3/4} \\" in text
    assert r"- & {-} & {3/4} \\" in text
    assert r"S[table-format=-3.2,detect-weight,mode=text]" in to_latex(
        [printed._replace(below=True)], label="a"
    )


def test_digits_measures_and_their_words_are_chosen(summary):
    printed, _ = compose(
        summary,
        PAPER,
        measures=["empirical_se", "se_ratio"],
        head={"empirical_se": "SD"},
        digits={"se_ratio": 1},
    )
    assert {words[1] for words in printed.heads} == {"SD", "SE/SD"}
    process = summary[NAME].to_dataset().squeeze("grid")
    cell = process.isel(parameter=0, sample_size=0, estimator=0).sel(
        n_supp=50, kind="sandwich"
    )
    ratio = (cell["mean_model_se"] / cell["empirical_se"]).item()
    assert printed.rows[0].cells[1].value == f"{ratio:.1f}"


def test_parameters_are_chosen_and_ordered(summary):
    where = {"n_supp": "largest", "parameter": ["log_std_e[0]", "coef[0]"]}
    printed, numbers = compose(summary, PAPER, where=where)
    found = dict.fromkeys(row.names[0] for row in printed.rows)
    assert list(found) == ["log_std_e[0]", r"$\lambda_2$"]
    assert set(numbers["n_supp"]) == {50}


def test_markdown_and_html_come_from_the_same_table(summary):
    printed, _ = compose(summary, PAPER)
    frame = to_frame(printed)
    assert list(frame) == [
        *("Parameter", "n", "profile, Bias", "profile, Coverage"),
        *("em, Bias", "em, Coverage"),
    ]
    assert list(frame["Parameter"])[0] == "λ₂"
    html = to_html(printed)
    assert html.count('<th scope="colgroup" colspan="2">') == 2
    assert '<th class="text" scope="row">λ₂</th>' in html
    assert printed.rows[0].cells[0].text() in html
    tags = []

    class Balance(HTMLParser):
        def handle_starttag(self, tag, attrs):
            tags.append(tag)

        def handle_endtag(self, tag):
            assert tags.pop() == tag

    Balance().feed(html)
    assert tags == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rows": []}, "rows is empty"),
        ({"rows": ["parametre"]}, "rows: parametre is not known. Did you mean para"),
        ({"measures": ["bais"]}, "measures: bais is not known. Did you mean bias"),
        ({"colums": []}, "key: colums is not known. Did you mean columns"),
        ({"columns": ["parameter"]}, "parameter is there twice"),
        ({"errors": "above"}, "errors: above is not known"),
        ({"where": {}}, "n_supp has 25, 50; put it into rows or columns, or choose"),
        ({"where": {"n_supp": 60}}, "where: n_supp has no 60; it has 25, 50"),
    ],
)
def test_what_no_table_has_is_refused_in_words(summary, changes, message):
    with pytest.raises(ValueError, match=f"table a: {message}"):
        compose(summary, PAPER, **changes)


@pytest.mark.parametrize("path", FILES, ids=lambda x: x.stem)
def test_every_table_of_the_project_can_be_laid_out(path, summary):
    content = yaml.safe_load(path.read_text())
    assert path.read_text().startswith(f"# @package table.{path.stem}\n# ")
    layout = read_layout(path)
    assert layout == parse_layout(content, path.name)
    for _, _, printed, _ in list_composed(summary, {path.stem: layout}, [NAME]):
        text = to_latex([printed], label="a")
        assert text.count("{") == text.count("}")


def two_uses():
    """Two estimators of which the first uses no grid, computed once."""
    process = make_process(**SMALL)
    for name in process.data_vars:
        if {"estimator", "n_supp"} <= set(process[name].dims):
            once = process[name].isel(n_supp=[0, 0]).values
            first = process[name].dims.index("estimator")
            assert first == 0
            process[name].loc[{"estimator": "profile"}] = once[0]
    process = summarise_process(process)
    use = ("estimator", ["nothing", "points"])
    tree = xr.DataTree.from_dict({f"/{NAME}": process.assign_coords(grid_use=use)})
    tree.attrs = {"exclusion_rule": "per_estimator"}
    return tree


def test_an_estimator_without_a_grid_is_there_once():
    tree = two_uses()
    table = performance_table(tree[NAME].to_dataset())
    names = list(table["estimator"])
    assert names.count("profile") == 3 * 2
    assert names.count("em") == 3 * 2 * 2
    assert set(table.loc[table["estimator"] == "profile", "n_supp"]) == {""}
    printed, _ = compose(
        tree, {**PAPER, "columns": ["estimator", "n_supp", "measure"], "where": {}}
    )
    groups = [words[:2] for words in printed.heads[::2]]
    assert groups == [("profile", ""), ("em", "25 points"), ("em", "50 points")]
    listed = {x.name: x.numbers for x in list_tables(tree, NAME)}
    assert set(listed["comparison-n_supp"]["estimator"]) == {"em"}
    assert len(listed["rates"].query("estimator == 'profile'")) == 3 + 3


def test_notes_speak_of_what_is_in_the_table(summary):
    process = make_process(share_failed=0.0, **SMALL)
    process["flagged"][...] = 0
    default = ("estimator", ["sandwich", "observed"])
    process = process.assign_coords(default_kind=default)
    tree = xr.DataTree.from_dict({f"/{NAME}": summarise_process(process)})
    tree.attrs = {"exclusion_rule": "all_or_none"}
    table = performance_table(tree[NAME].to_dataset(), measures=["bias", "coverage"])
    notes = " ".join(table_notes(tree, NAME, table))
    assert "Rule" not in notes  # nothing failed
    assert "profile: sandwich; em: observed" in notes
    alone = table.loc[table["estimator"] == "em"]
    assert "Intervals shown: observed." in " ".join(table_notes(tree, NAME, alone))
    bias = performance_table(tree[NAME].to_dataset(), measures=["bias"])
    words = " ".join(table_notes(tree, NAME, bias))
    for absent in ("coverage", "Intervals", "flagged", "RMSE"):
        assert absent not in words


def test_a_wide_table_is_cut_between_groups(summary):
    printed, _ = compose(
        summary, PAPER, measures=["bias", "rmse", "empirical_se", "coverage"]
    )
    text = to_latex([printed], label="a")
    parts = text.split(r"\begin{table}")[1:]
    assert len(parts) == 2
    assert "{profile}" in parts[0]
    assert "{em}" not in parts[0]
    assert [x.count("Notes:") for x in parts] == [0, 1]


def test_parts_of_a_table_keep_their_order_and_the_note_its_last_row(summary):
    measures = ["bias", "rmse", "empirical_se", "coverage"]
    printed, _ = compose(summary, PAPER, measures=measures)
    # LaTeX sets a long table before the floats that wait for the next page.
    text = to_latex([printed._replace(notes=("Words of a note. " * 300,))], label="a")
    assert r"\begin{table}" not in text
    parts = text.split(r"\begin{longtable}")[1:]
    assert [x.count("Notes:") for x in parts] == [0, 1]
    assert r"\bottomrule" in parts[0].split(r"\endlastfoot")[1]
    last = parts[1].partition(r"\end{longtable}")[0]
    assert re.search(r" \\\\\*\n\\noalign\{\\nobreak", last)
    assert "Notes:" in last


def test_floats_are_no_longer_than_a_page(summary):
    for table in list_tables(summary, NAME):
        printed = print_rows(table.shown(), caption="C", notes=table.notes)
        text = to_latex(printed, label="a")
        for part in re.findall(r"\\begin\{tabular\}.*?\\end\{tabular\}", text, re.S):
            assert len(part.splitlines()) <= TEXT_LINES
        assert text.count("Notes:") == 1


@pytest.fixture
def study(tmp_path):
    tree = make_replications(sample_sizes=(500,), n_supp=(25, 50), n_replications=20)
    config = yaml.safe_load(CONFIG)
    config["dgp"][NAME]["symbol"] = {"coef": [r"\lambda_2", r"\lambda_3"]}
    config["table"] = {"chosen": {**PAPER, "where": {"n_supp": 25}, "symbol": {}}}
    tree.attrs["config"] = yaml.safe_dump(config)
    tree.to_netcdf(tmp_path / "replications.nc")
    return tmp_path


def test_the_tables_of_a_study_and_of_files_are_made(study, monkeypatch):
    monkeypatch.setattr("analysis.make.list_process", lambda *_: [])
    own = study / "own.yaml"
    own.write_text(yaml.safe_dump(PAPER))
    paths = {x.relative_to(study).as_posix() for x in make(study, tables=[own])}
    for stem in ("chosen", "own"):
        for ending in ("csv", "md", "tex", "html"):
            assert f"tables/{NAME}/{stem}.{ending}" in paths
    assert r"$\lambda_2$" in (study / "tables" / NAME / "chosen.tex").read_text()
    csv = pd.read_csv(study / "tables" / NAME / "own.csv")
    assert set(csv["n_supp"]) == {50}
    assert "<caption>" in (study / "report.html").read_text()
    own.write_text("rows: [nothing]")
    with pytest.raises(StudyError, match=r"table own\.yaml: rows: nothing is not"):
        make(study, tables=[own])


COMPILER = shutil.which("pdflatex") or shutil.which("tectonic")
DOCUMENT = r"""\documentclass{article}
\usepackage{booktabs,longtable,siunitx}
\begin{document}
%s
\end{document}
"""


@pytest.mark.slow
@pytest.mark.skipif(COMPILER is None, reason="no LaTeX is installed")
def test_latex_compiles_every_table_without_a_box_off_the_page(summary, tmp_path):
    texts = [
        to_latex(print_rows(x.shown(), caption=x.words, notes=x.notes), label=x.name)
        for x in list_tables(summary, NAME)
    ]
    for path in FILES:
        layouts = {path.stem: read_layout(path)}
        for _, name, printed, _ in list_composed(summary, layouts, [NAME]):
            texts.append(to_latex([printed], label=name))
    (tmp_path / "a.tex").write_text(DOCUMENT % "\n".join(texts))
    options = ["-interaction=nonstopmode"] if "pdflatex" in str(COMPILER) else []
    done = subprocess.run(
        [str(COMPILER), *options, "a.tex"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout
    for warning in ("Float too large", "Overfull"):
        assert warning not in done.stdout + done.stderr
