"""Names that others chose: they are shown as they are, and do nothing."""

import numpy as np
import pandas as pd
import pytest
from synthetic_study import make_process

from analysis.exchange import read_replications, table_to_csv
from analysis.files import slug
from analysis.measures.summarise import summarise, summarise_process
from analysis.symbols import in_latex
from analysis.tables.markdown import to_markdown
from analysis.tables.performance import performance_table
from analysis.tables.rounding import counts_beside, format_table

GIVEN = {"estimate": "b", "truth": 0, "replication": "i"}


@pytest.mark.parametrize(
    "name", [r"\input{/etc/passwd}", "a%b", "a$b", "x^2", "a&b", r"a\\b", "ü#"]
)
def test_a_parameter_in_latex_is_text(name):
    written = in_latex(name)
    for mark in "%$&#^":
        assert mark not in written.replace(rf"\{mark}", "")
    assert r"\input" not in written
    assert in_latex("coef[0]") == r"$\mathrm{coef}_{0}$"


@pytest.mark.parametrize("name", ["=1+1", "+cmd", "-2+3", "@SUM(A1)", "\t=1"])
def test_no_name_in_a_csv_is_a_formula(name):
    table = pd.DataFrame({"parameter": [name, "b"], "bias": [-1.0, 2.0]})
    _, first, second = table_to_csv(table).splitlines()
    assert first.replace('"', "").startswith("'")
    assert first.endswith(",-1.0")
    assert second == "b,2.0"


def test_a_bar_does_not_end_a_cell_of_a_markdown_table():
    text = to_markdown(pd.DataFrame({"P|q": ["a|b", "<img>"], "n": ["1", "2"]}))
    rows = [line.replace(r"\|", "") for line in text.splitlines()]
    assert {line.count("|") for line in rows} == {3}
    assert "<img" not in text


def test_names_that_differ_have_files_that_differ():
    names = ["LASSO+", "LASSO*", "a b", "a?b", "a_b", "..", ".", "/x", "x"]
    found = [slug(name) for name in names]
    assert len(set(found)) == len(names)
    assert not any(x.startswith(".") or "/" in x for x in found)
    assert slug("linear_factor_discrete") == "linear_factor_discrete"


def read(tmp_path, text, **columns):
    (tmp_path / "a.csv").write_text(text)
    return read_replications(tmp_path / "a.csv", **(GIVEN | columns))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("1,,x,p", "row 3: the estimator, column m, is empty"),
        (",2,a,p", "row 3: the replication, column i, is empty"),
        ("1.5,2,a,p", "row 3: the replication, column i, is '1.5', no whole number"),
        ("1,two,a,p", "row 3: b is 'two', no number"),
        ("1,2,a,", "row 3: the process, column d, is empty"),
    ],
)
def test_a_row_without_a_key_or_a_number_is_named(tmp_path, row, message):
    if message.startswith("row 3: the estimator"):
        row = "1,2,,p"
    with pytest.raises(ValueError, match=message):
        read(tmp_path, f"i,b,m,d\n2,1,a,p\n{row}\n", estimator="m", process="d")


def test_methods_and_processes_keep_their_names(tmp_path):
    names = ["None", "NA", ".", "MCAR/x", "nan"]
    rows = "".join(f"{i},1,{name},{name}\n" for name in names for i in (1, 2))
    tree = read(tmp_path, f"i,b,m,d\n{rows}", estimator="m", process="d")
    assert len(tree.children) == len(names)
    assert [x.attrs["label"] for x in tree.children.values()] == names
    found = [str(x["estimator"].item()) for x in tree.children.values()]
    assert found == names


def test_a_missing_estimate_is_a_failure_and_not_used(tmp_path):
    rows = "".join(f"{i},a,1\n{i},b,{'' if i < 25 else 1}\n" for i in range(200))
    tree = read(tmp_path, f"i,p,b\n{rows}", parameter="p")
    found = summarise(tree)["process"].to_dataset().squeeze()
    assert (int(found["failed"]), int(found["used"])) == (25, 175)


@pytest.mark.parametrize("level", [95, 0, 1, -1])
def test_a_level_is_a_share(tmp_path, level):
    with pytest.raises(ValueError, match="give a share, such as 0.95"):
        read(tmp_path, "i,b\n1,2\n", level=level)


def test_every_count_is_that_of_the_number_beside_it():
    process = make_process(sample_sizes=(500,), n_supp=(25,))
    process = process.copy(deep=True)
    n = process.sizes["replication"]
    order = ("replication", "parameter")
    for name, missing in (("estimate", 3), ("lower", 7), ("standard_error", 5)):
        rest = [x for x in process[name].dims if x not in order]
        values = process[name].transpose(*order, *rest)
        values[:missing, 0] = np.nan
        process[name] = values
    table = performance_table(summarise_process(process))
    first = table["parameter"] == table["parameter"].iloc[0]
    counted = counts_beside(table)
    assert set(counted) == {"Used", "CIs", "SEs"}
    known = table.loc[first]
    assert (known["used_interval"] <= known["used_estimate"]).all()
    assert (known["used_estimate"] <= n - 3).all()
    assert (known["used_interval"] <= n - 7).all()
    text = format_table(table)
    assert list(text["CIs"]) == counted["CIs"]
