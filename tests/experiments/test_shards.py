"""Shards share out a study without talking to each other."""

import re
from collections import Counter

import pytest
import xarray as xr
from study_helpers import call, make_design, sweep

from experiments.session.tracker import Tracker

pytestmark = pytest.mark.usefixtures("no_report")


def read(results):
    with xr.open_datatree(results / "tiny" / "replications.nc") as tree:
        return tree["linear_factor_discrete"].to_dataset().drop_vars("seconds").load()


@pytest.mark.thorough
def test_shards_and_a_plain_sweep_give_the_same_study(tmp_path):
    code, text = sweep(tmp_path, "shard=2/3")
    assert code == 0
    assert "Shard 2/3 done" in text
    assert not (tmp_path / "tiny" / "replications.nc").exists()
    place = f"results_dir={tmp_path}"
    assert "missing from shards 1, 3 of 3" in call("status", "tiny", place)[1]
    sweep(tmp_path, "shard=1/3")
    assert "missing from shards 3 of 3" in call("status", "tiny", place)[1]
    _, text = sweep(tmp_path)
    left = re.search(r"there already, (\d+) are left", text)
    assert left is not None
    assert 0 < int(left[1]) < 28
    sweep(tmp_path / "whole")
    xr.testing.assert_identical(read(tmp_path), read(tmp_path / "whole"))


@pytest.mark.thorough
def test_all_shards_together_leave_nothing_missing(tmp_path):
    for number in (1, 2):
        sweep(tmp_path, f"shard={number}/2")
    text = call("status", "tiny", f"results_dir={tmp_path}")[1]
    assert "All 2 shards are done" in text
    assert "28 replications are there already, 0 are left" in sweep(tmp_path)[1]


@pytest.mark.thorough
def test_report_merges_what_is_done_so_far(tmp_path, monkeypatch):
    monkeypatch.setattr("experiments.commands.report.report", lambda *_: None)
    place = f"results_dir={tmp_path}"
    sweep(tmp_path, "shard=1/2")
    code, text = call("report", "tiny", place)
    assert code == 0
    assert "not complete" in text
    sweep(tmp_path, "shard=2/2")
    assert "not complete" not in call("report", "tiny", place)[1]
    sweep(tmp_path / "whole")
    xr.testing.assert_identical(read(tmp_path), read(tmp_path / "whole"))


@pytest.mark.parametrize("count", [1, 2, 3, 5, 16, 100])
def test_every_block_has_one_shard_and_shards_are_even(count):
    design = make_design("n_replications=33")
    blocks = Tracker(design).plan_blocks()
    numbers = Counter(design.shard_of(block, count) for block in blocks)
    assert set(numbers) <= set(range(1, count + 1))
    sizes = [numbers[number] for number in range(1, count + 1)]
    assert sum(sizes) == len(blocks) == 44
    assert max(sizes) - min(sizes) <= 1
