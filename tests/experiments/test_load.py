"""Large studies: what is not needed is not kept, and what is constant is small."""

import tracemalloc

import jax.numpy as jnp
import numpy as np
from study_helpers import make_design

from experiments.engine import compiling
from experiments.session.tracker import Tracker
from experiments.store.blocks import Store
from experiments.store.fingerprint import Fingerprint
from experiments.study import CELLS_AT_ONCE, Block, Cell, Result, order_blocks


def test_programs_of_finished_cells_are_let_go(monkeypatch):
    monkeypatch.setattr(compiling, "MOST_PROGRAMS", 4)
    compiling._programs.clear()
    x = jnp.zeros(2)
    first = compiling.compile_once(lambda x: x + 1, (x,), "test", 0)
    for i in range(1, 10):
        compiling.compile_once(lambda x: x + 1, (x,), "test", i)
    assert len(compiling._programs) == 4
    np.testing.assert_array_equal(first(x), [1, 1])
    compiling._programs.clear()


def test_no_more_cells_are_worked_on_than_keep_their_programs():
    assert 2 * CELLS_AT_ONCE <= compiling.MOST_PROGRAMS
    cells = [Cell("a", "b", n, 3, "c") for n in range(1, 101)]
    blocks = order_blocks({cell: [(0, 9)] for cell in cells}, 5)
    assert len(blocks) == 200
    for i in range(len(blocks)):
        near = {block.cell for block in blocks[i : i + CELLS_AT_ONCE]}
        again = [j for j, b in enumerate(blocks) if b.cell == blocks[i].cell]
        assert again[-1] - again[0] <= CELLS_AT_ONCE
        assert len(near) <= CELLS_AT_ONCE


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
