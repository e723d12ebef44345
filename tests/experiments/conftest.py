"""Fixtures of the tests that run studies."""

import pytest

from experiments.engine.block import Engine


@pytest.fixture
def no_report(monkeypatch):
    """Leave out tables and figures: they are tested elsewhere."""
    monkeypatch.setattr("experiments.commands.report.report", lambda *_: None)


@pytest.fixture
def blocks_run(monkeypatch):
    """Names of the blocks that were computed."""
    names = []
    run = Engine.run

    def run_and_note(self, block):
        names.append(f"{block.cell.name}/{block.first}-{block.last}")
        return run(self, block)

    monkeypatch.setattr(Engine, "run", run_and_note)
    return names
