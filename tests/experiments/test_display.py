"""What a running study says of the time that is left."""

import io
import re
from types import SimpleNamespace

import numpy as np
import pytest
from rich.console import Console
from study_helpers import make_design

from experiments.session import display as shown
from experiments.session.tracker import Tracker
from experiments.study import Result

COMPILING = 10.0
SECONDS_PER_ENTRY = 1e-3
UNITS = {"h": 3600, "min": 60, "s": 1}


def read_left(text):
    """Return the seconds of `1 h 5 min left`."""
    words = text.split(", ")[0]
    assert words.endswith(" left")
    return sum(
        int(n) * UNITS[unit] for n, unit in re.findall(r"(\d+) (h|min|s)", words)
    )


def make_result(block, design):
    n, p, k = len(block), len(design.truth(block.cell.dgp)[0]), 2
    seconds = n * block.cell.sample_size * block.cell.n_supp * SECONDS_PER_ENTRY
    arrays = {
        "code": np.zeros(n, np.int8),
        "estimate": np.zeros((n, p)),
        "lower": np.zeros((n, k, p)),
        "upper": np.ones((n, k, p)),
    }
    return Result(arrays, seconds)


@pytest.mark.parametrize("n_workers", [1, 2])
def test_time_left_is_right_from_the_first_block_on(monkeypatch, n_workers):
    now = [100.0]
    monkeypatch.setattr(shown, "time", SimpleNamespace(monotonic=lambda: now[0]))
    design = make_design("sample_size=[200,400]", "n_replications=60", "block_size=20")
    tracker = Tracker(design)
    display = shown.Display(tracker, Console(file=io.StringIO()), n_workers)
    blocks = tracker.plan_blocks()
    display.expect(blocks)

    results = [make_result(block, design) for block in blocks]
    costs, begun = [], set()
    for block, result in zip(blocks, results, strict=True):
        first = block.cell not in begun
        begun.add(block.cell)
        costs.append((result.seconds + COMPILING * first) / n_workers)
    assert len(begun) == 4
    assert len(blocks) == 12
    for i, (block, result) in enumerate(zip(blocks, results, strict=True)):
        now[0] += costs[i]
        tracker.add(block.cell, block.first, result)
        display.add(block)
        wanted = sum(costs[i + 1 :])
        assert read_left(display.describe()) == pytest.approx(wanted, abs=0.51)
