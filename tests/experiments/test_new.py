"""A skeleton of a new study: written under a name, refused in words, runs at once."""

import importlib
import importlib.util
import shutil

import pytest
from study_helpers import call

import experiments.models
from experiments.commands import new
from experiments.config import conf_folder

FILES = [
    "conf/dgp/my_model2.yaml",
    "conf/experiment/my_model2.yaml",
    "experiments/models/my_model2.py",
    "tests/experiments/test_my_model2.py",
]


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A clone in which files can be written."""
    shutil.copytree(conf_folder.CONF, tmp_path / "conf")
    monkeypatch.setattr(conf_folder, "CONF", tmp_path / "conf")
    monkeypatch.setattr(new, "ROOT", tmp_path)
    models = str(tmp_path / "experiments" / "models")
    monkeypatch.setattr(
        experiments.models, "__path__", [*experiments.models.__path__, models]
    )
    return tmp_path


def list_new(root):
    known = {path.relative_to(new.TEMPLATES.parents[1]) for path in _tracked()}
    files = [path.relative_to(root) for path in root.rglob("*") if path.is_file()]
    return sorted(str(path) for path in files if path not in known)


def _tracked():
    return (new.TEMPLATES.parents[1] / "conf").rglob("*.yaml")


@pytest.mark.thorough
def test_four_files_are_written_that_pass_their_own_test(root):
    code, text = call("new", "my_model2")
    assert code == 0
    assert list_new(root) == FILES
    for path in FILES:
        assert path in text
        written = (root / path).read_text()
        assert "keleton" not in written
        assert "my_model2" in written
    assert "class MyModel2(" in (root / FILES[2]).read_text()
    assert "sweep experiment=my_model2" in text
    spec = importlib.util.spec_from_file_location("written", root / FILES[3])
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    tests = [name for name in dir(module) if name.startswith("test_")]
    assert len(tests) == 3
    for name in tests:
        getattr(module, name)()


@pytest.mark.slow
def test_its_study_runs_at_once(root, tmp_path):
    assert call("new", "my_model3")[0] == 0
    code, text = call(
        "sweep",
        "experiment=my_model3",
        f"results_dir={tmp_path / 'results'}",
        "sample_size=[100]",
        "n_replications=2",
    )
    assert code == 0, text
    assert "slope" in text
    assert "log_std" in text
    assert (tmp_path / "results" / "my_model3" / "report.html").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "new: give one name"),
        (["one", "two"], "new: give one name"),
        (["Wages"], "Wages: not a name for a module. Use small letters"),
        (["1wages"], "not a name for a module"),
        (["my-model"], "not a name for a module"),
        (["../up"], "not a name for a module"),
        (["lambda"], "not a name for a module"),
        (["x" * 41], "not a name for a module"),
        (["quick"], "quick: there already: conf/experiment/quick.yaml"),
        (["default"], "default: there already. Choose another name"),
    ],
)
def test_names_that_do_not_do_are_refused(root, arguments, message):
    code, text = call("new", *arguments)
    assert code == 2
    assert message in text
    assert len(text.splitlines()) <= 2
    assert list_new(root) == []


def test_nothing_is_overwritten(root):
    mine = root / "tests" / "experiments" / "test_my_model2.py"
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    code, text = call("new", "my_model2")
    assert code == 2
    assert "there already: tests/experiments/test_my_model2.py" in text
    assert mine.read_text() == "mine"
    assert list_new(root) == ["tests/experiments/test_my_model2.py"]
