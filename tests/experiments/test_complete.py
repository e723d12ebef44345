"""Tab completion, as a shell asks for it."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from study_helpers import call

from experiments.commands import rerun
from experiments.commands.complete import complete
from experiments.config import compose as cfg
from experiments.config import conf_folder
from experiments.run import ACTIONS

ROOT = Path(__file__).parents[2]


def ask(monkeypatch, line, breaks=" =:"):
    """Return what a shell gets for a line with the cursor at its end."""
    monkeypatch.setenv("COMP_LINE", line)
    monkeypatch.setenv("COMP_POINT", str(len(line)))
    monkeypatch.setenv("COMP_WORDBREAKS", breaks)
    code, text = call("-sc", "query=bash")
    assert code == 0
    return text.splitlines()


@pytest.mark.parametrize(
    ("typed", "word"),
    [
        ("sw", "sweep "),
        ("sweep exp", "experiment="),
        ("sweep sample", "sample_size="),
        ("sweep experiment=qu", "quick "),
        ("sweep study=x dgp=linear_factor_nor", "linear_factor_normal "),
        ("sweep dgp=[linear_factor_normal,linear_factor_t", "linear_factor_t"),
        ("sweep grid.uniform.lo", "grid.uniform.low="),
        ("plan streams=ind", "independent "),
        ("plan overwrite=", "true "),
        ("rerun mine repl", "replication="),
    ],
)
def test_what_is_begun_is_completed(monkeypatch, typed, word):
    found = ask(monkeypatch, f"uv run python -m experiments.run {typed}")
    assert any(each.endswith(word) for each in found), found


def test_words_are_whole_where_the_shell_keeps_them_whole(monkeypatch):
    line = "python -m experiments.run sweep experiment=qu"
    assert ask(monkeypatch, line, breaks=" ") == ["experiment=quick "]
    assert ask(monkeypatch, line) == ["quick "]


def test_every_option_of_a_group_can_be_completed():
    for group in cfg.ALL_GROUPS:
        found = complete(["sweep"], f"{group}=", ACTIONS)
        assert found == [
            f"{group}={option} " for option in conf_folder.list_options(group)
        ]


def test_studies_are_those_in_the_folder_of_results(tmp_path):
    for name in ("mine", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "study.yaml").touch()
    (tmp_path / "no_study").mkdir()
    words = ["status", f"results_dir={tmp_path}"]
    assert complete(words, "", ACTIONS) == ["mine ", "other "]
    assert complete(["new"], "", ACTIONS) == []


def test_rerun_takes_what_is_offered(tmp_path):
    for word in complete(["rerun", "mine"], "", ACTIONS):
        names, settings = rerun.split_arguments(["mine", f"{word}1"], rerun.KNOWN)
        assert (names, len(settings)) == (["mine"], 1)


def test_a_shell_that_is_not_known_is_named():
    code, text = call("-sc", "install=tcsh")
    assert code == 2
    assert "install=bash" in text


@pytest.mark.thorough
@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_bash_completes_a_word():
    """The function that is installed, called as the shell calls it."""
    python = f"{sys.executable} -m experiments.run"
    script = f"""
        eval "$({python} -sc install=bash)"
        complete -p python | grep -q _spmlex_complete || exit 3
        COMP_WORDS=({python} sweep experiment = qu)
        COMP_CWORD=6
        COMP_LINE="{python} sweep experiment=qu"
        COMP_POINT=${{#COMP_LINE}}
        COMP_WORDBREAKS=" ="
        _spmlex_complete
        printf "%s|" "${{COMPREPLY[@]}}"
        COMP_WORDS=(python -m http.server sw) COMP_CWORD=3 COMPREPLY=()
        _spmlex_complete
        echo ${{#COMPREPLY[@]}}
        eval "$({python} -sc uninstall=bash)"
        complete -p python 2> /dev/null || echo gone
    """
    run = subprocess.run(
        ["bash", "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert run.stdout.split("\n") == ["quick |0", "gone", ""], run.stderr
