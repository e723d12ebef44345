"""The page about data runs from its first block to the last."""

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[1] / "spmlex" / "DATA.md"
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)


@pytest.mark.thorough
def test_every_block_runs_after_those_before_it(capsys):
    names = {}
    for block in BLOCKS:
        exec(compile(block, PAGE.name, "exec"), names)
    assert "group 1" in capsys.readouterr().out
    assert len(BLOCKS) >= 9
