"""What the README shows is what happens."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_the_estimation_section_runs_and_prints_what_it_shows(monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    section = text.split("## Estimate your own model")[1].split("\n## ")[0]
    blocks = re.findall(r"```python\n(.*?)```", section, flags=re.DOTALL)
    shown = re.findall(r"```text\n(.*?)```", section, flags=re.DOTALL)[0]
    namespace: dict = {}
    for block in blocks:
        exec(compile(block, "README.md", "exec"), namespace)
    printed = capsys.readouterr().out
    for line in shown.strip().splitlines():
        assert line in printed
    assert len(blocks) == 2
    assert abs(namespace["model"].coef[0] - namespace["estimate"].model.coef[0]) < 1e-5
