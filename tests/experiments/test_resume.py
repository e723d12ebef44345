"""A study goes on where it stopped: what is there is reused, or refused in words."""

import numpy as np
import pytest
from study_helpers import ONE_CELL, TINY, assert_same_numbers, read, sweep

from experiments.config import compose as cfg
from experiments.config import conf_folder
from experiments.store.blocks import Store
from experiments.store.fingerprint import Fingerprint
from experiments.study import Cell, order_blocks

FIRST = "linear_factor_discrete--uniform--n20--m4--profile"
pytestmark = pytest.mark.usefixtures("no_report")  # tested elsewhere


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
