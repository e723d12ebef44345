"""An error costs the replications that raise it, not the block."""

import numpy as np
import pytest
from study_helpers import make_engine

from experiments.engine.block import Engine
from experiments.study import Block, Cell

CELL = Cell("linear_factor_discrete", "uniform", 20, 4, "profile")


@pytest.fixture
def engine(monkeypatch):
    """An engine that raises for replication 1, whatever is computed with it."""
    real = Engine._run

    def run(self, block):
        if block.first <= 1 <= block.last:
            raise RuntimeError("no luck with 1")
        return real(self, block)

    whole = make_engine().run(Block(CELL, 0, 2))
    monkeypatch.setattr(Engine, "_run", run)
    return make_engine(), whole


def test_only_the_replication_that_raises_is_lost(engine):
    engine, whole = engine
    result = engine.run(Block(CELL, 0, 2))
    assert result.error == "RuntimeError: no luck with 1"
    assert result.arrays["code"].tolist() == [0, 100, 0]
    assert result.arrays["data_hash"][1] == 0
    assert np.isnan(result.arrays["estimate"][1]).all()
    for name, values in whole.arrays.items():
        assert result.arrays[name].dtype == values.dtype
        np.testing.assert_array_equal(result.arrays[name][[0, 2]], values[[0, 2]])


def test_what_cannot_be_compiled_is_not_tried_again_for_each_replication(monkeypatch):
    engine = make_engine("estimator.profile.solver=raises")
    tries = []
    real = Engine._run

    def run(self, block):
        tries.append(block)
        return real(self, block)

    monkeypatch.setattr(Engine, "_run", run)
    result = engine.run(Block(CELL, 0, 2))
    assert result.error == "RuntimeError: no estimate for 20 observations"
    assert result.arrays["code"].tolist() == [100, 100, 100]
    assert len(tries) == 1
