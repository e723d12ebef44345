"""What is done is kept: conventions, damaged files, failures, what is shown of it."""

import os
from typing import Any

import numpy as np
import pytest
import xarray as xr
from study_helpers import ONE_CELL, assert_same_numbers, call, read, sweep

from experiments.run import main
from experiments.store import atomic, blocks
from experiments.store.blocks import Store

FIRST = "linear_factor_discrete--uniform--n20--m4--profile"
pytestmark = pytest.mark.usefixtures("no_report")  # tested elsewhere


def test_files_keep_to_conventions_and_merge_with_those_of_another_grid(tmp_path):
    studies = []
    for name, grid in (("one", "n_supp=4"), ("other", "n_supp=9")):
        assert sweep(tmp_path, f"study={name}", "sample_size=20", grid)[0] == 0
        studies.append(read(tmp_path, name))
    assert studies[0].attrs["Conventions"].startswith("CF-")
    one, other = (x["linear_factor_discrete"].to_dataset() for x in studies)
    for name in ("num_steps", "num_atoms", "flagged"):
        assert one[name].encoding["_FillValue"] == -1
    for name, variable in one.variables.items():
        assert variable.attrs.get("units", "1") in ("1", "s"), name
        if variable.dtype.kind in "TU":
            assert "units" not in variable.attrs
        if name in one.dims:  # coordinates have no missing values
            assert "_FillValue" not in variable.encoding
    assert "units" not in one["estimate"].attrs
    assert "unit of the parameter" in one["estimate"].attrs["comment"]
    both = xr.merge([one, other], join="outer", compat="no_conflicts")
    assert list(both["n_supp"].to_numpy()) == [4, 9]
    xr.testing.assert_equal(both["estimate"].sel(n_supp=[9]), other["estimate"])


@pytest.mark.thorough
def test_damaged_and_foreign_blocks_are_set_aside(tmp_path, blocks_run):
    sweep(tmp_path)
    whole = read(tmp_path)
    sweep(tmp_path, "study=other", "seed=3")
    cell = tmp_path / "tiny" / "blocks" / FIRST
    truncated, flipped = cell / "000000-000002.nc", cell / "000003-000005.nc"
    truncated.write_bytes(truncated.read_bytes()[:700])
    _flip_a_byte(flipped)
    foreign = tmp_path / "other" / "blocks" / FIRST / "000006-000006.nc"
    (cell / "000006-000006.nc").write_bytes(foreign.read_bytes())
    blocks_run.clear()

    code, text = sweep(tmp_path)
    assert code == 0
    assert sorted(blocks_run) == [f"{FIRST}/0-2", f"{FIRST}/3-5", f"{FIRST}/6-6"]
    assert text.count("damaged: set aside as") == 2
    assert text.count("of another design, or of other code: set aside as") == 1
    aside = sorted(path.name for path in cell.glob("*.nc.*"))
    assert aside == [
        "000000-000002.nc.unreadable",
        "000003-000005.nc.unreadable",
        "000006-000006.nc.foreign",
    ]
    assert_same_numbers(read(tmp_path), whole)


@pytest.mark.thorough
def test_a_block_that_may_not_be_read_is_no_damage(tmp_path, monkeypatch):
    sweep(tmp_path, *ONE_CELL)
    cell = tmp_path / "tiny" / "blocks" / FIRST
    names = sorted(path.name for path in cell.iterdir())

    def refuse(*_):
        raise PermissionError(13, "Permission denied")  # as netCDF4 does

    monkeypatch.setattr(blocks.netCDF4, "Dataset", refuse)
    code, text = sweep(tmp_path, *ONE_CELL)
    assert code == 1
    assert "000000-000002.nc can't be read: Permission denied." in text
    assert sorted(path.name for path in cell.iterdir()) == names


def _flip_a_byte(path):
    """Change a stored estimate without breaking the file's structure."""
    content = bytearray(path.read_bytes())
    with blocks.netCDF4.Dataset(path) as file:
        value = np.asarray(file["estimate"][1, 2]).tobytes()
    at = content.index(value)
    content[at] ^= 1
    path.write_bytes(bytes(content))


