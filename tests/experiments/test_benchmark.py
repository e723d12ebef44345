"""A run of the benchmark is kept, and compared with the last one."""

import json

import pytest

from experiments import benchmark, timings


@pytest.fixture
def run(monkeypatch, tmp_path, capsys):
    """The command with times that are given, not measured."""
    path = tmp_path / "kept" / "benchmark.json"

    # What the command sets for its process is not for the tests after this one.
    monkeypatch.setenv("JAX_ENABLE_COMPILATION_CACHE", "true")

    def make(factor, *arguments, machine="a machine"):
        monkeypatch.setattr(timings, "describe_machine", lambda: machine)

        def time_inner(n_obs, n_supp):
            row = {"n_obs": n_obs, "n_supp": n_supp, "cold_ms": 2.0 * factor}
            return row | {"steps": 9, "ratio_cold": 10.0}

        def time_fit(n_obs, n_supp, *, bfgs):
            return {"n_obs": n_obs, "n_supp": n_supp, "fit_compile_s": 4.0 * factor}

        def time_efficient(n_obs, n_supp):
            row = {"n_obs": n_obs, "n_supp": n_supp, "fit_ms": factor, "wald": 3.0}
            return [{"F": F} | row for F in ("discrete", "normal")]

        def time_large(n_obs, n_supp, *, shared):
            row = {"n_obs": n_obs, "n_supp": n_supp, "devices": 1, "cores": 1.9}
            return [row | {"fit_s": 2.0 * factor}]

        def time_waits(works):
            row = {"n_obs": 2000, "n_supp": "75", "all_s": 3.0 * factor}
            return [{"work": work} | row for work in works]

        for name in ("time_first", "time_dimensions"):
            monkeypatch.setattr(benchmark, name, time_waits)
        for one in (time_inner, time_fit, time_efficient, time_large):
            monkeypatch.setattr(benchmark, one.__name__, one)
        assert benchmark.main(["--quick", "--out", str(path), *arguments]) == 0
        return path, capsys.readouterr().out

    return make


def test_every_run_is_kept_with_its_machine(run):
    path, said = run(1.0)
    assert "now over last" not in said
    run(2.0, machine="another")
    first, second = json.loads(path.read_text())
    assert (first["machine"], second["machine"]) == ("a machine", "another")
    assert first["code"]
    assert first["inner"][0]["cold_ms"] == 2.0
    assert second["inner"][0]["cold_ms"] == 4.0


def test_a_run_is_compared_with_the_last_one(run):
    _, said = run(1.0, "--compare")
    assert "no run before" in said
    run(2.0)
    _, said = run(3.0, "--compare")
    assert "Last: a machine" in said
    assert "Another machine" not in said
    tables = said.split("now over last\n")[1:]
    assert len(tables) == 6
    for table in tables:
        head, *rows = table.split("\n\n")[0].splitlines()
        assert head.split()[-1] in ("cold", "fit_compile", "fit", "all")
        assert rows
        assert all(row.split()[-1] == "1.50" for row in rows)
    _, said = run(3.0, "--compare", machine="another")
    assert "Another machine" in said


def test_a_run_on_a_busy_machine_is_marked(run, monkeypatch):
    monkeypatch.setattr(timings, "count_cores", lambda: 2)
    for load, marked in ((2.5, False), (12.3, True)):
        monkeypatch.setattr(timings.os, "getloadavg", lambda load=load: (load, 0, 0))
        path, said = run(1.0)
        assert ("busy, load 12.3 on 2 cores" in said) is marked
        assert timings.is_busy(timings.read_runs(path)[-1]) is marked
    # Runs that were kept before this was noted are not known to be.
    assert not timings.is_busy({"load": 12.3})


def test_what_was_measured_before_an_error_is_kept(run, monkeypatch):
    path, _ = run(1.0)

    def fail(works):
        raise RuntimeError("a process that was killed")

    monkeypatch.setattr(benchmark, "time_dimensions", fail)
    with pytest.raises(RuntimeError, match="was killed"):
        benchmark.main(["--quick", "--out", str(path)])
    _, last = timings.read_runs(path)
    assert last["inner"]
    assert last["first"]
    assert "dimensions" not in last


def test_rows_that_only_one_run_has_are_left_out():
    row = {"n_obs": 500, "n_supp": 50, "cold_ms": 3.0, "new_ms": 1.0}
    now = {"inner": [row, row | {"n_obs": 2000}]}
    last = {"inner": [{"n_obs": 500, "n_supp": 50, "cold_ms": 2.0}]}
    compared = timings.compare_runs(now, last, ["inner"])
    assert compared == {"inner": [{"n_obs": 500, "n_supp": 50, "cold": 1.5}]}


def test_a_file_that_holds_no_runs_is_refused(run, tmp_path, capsys):
    path = tmp_path / "benchmark.json"
    path.write_text("{}")
    with pytest.raises(SystemExit):
        benchmark.main(["--out", str(path)])
    assert "no list of runs" in capsys.readouterr().err
