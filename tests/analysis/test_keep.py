"""Studies are kept whole, in place of what was kept of them before."""

import subprocess

import numpy as np
import pytest
import xarray as xr
import yaml

from analysis import keep
from analysis.clone import LIST
from analysis.kept_study import KeptStudy
from analysis.stored import write_tree


def git(root, *words):
    done = subprocess.run(["git", *words], cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def run_study(results, name="one", *, value=0.5, complete=True, processes=("a", "b")):
    """Write what `reproduce` leaves of a study."""
    node = xr.Dataset(
        {"bias": ("sample_size", [value]), "attempted": ("sample_size", [9])},
        {"sample_size": [500]},
    )
    tree = xr.DataTree.from_dict(dict.fromkeys(processes, node))
    tree.attrs = {"numbers_version": 3}
    folder = results / name
    (folder / "tables").mkdir(parents=True, exist_ok=True)
    write_tree(tree, folder / "summary.nc")
    (folder / "tables" / "all.csv").write_text(f"bias\n{value}\n")
    (folder / "tables" / "all.tex").write_text("not kept\n")
    run = {"commit": "0123", "quick": False, "complete": complete, "seconds": value}
    record = results / "reproduce.yaml"
    before = yaml.safe_load(record.read_text()) if record.exists() else {}
    record.write_text(yaml.safe_dump(before | {name: run}))


@pytest.fixture
def clone(tmp_path):
    """A clone that lists one study and keeps nothing."""
    root = tmp_path / "clone"
    (root / LIST).parent.mkdir(parents=True)
    (root / LIST).write_text("one:\nother:\n")
    (root / ".gitignore").write_text("/results/*/\n")
    git(root.parent, "init", "-q", str(root))
    return root


@pytest.mark.parametrize("in_place", [True, False])
@pytest.mark.parametrize("large", [0, 10**9])
def test_a_study_is_kept_and_kept_again(clone, tmp_path, monkeypatch, large, in_place):
    monkeypatch.setattr(keep, "LARGE", large)
    made = clone / "results" if in_place else tmp_path / "made"
    summaries = ["summary.nc"] if large else ["summary-a.nc", "summary-b.nc"]
    expected = {f"results/one/{x}" for x in [*summaries, "tables/all.csv"]}
    expected.add("results/reproduce.yaml")
    for value in (0.5, 0.25):
        run_study(made, value=value)
        assert keep.main(["one", "--results", str(made)], clone) == 0
        assert set(git(clone, "ls-files", "results")) == expected
        kept = KeptStudy.read(clone / "results" / "one")
        assert sorted(kept.processes) == ["a", "b"]
        assert kept.range("bias", process="b").values == value
        assert not git(clone, "diff", "--name-only")
        record = yaml.safe_load((clone / "results" / "reproduce.yaml").read_text())
        assert record["one"]["seconds"] == value


def test_what_a_study_does_not_make_any_more_goes(clone, tmp_path, monkeypatch):
    monkeypatch.setattr(keep, "LARGE", 0)
    run_study(tmp_path / "made")
    assert keep.main(["one", "--results", str(tmp_path / "made")], clone) == 0
    (tmp_path / "made" / "one" / "tables" / "all.csv").unlink()
    run_study(tmp_path / "made", processes=("b",))
    (tmp_path / "made" / "one" / "tables" / "all.csv").unlink()
    assert keep.main(["--results", str(tmp_path / "made")], clone) == 0
    there = {"results/one/summary.nc", "results/reproduce.yaml"}
    assert set(git(clone, "ls-files", "results")) == there
    assert np.array_equal([*KeptStudy.read(clone / "results/one").processes], ["b"])


def test_a_run_in_the_clone_is_not_overwritten_by_another(clone, tmp_path, capsys):
    run_study(tmp_path / "made")
    block = clone / "results" / "one" / "blocks" / "0.nc"
    block.parent.mkdir(parents=True)
    block.write_text("computed for hours")
    assert keep.main(["one", "--results", str(tmp_path / "made")], clone) == 2
    assert "holds a run of its own" in capsys.readouterr().err
    block.rename(clone / "results" / "one" / "mine.nc")
    block.parent.rmdir()
    assert keep.main(["one", "--results", str(tmp_path / "made")], clone) == 0
    assert (clone / "results" / "one" / "mine.nc").exists()


def test_other_runs_stay_in_the_record(clone, tmp_path):
    for name in ("one", "other"):
        run_study(tmp_path / name, name)
        assert keep.main([name, "--results", str(tmp_path / name)], clone) == 0
    record = yaml.safe_load((clone / "results" / "reproduce.yaml").read_text())
    assert list(record) == ["one", "other"]


@pytest.mark.parametrize(
    ("name", "words"),
    [("one", "one is not complete"), ("other", "was not run"), ("x", "no kept study")],
)
def test_what_is_no_whole_study_is_refused(clone, tmp_path, capsys, name, words):
    run_study(tmp_path / "made", complete=False)
    assert keep.main([name, "--results", str(tmp_path / "made")], clone) == 2
    assert words in capsys.readouterr().err
    assert not git(clone, "ls-files", "results")
