"""How fast a study runs: `python -m experiments.throughput [--workers 2] [--dask]`.

For three sizes, fits with standard errors a second: a plain loop of bare compiled fits
on data that are there, against whole blocks (draw, hash, fit, write the file) on one
core and on several. All kinds take turns in one process; medians over the rounds. Rates
by the clock mean something only where cpu/wall is near the number of cores: else other
programs had them. Rates a second of processor time hold on a busy machine too.
"""

import argparse
import concurrent.futures as cf
import contextlib
import itertools
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from experiments.environment import prepare

SIZES = ((500, 50), (2000, 75), (2000, 200))
BLOCK_SIZE = 50
ROUNDS = 5


def measure(size: tuple[int, int], workers: int, seconds: float, dask: bool) -> dict:
    """Return rates and peak memory for one size, measured in this process.

    Args:
        size: Number of observations and of support points.
        workers: Number of threads, beside one, that blocks run on.
        seconds: Time of each measurement.
        dask: Run blocks on Dask worker processes too.
    """
    import jax

    from experiments import replicate
    from experiments.build import build_design
    from experiments.compute import Local
    from experiments.config import compose
    from experiments.content import Content
    from experiments.engine import Engine
    from experiments.provenance import read_peak_memory
    from experiments.store import Store
    from experiments.study import Block

    n_obs, n_supp = size
    config = compose(
        [f"sample_size={n_obs}", f"n_supp={n_supp}", f"block_size={BLOCK_SIZE}"]
    )
    engine = Engine(build_design(config))
    design = engine.design
    (cell,) = design.cells()
    estimator, process = design.estimators[cell.estimator], design.processes[cell.dgp]
    supp = jax.numpy.asarray(design.support(cell))
    stacked, _ = engine.draw(cell, 0, BLOCK_SIZE)
    samples = [
        jax.tree.map(lambda leaf, i=i: leaf[i], stacked) for i in range(BLOCK_SIZE)
    ]
    fit = jax.jit(lambda data: replicate.estimate(estimator, process.truth, data, supp))

    def run_bare(count: int) -> None:
        for number in range(count):
            jax.block_until_ready(fit(samples[number % BLOCK_SIZE]))

    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        files = Store(Path(folder), Content.from_config(config))

        def run_blocks(workers: Any) -> Callable[[int], None]:
            def run(count: int) -> None:
                firsts = range(0, count, BLOCK_SIZE)
                blocks = [Block(cell, r, r + BLOCK_SIZE - 1) for r in firsts]
                done = workers.map(engine.run, blocks, lambda: False)
                for block, result in done:
                    assert not isinstance(result, Exception)
                    files.write(block, result)

            return run

        kinds = {"bare": run_bare, "1 thread": run_blocks(Local(1))}
        if workers > 1:
            kinds[f"{workers} threads"] = run_blocks(Local(workers))
        if dask:
            from experiments.compute_dask import DaskLocal

            pool = stack.enter_context(DaskLocal(workers).start())
            kinds[f"{workers} processes"] = run_blocks(pool)

        rates: dict[str, list[float]] = {kind: [] for kind in kinds}
        shares: dict[str, list[float]] = {kind: [] for kind in kinds}
        cpu_rates: dict[str, list[float]] = {kind: [] for kind in kinds}
        for run in kinds.values():  # compile
            run(BLOCK_SIZE * workers)
        start = time.perf_counter()
        run_bare(BLOCK_SIZE)
        rate = BLOCK_SIZE / (time.perf_counter() - start)
        for _, (kind, run) in itertools.product(range(ROUNDS), kinds.items()):
            used = workers if kind[0] not in "b1" else 1
            unit = BLOCK_SIZE * used
            count = max(1, round(seconds * rate * used / unit)) * unit
            start, cpu = time.perf_counter(), time.process_time()
            run(count)
            wall = time.perf_counter() - start
            rates[kind].append(count / wall)
            cpu = time.process_time() - cpu
            shares[kind].append(cpu / wall)
            cpu_rates[kind].append(count / cpu)
        return {
            "rate": {kind: statistics.median(x) for kind, x in rates.items()},
            "cpu/wall": {kind: statistics.median(x) for kind, x in shares.items()},
            "cpu rate": {kind: statistics.median(x) for kind, x in cpu_rates.items()},
            "peak MB": read_peak_memory() / 1e6,
        }


def main(arguments: list[str] | None = None) -> int:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.throughput",
        description=(__doc__ or "").split("\n\n")[0],
    )
    parser.add_argument("--workers", type=int, default=2, help="cores beside one core")
    parser.add_argument("--seconds", type=float, default=2.0, help="of each sample")
    parser.add_argument("--dask", action="store_true", help="Dask processes as well")
    chosen = parser.parse_args(arguments)
    prepare()
    columns = ("n, n_supp", "kind", "fits/s", "of bare", "cpu/wall", "fits/cpu s")
    form = "{:>9}  {:<11} {:>8} {:>8} {:>9} {:>11} {:>8}  {}"
    print(form.format(*columns, "of bare", "peak MB"))
    for size in SIZES:
        # A process of its own for each size, so that memory is its own.
        with cf.ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            found = pool.submit(
                measure, size, chosen.workers, chosen.seconds, chosen.dask
            ).result()
        rates, cpu_rates = found["rate"], found["cpu rate"]
        for kind, rate in rates.items():
            row = [f"{size[0]}, {size[1]}", kind, f"{rate:.1f}"]
            row.append(f"{rate / rates['bare']:.2f}")
            if "process" in kind:  # the time of other processes is not known here
                row += ["-", "-", "-"]
            else:
                row.append(f"{found['cpu/wall'][kind]:.2f}")
                row.append(f"{cpu_rates[kind]:.1f}")
                row.append(f"{cpu_rates[kind] / cpu_rates['bare']:.2f}")
            peak = f"{found['peak MB']:.0f}" if kind == "bare" else ""
            print(form.format(*row, peak), flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
