"""Kept studies are run again by one command, and compared by another."""

import dataclasses
import functools
import resource
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml
from study_helpers import call

from analysis.kept_study import KeptStudy
from analysis.stored import write_tree
from experiments import provenance
from experiments.commands import kept as reproduced
from experiments.commands import reproduce, verify
from experiments.config import conf_folder


@pytest.fixture
def sweeps(monkeypatch):
    """The commands that `reproduce` runs, which make a folder and nothing else."""
    called: list[list[str]] = []
    codes: list[int] = []

    def note(command):
        called.append(command[4:])
        name, place = (word.split("=")[1] for word in command[4:6])
        (Path(place) / name).mkdir(parents=True, exist_ok=True)
        used = resource.getrusage(resource.RUSAGE_SELF)
        return (codes.pop(0) if codes else 0), used

    monkeypatch.setattr(reproduce, "_call", note)
    return called, codes


def test_every_kept_study_is_an_experiment():
    experiments = conf_folder.list_options("experiment")
    assert set(reproduced.list_reproduced()) <= set(experiments)


def test_what_is_there_is_not_run_again_and_what_is_missing_is(sweeps, tmp_path):
    called, codes = sweeps
    codes += [0, 1]
    place = f"results_dir={tmp_path}"
    code, text = call("reproduce", "quick", "mixing", place)
    assert code == 1
    assert "Not complete: mixing" in text
    assert called == [
        ["experiment=quick", place],
        ["experiment=mixing", place],
    ]
    code, text = call("reproduce", "quick", "mixing", place)
    assert code == 0
    assert "quick: there, by this commit." in text
    assert called[2:] == [["experiment=mixing", place]]
    record = reproduced.read_record(tmp_path)
    assert set(record) == {"quick", "mixing"}
    assert all(run.complete and not run.quick for run in record.values())
    assert record["quick"].memory_bytes > 1e6
    assert record["quick"].machine == provenance.describe_machine()


def test_another_commit_runs_everything_again(sweeps, tmp_path, monkeypatch):
    called, _ = sweeps
    place = f"results_dir={tmp_path}"
    call("reproduce", "quick", place)
    monkeypatch.setattr(provenance, "name_code", lambda code: "another")
    call("reproduce", "quick", place)
    assert len(called) == 2


def test_a_folder_that_is_gone_is_made_again(sweeps, tmp_path):
    called, _ = sweeps
    place = f"results_dir={tmp_path}"
    call("reproduce", "quick", place)
    (tmp_path / "quick").rmdir()
    call("reproduce", "quick", place)
    assert len(called) == 2


@pytest.mark.parametrize("numbers", ["the same", "others"])
def test_time_of_another_commit_counts_where_its_results_do(
    sweeps, tmp_path, monkeypatch, numbers
):
    _, codes = sweeps
    codes += [1]
    place = f"results_dir={tmp_path}"
    call("reproduce", "quick", place)
    record = reproduced.read_record(tmp_path)
    longer = dataclasses.replace(record["quick"], seconds=1000.0)
    reproduced.add_to_record(tmp_path, "quick", lambda _: longer)
    monkeypatch.setattr(provenance, "name_code", lambda code: "another")
    if numbers == "others":
        monkeypatch.setattr(reproduce, "NUMBERS", reproduce.NUMBERS + 1)
    call("reproduce", "quick", place)
    seconds = reproduced.read_record(tmp_path)["quick"].seconds
    assert (seconds >= 1000.0) == (numbers == "the same")


def test_a_quick_look_is_small_in_a_folder_of_its_own(sweeps, tmp_path, monkeypatch):
    called, _ = sweeps
    monkeypatch.chdir(tmp_path)
    code, text = call("reproduce", "--quick", "timing")
    assert code == 0
    assert called == [
        [
            "experiment=timing",
            "results_dir=results/reproduce-quick",
            "compute.n_workers=1",
            "dgp=[linear_factor_discrete]",
            "sample_size=[500]",
            "n_supp=[25]",
            "n_replications=10",
        ]
    ]
    assert "10 replications at most" in text
    record = yaml.safe_load(
        (tmp_path / reproduce.QUICK_FOLDER / "reproduce.yaml").read_text()
    )
    assert record["timing"]["quick"] is True


