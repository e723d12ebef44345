"""A run killed again and again ends with the numbers of an uninterrupted one."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import xarray as xr
from study_helpers import override

HERE = Path(__file__).parent
STUDY = override("n_replications=100", "block_size=2")
N_FILES = 4 * 50
RUN = """
import sys
from experiments import run
from experiments.commands import report
report.report = lambda *_: None  # only the numbers matter here
sys.exit(run.main(sys.argv[1:]))
"""


def start(results):
    """Start the study in a process of its own."""
    command = [sys.executable, "-c", RUN, "sweep"]
    paths = [str(HERE), str(HERE.parents[1])]
    return subprocess.Popen(
        [*command, f"results_dir={results}", *STUDY],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def count_files(results):
    return len(list((results / "tiny" / "blocks").rglob("[0-9]*.nc")))


def read(results):
    with xr.open_datatree(results / "tiny" / "replications.nc") as tree:
        return tree["linear_factor_discrete"].to_dataset().drop_vars("seconds").load()


def start_and_kill(results, rng):
    """Kill a run mostly while blocks are computed and written, sometimes before."""
    run = start(results)
    before = count_files(results)
    while run.poll() is None and count_files(results) <= before:
        time.sleep(0.01)
    time.sleep(rng.expovariate(10))
    run.send_signal(signal.SIGKILL)
    run.communicate()


@pytest.mark.slow
def test_killed_at_random_moments_the_result_is_the_same(tmp_path):
    random.seed(1)
    broken, whole = tmp_path / "broken", tmp_path / "whole"
    for _ in range(10):
        before = count_files(broken)
        start_and_kill(broken, random)
        assert before <= count_files(broken) < N_FILES
    for results in (broken, whole):
        run = start(results)
        text, _ = run.communicate()
        assert run.returncode == 0, text
        assert "set aside" not in text
    assert count_files(broken) == count_files(whole) == N_FILES
    xr.testing.assert_identical(read(broken), read(whole))
