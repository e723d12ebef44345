import itertools
from base64 import b64encode

import netCDF4
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from synthetic_study import make_replications

from analysis import make as module
from analysis.figures import written
from analysis.figures.catalogue import list_process
from analysis.files import LIST, remove_outdated, write_file, write_text
from analysis.make import REPORT, main, make
from analysis.measures.summarise import summarise
from analysis.stored import StudyError, load_summary
from analysis.tables.catalogue import list_tables

NAME = "linear_factor_discrete"
SMALL = {
    "estimators": ("profile",),
    "sample_sizes": (500, 1000),
    "n_supp": (25,),
    "n_replications": 20,
}
FIGURES = (
    *("rmse", "bias", "coverage", "wasserstein", "seconds", "cdf"),
    "coverage_by_kind",
    *("density", "qq", "zip", "estimate_se"),
)


def study(folder, **design):
    tree = make_replications(**{**SMALL, **design})
    folder.mkdir(exist_ok=True)
    tree.to_netcdf(folder / "replications.nc")
    return tree


@pytest.mark.slow
def test_everything_is_rebuilt_from_the_replications_alone(tmp_path):
    tree = study(tmp_path / "s")
    paths = make(tmp_path / "s")
    names = [str(x.relative_to(tmp_path / "s")) for x in paths]
    assert names == [
        "summary.nc",
        *(f"tables/{NAME}/performance.{x}" for x in ("csv", "md", "tex")),
        *(
            f"tables/{NAME}/{stem}.{x}"
            for stem in ("intervals", "rates", "mixing")
            for x in ("csv", "md", "tex")
        ),
        *(f"figures/{NAME}/{x}.{ending}" for x in FIGURES for ending in ("pdf", "png")),
        "report.html",
    ]
    assert "data:image/png" in (tmp_path / "s" / "report.html").read_text()
    files = {x for x in (tmp_path / "s").rglob("*") if x.is_file()}
    assert files == {*paths, *(tmp_path / "s" / x for x in ("replications.nc", LIST))}
    xr.testing.assert_equal(load_summary(tmp_path / "s"), summarise(tree))
    csv = pd.read_csv(tmp_path / "s" / "tables" / NAME / "performance.csv")
    assert np.isfinite(csv["rmse_mcse"]).all()


@pytest.mark.thorough
@pytest.mark.thorough
def test_one_replication_makes_a_study(tmp_path):
    study(tmp_path / "s", n_replications=1, share_failed=0.0)
    make(tmp_path / "s")
    performance = pd.read_csv(tmp_path / "s" / "tables" / NAME / "performance.csv")
    assert np.isfinite(performance["rmse"]).all()
    assert np.isnan(performance["rmse_mcse"]).all()


def test_report_holds_the_figures_that_are_written(tmp_path, monkeypatch, one_table):
    study(tmp_path / "s")

    def first(*process):
        return itertools.islice(list_process(*process), 1)

    monkeypatch.setattr(module, "list_process", first)
    *_, pdf, png, report = make(tmp_path / "s")
    assert [x.name for x in (pdf, png, report)] == ["rmse.pdf", "rmse.png", REPORT]
    assert b64encode(png.read_bytes()).decode() in report.read_text()


@pytest.mark.slow
def test_many_figures_are_the_same_from_several_processes(tmp_path, monkeypatch):
    study(tmp_path / "s")
    monkeypatch.setattr(written.os, "cpu_count", lambda: 1)
    make(tmp_path / "s")
    paths = sorted((tmp_path / "s" / "figures").rglob("*.p*"))
    alone = [x.read_bytes() for x in paths]
    monkeypatch.setattr(written.os, "cpu_count", lambda: 2)
    monkeypatch.setattr(written, "PICTURES_A_PROCESS", 2)
    make(tmp_path / "s")
    assert sorted((tmp_path / "s" / "figures").rglob("*.p*")) == paths
    assert [x.read_bytes() for x in paths] == alone


@pytest.fixture
def no_figures(monkeypatch):
    """Leave out the figures, which take most of the time."""
    monkeypatch.setattr(module, "list_process", lambda *_: [])


@pytest.fixture
def one_table(no_figures, monkeypatch):
    """Leave out all tables but the first, too."""

    def first(*summary):
        return itertools.islice(list_tables(*summary), 1)

    monkeypatch.setattr(module, "list_tables", first)


