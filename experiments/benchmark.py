"""How fast the estimator is: `python -m experiments.benchmark [--quick] [--compare]`.

Times the inner solve with each solver, the gradient, the Hessian and the whole fit on
linear factor data, all in one run on the same matrices, and prints the ratios to
`mixsqpx` and to a plain BFGS loop on `profile_ll` with `mixsqpx` inside; then what the
efficient score and its intervals cost, in fits; what a user waits for in a process that
has compiled nothing yet, also in several dimensions; and what large samples take. The
inner solve is timed from the matrix of log-likelihoods, exponential included, to its
certificate. Medians of repeated calls, compiled, on one core, so that figures repeat;
new processes have all cores. Every run is kept in `results/benchmark.json`; `--compare`
prints its times over those of the last one.
"""

import argparse
import contextlib
import os
from collections.abc import Generator
from pathlib import Path
from typing import Any

from experiments.benchmark_times import (
    time_dimensions,
    time_efficient,
    time_first,
    time_fit,
    time_inner,
    time_large,
)
from experiments.environment import prepare
from experiments.errors import InputError

SIZES = (
    (500, 50),
    (2000, 75),
    (2000, 200),
    (10_000, 75),
    (10_000, 400),
    (100_000, 100),
)
QUICK_SIZES = SIZES[:2]
FIT_SIZES = ((500, 50), (2000, 75), (2000, 200))
EFFICIENT_SIZES = ((500, 66), (2000, 100))

DIMENSIONS = (
    "two slopes",
    "two slopes, fine",
    "three slopes",
    "three slopes, fine",
)

LARGE_SIZES = ((1_000_000, 100), (10_000_000, 100))
QUICK_LARGE = ((300_000, 100),)

ON_ONE_CORE = {"inner", "fit", "efficient"}

TITLES = {
    "inner": "Inner problem, from lclk to certificate (milliseconds)",
    "fit": "Fit from the moment start, 5 parameters, with standard errors",
    "efficient": "Efficient score, intervals of all parameters, in fits",
    "first": "First result: seconds in a new process, from its start to the summary",
    "dimensions": "Several dimensions: the same; sandwich errors beyond 20 x 20 points",
    "large": "Large data: seconds, processors kept busy and peak memory of a process",
}


def time_all_inner(*, quick: bool) -> list[dict[str, Any]]:
    """Time the inner problem at all sizes, a line each as they come."""
    rows = []
    for size in QUICK_SIZES if quick else SIZES:
        rows.append(time_inner(*size))
        print(f"inner {size}: {rows[-1]['ratio_cold']:.0f}x mixsqpx", flush=True)
    return rows


def time_all_fits(*, quick: bool) -> list[dict[str, Any]]:
    """Time fits; against BFGS where that ends in seconds."""
    del quick
    return [time_fit(*size, bfgs=size[0] * size[1] <= 150_000) for size in FIT_SIZES]


def time_all_efficient(*, quick: bool) -> list[dict[str, Any]]:
    """Time the efficient score at both sizes."""
    sizes = EFFICIENT_SIZES[:1] if quick else EFFICIENT_SIZES
    return [row for size in sizes for row in time_efficient(*size)]


def time_all_first(*, quick: bool) -> list[dict[str, Any]]:
    """Time the README's example, also in a second process, and a panel."""
    return time_first(("readme",) if quick else ("readme", "panel"))


def time_all_dimensions(*, quick: bool) -> list[dict[str, Any]]:
    """Time models with two and three random coefficients."""
    return time_dimensions(DIMENSIONS[:1] if quick else DIMENSIONS)


def time_all_large(*, quick: bool) -> list[dict[str, Any]]:
    """Time large samples, the first size also with devices that share its rows."""
    sizes = QUICK_LARGE if quick else LARGE_SIZES
    return [
        row
        for size in sizes
        for row in time_large(*size, shared=size == sizes[0] and not quick)
    ]


SECTIONS = dict(
    zip(
        TITLES,
        (
            time_all_inner,
            time_all_fits,
            time_all_efficient,
            time_all_first,
            time_all_dimensions,
            time_all_large,
        ),
        strict=True,
    )
)


@contextlib.contextmanager
def _on_one_core() -> Generator[None]:
    """Stay on one core, where the system can be asked for that."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)


def print_table(title: str, rows: list[dict[str, Any]]) -> None:
    """Print rows as an aligned table."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    cells = [[_format(row.get(name)) for name in columns] for row in rows]
    widths = [
        max(len(name), *(len(line[i]) for line in cells))
        for i, name in enumerate(columns)
    ]
    print(f"\n{title}")
    for line in [columns, *cells]:
        print("  ".join(c.rjust(w) for c, w in zip(line, widths, strict=True)))


def _format(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.1e}" if 0 < value < 1e-3 else f"{value:.2f}"
    return str(value)


def main(arguments: list[str] | None = None) -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.benchmark",
        description=(__doc__ or "").split("\n\n")[0],
    )
    parser.add_argument("--quick", action="store_true", help="the smallest sizes only")
    parser.add_argument(
        "--sections",
        nargs="+",
        choices=list(TITLES),
        default=list(TITLES),
        help="which of its tables, by default all",
    )
    parser.add_argument("--compare", action="store_true", help="with the last run")
    parser.add_argument("--out", type=Path, help="file of the runs, else the usual one")
    chosen = parser.parse_args(arguments)
    prepare()
    # How long compilation takes is measured, not how long it takes to read it.
    os.environ["JAX_ENABLE_COMPILATION_CACHE"] = "false"
    # Imports JAX, for which `prepare` has to be first.
    from experiments import timings

    path = chosen.out or timings.KEPT
    try:
        before = timings.read_runs(path)
    except InputError as error:
        parser.error(str(error))
    tables: dict[str, list[dict[str, Any]]] = {}
    try:
        for name, time_section in SECTIONS.items():
            if name not in chosen.sections:
                continue
            with _on_one_core() if name in ON_ONE_CORE else contextlib.nullcontext():
                tables[name] = time_section(quick=chosen.quick)
    finally:
        # What was measured stays, whatever ended the rest.
        run = timings.describe_run(tables)
        if tables:
            timings.keep_run(run, path)
    for name, rows in tables.items():
        print_table(TITLES[name], rows)
    print(f"\nKept in {path}: {timings.name_run(run)}")
    if chosen.compare and before:
        last = before[-1]
        print(f"Last: {timings.name_run(last)}")
        if run["machine"] != last["machine"]:
            print("Another machine: the ratios tell of both.")
        both = [name for name in tables if name in last]
        for name, rows in timings.compare_runs(run, last, both).items():
            print_table(f"{TITLES[name]}: now over last", rows)
    elif chosen.compare:
        print("There was no run before to compare with.")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
