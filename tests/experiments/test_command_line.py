"""The command line as people use it: odd names, closed pipes, narrow terminals."""

import os
import resource
import subprocess
import sys
from pathlib import Path

import netCDF4
import numpy as np
import pytest
import yaml
from rich.console import Console
from study_helpers import call, override, sweep

from experiments.config import compose as cfg
from experiments.errors import InputError, StoreError
from experiments.session.console import StudyConsole
from experiments.store import atomic
from experiments.store.atomic import remove_leftovers, replacing

ONE_CELL = ["sample_size=20", "n_supp=4", "n_replications=3"]

pytestmark = pytest.mark.usefixtures("no_report")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("study", x) for x in ("2024_01", "1.10", "1e3", "null_", "true", "größe")),
        ("question", "Is 50% of a, b = c? 'yes' \\ {no} [x]"),
        ("question", "ends in a backslash \\"),
        ("results_dir", "/tmp/Ergebnisse für uns, 100%"),
    ],
)
def test_a_text_is_taken_as_it_is(name, value):
    assert cfg.compose([f"{name}={value}"])[name] == value


def test_an_empty_folder_is_refused():
    with pytest.raises(InputError, match="results_dir is empty"):
        cfg.compose(["results_dir="])


def test_a_folder_may_have_any_name(tmp_path):
    results = tmp_path / "für uns, 50%"
    assert sweep(results, *ONE_CELL)[0] == 0
    code, text = call("status", "tiny", f"results_dir={results}")
    assert code == 0
    assert "Complete." in text


def test_a_dry_run_prints_the_composed_study(tmp_path):
    settings = override(f"results_dir={tmp_path}")
    for words in (["--cfg"], ["--cfg", "job"]):
        code, text = call("sweep", *words, *settings)
        assert code == 0
        assert yaml.safe_load(text) == cfg.compose(settings)
    assert not list(tmp_path.iterdir())


def test_a_log_is_kept_beside_the_study(tmp_path):
    sweep(tmp_path, *ONE_CELL)
    text = (tmp_path / "tiny" / "log.txt").read_text()
    assert "$ results_dir=" in text
    assert "Merging the blocks" in text
    assert "Done in" in text
    (tmp_path / "tiny" / "log.txt").unlink()
    (tmp_path / "tiny" / "log.txt").symlink_to(tmp_path / "outside")
    assert sweep(tmp_path, *ONE_CELL)[0] == 1
    assert not (tmp_path / "outside").exists()


def test_a_closed_pipe_stops_no_study():
    program = (
        "from experiments.session.console import StudyConsole\n"
        "console = StudyConsole()\n"
        "for i in range(20000): console.print('a line')\n"
        "open(__import__('sys').argv[1], 'w').write('done')\n"
    )
    read, write = os.pipe()
    os.close(read)
    target = Path(os.environ.get("TMPDIR", "/tmp")) / f"pipe-{os.getpid()}"
    run = subprocess.run(
        [sys.executable, "-c", program, str(target)], stdout=write, timeout=120
    )
    os.close(write)
    assert run.returncode == 0
    assert target.read_text() == "done"
    target.unlink()
    assert isinstance(StudyConsole(), Console)


@pytest.mark.parametrize("action", ["status", "plan"])
def test_tables_fit_a_terminal_of_80_columns(tmp_path, monkeypatch, action):
    console = Console(highlight=False, markup=False, width=80)
    for command in ("status", "plan"):
        monkeypatch.setattr(
            f"experiments.commands.{command}.make_console", lambda: console
        )
    sizes = ["n_replications=3", "dgp=[linear_factor_discrete,linear_factor_normal]"]
    sweep(tmp_path, *sizes)
    place = f"results_dir={tmp_path}"
    with console.capture() as capture:
        if action == "status":
            call("status", "tiny", place)
        else:
            call("plan", place, *override(*sizes))
    lines = capture.get().splitlines()
    rows = [line for line in lines if line.strip().startswith("linear_")]
    assert len(rows) == 2 * 2 * 2
    assert all(len(line) <= 80 for line in rows)
    assert any("grid uniform, estimator profile" in line for line in lines)


def write_much(path):
    with replacing(path) as temporary, atomic.netcdf_errors(temporary):
        with netCDF4.Dataset(temporary, "w") as file:
            file.createDimension("x", 10**5)
            file.createVariable("y", "f8", ("x",))[:] = np.zeros(10**5)


@pytest.mark.skipif(os.name != "posix", reason="limits of POSIX")
def test_a_disk_that_is_full_is_called_full(tmp_path):
    """A limit on the size of files stands in: the library calls both something else."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    path = tmp_path / "x.nc"
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        with pytest.raises(StoreError, match="File too large"):
            write_much(path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not list(tmp_path.iterdir())


def test_what_killed_runs_left_is_removed_and_nothing_else(tmp_path):
    old = [
        tmp_path / "blocks" / "a" / ".000000-000002.nc.0123abcd.tmp",
        tmp_path / ".replications.nc.0123abcd.tmp",
        tmp_path / ".summary.0123abcd.tmp.nc",
    ]
    kept = [tmp_path / "notes.tmp", tmp_path / ".mine.tmp", tmp_path / "study.yaml"]
    for path in (*old, *kept):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    now = kept[0].stat().st_mtime
    remove_leftovers(tmp_path, now=now)
    assert all(path.exists() for path in (*old, *kept))
    remove_leftovers(tmp_path, now=now + 2 * atomic.HOUR)
    assert not any(path.exists() for path in old)
    assert all(path.exists() for path in kept)
