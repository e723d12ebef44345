"""One replication again: the same data, the same end, and every step on the way."""

import numpy as np
import pytest
from study_helpers import call, make_engine, sweep

from experiments.engine.trace import MAX_ROWS, trace
from experiments.estimators import FromModel
from experiments.study import Block, Cell

CELL = Cell("linear_factor_discrete", "uniform", 20, 4, "profile")
STEPS = ["estimator.profile.solver=steps", "estimator.profile.max_steps=5"]


def test_a_trace_has_every_step_and_ends_with_the_fit():
    engine = make_engine(*STEPS)
    fit = engine.run(Block(CELL, 3, 3)).arrays
    rows = trace(engine, CELL, 3, int(fit["num_steps"][0]))
    assert rows is not None
    assert [row["step"] for row in rows] == [1, 2, 3, 4, 5]
    np.testing.assert_array_equal(rows[-1]["estimate"], fit["estimate"][0])
    theta = np.stack([row["estimate"] for row in rows])
    np.testing.assert_allclose(np.diff(theta[:, 0]), -(0.5 ** np.arange(2, 6)))


def test_a_long_trace_is_thinned_and_keeps_both_ends():
    rows = trace(make_engine(*STEPS), CELL, 0, 5000)
    assert rows is not None
    steps = [row["step"] for row in rows]
    assert steps[:3] == [1, 2, 3]
    assert steps[-1] == 5000
    assert len(steps) <= MAX_ROWS


def test_an_estimator_without_steps_has_no_trace():
    engine = make_engine(*STEPS)
    engine.design.estimators["profile"] = FromModel("moment_estimate")
    assert trace(engine, CELL, 0, 5) is None


@pytest.mark.parametrize("replication", [2, 9])
def test_rerun_prints_the_steps(tmp_path, monkeypatch, replication):
    monkeypatch.setattr("experiments.commands.report.report", lambda *_: None)
    one_cell = ["sample_size=20", "n_supp=4"]
    sweep(tmp_path, *STEPS, *one_cell)
    code, text = call(
        "rerun", "tiny", f"results_dir={tmp_path}", f"replication={replication}"
    )
    assert code == 0
    stored = replication < 7
    assert ("bit for bit" if stored else "not stored") in text
    (header,) = [line for line in text.splitlines() if "log-likelihood" in line]
    assert header.split() == [
        *("step", "log-likelihood", "gap", "gradient", "coef[0]", "coef[1]"),
        *("log_std_e[0]", "log_std_e[1]", "log_std_e[2]"),
    ]
    below = text.splitlines()[text.splitlines().index(header) + 1 :]
    assert [line.split()[0] for line in below[:5]] == ["1", "2", "3", "4", "5"]
