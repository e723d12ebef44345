"""The page of the public API is complete and current."""

import spmlex
from experiments.api_page import GROUPS, PAGE, find_nodes, render


def test_every_public_name_has_one_place():
    listed = [name for names in GROUPS.values() for name in names]
    assert sorted(listed) == sorted(spmlex.__all__)
    assert set(listed) <= find_nodes().keys()


def test_the_page_is_current():
    text = PAGE.read_text(encoding="utf-8")
    assert text == render(), "run python -m experiments.api_page"
    for name in spmlex.__all__:
        assert f"### {name}\n" in text
