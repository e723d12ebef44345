"""Precision targets: where a cell ends, and that it doesn't depend on the way there."""

import math

import numpy as np
import pytest
import xarray as xr
from study_helpers import call, make_design, override, read, sweep

from experiments.session.record import Record
from experiments.session.tracker import Tracker
from experiments.study import Block

TARGET = ["target.coverage_mcse=0.03", "target.max_replications=1000", "block_size=20"]

pytestmark = pytest.mark.usefixtures("no_report")


def make_arrays(rng, n, cover=0.95, fail=0.0):
    """Return results of n replications with the given shares."""
    estimate = rng.normal(size=(n, 5))
    width = np.where(rng.uniform(size=(n, 1, 1)) < cover, 1e3, 0.0)
    width = np.broadcast_to(width, (n, 2, 5))
    return {
        "code": np.where(rng.uniform(size=n) < fail, 1, 0).astype(np.int8),
        "estimate": estimate,
        "lower": estimate[:, None] - width,
        "upper": estimate[:, None] + width,
    }


def cut(arrays, first, stop):
    return {name: value[first:stop] for name, value in arrays.items()}


def make_record(*overrides):
    design = make_design(*overrides)
    return Record(design, design.cells()[0])


@pytest.mark.parametrize("fail", [0.0, 0.2])
def test_errors_follow_their_formulas(fail):
    record = make_record("n_replications=400", "sample_size=20", "n_supp=4")
    truth = make_design().truth("linear_factor_discrete")[1]
    arrays = make_arrays(np.random.default_rng(1), 400, fail=fail)
    record.add(0, 1.0, arrays)
    used = arrays["code"] == 0
    n = used.sum()
    assert record.failed == 400 - n
    coverage, rmse = record.mcse()

    share = (arrays["upper"][used, 0, 0] > arrays["estimate"][used, 0]).mean()
    z = 1.959963984540054
    low, high = _wilson(share, n, z)
    assert coverage == pytest.approx((high - low) / (2 * z))
    squares = (arrays["estimate"][used] - truth) ** 2
    expected = squares.std(axis=0, ddof=1) / (2 * squares.mean(axis=0) * np.sqrt(n))
    assert rmse == pytest.approx(expected.max())


def _wilson(share, n, z):
    """Solve |p - share| = z sqrt(p (1 - p) / n) for p."""
    a, b, c = 1 + z**2 / n, -(2 * share + z**2 / n), share**2
    root = math.sqrt(b**2 - 4 * a * c)
    return (-b - root) / (2 * a), (-b + root) / (2 * a)


@pytest.mark.parametrize("cover", [0.95, 1.0])
def test_a_cell_ends_where_its_first_replications_meet_the_target(cover):
    arrays = make_arrays(np.random.default_rng(2), 1000, cover)
    blocks = {
        i: {k: v[i : i + 20] for k, v in arrays.items()} for i in range(0, 1000, 20)
    }
    ends = set()
    for order in (sorted(blocks), sorted(blocks, reverse=True)):
        record = make_record("target.coverage_mcse=0.012", *TARGET[1:])
        for first in order:
            record.add(first, 1.0, blocks[first])
        ends.add(record.final())
    (end,) = ends
    assert end is not None
    assert end % 20 == 0
    assert 200 <= end <= 1000
    for n, is_met in ((end, True), (end - 20, False)):
        part = make_record("target.coverage_mcse=0.012", *TARGET[1:])
        part.add(0, 1.0, cut(arrays, 0, n))
        if n >= 200:
            assert (part.mcse()[0] <= 0.012) == is_met
    assert (end == 200) == (cover == 1.0)


def test_prediction_is_near_and_rounds_never_more_than_double():
    rng = np.random.default_rng(3)
    record = make_record(
        "target.rmse_rel_mcse=0.02",
        *TARGET[1:],
        "block_size=50",
        "target.max_replications=9000",
    )
    assert record.next() == 200
    predicted = 0
    while (final := record.final()) is None:
        before, wanted = record.attempted, record.next()
        assert before < wanted <= max(200, 2 * before)
        record.add(before, 1.0, make_arrays(rng, wanted - before))
        if before == 200:
            predicted = record.predict()
    assert 0.6 < predicted / final < 1.6
    assert record.mcse()[1] == pytest.approx(0.02, rel=0.05)


@pytest.mark.thorough
def test_a_target_is_met_and_the_result_is_the_same_resumed(tmp_path):
    code, text = sweep(tmp_path, *TARGET, "compute.n_workers=1")
    assert code == 0, text
    assert "until coverage MCSE <= 0.03" in text
    whole = read(tmp_path)
    assert whole.attrs["complete"] == 1
    codes = whole["linear_factor_discrete"].to_dataset()["code"]
    counts = (codes != -1).sum("replication")
    assert int(counts.min()) >= 200
    assert int(counts.max()) < 1000
    assert "Complete." in call("status", "tiny", f"results_dir={tmp_path}")[1]

    blocks = sorted((tmp_path / "tiny" / "blocks").rglob("*.nc"))
    for path in blocks[::3]:
        path.unlink()
    sweep(tmp_path, *TARGET, "compute.n_workers=3")
    again = read(tmp_path)
    for name in ("estimate", "code"):
        one, two = (
            t["linear_factor_discrete"].to_dataset()[name] for t in (again, whole)
        )
        xr.testing.assert_identical(one, two)


@pytest.mark.thorough
def test_a_cap_ends_a_cell_that_never_meets_its_target(tmp_path):
    overrides = [*TARGET, "target.max_replications=210", "target.coverage_mcse=0.001"]
    assert sweep(tmp_path, *overrides, "sample_size=20", "n_supp=4")[0] == 0
    tree = read(tmp_path)
    assert tree.attrs["complete"] == 1
    assert tree["linear_factor_discrete"].sizes["replication"] == 210


@pytest.mark.thorough
def test_plan_runs_one_block_a_cell_and_says_what_is_needed(tmp_path):
    settings = [*TARGET, f"results_dir={tmp_path}"]
    code, text = call("plan", *override(*settings))
    assert code == 0, text
    assert "replications" in text
    assert "on one core" in text
    names = [path.name for path in (tmp_path / "tiny" / "blocks").rglob("*.nc")]
    assert names == 4 * ["000000-000019.nc"]
    assert not (tmp_path / "tiny" / "replications.nc").exists()
    _, text = sweep(tmp_path, *TARGET)
    assert "80 replications are there already" in text


def test_only_the_cell_that_raises_is_stopped():
    design = make_design()
    tracker = Tracker(design)
    cell, other = design.cells()[:2]
    codes = np.array([100, 0, 0], np.int8)
    assert tracker.check_failures(Block(cell, 0, 2), codes, "E: no") == ""
    assert tracker.needs(Block(cell, 3, 5))
    codes[1] = 100
    assert "2 of 3 replications" in tracker.check_failures(
        Block(cell, 3, 5), codes, "E: no"
    )
    assert not tracker.needs(Block(cell, 6, 6))
    assert tracker.needs(Block(other, 6, 6))
    assert {block.cell for block in tracker.plan_blocks()} == set(design.cells()) - {
        cell
    }
