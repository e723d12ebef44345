"""What the READMEs show is what happens: files, code and commands, in order.

After the README of the project come its continuations: how to write parts of one's own
and run on a cluster, beside the harness, and how to reproduce, beside the results.

Commands of the study run in a folder of their own, scaled down to a few replications.
Those that install, need a cluster or take minutes are told apart below, and checked as
far as they can be without.
"""

import contextlib
import io
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import pytest

import experiments.estimands
import experiments.estimators
import experiments.mixing
import experiments.models
import spmlex
from analysis import make
from experiments import run
from experiments.commands import new
from experiments.config import compose as cfg
from experiments.config import conf_folder
from experiments.config.build import build_design

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")


def read_section(path, title):
    text = (ROOT / path).read_text(encoding="utf-8")
    return f"## {title}\n" + text.split(f"\n## {title}\n")[1].split("\n## ")[0] + "\n"


CONTINUED = (
    ("experiments/README.md", "What there is"),
    ("experiments/README.md", "Write your own"),
    ("experiments/README.md", "On a cluster"),
    ("analysis/README.md", "Tables of a paper"),
    ("analysis/README.md", "Somebody else's simulation"),
    ("results/README.md", "Reproduce the results"),
)
WHOLE = "\n".join([TEXT, *(read_section(*where) for where in CONTINUED)])

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())

BLOCK = re.compile(r"(?:`([\w/.]+)`:\n\n)?```(\w+)\n(.*?)```", re.DOTALL)
BLOCKS = [match.groups() for match in BLOCK.finditer(WHOLE)]
FILES = {path: code for path, _, code in BLOCKS if path}

STUDY = ["python", "-m", "experiments.run"]
SMALL = ["n_replications=2", "block_size=2", "n_supp=[25]"]

INSTALL = ("python3 -m venv", ". .venv/bin/activate", "pip install", "uv sync")
DEVELOP = ("pytest", "ruff", "pyright", "bash .ci/run")
MAINTAIN = (["python", "-m", "analysis.write"], ["python", "-m", "analysis.keep"])


def split_commands(text):
    """Return the commands of a block as lists of words, without `uv run`."""
    commands = []
    for line in text.replace("\\\n", " ").splitlines():
        for part in line.split(" && "):
            words = shlex.split(part, comments=True)
            if words:
                commands.append(words[2:] if words[:2] == ["uv", "run"] else words)
    return commands


SHELL = [text for _, kind, text in BLOCKS if kind == "bash"]
COMMANDS = [words for text in SHELL for words in split_commands(text)]
TABLE = [
    shlex.split(code)
    for row in WHOLE.splitlines()
    if row.startswith("|")
    for code in re.findall(r"`(python -m experiments\.run [^`]*)`", row)
]


def classify(words):
    """Return what the tests do about a command."""
    text = " ".join(words)
    if words[:3] in MAINTAIN:
        return "maintain"
    if words[:3] == STUDY and words[3] in ("reproduce", "verify"):
        return "maintain"  # for hours
    if words[:3] == STUDY:
        return "cluster" if "compute=dask" in text else "study"
    if words[:3] == ["python", "-m", "analysis.make"]:
        return "analysis"
    if text.startswith(INSTALL):
        return "install"
    if text.startswith(DEVELOP):
        return "develop"
    if words[0] == "sbatch":
        return "cluster"
    raise AssertionError(f"a command of the README that no test knows: {text}")


def test_every_command_is_known_and_every_section_is_there():
    kinds = [classify(words) for words in COMMANDS]
    assert set(kinds) == set("analysis cluster develop install maintain study".split())
    assert kinds.count("study") >= 12
    assert len(TEXT.split("## Contribute")[1].split("```")[1].splitlines()) == 1 + 5
    for target in re.findall(r"\]\((?!http)([^)]+)\)", TEXT):
        path, _, anchor = target.partition("#")
        page = ROOT / (path or "README.md")
        assert page.exists(), target
        prose = (
            re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
            if anchor
            else ""
        )
        titles = re.findall(r"^#+ (.*)$", prose, flags=re.MULTILINE)
        assert anchor in {title.lower().replace(" ", "-") for title in ["", *titles]}


def test_commands_that_are_not_run_name_what_is_there():
    tools = " ".join(PROJECT["dependency-groups"]["dev"])
    for words in COMMANDS:
        kind, text = classify(words), " ".join(words)
        if kind == "develop":
            assert words[0] == "bash" or words[0] in tools
            assert "slow" not in text or "slow:" in str(PROJECT["tool"]["pytest"])
        if kind == "maintain" and words[:3] == STUDY:
            assert words[3] in run.ACTIONS
            assert set(words[4:]) <= set(run.OPTIONS.get(words[3], ()))
        if kind == "install" and "--extra" in words:
            assert words[-1] in PROJECT["project"]["optional-dependencies"]
    files = {word for words in COMMANDS for word in words if "/" in word}
    files |= set(re.findall(r"`([\w.]+/[\w./]+)`", WHOLE)) - FILES.keys()
    for path in files:
        if "=" not in path and path != "results/default":
            assert (ROOT / path).exists(), path


def list_overrides(words):
    """Return the overrides of a command that describes a study."""
    if words[0] == "sbatch":
        return words[2:]
    return words[4:] if words[3:4] in (["sweep"], ["plan"]) else None


@pytest.mark.thorough
def test_the_options_of_every_study_compose(conf):
    composed = 0
    for words in [*COMMANDS, *TABLE]:
        if words[0] != "sbatch" and words[:3] != STUDY:
            continue
        overrides = list_overrides(words)
        if overrides is None or "experiment=wages" in overrides:
            continue
        config = cfg.compose(overrides)
        assert build_design(config).cells()
        cfg.instantiate(config, "compute")
        composed += 1
    assert composed >= 15


