"""The page about tables: its code works from top to bottom and prints what it shows."""

import contextlib
import io
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "spmlex" / "TABLES.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"```(python|text)\n(.*?)```", re.DOTALL)


@pytest.mark.thorough
def test_the_page_can_be_followed(tmp_path, monkeypatch):
    (tmp_path / "tests").symlink_to(ROOT / "tests")
    monkeypatch.chdir(tmp_path)
    names = {}
    said = ""
    for kind, text in BLOCK.findall(TEXT):
        if kind == "text":
            for line in text.strip().splitlines():
                assert line in said.splitlines()
            continue
        with contextlib.redirect_stdout(io.StringIO()) as out:
            exec(compile(text, "TABLES.md", "exec"), names)
        said += out.getvalue()
    assert max(map(len, said.splitlines())) <= 90
    assert re.search(r"^late +-?\d\.\d{3} *$", str(names["both"]), re.M)
    assert (tmp_path / "faults.fit").exists()


def test_every_link_leads_somewhere():
    for target in re.findall(r"\]\((?!http)([^)#]+)", TEXT):
        assert (ROOT / "spmlex" / target).exists(), target