def test_incomplete_study_is_made_and_said_to_be(tmp_path, capsys, one_table):
    study(tmp_path / "s", complete=False, not_run=5)
    assert main([str(tmp_path / "s")]) == 0
    out = capsys.readouterr().out
    assert "incomplete" in out
    assert "summary.nc" in out
    text = (tmp_path / "s" / "tables" / NAME / "performance.md").read_text()
    assert "attempted 15" in text
    assert "incomplete" in text


def test_study_without_replications_yet_is_said_to_be(tmp_path, capsys, one_table):
    study(tmp_path / "s", complete=False, not_run=20)
    assert main([str(tmp_path / "s")]) == 0
    assert "no replication yet" in capsys.readouterr().out


@pytest.mark.thorough
def test_the_rule_of_the_study_holds_unless_one_is_chosen(tmp_path, one_table):
    tree = study(tmp_path / "s", share_failed=0.2)
    tree.attrs["exclusion_rule"] = "all_or_none"
    tree.to_netcdf(tmp_path / "s" / "replications.nc")
    make(tmp_path / "s")
    rule = "only replications in which every estimator succeeded are used"
    for path in (f"tables/{NAME}/performance.md", REPORT):
        assert rule in " ".join((tmp_path / "s" / path).read_text().split())
    assert main([str(tmp_path / "s"), "--exclusion-rule", "per_estimator"]) == 0
    assert load_summary(tmp_path / "s").attrs["exclusion_rule"] == "per_estimator"


def test_wrong_studies_are_refused_in_one_line(tmp_path, capsys):
    empty = tmp_path / "empty"
    empty.mkdir()
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "replications.nc").write_bytes(b"not a netCDF file")
    hollow = tmp_path / "hollow"
    hollow.mkdir()
    netCDF4.Dataset(hollow / "replications.nc", "w").close()
    partial = tmp_path / "partial"
    partial.mkdir()
    tree = make_replications(**SMALL)
    tree = xr.DataTree.from_dict({NAME: tree[NAME].to_dataset().drop_vars("truth")})
    tree.to_netcdf(partial / "replications.nc")
    for folder, message in (
        (tmp_path / "none", "there is no study folder"),
        (empty, "experiments.run report empty` merges what is done"),
        (broken, "cannot read"),
        (hollow, "holds no process"),
        (partial, f"group {NAME} holds no `truth`"),
    ):
        with pytest.raises(StudyError, match=message):
            make(folder)
        assert main([str(folder)]) == 2
        captured = capsys.readouterr()
        assert captured.out == ""
        # A file of another program has no checksum, which a line of its own says.
        *warnings, line = captured.err.splitlines()
        assert all("no checksum" in warning for warning in warnings)
        assert message in line


@pytest.mark.thorough
def test_outdated_files_are_removed_unless_they_were_changed(tmp_path, one_table):
    folder = tmp_path / "s"
    tree = study(folder)
    make(folder, tidy_csv=True)
    tables = folder / "tables" / NAME
    changed = tables / "performance.tex"
    changed.write_text(changed.read_text() + "% mine")
    (tables / "own.md").write_text("not made here")
    renamed = xr.DataTree.from_dict({"/other": tree[NAME].to_dataset()})
    renamed.to_netcdf(folder / "replications.nc")
    paths = make(folder)
    left = {x for x in folder.rglob("*") if x.is_file()} - set(paths)
    kept = {changed, tables / "own.md", folder / "replications.nc", folder / LIST}
    assert left == kept  # neither performance.md nor replications_tidy.csv


def test_an_unreadable_list_removes_nothing_and_no_empty_folder_stays(tmp_path):
    old = write_text(tmp_path / "figures" / "a" / "old.md", "text")
    new = write_text(tmp_path / "new.md", "text")
    remove_outdated(tmp_path, [old])
    (tmp_path / LIST).write_text("{broken")
    assert remove_outdated(tmp_path, [new]) == []
    remove_outdated(tmp_path, [old, new])
    assert remove_outdated(tmp_path, [new]) == [old]
    assert {x.name for x in tmp_path.iterdir()} == {"new.md", LIST}


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "table.md"
    path.write_text("old")

    def fail(temporary):
        temporary.write_text("half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_file(path, fail)
    assert [x.name for x in tmp_path.iterdir()] == ["table.md"]
    assert path.read_text() == "old"
