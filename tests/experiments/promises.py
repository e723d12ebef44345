"""What we promise, tried: a study killed, without room, shared, and a folder sent.

Run as a program it prints a table in Markdown, and keeps it in `results/promises.json`:
how often each was tried, how often the study ended with the numbers of one that nobody
disturbed, and how many numbers of replications were lost or changed. `test_fuzz` does
so for files with damages.
"""

import os
import random
import resource
import signal
import sys
import tempfile
import time
from pathlib import Path

import yaml
from study_helpers import call, sweep
from test_kill import count_files, read, start, start_and_kill

from experiments.timings import describe_run, keep_run

KEPT = Path(__file__).parents[2] / "results" / "promises.json"

SIZES_OF_FILES = (0, 8192)
"""Bytes: a block has more, the manifest fewer."""


def count_lost(results, whole):
    """Count the numbers of a study that are not those of an undisturbed one."""
    try:
        found, right = read(results), read(whole)
    except OSError:
        return read(whole)["estimate"].size
    same = (found["estimate"] == right["estimate"]) & (found["code"] == right["code"])
    return int((~same).sum())


def finish(results, whole):
    """Run what is left of a study; return whether it is whole, and what it lost."""
    run = start(results)
    run.communicate()
    lost = count_lost(results, whole)
    return run.returncode == 0 and lost == 0, lost


def kill(results, whole, rng):
    """Kill a run at a random moment, then let another one end."""
    start_and_kill(results, rng)
    return finish(results, whole)


def fill(results, whole, rng):
    """Let a run find no room for a file beyond a random size, then give it room."""
    limit = rng.randrange(*SIZES_OF_FILES)
    run = start(results)
    resource.prlimit(run.pid, resource.RLIMIT_FSIZE, (limit, limit))
    text, _ = run.communicate()
    if run.returncode == 0 or "Traceback" in text or "fault in" in text:
        return False, count_lost(results, whole)
    return finish(results, whole)


def share(results, whole, rng):
    """Run three processes on one folder, one of which is killed."""
    runs = [start(results) for _ in range(3)]
    while count_files(results) < rng.randrange(1, 20) and runs[0].poll() is None:
        time.sleep(0.01)
    runs[0].send_signal(signal.SIGKILL)
    for run in runs:
        run.communicate()
    lost = count_lost(results, whole)
    return all(run.returncode == 0 for run in runs[1:]) and lost == 0, lost


TARGETS = (
    {"_target_": "os.mkdir", "path": "{mark}"},
    {"_target_": "pathlib.Path.touch", "self": "{mark}"},
    {"_target_": "numpy.savetxt", "fname": "{mark}", "X": [1.0]},
    {"_target_": "shutil.copyfile", "src": "/dev/null", "dst": "{mark}"},
    {"_target_": "subprocess.run", "args": ["touch", "{mark}"]},
    {"_target_": "experiments.store.atomic.os.mkdir", "path": "{mark}"},
)
"""What a folder that was sent may name in place of a part; each leaves a mark."""


def receive(results, _, rng):
    """Read a folder whose manifest names what should not run, by every action."""
    mark = results / "mark"
    sweep(results, "sample_size=20", "n_supp=4", "n_replications=2")
    path = results / "tiny" / "study.yaml"
    manifest = yaml.safe_load(path.read_text())
    target = rng.choice(TARGETS)
    text = yaml.safe_dump(target).replace("{mark}", str(mark))
    part = rng.choice(["dgp", "grid", "estimator"])
    name = next(iter(manifest["config"][part]))
    manifest["config"][part][name] = yaml.safe_load(text)
    path.write_text(yaml.safe_dump(manifest))
    place = f"results_dir={results}"
    done = [call(action, "tiny", place) for action in ("status", "report")]
    done.append(call("rerun", "tiny", place, "replication=1"))
    refused = all(code == 2 and "Traceback" not in said for code, said in done)
    return refused and not mark.exists(), int(mark.exists())


TRIALS = {
    "killed at a random moment, and run again": (kill, 10),
    "no room for a file of a random size, then room": (fill, 10),
    "three processes at once, one of them killed": (share, 5),
    "a folder received that names code to run": (receive, 12),
}
"""By name: one trial, and how often it is made."""


def main(share_of_trials=1.0, seed=1):
    """Make every trial and print the table; return how many did not end well."""
    rng, rows = random.Random(seed), []
    print("| a study | tried | survived | numbers lost |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        whole = Path(folder, "whole")
        start(whole).communicate()
        for name, (trial, times) in TRIALS.items():
            times = max(1, round(times * share_of_trials))
            ended = []
            for i in range(times):
                results = Path(folder, f"{trial.__name__}-{i}")
                results.mkdir()
                ended.append(trial(results, whole, rng))
            survived = sum(good for good, _ in ended)
            lost = sum(lost for _, lost in ended)
            print(f"| {name} | {times} | {survived} | {lost} |", flush=True)
            row = {"study": name, "tried": times, "survived": survived, "lost": lost}
            rows.append(row)
    keep_run(describe_run({"promises": rows}), KEPT)
    return sum(row["tried"] - row["survived"] for row in rows)


if __name__ == "__main__":
    os.environ["SPMLEX_PACKAGES"] = "study_helpers"
    sys.exit(main(float(sys.argv[1]) if len(sys.argv) > 1 else 1.0))
