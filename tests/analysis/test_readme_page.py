"""The page on reading results: its lines run, and what it names is there."""

import ast
import importlib
import re
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from synthetic_study import make_replications

from analysis.measures.summarise import summarise
from analysis.stored import write_tree

PAGE = (Path(__file__).parents[2] / "analysis" / "README.md").read_text()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    tree = make_replications(n_supp=(25, 50), sample_sizes=(500, 1000))
    return write_study(folder, tree)


def list_programs():
    part = PAGE.partition("## Tables of a paper")[0]
    return re.findall(r"```python\n(.*?)```", part, re.DOTALL)


def test_ten_lines_answer_ten_questions(folder):
    opening, lines, _ = list_programs()
    names = {"folder": folder}
    exec(opening, names)  # noqa: S102
    found = []
    for node in ast.parse(lines).body:
        if isinstance(node, ast.Expr):
            found.append(eval(ast.unparse(node), names))  # noqa: S307
        else:
            exec(ast.unparse(node), names)  # noqa: S102
    assert len(found) == 10
    summary = xr.open_datatree(folder / "summary.nc")["linear_factor_discrete"]
    by_hand, error = found[-1]
    assert by_hand.values == pytest.approx(summary["bias"].values)
    assert error.values == pytest.approx(summary["bias_mcse"].values)
    assert len(found[0]) == summary["bias"].size
    assert np.isfinite(found[2]).all()
    assert len(found[4]) > 0


def write_study(folder, tree):
    folder.mkdir(exist_ok=True)
    write_tree(tree, folder / "replications.nc")
    write_tree(summarise(tree), folder / "summary.nc")
    return folder


def test_two_studies_become_one(tmp_path):
    # Of its own: files that a page's lines leave open are closed when collected.
    one = make_replications(n_supp=(25, 50), sample_sizes=(500, 1000))
    other = make_replications(n_supp=(100,), sample_sizes=(2000,))
    names = {
        "folder": write_study(tmp_path / "one", one),
        "second": write_study(tmp_path / "other", other),
    }
    opening, _, lines = list_programs()
    exec(opening + lines, names)  # noqa: S102
    both, summary = names["both"], names["summary"]
    assert both.sizes["sample_size"] == both.sizes["n_supp"] == 3
    found = both["rmse"].sel(sample_size=[500, 1000], n_supp=[25, 50])
    xr.testing.assert_equal(found, summary["rmse"])
    both_studies = [summary, names["other"]]
    merged = xr.merge(both_studies, join="outer", compat="no_conflicts")
    xr.testing.assert_identical(merged, both)


def test_what_the_page_names_is_there():
    names = re.findall(r"`([a-z_]+\.[a-z_.]+)`", PAGE.partition("## What to call")[2])
    assert len(names) > 15
    for name in names:
        try:
            found = importlib.import_module(f"analysis.{name}")
        except ModuleNotFoundError:
            module, _, last = name.rpartition(".")
            found = getattr(importlib.import_module(f"analysis.{module}"), last)
        assert found.__doc__, name