def test_a_file_that_is_no_manifest_is_refused(tmp_path):
    (tmp_path / "tiny").mkdir()
    (tmp_path / "tiny" / "study.yaml").write_text("config: [")
    code, text = sweep(tmp_path)
    assert code == 1
    assert "can't be read as a study's manifest" in text


def test_failed_write_leaves_what_was_there(tmp_path):
    path = tmp_path / "file.txt"
    path.write_text("old")

    def fail():
        with atomic.replacing(path) as temporary:
            temporary.write_text("new")
            raise OSError(28, "No space left on device")

    with pytest.raises(blocks.StoreError, match="No space left"):
        fail()
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["file.txt"]


def test_failed_write_of_a_block_stops_in_words(tmp_path, monkeypatch):
    sweep(tmp_path, "n_replications=3")
    real = blocks.netCDF4.Dataset

    def fail(path, mode: Any = "r"):
        if mode == "w":
            raise RuntimeError("NetCDF: HDF error")
        return real(path, mode)

    monkeypatch.setattr(blocks.netCDF4, "Dataset", fail)
    code, text = sweep(tmp_path)
    assert code == 1
    assert "can't be written: NetCDF: HDF error" in text
    monkeypatch.undo()
    assert len(list((tmp_path / "tiny" / "blocks").rglob("*.nc"))) == 4
    assert not list(tmp_path.rglob("*.tmp"))


@pytest.mark.thorough
def test_failures_are_stored_and_counted(tmp_path):
    code, _ = sweep(tmp_path, "estimator.profile.solver=fails")
    assert code == 0
    data = read(tmp_path)["linear_factor_discrete"]
    assert set(np.unique(data["code"])) == {0, 1}
    assert bool(np.isfinite(data["estimate"]).all())


def test_status_and_rerun_read_a_study(tmp_path):
    sweep(tmp_path, "n_replications=4")
    (tmp_path / "tiny" / "blocks" / FIRST / "000000-000002.nc").unlink()
    place = f"results_dir={tmp_path}"
    code, text = call("status", "tiny", place)
    assert code == 0
    assert "left" in text
    address = ["sample_size=20", "n_supp=6", "replication=2"]
    csv = tmp_path / "data.csv"
    code, text = call("rerun", "tiny", place, *address, f"csv={csv}")
    assert code == 0
    assert "bit for bit" in text
    rows = np.loadtxt(csv, delimiter=",", skiprows=1)
    assert rows.shape == (20, 3)
    code, text = call("rerun", "tiny", place, *address[:-1], "replication=9")
    assert code == 0
    assert "not stored" in text
    code, text = call("rerun", "tiny", place, "n_supp=5", "replication=1")
    assert code == 2
    assert "Choices: " in text


def test_status_shows_a_study_that_runs(tmp_path, monkeypatch):
    seen = []
    write = Store.write

    def write_and_look(self, block, result):
        write(self, block, result)
        seen.append(call("status", "tiny", f"results_dir={tmp_path}")[1])

    monkeypatch.setattr(Store, "write", write_and_look)
    sweep(tmp_path, *ONE_CELL)
    assert ["left with 2 workers" in text for text in seen] == [True, True, False]
    assert "in work" in seen[0]
    assert "Complete" in seen[-1]
    rows = [line.split() for text in seen for line in text.splitlines()]
    # What all cells share stands above the table: the counts come first.
    rows = [row for row in rows if len(row) > 6 and "".join(row[:3]).isdigit()]
    counts = [[int(word) for word in row[:3]] for row in rows]
    assert [sum(count) for count in counts] == [7, 7, 7]
    assert 0 < counts[0][0] < counts[1][0] < counts[2][0] == 7
    assert all(50 < float(row[-1]) < 100_000 for row in rows)  # megabytes


def test_keyboard_interrupt_before_the_run_is_no_traceback(monkeypatch, capsys):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("experiments.config.compose.compose", interrupt)
    assert main(["sweep"]) == 130
    assert "goes on from there" in capsys.readouterr().err
