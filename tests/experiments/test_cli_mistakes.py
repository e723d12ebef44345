"""Parts that users wrote wrongly and folders they can't use: words, no traceback."""

import os
import shutil
import sys

import pytest
import yaml
from study_helpers import TINY, call, sweep

from experiments.config import conf_folder

MODELS = """
from experiments.models.linear_factor import LinearFactor

class Stub:
    # A process that takes any model, as ours does without checks of types.
    simulate = None

    def __init__(self, label, truth, mixing, symbol=()):
        self.label, self.mixing = label, mixing
        self.truth = type("LinearFactor", (), {"lclk": None, "simulate": None})()

class Raises(LinearFactor):
    def simulate(self, data, *, rng):
        raise ValueError("my mistake")

class Sideways(LinearFactor):
    def lclk(self, data, supp):
        return super().lclk(data, supp).T

class LclkRaises(LinearFactor):
    def lclk(self, data, supp):
        return data["outcome"]
"""

HEADER = "# @package dgp.mine\n"
MODEL = "experiments.models.linear_factor.LinearFactor"
PROCESS = "_target_: experiments.dgp.Process\n"

# What is replaced in a good file, by what, and what the message holds.
PARTS = {
    "no header": (HEADER, "", "its first line has to be `# @package dgp.mine`"),
    "another header": ("dgp.mine", "dgp.other", "has to be `# @package dgp.mine`"),
    "no target": (PROCESS, "", "dgp.mine: no `_target_` says what to build"),
    "no YAML": ("coef: [1.5", "coef: [[1.5", "mine.yaml, line 8: no valid YAML"),
    "another class": (PROCESS, "_target_: fractions.Fraction\n", "See conf/dgp/mine"),
    "not a process": (
        "experiments.dgp.Process",
        "types.SimpleNamespace",
        "dgp.mine: SimpleNamespace lacks simulate",
    ),
    "no such class": (MODEL, f"{MODEL}s", "No module named"),
    "no such module": (MODEL, "experiments.model.X", "named 'experiments.model'"),
    "a module that can't be read": (MODEL, "broken.X", "SyntaxError: "),
    "a package not installed": (MODEL, "needy.X", "No module named 'nonsense'"),
    "no such field": ("label:", "lable:", "unexpected keyword argument 'lable'"),
    "a model without start": (
        "experiments.dgp.Process",
        "mine.Stub",
        "dgp.mine.truth: LinearFactor lacks starting_values",
    ),
    "a model that can't draw": (MODEL, "mine.Raises", "ValueError: my mistake"),
    "a likelihood transposed": (
        MODEL,
        "mine.Sideways",
        "lclk returned shape (4, 30); it must be (n_obs, n_supp) = (30, 4)",
    ),
    "a likelihood that raises": (MODEL, "mine.LclkRaises", "KeyError: 'outcome'"),
}


@pytest.fixture
def conf(tmp_path, monkeypatch):
    """A copy of the configuration to add files to."""
    copy = tmp_path / "conf"
    shutil.copytree(conf_folder.CONF, copy)
    monkeypatch.setattr(conf_folder, "CONF", copy)
    return copy


@pytest.fixture
def process(conf, tmp_path, monkeypatch):
    """The text of a process that works, and modules to take others from."""
    (tmp_path / "mine.py").write_text(MODELS)
    (tmp_path / "broken.py").write_text("def f(:\n")
    (tmp_path / "needy.py").write_text("import nonsense\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield (
        (conf / "dgp" / "linear_factor_discrete.yaml")
        .read_text()
        .replace("@package dgp.linear_factor_discrete", "@package dgp.mine")
    )
    sys.modules.pop("mine", None)


@pytest.mark.parametrize("name", PARTS)
def test_a_part_written_wrongly_is_named(name, process, conf, tmp_path):
    old, new, message = PARTS[name]
    assert old in process
    (conf / "dgp" / "mine.yaml").write_text(process.replace(old, new, 1))
    code, text = sweep(tmp_path / "results", "dgp=mine")
    assert code == 2
    assert message in text
    assert text.startswith("error: ")
    assert len(text.splitlines()) <= 3
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("n_replication: 3", "mine.yaml: n_replication: no such setting. Did you mean"),
        ("n_supp: many", "conf/experiment/mine.yaml: n_supp: Invalid value"),
        ("defaults: [override /dgp: [nope]]", "dgp=nope: no such dgp."),
        ("defaults: [override /nope: x]", "nope"),
    ],
)
def test_an_experiment_written_wrongly_is_named(text, message, conf, tmp_path):
    header = "# @package _global_\n# Why?\n"
    (conf / "experiment" / "mine.yaml").write_text(f"{header}{text}\n")
    code, said = call("sweep", "experiment=mine", f"results_dir={tmp_path / 'r'}")
    assert code == 2
    assert message in said
    assert len(said.splitlines()) <= 2


