"""The page of the public API is complete and current, and its examples work."""

import doctest
import re

import griffe
import pytest

import spmlex
from experiments.api_page import GROUPS, PAGE, SETTING, find_objects, render
from spmlex._programs import kept_programs as _kept_programs

TEXT = PAGE.read_text(encoding="utf-8")
OBJECTS = find_objects()
FUNCTIONS = [name for name, of in OBJECTS.items() if isinstance(of, griffe.Function)]
CLASSES = [
    name
    for name, of in OBJECTS.items()
    if isinstance(of, griffe.Class) and name != "RESULTS"
]


def read_entry(name):
    return TEXT.split(f"\n### {name}\n")[1].split("\n## ")[0].split("\n### ")[0]


def list_examples(name):
    return re.findall("```pycon\n(.*?)\n```", read_entry(name), re.DOTALL)


def test_every_public_name_has_one_place():
    listed = [name for names in GROUPS.values() for name in names]
    assert sorted(listed) == sorted(spmlex.__all__)
    assert set(listed) <= OBJECTS.keys()


def test_the_page_is_current():
    assert render() == TEXT, "run python -m experiments.api_page"
    for name in spmlex.__all__:
        assert f"### {name}\n" in TEXT


@pytest.mark.parametrize("name", CLASSES)
def test_every_attribute_is_described_with_its_type(name):
    entry = read_entry(name)
    fields = [
        member
        for member in OBJECTS[name].members.values()
        if isinstance(member, griffe.Attribute) and not member.name.startswith("_")
    ]
    assert fields
    for field in fields:
        assert field.annotation is not None, field.path
        written = re.search(rf"`(?:{name}\.)?{field.name}`\**? \(`(.+?)`\): ", entry)
        assert written, field.path
        assert written[1] == str(field.annotation), field.path


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_function_has_an_example(name):
    (example,) = list_examples(name)
    assert f"{name}(" in example


@pytest.fixture(scope="module")
def setting():
    """What the page says that the examples come after."""
    assert f"```python\n{SETTING}```" in TEXT
    names = {}
    exec(SETTING, names)
    return names


@pytest.mark.thorough
@pytest.mark.parametrize("name", [*FUNCTIONS, *CLASSES])
def test_examples_work(name, setting, monkeypatch):
    # One of them has programs kept from there on.
    monkeypatch.setattr(_kept_programs._Folder, "path", None)
    for text in list_examples(name):
        lines = doctest.DocTestParser().get_doctest(text, dict(setting), name, None, 0)
        said = []
        doctest.DocTestRunner().run(lines, out=said.append)
        assert not said, "".join(said)