def test_a_stop_is_kept_and_ends_it(sweeps, tmp_path):
    called, codes = sweeps
    codes += [130]
    code, _ = call("reproduce", "quick", "mixing", f"results_dir={tmp_path}")
    assert code == 130
    assert len(called) == 1
    assert not reproduced.read_record(tmp_path)["quick"].complete


def test_processes_beside_each_other_lose_nothing_of_the_record(
    sweeps, tmp_path, monkeypatch
):
    """One writes of another study, and of the same one, while this one runs."""
    call("reproduce", "timing", f"results_dir={tmp_path}")
    timed = reproduced.read_record(tmp_path)["timing"]
    beside = dataclasses.replace(timed, processor_seconds=1000.0)
    note = reproduce._call

    def run_beside(command):
        for name in ("mixing", "quick"):
            reproduced.add_to_record(tmp_path, name, lambda _: beside)
        return note(command)

    monkeypatch.setattr(reproduce, "_call", run_beside)
    call("reproduce", "quick", f"results_dir={tmp_path}")
    record = reproduced.read_record(tmp_path)
    assert set(record) == {"timing", "mixing", "quick"}
    assert record["mixing"] == beside
    assert record["quick"].processor_seconds > 1000.0
    names = [str(i) for i in range(20)]
    with ThreadPoolExecutor(20) as pool:
        add = functools.partial(reproduced.add_to_record, tmp_path)
        list(pool.map(lambda name: add(name, lambda _: beside), names))
    assert set(names) < set(reproduced.read_record(tmp_path))


STUDY = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(130))
print("begun", flush=True)
time.sleep(60)
"""

REPRODUCE = """
import sys
from experiments.commands import reproduce
code, used = reproduce._call([sys.executable, "-c", sys.argv[1]])
print(code, used.ru_utime > 0)
"""


def test_a_study_hears_that_time_is_over_and_its_time_is_kept():
    command = [sys.executable, "-c", REPRODUCE, STUDY]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        process.terminate()
        assert process.stdout.read() == "130 True\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["reproduce", "quik"], "no kept study. Did you mean quick?"),
        (["reproduce", "--quik"], "no such option"),
        (["verify", "nothing", "results_dir=nowhere"], "no kept study in nowhere"),
    ],
)
def test_wrong_words_are_answered(words, said):
    code, text = call(*words)
    assert code == 2
    assert said in text


def test_a_torn_record_is_told(tmp_path):
    (tmp_path / "reproduce.yaml").write_text("quick: 3\n")
    code, text = call("reproduce", "quick", f"results_dir={tmp_path}")
    assert code == 2
    assert "is not a record of `reproduce`" in text


@pytest.mark.thorough
def test_a_changed_number_of_a_kept_study_is_found(tmp_path):
    small = ["n_replications=3", f"results_dir={tmp_path}", "shard=1/1"]
    call("sweep", "experiment=quick", *small)
    call("report", "quick", f"results_dir={tmp_path}")
    place = f"results_dir={tmp_path}"
    code, text = call("verify", "quick", place)
    assert code == 0, text
    assert "the same" in text
    kept = KeptStudy.read(tmp_path / "quick")
    (_, process, cell), *_ = verify.choose_cells({"quick": kept}, every_estimator=True)
    node = kept.processes[process]
    changed = node.assign(bias=node["bias"] + 1e-6)
    tree = load(tmp_path, changed, process)
    write_tree(tree, tmp_path / "quick" / "summary.nc")
    code, text = call("verify", "quick", place)
    assert code == 1
    assert "bias" in text
    assert "raise NUMBERS" in text
    hashes = node["data_hash"]
    assert hashes.dims == ("sample_size", "first_replication")
    assert (hashes != 0).all()
    tree = load(tmp_path, node.assign(data_hash=hashes + 1), process)
    write_tree(tree, tmp_path / "quick" / "summary.nc")
    code, text = call("verify", "quick", place)
    assert code == 1
    assert f"data of replication 0: hash {hashes.values[0, 0] + 1} kept" in text
    tree.attrs["numbers_version"] = 0
    write_tree(tree, tmp_path / "quick" / "summary.nc")
    code, text = call("verify", "quick", place)
    assert code == 0
    assert "stale: version 0" in text
    assert cell["estimator"] == "profile"


def load(results, node, process):
    from analysis.stored import load_summary

    tree = load_summary(results / "quick")
    tree[process] = node
    return tree
