"""A study says that it is complete only if it is, and what computed it."""

import shutil
import subprocess
from typing import Any

import netCDF4
import numpy as np
import pytest
import yaml
from study_helpers import call, sweep

from analysis.make import main, make
from analysis.stored import load_summary
from experiments import provenance
from experiments.config import compose as cfg
from experiments.config import conf_folder
from experiments.store import blocks, fingerprint
from experiments.store.blocks import Store, UnusableBlockError
from experiments.store.fingerprint import Fingerprint
from experiments.study import Block, Cell, Result

ONE_CELL = ["sample_size=20", "n_supp=4"]
FIRST = "linear_factor_discrete--uniform--n20--m4--profile"


def run(tmp_path, *overrides):
    return sweep(tmp_path, *ONE_CELL, *overrides)


def is_complete(tmp_path):
    with netCDF4.Dataset(tmp_path / "tiny" / "replications.nc") as file:
        return bool(file.complete)


def interfere(monkeypatch, when, what):
    """Do something to the folder once a block of a number was written."""
    write = Store.write

    def write_and_interfere(self, block, result):
        write(self, block, result)
        if block.first == when:
            what(self)

    monkeypatch.setattr(Store, "write", write_and_interfere)


@pytest.mark.usefixtures("no_report")
@pytest.mark.parametrize(
    "what",
    [
        lambda store: next(store.blocks.rglob("000000-*.nc")).unlink(),
        lambda store: store.folder.rename(store.folder.with_name("moved")),
    ],
    ids=["a block deleted", "the folder moved"],
)
def test_a_study_whose_blocks_go_while_it_runs_is_not_done(tmp_path, monkeypatch, what):
    with monkeypatch.context() as patch:
        interfere(patch, 3, what)
        code, text = run(tmp_path, "compute.n_workers=1")
    assert code == 1
    assert "The study is not complete." in text
    assert "replications of 1 cell" in text
    assert "Done" not in text
    assert not is_complete(tmp_path)
    code, text = run(tmp_path)
    assert code == 0
    assert "Done" in text
    assert is_complete(tmp_path)


@pytest.mark.usefixtures("no_report")
def test_a_block_under_the_name_of_another_is_not_taken_for_it(tmp_path):
    run(tmp_path)
    cell = tmp_path / "tiny" / "blocks" / FIRST
    shutil.copy(cell / "000000-000002.nc", cell / "000003-000005.nc")
    status = call("status", "tiny", f"results_dir={tmp_path}")[1]
    assert "1 block files are damaged" in status
    assert "Complete." not in status
    code, text = run(tmp_path)
    assert code == 0
    assert "000003-000005.nc is not the block that its name says: set aside" in text


@pytest.mark.usefixtures("no_report")
def test_a_block_with_an_unknown_variable_is_set_aside_by_name(tmp_path, monkeypatch):
    run(tmp_path)
    path = tmp_path / "tiny" / "blocks" / FIRST / "000000-000002.nc"
    store = Store(tmp_path / "tiny", Fingerprint.from_config(cfg.compose([])))
    monkeypatch.setattr(store, "path", lambda _: path)
    config = yaml.safe_load((tmp_path / "tiny" / "study.yaml").read_text())["config"]
    store.fingerprint = Fingerprint.from_config(config)
    cell = Cell("linear_factor_discrete", "uniform", 20, 4, "profile")
    arrays = {"code": np.zeros(3, np.int8), "mood": np.zeros(3)}
    store.write(Block(cell, 0, 2), Result(arrays, 0.0, "", 1.0))
    code, text = run(tmp_path)
    assert code == 0
    assert f"{path} is of another design, or of other code: set aside" in text


