"""What a study of many cells holds: `python -m experiments.load [--cells 500]`.

Runs `sweep`, in a process of its own with no program compiled before, on a study of ten
data-generating processes and so many sample sizes, of a few observations and
replications each, and prints how much memory its processes held and how much processor
time they took as cells got done; the figures are kept in `results/load.json`. With
`--processes 1` no cell shares a program with another. Linux only.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from experiments.timings import describe_run, keep_run

STEPS = 10
SECONDS_BETWEEN_LOOKS = 0.2
KEPT = Path("results/load.json")
FIRST_SIZE = 30  # observations: the smallest sample
PROCESSES = tuple(
    f"linear_factor_{name}"
    for name in (
        *("discrete", "normal", "mixture", "skewed", "uniform", "t", "two_point"),
        *("other_discrete", "other_normal", "noisy_normal"),
    )
)
"""Of one model, in `conf/dgp`."""


def read_processes(session: int) -> tuple[float, float]:
    """Return what the processes of a session hold and have used.

    Args:
        session: Its number, that of its first process.

    Returns:
        Bytes in memory, those that processes share counted for each; and seconds of
        processor time, those of processes that ended included.
    """
    held, ticks = 0.0, 0.0
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            # What follows the name, which may hold anything.
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has ended
        if int(fields[3]) == session:
            held += int(fields[21]) * os.sysconf("SC_PAGE_SIZE")
            ticks += sum(map(int, fields[11:15]))
    return held, ticks / os.sysconf("SC_CLK_TCK")


def measure(
    command: list[str], blocks: Path, cells: int
) -> tuple[int, list[dict[str, float]]]:
    """Run a sweep and print a line whenever another part of the cells is begun.

    Args:
        command: The words of the command.
        blocks: The folder in which a cell has a folder once it has a result.
        cells: How many cells there are.

    Returns:
        The exit code of the sweep; and a row a line, the last one at the end.
    """
    rows: list[dict[str, float]] = []

    def note(begun: int, held: float) -> None:
        row = {"cells": begun, "held_mb": held / 1e6, "most_mb": most / 1e6}
        rows.append({name: round(x) for name, x in (row | {"cpu_s": seconds}).items()})

    environment = {**os.environ, "JAX_COMPILATION_CACHE_DIR": ""}  # keeps none
    print(f"{'cells':>8} {'MB held':>8} {'MB most':>8} {'cpu s':>8}")
    most, shown, seconds = 0.0, 0, 0.0
    # A session of its own, by which all processes are found that it starts.
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, start_new_session=True
    ) as sweep:
        while sweep.poll() is None:
            held, seconds = read_processes(sweep.pid)
            most = max(most, held)
            begun = sum(1 for _ in blocks.iterdir()) if blocks.is_dir() else 0
            if begun * STEPS // cells > shown:
                shown = begun * STEPS // cells
                _print_line(str(begun), held, most, seconds)
                note(begun, held)
            time.sleep(SECONDS_BETWEEN_LOOKS)
    _print_line("end", 0.0, most, seconds)
    note(cells, 0.0)
    print(f"{seconds / cells:.2f} s of processor time a cell, all included.")
    return sweep.returncode, rows


def _print_line(name: str, held: float, most: float, seconds: float) -> None:
    print(f"{name:>8} {held / 1e6:8.0f} {most / 1e6:8.0f} {seconds:8.1f}", flush=True)


def main(arguments: list[str] | None = None) -> int:
    """Measure one study; return the exit code of its sweep."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.load",
        description=(__doc__ or "").split("\n\n")[0],
    )
    parser.add_argument("--cells", type=int, default=500)
    parser.add_argument(
        "--processes",
        type=int,
        default=len(PROCESSES),
        choices=range(1, len(PROCESSES) + 1),
        help="data-generating processes of one model; cells are a multiple of it",
        metavar=f"1..{len(PROCESSES)}",
    )
    parser.add_argument("--replications", type=int, default=20)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--estimator", default="moments", help="of conf/estimator")
    parser.add_argument("--out", type=Path, default=KEPT, help="file of the figures")
    chosen = parser.parse_args(arguments)
    if chosen.cells % chosen.processes:
        parser.error(
            f"--cells {chosen.cells} is no multiple of --processes {chosen.processes}."
        )
    sizes = range(FIRST_SIZE, FIRST_SIZE + chosen.cells // chosen.processes)
    with tempfile.TemporaryDirectory() as results:
        command = [
            *(sys.executable, "-m", "experiments.run", "sweep"),
            *(f"results_dir={results}", "study=load", "n_supp=25"),
            f"dgp=[{','.join(PROCESSES[: chosen.processes])}]",
            f"sample_size=[{','.join(map(str, sizes))}]",
            f"estimator={chosen.estimator}",
            f"n_replications={chosen.replications}",
            f"compute.n_workers={chosen.workers}",
        ]
        code, rows = measure(command, Path(results, "load", "blocks"), chosen.cells)
    if code == 0:
        keep_run(describe_run({"growth": rows}), chosen.out)
        print(f"Kept in {chosen.out}.")
    return code


if __name__ == "__main__":
    raise SystemExit(main())