def test_every_experiment_has_its_row():
    named = {word.partition("=")[2] for words in TABLE for word in words}
    assert set(conf_folder.list_options("experiment")) <= named


@pytest.mark.parametrize("path", [path for path in FILES if path.endswith(".py")])
def test_files_are_formatted_as_the_code_is(path):
    for command in (["check"], ["format", "--check"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "--stdin-filename", path, "-"],
            input=FILES[path],
            capture_output=True,
            text=True,
            cwd=ROOT,
        )
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def conf(tmp_path, monkeypatch):
    """A clone of which files can be changed, with those that the README adds."""
    shutil.copytree(conf_folder.CONF, tmp_path / "conf")
    monkeypatch.setattr(conf_folder, "CONF", tmp_path / "conf")
    monkeypatch.setattr(new, "ROOT", tmp_path)
    for package in (
        experiments.models,
        experiments.mixing,
        experiments.estimators,
        experiments.estimands,
    ):
        folder = tmp_path.joinpath(*package.__name__.split("."))
        folder.mkdir(parents=True)
        monkeypatch.setattr(package, "__path__", [*package.__path__, str(folder)])
    for path, code in FILES.items():
        (tmp_path / path).write_text(code)
    (tmp_path / "tests" / "experiments").mkdir(parents=True)
    (tmp_path / "tests" / "data").symlink_to(ROOT / "tests" / "data")
    (tmp_path / "results").mkdir()
    for kept in (ROOT / "results").iterdir():
        if kept.is_dir() and kept.name != "default":
            # Not a link: a study of the README would write into the clone's own.
            ignored = shutil.ignore_patterns("blocks")
            shutil.copytree(kept, tmp_path / "results" / kept.name, ignore=ignored)
    monkeypatch.chdir(tmp_path)
    return tmp_path


class Reader:
    """Does what the README says, block by block."""

    def __init__(self):
        self.namespace: dict[str, Any] = {}
        self.printed = ""

    def read(self, block):
        path, kind, text = block
        with contextlib.redirect_stdout(io.StringIO()) as out:
            if kind == "python" and not path:
                exec(compile(text, "README.md", "exec"), self.namespace)
            elif kind == "bash":
                for words in split_commands(text):
                    self.run(words)
        self.printed += out.getvalue()

    def run(self, words):
        kind = classify(words)
        if kind == "analysis":
            assert make.main(words[3:]) == 0
        if words[0] == "sbatch":  # what one of its tasks does
            words = [*STUDY, "sweep", *words[2:], "shard=1/2"]
            kind = "study"
        if kind == "study":
            assert run.main(scale(words[3:])) == 0, words


def scale(words):
    """Return a command of the study with a few replications of one or two sizes."""
    if words[0] == "rerun":
        return [re.sub("^replication=.*", "replication=1", word) for word in words]
    if words[0] not in ("sweep", "plan"):
        return words
    kept = [word for word in words if not word.startswith("n_replications=")]
    is_default = len(words) == 1
    sized = any(word.startswith("sample_size=") for word in words)
    sizes = "sample_size=[500,2000]" if is_default else "sample_size=[500]"
    return [*kept, *SMALL, *([] if sized else [sizes])]


def shown_after(reader, section):
    """Check that what a section shows was printed; return how many lines."""
    text = TEXT.split(f"\n## {section}")[1].split("\n## ")[0]
    shown = re.findall(r"```text\n(.*?)```", text, flags=re.DOTALL)
    lines = [line for block in shown for line in block.strip().splitlines()]
    for line in lines:
        assert line in reader.printed
    return len(lines)


@pytest.mark.thorough
def test_own_model_and_real_data_print_what_is_shown(conf):
    reader = Reader()
    blocks = [block for block in BLOCKS if block[1] == "python" and not block[0]]
    own = [line for line in blocks[0][2].splitlines() if line.strip()]
    assert len(own) == 20
    for block in (blocks[0], blocks[2]):
        reader.read(block)
    assert shown_after(reader, "Estimate your own model") == 10
    assert shown_after(reader, "A real-data example") == 14


def read_rows(text):
    """Return the rows of a printed table: what stands in them, after the parameter."""
    rows, parameter = [], ""
    for line in text.splitlines():
        found = re.match(r"(.*?) +(\d+ +\d+ +-?\d\..*)$", line)
        if found:
            parameter = found[1].strip() or parameter
            rows.append((parameter, *found[2].split()))
    return rows


@pytest.mark.slow
def test_the_default_study_ends_with_what_is_shown(tmp_path):
    shown = read_rows(TEXT.split("\n## Two commands")[1].split("```text\n")[1])
    assert len(shown) >= 4
    done = subprocess.run(
        [sys.executable, "-m", "experiments.run", "sweep", f"results_dir={tmp_path}"],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr
    assert set(shown) <= set(read_rows(done.stdout))


@pytest.mark.slow
def test_the_readme_and_its_continuations_can_be_followed_to_the_end(conf):
    reader = Reader()
    for block in BLOCKS:
        reader.read(block)
    shown_after(reader, "Estimate your own model")
    shown_after(reader, "A real-data example")
    end, given = reader.namespace["model"], reader.namespace["data"]
    start = type(end)(coef=jnp.array([1.0, 0.5]), log_std_e=jnp.zeros(3))
    supp = jnp.linspace(-6.0, 6.0, 75)
    on_grid = spmlex.fit(start, given, supp, support="grid").model
    assert abs(end.coef[0] - on_grid.coef[0]) < 1e-5
    for study in ("default", "quick", "normal", "mine", "wages", "spells"):
        assert (conf / "results" / study / "report.html").exists(), study
    assert (conf / "experiments" / "models" / "wages.py").exists()
