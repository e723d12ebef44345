"""What is done is kept: resuming, refusals, damaged files, failures."""

import os
from typing import Any

import numpy as np
import pytest
import xarray as xr
from study_helpers import TINY, call, sweep

from experiments.config import compose as cfg
from experiments.config import conf_folder
from experiments.engine.block import Engine
from experiments.run import main
from experiments.store import atomic, blocks
from experiments.store.blocks import Store
from experiments.store.fingerprint import Fingerprint
from experiments.study import Cell, order_blocks

ONE_CELL = ["sample_size=20", "n_supp=4"]
FIRST = "linear_factor_discrete--uniform--n20--m4--profile"


@pytest.fixture(autouse=True)
def _no_report(monkeypatch):
    """Leave out tables and figures: they are tested elsewhere."""
    monkeypatch.setattr("experiments.commands.report.report", lambda *_: None)


@pytest.fixture
def blocks_run(monkeypatch):
    """Names of the blocks that were computed."""
    names = []
    run = Engine.run

    def run_and_note(self, block):
        names.append(f"{block.cell.name}/{block.first}-{block.last}")
        return run(self, block)

    monkeypatch.setattr(Engine, "run", run_and_note)
    return names


def read(results, study="tiny"):
    with xr.open_datatree(results / study / "replications.nc") as tree:
        return tree.load()


def assert_same_numbers(one, other):
    assert one.children.keys() == other.children.keys()
    for name in one.children:
        xr.testing.assert_identical(
            one[name].to_dataset().drop_vars("seconds"),
            other[name].to_dataset().drop_vars("seconds"),
        )


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
def test_missing_blocks_are_computed_and_nothing_else(tmp_path, blocks_run):
    assert sweep(tmp_path)[0] == 0
    assert len(blocks_run) == 4 * 3
    whole = read(tmp_path)
    assert whole.attrs["complete"] == 1
    blocks_run.clear()

    assert sweep(tmp_path)[0] == 0
    assert blocks_run == []
    assert_same_numbers(read(tmp_path), whole)

    (tmp_path / "tiny" / "blocks" / FIRST / "000003-000005.nc").unlink()
    (tmp_path / "tiny" / "replications.nc").unlink()
    assert sweep(tmp_path)[0] == 0
    assert blocks_run == [f"{FIRST}/3-5"]
    assert_same_numbers(read(tmp_path), whole)


@pytest.mark.thorough
def test_more_replications_and_cells_reuse_what_is_there(tmp_path, blocks_run):
    sweep(tmp_path, "sample_size=20", "n_supp=4", "n_replications=4")
    assert blocks_run == [f"{FIRST}/0-2", f"{FIRST}/3-3"]
    blocks_run.clear()
    sweep(tmp_path, "n_supp=4")
    assert f"{FIRST}/4-5" in blocks_run
    assert not {f"{FIRST}/0-2", f"{FIRST}/3-3"} & set(blocks_run)
    grown = read(tmp_path)
    sweep(tmp_path / "other", "n_supp=4")
    assert_same_numbers(grown, read(tmp_path / "other"))


@pytest.mark.thorough
def test_another_block_size_reuses_what_is_there(tmp_path, blocks_run):
    sweep(tmp_path)
    blocks_run.clear()
    sweep(tmp_path, "block_size=5")
    assert blocks_run == []


@pytest.mark.thorough
def test_another_estimator_reuses_what_is_there(tmp_path, blocks_run, monkeypatch):
    conf = tmp_path / "conf"
    _copy_conf(conf)
    text = (conf / "estimator" / "profile.yaml").read_text()
    text = text.replace("@package estimator.profile", "@package estimator.second")
    (conf / "estimator" / "second.yaml").write_text(
        text.replace("experiments.estimators.Profile", "study_helpers.Moments")
    )
    monkeypatch.setattr(conf_folder, "CONF", conf)
    sweep(tmp_path)
    blocks_run.clear()
    sweep(tmp_path, "estimator=[profile,second]")
    assert len(blocks_run) == 12
    assert all("--second/" in name for name in blocks_run)
    data = read(tmp_path)["linear_factor_discrete"]
    assert data.to_dataset()["estimator"].values.tolist() == ["profile", "second"]


def _copy_conf(target):
    for path in conf_folder.CONF.rglob("*.yaml"):
        copy = target / path.relative_to(conf_folder.CONF)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())


@pytest.mark.thorough
def test_changed_design_is_refused_and_nothing_touched(tmp_path, blocks_run):
    sweep(tmp_path)
    before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*") if p.is_file()}
    blocks_run.clear()
    code, text = sweep(
        tmp_path, "seed=3", "dgp.linear_factor_discrete.truth.coef=[1.2,0.4]"
    )
    assert code == 1
    assert "seed: 20250101 there, 3 here" in text
    assert "truth.coef: [1.5, 0.3] there, [1.2, 0.4] here" in text
    assert "study=NAME" in text
    assert "overwrite=true" in text
    assert blocks_run == []
    after = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*") if p.is_file()}
    assert after == before


