"""Large studies: what is not needed is not kept, and what is constant is small."""

import gc
import os
import sys
import tracemalloc
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from study_helpers import make_design, make_engine

from experiments import load
from experiments.compute.local import Local
from experiments.engine import compiling
from experiments.engine.block import Engine
from experiments.session.tracker import Tracker
from experiments.store.blocks import Store
from experiments.store.fingerprint import Fingerprint
from experiments.study import CELLS_AT_ONCE, Block, Cell, Result, order_blocks
from experiments.timings import read_runs


@pytest.fixture
def programs():
    """No program of another test, before and after."""
    compiling._programs.clear()
    yield compiling._programs
    compiling._programs.clear()


def test_programs_of_finished_cells_are_let_go(programs):
    x = jnp.zeros(2)
    first = compiling.compile_once(lambda x: x + 1, (x,), "test", 0, cells=2)
    held = weakref.ref(first)
    for i in range(1, 10):
        compiling.compile_once(lambda x: x + 1, (x,), "test", i, cells=2)
    assert len(programs) == 2 * compiling.PROGRAMS_A_CELL
    np.testing.assert_array_equal(first(x), [1, 1])
    del first
    gc.collect()
    assert held() is None


def test_what_is_traced_is_forgotten_between_compilations(programs, monkeypatch):
    """From several threads: a sweep waits for those that compile, and they for it."""
    monkeypatch.setattr(compiling, "COMPILATIONS_BETWEEN_SWEEPS", 3)
    gate = compiling._Gate()
    monkeypatch.setattr(compiling, "_gate", gate)
    forgotten = []
    monkeypatch.setattr(jax, "clear_caches", lambda: forgotten.append(gate._running))

    def work(i):
        program = compiling.compile_once(lambda x: x + i, (jnp.zeros(2),), "test", i)
        return float(program(jnp.zeros(2))[0])

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(work, range(12))) == list(range(12))
    assert forgotten == [0, 0, 0]


def test_no_program_is_compiled_twice(programs, monkeypatch):
    """Of two processes with the same model and distribution, and many sizes."""
    design = make_design(
        "dgp=[linear_factor_discrete,linear_factor_normal,linear_factor_other_normal]",
        "sample_size=[20,21,22,23]",
        "n_supp=4",
        "n_replications=2",
    )
    compiled = []
    enter = compiling._Gate.__enter__

    def count(gate):
        compiled.append(1)
        return enter(gate)

    monkeypatch.setattr(compiling._Gate, "__enter__", count)
    engine = Engine(design, cells_at_once=2)
    tracker = Tracker(design)
    for block in tracker.plan_blocks(cells_at_once=2):
        assert not engine.run(block).error
    # Of each size what estimates, and what draws for each distribution.
    assert len(compiled) == 4 * (1 + 2)


@pytest.mark.thorough
def test_results_are_the_same_after_traces_are_forgotten(monkeypatch):
    block = Block(next(iter(make_design().cells())), 0, 2)
    whole = make_engine().run(block)
    compiling._programs.clear()
    jax.clear_caches()
    again = make_engine().run(block)
    for name, values in whole.arrays.items():
        assert again.arrays[name].tobytes() == values.tobytes()


@pytest.mark.skipif(compiling._trim is None, reason="the GNU allocator alone keeps it")
def test_freed_memory_goes_back_to_the_system():
    pieces = [bytearray(2**16) for _ in range(3000)]  # below what is mapped alone
    keep = pieces[::300]
    before = read_held_memory()
    del pieces
    compiling.trim_memory()
    assert len(keep) == 10
    assert read_held_memory() < before - 100e6


def read_held_memory():
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.parametrize("workers", [1, 2, 20])
def test_no_more_cells_are_worked_on_than_keep_their_programs(workers):
    at_once = max(CELLS_AT_ONCE, Local(workers).count_threads())
    cells = [Cell("a", "b", n, 3, "c") for n in range(1, 101)]
    blocks = order_blocks({cell: [(0, 9)] for cell in cells}, 5, at_once)
    assert len(blocks) == 200
    for i in range(len(blocks)):
        near = {block.cell for block in blocks[i : i + at_once]}
        again = [j for j, b in enumerate(blocks) if b.cell == blocks[i].cell]
        assert again[-1] - again[0] <= at_once
        assert len(near) <= at_once


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_sweep_of_many_cells_stays_small(capfd, tmp_path):
    kept = tmp_path / "load.json"
    words = "--cells 24 --processes 1 --replications 2 --out".split()
    assert load.main([*words, str(kept)]) == 0
    rows = read_runs(kept)[-1]["growth"]
    assert [row["cells"] for row in rows][-2:] == [24, 24]
    assert all(row["most_mb"] > 0 for row in rows)
    rows = [line.split() for line in capfd.readouterr().out.splitlines()]
    held = {int(row[0]): float(row[1]) for row in rows if row[0].isdigit()}
    # Programs of eight cells, and nothing of those before them.
    begun = min(cells for cells in held if cells >= 10)
    assert held[max(held)] - held[begun] < 100
    assert float(next(row[2] for row in rows if row[0] == "end")) < 1000


def test_ten_million_replications_take_no_memory_before_they_are_run():
    design = make_design("n_replications=10000000")
    tracemalloc.start()
    tracker = Tracker(design)
    blocks = tracker.plan_blocks(pilot=True)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 5e6
    assert len(blocks) == len(design.cells())
    record = next(iter(tracker.records.values()))
    assert record.missing(10_000_000) == [(0, 9_999_999)]
    record.done = np.array([False, True, True, False])
    assert record.missing(10) == [(0, 0), (3, 9)]
    assert record.missing(3) == [(0, 0)]
    record.done = np.array([True, True])
    assert record.missing(5) == [(2, 4)]
    assert record.missing(2) == []


def test_support_points_that_are_constant_take_little_room(tmp_path):
    config = {
        "seed": 1,
        "streams": "common",
        "dgp": {"process": {}},
        "grid": {"grid": {}},
        "estimator": {"estimator": {}},
    }
    store = Store(tmp_path, Fingerprint.from_config(config))
    block = Block(Cell("process", "grid", 20, 4, "estimator"), 0, 49)
    arrays = {
        "code": np.zeros(50, np.int8),
        "supp": np.tile(np.linspace(-6, 6, 400), (50, 1)),
    }
    store.write(block, Result(arrays, 0.0, "", 1.0))
    assert store.path(block).stat().st_size < arrays["supp"].nbytes / 8
    found = store.read(store.path(block), block.cell)[0]["supp"]
    assert found.tobytes() == arrays["supp"].tobytes()
