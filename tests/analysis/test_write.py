"""Documents say what kept studies give, and nothing that does not hold."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from analysis import claims, write
from analysis.clone import VERSION_FILE, read_design, read_version
from analysis.kept_study import KeptStudy
from analysis.quoted import Quoted
from analysis.stored import write_tree
from experiments.config import compose as cfg

ROOT = Path(__file__).parents[2]
TEMPLATE = """\
{% set kept = study("one") %}
{{ stale("one") }}Nominal is {{ given("0.95") }}.
Coverage {{ claim("is above a half", kept.number("coverage", n=500), ">", 0.5) }}:
{{ kept.number("coverage", n=500) }}, over n {{ kept.range("coverage") }}.
"""


def summary(version=3):
    """Return a summary of one process and estimator, two sizes, two kinds."""
    shape = ("estimator", "sample_size", "kind")
    node = xr.Dataset(
        {
            "coverage": (shape, [[[0.9501, 0.5], [0.902, 0.6]]]),
            "coverage_mcse": (shape, [[[0.0069, 0.01], [0.0094, 0.01]]]),
            "coverage_lower": (shape, np.zeros((1, 2, 2))),
            "bias": (shape[:2], [[0.01234, -0.2]]),
            "bias_mcse": (shape[:2], [[0.0021, 0.04]]),
            "attempted": (shape[:2], [[1000, 200]]),
            "default_kind": ("estimator", ["sandwich"]),
        },
        {
            "estimator": ["profile"],
            "sample_size": [500, 2000],
            "kind": ["sandwich", "observed"],
        },
    ).set_coords("default_kind")
    tree = xr.DataTree.from_dict({"linear": node})
    tree.attrs = {"numbers_version": version, "git_commit": "0123456789"}
    return tree


@pytest.fixture
def clone(tmp_path, monkeypatch):
    """A clone with one kept study and one document."""
    monkeypatch.setattr(write, "DOCUMENTS", {"page.md.j2": "page.md"})
    (tmp_path / write.TEMPLATES).mkdir(parents=True)
    (tmp_path / write.TEMPLATES / "page.md.j2").write_text(TEMPLATE)
    (tmp_path / VERSION_FILE).parent.mkdir(parents=True)
    shutil.copy(ROOT / VERSION_FILE, tmp_path / VERSION_FILE)
    (tmp_path / "requirements.lock").write_text("jax==1.2.3 \\\n")
    (tmp_path / "one.md").write_text("Words alone.\n")
    (tmp_path / "results" / "one").mkdir(parents=True)
    (tmp_path / "results" / "torn.json").write_text("[]")
    write_tree(summary(read_version(ROOT)), tmp_path / "results/one/summary.nc")
    return tmp_path


def test_every_document_is_what_the_kept_studies_give(capsys):
    assert write.main(["--check"], ROOT) == 0, capsys.readouterr().out


def test_documents_can_be_made_before_anything_was_measured(tmp_path):
    # What a table says where its file is not there; the other half is checked above.
    (tmp_path / "results").mkdir()
    for place in [*ROOT.iterdir(), *(ROOT / "results").iterdir()]:
        if place.suffix != ".json" and place.name != "results":
            (tmp_path / place.relative_to(ROOT)).symlink_to(place)
    found = claims.Claims()
    for name in write.DOCUMENTS:
        assert write.fill(tmp_path / write.TEMPLATES / name, tmp_path, found)


def test_a_number_follows_its_error_and_needs_no_kind(clone):
    assert write.main([], clone) == 0
    text = (clone / "page.md").read_text()
    assert text == (
        "Nominal is 0.95.\nCoverage is above a half:\n"
        "0.950 (0.007), over n 0.902 to 0.950 (at most 0.009).\n"
    )
    assert write.main(["--check"], clone) == 0


def test_a_digit_changed_by_hand_is_found_and_mended(clone, capsys):
    write.main([], clone)
    page = clone / "page.md"
    right = page.read_text()
    page.write_text(right.replace("0.950 (", "0.951 ("))
    assert write.main(["--check"], clone) == 1
    assert "-0.951 (0.007)" in capsys.readouterr().out
    assert write.main([], clone) == 0
    assert page.read_text() == right


def test_a_changed_result_changes_the_document(clone):
    write.main([], clone)
    tree = summary(read_version(ROOT))
    node = tree["linear"].to_dataset()
    tree["linear"] = node.assign(coverage=node["coverage"] - 0.01)
    write_tree(tree, clone / "results/one/summary.nc")
    assert write.main(["--check"], clone) == 1


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("It covers 0.95.", "decimals that are typed, not named: 0.95"),
        (
            "{{ claim('covers', study('one').number('bias', n=500), '<', 0) }}",
            "does not hold any more: 0.0123 (0.0021) < 0 is false",
        ),
        ("{{ study('two').number('bias') }}", "keeps no summary"),
        ("{{ study('one').number('bias') }}", "2 cells, not one; choose sample_size"),
        ("{{ study('one').number('size', n=500) }}", "no measure size in linear"),
        ("{{ study('one').number('bias', n=600) }}", "there are 500, 2000"),
        ("{{ study('one').number('bias', kind='x') }}", "no dimension kind"),
        ("{{ study('one').number('bias', process='x') }}", "it has linear"),
        ("{{ nothing }}", "undefined"),
        ("{{ claim('x', 1, '=', 1) }}", "give one of <, <=, ==, >=, >"),
        ("{{ package('nothing') }}", "pins no nothing"),
        ("{{ rows('one.md') }}", "one.md has no table"),
        ("{{ measured('torn') }}", "torn.json holds no runs"),
    ],
)
def test_what_cannot_be_filled_is_told_with_its_line(clone, capsys, line, words):
    (clone / write.TEMPLATES / "page.md.j2").write_text(f"Text.\n{line}\n")
    assert write.main(["--check"], clone) == 2
    said = capsys.readouterr().err
    assert words in said
    assert "typed" in words or "page.md.j2:2: " in said
    assert not (clone / "page.md").exists()


def test_decimals_of_code_links_and_braces_are_no_results():
    assert write.find_typed("`0.5` [a](b-1.2.md) {{ f(0.1) }}\n```\n0.3\n```\n") == []
    assert write.find_typed("At 0.5 or v1.2, -0.25.") == ["0.5", "0.25"]


def test_a_study_of_another_version_is_marked_stale(clone):
    write_tree(summary(0), clone / "results/one/summary.nc")
    assert write.main([], clone) == 0
    assert "*Stale: made at commit 0123456" in (clone / "page.md").read_text()


def test_statements_are_listed_with_what_decides_them(clone, capsys):
    line = "{{ either(study('one').range('bias').lowest, '>', 0, 'up', 'down') }}"
    (clone / write.TEMPLATES / "page.md.j2").write_text(f"{TEMPLATE}{line}\n")
    assert write.main(["--claims"], clone) == 0
    assert (clone / "page.md").read_text().endswith("\ndown\n")
    said = capsys.readouterr().out.splitlines()
    assert said[1:] == [
        "page.md: 'is above a half': 0.950 (0.007) > 0.5 [one: coverage at n=500]",
        "page.md: 'down': -0.200 (0.040) not > 0 [lowest of one: bias]",
    ]


@pytest.mark.parametrize("relation", claims.RELATIONS)
def test_a_statement_and_its_contrary_are_not_both_true(relation):
    found = claims.Claims()
    assert found.either(1.0, relation, 2.0, "a", "b") == "ba"["<" in relation]
    assert found.found[0].numbers.startswith("1 ")
    assert found.found[0].source == "numbers of this page"


def test_what_a_clone_says_of_itself_is_read(clone):
    assert fill_line(clone, "{{ package('jax') }}") == "1.2.3"
    assert fill_line(clone, "{{ measured('never') }}") == "None"
    assert fill_line(clone, "{{ short(3.14159) }} {{ short(42.4) }}") == "3.1 42"
    assert fill_line(clone, "{{ is_current('one') }} {{ is_kept('two') }}") == (
        "True False"
    )
    design = read_design(ROOT, "paper")
    composed = cfg.compose(["experiment=paper"])
    assert design["dgp"] == list(composed["dgp"])
    assert design["sample_size"] == list(composed["sample_size"])
    assert design["estimand"] == ["share_positive"]
    assert design["n_replications"] == composed["n_replications"]
    assert read_design(ROOT, "quick")["estimator"] == ["profile"]


def fill_line(clone, line):
    path = clone / write.TEMPLATES / "page.md.j2"
    path.write_text(f"{line}\n")
    return write.fill(path, clone, claims.Claims()).strip()


def test_no_result_stands_in_a_document_that_is_not_made():
    made = {ROOT / target for target in write.DOCUMENTS.values()}
    assert made <= {*ROOT.glob("*.md"), *ROOT.glob("*/*.md")}
    for template in (ROOT / write.TEMPLATES).glob("*.j2"):
        assert write.find_typed(template.read_text()) == [], template
    for path in (ROOT / "spmlex" / "TABLES.md", ROOT / "spmlex" / "DATA.md"):
        assert write.find_typed(path.read_text()) == [], path


def test_ranges_count_and_know_their_end(clone):
    kept = KeptStudy.read(clone / "results" / "one")
    found = kept.range("coverage", kind="observed")
    assert (len(found), found.count(0.55), str(found.lowest)) == (2, 1, "0.500 (0.010)")
    assert kept.replications == "200 to 1,000"
    assert str(kept.number("bias", n=2000)) == "-0.200 (0.040)"


def test_a_study_that_was_run_again_is_not_what_was_kept_before(clone):
    folder = clone / "results" / "one"
    old = summary(version=1)
    old["gone"] = old["linear"]
    write_tree(old, folder / "summary-linear.nc")
    kept = KeptStudy.read(folder)
    assert kept.version == read_version(ROOT)
    assert list(kept.processes) == ["linear"]


def test_a_measure_over_another_has_the_error_of_both(clone):
    kept = KeptStudy.read(clone / "results" / "one")
    found = kept.over("coverage", {"kind": "observed"}, {"kind": "sandwich"})
    assert np.allclose(found.values, [0.5 / 0.9501, 0.6 / 0.902])
    error = 0.5 / 0.9501 * np.hypot(0.01 / 0.5, 0.0069 / 0.9501)
    assert np.isclose(found.mcses[0], error)
    with pytest.raises(LookupError, match="no sample_size=1"):
        kept.over("coverage", {"n": 1}, {"n": 500})


def test_a_number_without_an_error_has_three_decimals():
    assert str(Quoted(0.25)) == "0.250"