def test_a_block_that_does_not_fit_is_named(tmp_path):
    with pytest.raises(blocks.StoreError, match=r"x.nc does not fit the study: odd"):
        with blocks.naming(tmp_path / "x.nc"):
            raise ValueError("odd")


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A tiny study with tables and figures; returns its folder."""
    results = tmp_path_factory.mktemp("results")
    assert sweep(results, *ONE_CELL)[0] == 0
    return results / "tiny"


@pytest.mark.parametrize("name", ["replications.nc", "summary.nc"])
def test_one_changed_byte_of_a_merged_file_is_found(done, name, capsys):
    path = done / name
    whole = path.read_bytes()
    rng = np.random.default_rng(1)
    try:
        for at in rng.integers(0, len(whole) - 46, 40):
            changed = whole[:at] + bytes([whole[at] ^ 0x10]) + whole[at + 1 :]
            path.write_bytes(changed)
            if name == "replications.nc":
                assert main([str(done)]) == 2
            else:
                with pytest.raises(ValueError, match="was changed since"):
                    load_summary(done)
            assert path.read_bytes() == changed
    finally:
        path.write_bytes(whole)


def test_numbers_of_merged_files_have_checksums_that_any_program_verifies(done):
    for name in ("replications.nc", "summary.nc"):
        with netCDF4.Dataset(done / name) as file:
            for group in file.groups.values():
                for variable in group.variables.values():
                    if variable.ndim and variable.dtype is not str:
                        assert variable.filters()["fletcher32"], variable.name


def test_a_file_without_a_checksum_is_read_with_a_warning(done, tmp_path, capsys):
    copy = tmp_path / "old"
    copy.mkdir()
    whole = (done / "replications.nc").read_bytes()
    (copy / "replications.nc").write_bytes(whole[:-46])
    make(copy)
    assert "replications.nc has no checksum" in capsys.readouterr().err
    make(done)
    assert "warning" not in capsys.readouterr().err


@pytest.mark.usefixtures("no_report")
def test_blocks_of_other_numbers_are_never_reused(tmp_path, monkeypatch):
    run(tmp_path)
    with monkeypatch.context() as patch:
        for module in (blocks, fingerprint):
            patch.setattr(module, "NUMBERS", fingerprint.NUMBERS + 1)
        code, text = run(tmp_path)
        assert code == 1
        assert "version of the numbers: " in text
        store = Store(tmp_path / "tiny", Fingerprint.from_config(cfg.compose([])))
        cell = Cell("linear_factor_discrete", "uniform", 20, 4, "profile")
        with pytest.raises(UnusableBlockError, match="other code"):
            store.read(store.find(cell)[0], cell)


def test_a_module_that_moves_orphans_no_block():
    def hash_with(target):
        config = cfg.compose([])
        config["estimator"]["profile"]["_target_"] = target
        cell = Cell("linear_factor_discrete", "uniform", 20, 25, "profile")
        return Fingerprint.from_config(config).hash_cell(cell)

    here = hash_with("experiments.estimators.Profile")
    assert hash_with("experiments.estimators.profile.Profile") == here
    assert hash_with("experiments.estimators.Oracle") != here
    assert hash_with("elsewhere.Profile") != here


def test_names_of_classes_are_their_own():
    """So that the name without its module tells a part from all others."""
    found = {}
    for path in conf_folder.CONF.rglob("*.yaml"):
        for line in path.read_text().splitlines():
            if "_target_: experiments." in line:
                target = line.split("_target_: ")[1].strip()
                found.setdefault(target.rpartition(".")[2], set()).add(target)
    assert len(found) > 20
    shared = {name for name, targets in found.items() if len(targets) > 1}
    assert shared == {"Uniform"}  # a grid and a distribution, never in one place


@pytest.mark.usefixtures("no_report")
def test_blocks_of_several_commits_are_said(tmp_path, monkeypatch):
    code = provenance.describe_code()
    run(tmp_path, "n_replications=3")
    other = code | {"git_commit": "f" * 40, "git_dirty": 0}
    with monkeypatch.context() as patch:
        patch.setattr(provenance, "describe_code", lambda: other)
        assert "Its blocks were computed by code of" in run(tmp_path)[1]
    said = "Its blocks were computed by code of 2 commits: "
    assert said in run(tmp_path)[1]
    for action in ("status", "report"):
        assert said in call(action, "tiny", f"results_dir={tmp_path}")[1]


def test_code_that_git_does_not_know_counts_as_changed(tmp_path, monkeypatch):
    def git(*words):
        subprocess.run(["git", "-C", str(tmp_path), *words], check=True)

    git("init", "-q")
    monkeypatch.setattr(provenance, "REPOSITORY", tmp_path)
    describe = provenance.describe_code.__wrapped__
    assert describe()["git_dirty"] == 0
    (tmp_path / "notes.txt").touch()
    assert describe()["git_dirty"] == 0
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "mine.py").touch()
    assert describe()["git_dirty"] == 1


def test_rerun_says_what_differs_where_bits_do(tmp_path, monkeypatch):
    monkeypatch.setattr("experiments.commands.report.report", lambda *_: None)
    with monkeypatch.context() as patch:
        patch.setattr(provenance, "describe_instructions", lambda: "riscv v")
        run(tmp_path)
    from experiments.commands import rerun

    read = rerun._read_stored

    def read_other(*arguments):
        found: Any = read(*arguments)
        return found | {"data_hash": found["data_hash"] + 1}

    monkeypatch.setattr(rerun, "_read_stored", read_other)
    code, text = call("rerun", "tiny", f"results_dir={tmp_path}", "replication=1")
    assert code == 1
    assert "The data differ" in text
    assert "vector instructions: riscv v there, " in text
