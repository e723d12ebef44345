"""How fast a study runs: `python -m experiments.throughput [--workers 2] [--dask]`.

For three sizes, fits with standard errors a second: a plain loop of bare compiled fits
on data that are there, against whole blocks (draw, hash, fit, write the file) on one
core and on several. One core means one: that process is bound to it, because XLA
spreads even a single fit over all the cores it sees. All kinds take turns; medians over
the rounds. Rates by the clock mean something only where cpu/wall is near the number of
cores: else other programs had them. Rates a second of processor time hold on a busy
machine too.
"""

import argparse
import concurrent.futures as cf
import contextlib
import itertools
import multiprocessing
import os
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


class Bench:
    """What one process measures: bare fits and blocks of one size."""

    def __init__(self, size: tuple[int, int], workers: int, dask: bool):
        from experiments.compute.local import Local
        from experiments.config.build import build_design
        from experiments.config.compose import compose
        from experiments.engine.block import Engine
        from experiments.store.blocks import Store
        from experiments.store.fingerprint import Fingerprint

        n_obs, n_supp = size
        config = compose(
            [f"sample_size={n_obs}", f"n_supp={n_supp}", f"block_size={BLOCK_SIZE}"]
        )
        self.engine = Engine(build_design(config))
        (self.cell,) = self.engine.design.cells()
        self.open = contextlib.ExitStack()
        folder = self.open.enter_context(tempfile.TemporaryDirectory())
        self.files = Store(Path(folder), Fingerprint.from_config(config))
        self.pool: Any = Local(workers)
        if dask:
            from experiments.compute.dask import DaskLocal

            self.pool = self.open.enter_context(DaskLocal(workers).start())
        self.fit, self.samples = self._compile_bare(n_supp)

    def _compile_bare(self, n_supp: int) -> tuple[Callable[[Any], Any], list[Any]]:
        import jax

        from experiments.engine import replicate

        design, cell = self.engine.design, self.cell
        estimator = design.estimators[cell.estimator]
        truth = design.processes[cell.dgp].truth
        supp = jax.numpy.asarray(design.support(cell))
        stacked, _ = self.engine.draw(cell, 0, BLOCK_SIZE)
        samples = [
            jax.tree.map(lambda leaf, i=i: leaf[i], stacked) for i in range(BLOCK_SIZE)
        ]
        fit = jax.jit(lambda data: replicate.estimate(estimator, truth, data, supp))
        return fit, samples

    def run(self, kind: str, count: int) -> tuple[float, float]:
        """Run `count` fits; return the seconds of the clock and of the processor."""
        start, cpu = time.perf_counter(), time.process_time()
        if kind == "bare":
            import jax

            for number in range(count):
                jax.block_until_ready(self.fit(self.samples[number % BLOCK_SIZE]))
        else:
            from experiments.study import Block

            firsts = range(0, count, BLOCK_SIZE)
            blocks = [Block(self.cell, r, r + BLOCK_SIZE - 1) for r in firsts]
            for block, result in self.pool.map(self.engine.run, blocks, lambda: False):
                assert not isinstance(result, Exception)
                self.files.write(block, result)
        return time.perf_counter() - start, time.process_time() - cpu


_benches: list[Bench] = []


def _open(size: tuple[int, int], workers: int, dask: bool, core: int | None) -> None:
    """Prepare the measurements in a process of their own, bound to a core if given."""
    if core is not None:
        os.sched_setaffinity(0, {core})
    _benches.append(Bench(size, workers, dask))


def _run(kind: str, count: int) -> tuple[float, float]:
    return _benches[0].run(kind, count)


def _close() -> None:
    _benches.pop().open.close()


def _peak() -> float:
    from experiments.provenance import read_peak_memory

    return read_peak_memory()


def measure(
    size: tuple[int, int], workers: int, seconds: float, dask: bool
) -> dict[str, Any]:
    """Return rates and peak memory for one size, each kind in processes of its own.

    Args:
        size: Number of observations and of support points.
        workers: Number of threads, beside one, that blocks run on.
        seconds: Time of each measurement.
        dask: Run blocks on Dask worker processes too.
    """
    first_core = min(os.sched_getaffinity(0))
    with contextlib.ExitStack() as stack:

        def start(workers: int, dask: bool, core: int | None) -> Any:
            spawn = multiprocessing.get_context("spawn")
            pool = stack.enter_context(cf.ProcessPoolExecutor(1, spawn))
            pool.submit(_open, size, workers, dask, core).result()
            stack.callback(lambda: pool.submit(_close).result())
            return pool

        one = start(1, False, first_core)
        kinds = {"bare": (one, 1), "1 core": (one, 1)}
        if workers > 1:
            kinds[f"{workers} threads"] = (start(workers, False, None), workers)
        if dask:
            kinds[f"{workers} processes"] = (start(workers, True, None), workers)

        def run(kind: str, count: int) -> tuple[float, float]:
            return kinds[kind][0].submit(_run, kind, count).result()

        for kind, (_, used) in kinds.items():  # compile
            run(kind, BLOCK_SIZE * used)
        rate = BLOCK_SIZE / run("bare", BLOCK_SIZE)[0]
        found: dict[str, list[tuple[float, float, int]]] = {kind: [] for kind in kinds}
        for _, (kind, (_, used)) in itertools.product(range(ROUNDS), kinds.items()):
            unit = BLOCK_SIZE * used
            count = max(1, round(seconds * rate * used / unit)) * unit
            found[kind].append((*run(kind, count), count))
        return {
            "rate": _medians(found, lambda wall, cpu, count: count / wall),
            "cpu/wall": _medians(found, lambda wall, cpu, count: cpu / wall),
            "cpu rate": _medians(found, lambda wall, cpu, count: count / cpu),
            "peak MB": one.submit(_peak).result() / 1e6,
        }


def _medians(
    found: dict[str, list[tuple[float, float, int]]],
    figure: Callable[[float, float, int], float],
) -> dict[str, float]:
    return {k: statistics.median(figure(*x) for x in rows) for k, rows in found.items()}


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
        found = measure(size, chosen.workers, chosen.seconds, chosen.dask)
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
