"""Processes that work on one study at once share it out."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr
from study_helpers import TINY, call, make_design, override, sweep

from experiments.config import compose as cfg
from experiments.session.tracker import Tracker
from experiments.store import claims as module
from experiments.store.blocks import Store, StoreError
from experiments.store.claims import Claims
from experiments.store.fingerprint import Fingerprint

HERE = Path(__file__).parent
ONE_CELL = ["sample_size=20", "n_supp=4"]
STUDY = [
    *ONE_CELL,
    "estimator.profile.solver=dawdles",
    "n_replications=200",
    "block_size=5",
]
RUN = """
import sys
from experiments import run
from experiments.commands import report
report.report = lambda *_: None
sys.exit(run.main(sys.argv[1:]))
"""


@pytest.fixture
def files(tmp_path):
    return Store(tmp_path, Fingerprint.from_config(cfg.compose(TINY)))


@pytest.fixture
def block():
    return Tracker(make_design()).plan_blocks()[0]


def test_a_block_is_claimed_by_one_process_only(files, block):
    with Claims(files) as one, Claims(files) as other:
        one._me, other._me = "elsewhere 1 one", "elsewhere 2 other"
        assert one.take(block)
        assert not other.take(block)
        one.release(block)
        assert other.take(block)
        assert not one.take(block)
    assert not list(files.folder.rglob("*.claim"))


@pytest.mark.parametrize("pid", ["own", "gone"])
def test_claims_of_processes_that_are_gone_are_taken_over(files, block, pid):
    if pid == "own":  # a process before us had our number
        number = os.getpid()
    else:
        done = subprocess.Popen([sys.executable, "-c", ""])
        done.wait()
        number = done.pid
    path = files.path(block).with_suffix(".claim")
    path.parent.mkdir(parents=True)
    path.write_text(f"{module.platform.node()} {number} something")
    with Claims(files) as claims:
        assert claims.take(block)
    assert not path.exists()


def test_claims_from_elsewhere_are_taken_over_once_nobody_renews_them(
    files, block, monkeypatch
):
    path = files.path(block).with_suffix(".claim")
    path.parent.mkdir(parents=True)
    path.write_text("elsewhere 1 something")
    os.utime(path, (1, 1))  # clocks of machines may differ by anything
    now = 0.0
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now))
    with Claims(files) as claims:
        for now in range(0, 500, 50):
            assert not claims.take(block)
            os.utime(path, (now, now))
        now = 460.0
        assert not claims.take(block)
        now = 460.0 + module.SECONDS_OF_SILENCE + 1
        assert claims.take(block)


def test_claims_are_renewed_while_they_are_held(files, block, monkeypatch):
    monkeypatch.setattr(module, "SECONDS_BETWEEN_RENEWALS", 0.02)
    with Claims(files) as claims:
        assert claims.take(block)
        (path,) = files.folder.rglob("*.claim")
        os.utime(path, (1, 1))
        deadline = time.monotonic() + 5
        while path.stat().st_mtime < 2:
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_a_claim_that_cannot_be_written_stops_in_words(files, block, monkeypatch):
    def fail(self, mode="r"):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module.Path, "open", fail)
    with (
        Claims(files) as claims,
        pytest.raises(StoreError, match="No space left on device. What was done"),
    ):
        claims.take(block)


@pytest.mark.thorough
def test_a_second_process_waits_for_blocks_of_the_first(tmp_path, monkeypatch):
    """Another process holds a block, then writes it."""
    monkeypatch.setattr("experiments.commands.report.report", lambda *_: None)
    sweep(tmp_path, *ONE_CELL)
    whole = read(tmp_path)
    (path, *_) = sorted((tmp_path / "tiny" / "blocks").rglob("*.nc"))
    content = path.read_bytes()
    path.unlink()
    claim = path.with_suffix(".claim")
    claim.write_text("elsewhere 1 something")
    naps = []

    def nap(seconds):
        naps.append(seconds)
        if len(naps) == 3:
            path.write_bytes(content)
            claim.unlink()

    # In this module only: the watch over blocks sleeps too, in a thread of its own.
    monkeypatch.setattr("experiments.session.loop.time", SimpleNamespace(sleep=nap))
    code, text = sweep(tmp_path, *ONE_CELL)
    assert code == 0
    assert len(naps) == 3
    assert text.count("Waiting for blocks of another process") == 1
    xr.testing.assert_identical(read(tmp_path), whole)


def start(results, note):
    command = [sys.executable, "-c", RUN, "sweep", f"results_dir={results}"]
    path = os.pathsep.join([str(HERE), str(HERE.parents[1])])
    return subprocess.Popen(
        [*command, *override(*STUDY)],
        env=os.environ | {"PYTHONPATH": path, "DAWDLED": str(note)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def read(results):
    with xr.open_datatree(results / "tiny" / "replications.nc") as tree:
        return tree["linear_factor_discrete"].to_dataset().drop_vars("seconds").load()


@pytest.mark.slow
def test_two_processes_at_once_make_one_study_and_share_the_work(tmp_path, monkeypatch):
    note = tmp_path / "note"
    note.touch()
    runs = [start(tmp_path / "shared", note) for _ in range(2)]
    for run in runs:
        text, _ = run.communicate()
        assert run.returncode == 0, text
    pids = [int(word) for word in note.read_text().split()]
    computed = [pids.count(run.pid) for run in runs]
    assert min(computed) > 20  # both worked
    assert len(pids) == 200  # and nothing was computed twice
    assert not list(tmp_path.rglob("*.claim"))
    monkeypatch.setenv("DAWDLED", str(note))
    monkeypatch.setattr("experiments.commands.report.report", lambda *_: None)
    sweep(tmp_path / "alone", *STUDY)
    xr.testing.assert_identical(read(tmp_path / "shared"), read(tmp_path / "alone"))


@pytest.mark.slow
def test_the_blocks_of_a_killed_process_are_taken_over_at_once(tmp_path):
    note = tmp_path / "note"
    note.touch()
    first, second = (start(tmp_path / "shared", note) for _ in range(2))
    while note.read_text().split().count(str(first.pid)) < 20:
        assert first.poll() is None
        time.sleep(0.01)
    os.kill(first.pid, signal.SIGKILL)
    first.communicate()
    began = time.monotonic()
    text, _ = second.communicate()
    assert second.returncode == 0, text
    assert time.monotonic() - began < module.SECONDS_OF_SILENCE
    # Only the blocks in work were begun twice: one for each of two threads.
    assert len(note.read_text().split()) <= 200 + 2 * 5
    code = read(tmp_path / "shared")["code"]
    np.testing.assert_array_equal(code, 0)
    status = call("status", "tiny", f"results_dir={tmp_path / 'shared'}")[1]
    assert "Complete" in status


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff\xfe\x00", b"{node} x y", b"{node} 99999999999999 y", b"{node} -1 y"],
)
def test_a_claim_that_is_none_waits_and_then_yields(files, block, content, monkeypatch):
    monkeypatch.setattr(module, "SECONDS_OF_SILENCE", 0.05)
    path = files.path(block).with_suffix(".claim")
    path.parent.mkdir(parents=True)
    path.write_bytes(content.replace(b"{node}", module.platform.node().encode()))
    with Claims(files) as claims:
        claims.take(block)
        time.sleep(0.1)
        assert claims.take(block)


def test_a_folder_in_place_of_a_claim_stops_nobody(files, block):
    files.path(block).with_suffix(".claim").mkdir(parents=True)
    with Claims(files) as claims:
        assert claims.take(block)
        claims.release(block)
