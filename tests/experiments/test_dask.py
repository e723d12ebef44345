"""Blocks on Dask workers: the same study, whatever happens to a worker."""

import os
import signal
import sys
import threading
import time

import numpy as np
import pytest
import xarray as xr
from study_helpers import sweep

from experiments.compute import dask as compute_dask
from experiments.errors import ComputeError, InputError

distributed = pytest.importorskip("distributed")


@pytest.fixture
def workers():
    """Two Dask worker threads in this process."""
    with (
        distributed.LocalCluster(
            n_workers=1,
            threads_per_worker=2,
            processes=False,
            protocol="tcp",
            dashboard_address="127.0.0.1:0",
        ) as cluster,
        compute_dask.DaskAddress(cluster.scheduler_address).start() as workers,
    ):
        yield workers, cluster


begun: list[float] = []


def never():
    return False


def nap(seconds):
    begun.append(seconds)
    time.sleep(seconds)


def invert(x):
    return 1 / x


def test_every_task_is_run_once(workers):
    workers, _ = workers
    found = list(workers.map(abs, range(-50, 0), never))
    assert sorted(found) == [(x, -x) for x in range(-50, 0)]


def test_what_kept_a_task_from_a_result_is_handed_back(workers):
    workers, _ = workers
    found = dict(workers.map(invert, [0, 1], never))
    assert found[1] == 1
    assert isinstance(found[0], ZeroDivisionError)


def test_stopping_finishes_what_runs_and_starts_nothing(workers):
    workers, _ = workers
    begun.clear()
    tasks = iter([0.3 + number / 1000 for number in range(100)])
    found = [task for task, _ in workers.map(nap, tasks, lambda: bool(begun))]
    assert found
    assert set(found) <= set(begun)
    # But for a task that a thread began in the moment it was taken back.
    assert len(begun) - len(found) <= 2
    assert 1 <= len(begun) <= 4  # both threads, and what followed within a moment
    assert len(list(tasks)) >= 96


def test_a_lost_scheduler_ends_the_run_in_words(workers):
    workers, cluster = workers
    threading.Timer(0.3, cluster.close).start()
    with pytest.raises(ComputeError, match="the same command goes on"):
        list(workers.map(nap, [1.0] * 9, never))


def test_an_address_where_nothing_answers_is_refused(monkeypatch):
    monkeypatch.setattr(compute_dask, "SECONDS_TO_CONNECT", 0.2)
    with (
        pytest.raises(InputError, match="no Dask scheduler answers there"),
        compute_dask.DaskAddress("tcp://127.0.0.1:9").start(),
    ):
        pass


def test_without_dask_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    code, text = sweep(tmp_path, "compute=dask_local")
    assert code == 2
    assert "uv sync --extra dask" in text
    assert not list(tmp_path.iterdir())


def read(results):
    with xr.open_datatree(results / "tiny" / "replications.nc") as tree:
        return tree["linear_factor_discrete"].to_dataset().load()


@pytest.mark.slow
def test_killed_workers_cost_the_time_of_their_blocks(tmp_path, monkeypatch):
    monkeypatch.setattr("experiments.commands.report.report", lambda *_: None)
    study = ["estimator.profile.solver=dawdles", "n_replications=40", "block_size=10"]
    note = tmp_path / "dawdled"
    note.touch()
    monkeypatch.setenv("DAWDLED", str(note))

    killed: list[int] = []

    def kill_three():
        for count in (13, 63, 113):  # in mid-block: replications are noted one by one
            while len(pids := note.read_text().split()) < count:
                time.sleep(0.01)
            killed.append(int(pids[-1]))
            os.kill(killed[-1], signal.SIGKILL)

    killing = threading.Thread(target=kill_three, daemon=True)
    killing.start()
    code, text = sweep(tmp_path / "dask", *study, "compute=dask_local")
    assert code == 0, text
    assert len(set(killed)) == 3
    # Every replication once, and of each killed worker's block what was done of it.
    assert 160 < len(note.read_text().split()) <= 160 + 3 * 10
    assert sweep(tmp_path / "local", *study)[0] == 0
    dask, local = read(tmp_path / "dask"), read(tmp_path / "local")
    np.testing.assert_array_equal(dask["data_hash"], local["data_hash"])
    np.testing.assert_array_equal(dask["code"], 0)
    for name in ("estimate", "standard_error", "lower", "upper", "probs"):
        np.testing.assert_allclose(dask[name], local[name], rtol=0, atol=1e-9)