@pytest.mark.thorough
def test_labels_are_no_part_of_the_design(tmp_path, blocks_run):
    sweep(tmp_path)
    blocks_run.clear()
    assert sweep(tmp_path, "dgp.linear_factor_discrete.label=New")[0] == 0
    assert blocks_run == []
    assert read(tmp_path)["linear_factor_discrete"].attrs["label"] == "New"


@pytest.mark.thorough
def test_overwrite_replaces_a_changed_design_and_can_be_resumed(tmp_path, blocks_run):
    sweep(tmp_path)
    blocks_run.clear()
    assert sweep(tmp_path, "seed=3", "overwrite=true")[0] == 0
    assert len(blocks_run) == 12
    blocks_run.clear()
    assert sweep(tmp_path, "seed=3", "overwrite=true")[0] == 0
    assert blocks_run == []
    assert sweep(tmp_path / "fresh", "seed=3")[0] == 0
    assert_same_numbers(read(tmp_path), read(tmp_path / "fresh"))


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


def test_the_exclusion_rule_is_stored_and_no_part_of_the_design(tmp_path, blocks_run):
    sweep(tmp_path, *ONE_CELL)
    assert read(tmp_path).attrs["exclusion_rule"] == "per_estimator"
    blocks_run.clear()
    assert sweep(tmp_path, *ONE_CELL, "exclusion_rule=all_or_none")[0] == 0
    assert blocks_run == []
    assert read(tmp_path).attrs["exclusion_rule"] == "all_or_none"


def test_errors_of_an_estimator_are_stored_and_tried_again(tmp_path, blocks_run):
    code, text = sweep(tmp_path, "estimator.profile.solver=raises", "n_supp=4")
    assert code == 1
    assert "The study is not complete." in text
    assert "1 cell stopped early" in text
    assert "no estimate for 20 observations" in text
    assert "is stopped: 3 of 3 replications" in text
    data = read(tmp_path)["linear_factor_discrete"]
    assert set(np.unique(data["code"].sel(sample_size=20))) <= {100, -1}
    assert np.count_nonzero(data["code"].sel(sample_size=20) == 100) >= 3
    assert set(np.unique(data["code"].sel(sample_size=30))) == {0}
    assert bool(np.isnan(data["estimate"].sel(sample_size=20)).all())
    blocks_run.clear()
    sweep(tmp_path, "estimator.profile.solver=raises", "n_supp=4")
    assert blocks_run
    assert all("--n20--" in name for name in blocks_run)


@pytest.mark.thorough
def test_stopping_keeps_what_is_done_and_says_how_to_go_on(
    tmp_path, blocks_run, monkeypatch
):
    import signal

    write = Store.write

    def write_and_stop(self, block, result):
        write(self, block, result)
        if len(list(self.blocks.rglob("*.nc"))) == 2:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Store, "write", write_and_stop)
    code, text = sweep(tmp_path)
    assert code == 130
    assert "the same command goes on" in text
    partial = read(tmp_path)
    assert partial.attrs["complete"] == 0
    codes = partial["linear_factor_discrete"].to_dataset()["code"]
    done = int((codes != -1).sum())
    assert 6 <= done < 28

    monkeypatch.setattr(Store, "write", write)
    assert sweep(tmp_path)[0] == 0
    assert len(blocks_run) == len(set(blocks_run)) == 12
    sweep(tmp_path / "fresh")
    assert_same_numbers(read(tmp_path), read(tmp_path / "fresh"))


def test_blocks_cover_what_is_missing_once():
    cells = [Cell("a", "b", n, 3, "c") for n in (10, 20)]
    missing = {cells[0]: [(0, 99)], cells[1]: [(3, 4), (48, 120)]}
    blocks = order_blocks(missing, 50)
    assert {block.cell for block in blocks[:2]} == set(cells)
    for cell, spans in missing.items():
        wanted = [r for first, last in spans for r in range(first, last + 1)]
        own = [block for block in blocks if block.cell == cell]
        got = [r for b in own for r in range(b.first, b.last + 1)]
        assert sorted(got) == wanted
        assert all(len(block) <= 50 for block in own)
        assert all(block.first // 50 == block.last // 50 for block in own)


def test_content_ignores_what_does_not_change_numbers():
    cell = Cell("linear_factor_discrete", "uniform", 20, 4, "profile")

    def hash_of(*overrides):
        return Fingerprint.from_config(cfg.compose([*TINY, *overrides])).hash_cell(cell)

    same = ["n_replications=99", "block_size=9", "compute.n_workers=1", "n_supp=[4,9]"]
    assert {hash_of(text) for text in same} == {hash_of()}
    different = ["seed=9", "level=0.9", "streams=independent", "grid.uniform.high=7"]
    assert len({hash_of(text) for text in different} | {hash_of()}) == 5


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