def test_without_configuration_the_way_to_install_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(conf_folder, "CONF", tmp_path)
    for arguments in ([], ["--help"], ["sweep"]):
        code, text = call(*arguments)
        assert code == 2
        assert "pip install -e ." in text


@pytest.mark.parametrize("action", ["sweep", "status", "report"])
def test_a_folder_that_is_a_file_is_named(action, tmp_path):
    (tmp_path / "file").touch()
    rest = TINY if action == "sweep" else ["tiny"]
    code, text = call(action, f"results_dir={tmp_path / 'file'}", *rest)
    assert code == 1
    assert "study.yaml can't be used: Not a directory" in text
    assert "Traceback" not in text


@pytest.fixture
def done(tmp_path, monkeypatch):
    """A tiny study that is done; returns its folder."""
    size = ["sample_size=20", "n_supp=4", "n_replications=3"]
    with monkeypatch.context() as while_sweeping:
        while_sweeping.setattr("experiments.commands.report.report", lambda *_: None)
        assert sweep(tmp_path, *size)[0] == 0
    return tmp_path / "tiny"


def test_results_of_another_version_are_named(done):
    path = done / "study.yaml"
    manifest = yaml.safe_load(path.read_text())
    del manifest["config"]["max_failure_share"]
    path.write_text(yaml.safe_dump(manifest))
    code, text = call("status", "tiny", f"results_dir={done.parent}")
    assert code == 2
    assert "another version of this code" in text
    assert "lacks max_failure_share" in text
    manifest["config"] |= {"max_failure_share": 0.5}
    manifest["config"]["estimator"]["profile"]["_target_"] = "study_helpers.Gone"
    path.write_text(yaml.safe_dump(manifest))
    code, text = call("status", "tiny", f"results_dir={done.parent}")
    assert code == 2
    assert "Error loading 'study_helpers.Gone'" in text


def test_no_permission_and_a_full_disk_are_named(done, monkeypatch):
    place = f"results_dir={done.parent}"
    for number, reason in ((13, "Permission denied"), (28, "No space left on device")):

        def fail(*_, number=number):
            raise OSError(number, os.strerror(number), "summary.nc")

        monkeypatch.setattr("analysis.make.make", fail)
        code, text = call("report", "tiny", place)
        assert code == 1
        assert f"summary.nc can't be used: {reason}" in text
        assert "Traceback" not in text


def test_a_fault_of_the_program_is_called_one(monkeypatch):
    def fail(*_):
        raise RuntimeError("a bug")

    monkeypatch.setattr("experiments.config.compose.compose", fail)
    code, text = call("sweep")
    assert code == 1
    assert text.startswith("error: RuntimeError: a bug\n")
    assert "--traceback shows where" in text
    assert "Traceback" in call("sweep", "--traceback")[1]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("replication=-1", "replication=-1: give a whole number from 0"),
        ("replication=99999999999", "give a whole number from 0 to ten million"),
        (
            "replication=1 sample_size=77",
            "sample_size: 77 is not in the study. Choices",
        ),
        ("replication=1 csv=/dev/null/x.csv", "/dev/null/x.csv can't be written"),
    ],
)
def test_a_rerun_of_nothing_is_refused(given, message, done):
    code, text = call("rerun", "tiny", f"results_dir={done.parent}", *given.split())
    assert code in (1, 2)
    assert message in text


def test_a_study_in_which_all_fails_ends_in_words(tmp_path):
    code, text = sweep(
        tmp_path, "estimator.profile.solver=raises", "sample_size=20", "n_supp=4"
    )
    assert code == 1
    assert "no estimate for 20 observations" in text
    assert "Every replication raised an error" in text
    assert "Traceback" not in text
