"""A folder that someone sent: it is read, and nothing it names runs or is written."""

import shutil
import time

import pytest
import yaml
from study_helpers import call, sweep

from analysis import files
from analysis.files import remove_outdated
from analysis.make import make
from analysis.stored import StudyError
from experiments.config import compose as cfg
from experiments.errors import InputError, StoreError
from experiments.store.manifest import read_manifest

ONE_CELL = ["sample_size=20", "n_supp=4", "n_replications=3"]


@pytest.fixture(scope="module")
def sent(tmp_path_factory):
    """A folder of results with a study in it, as it was sent."""
    results = tmp_path_factory.mktemp("sent")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("experiments.commands.report.report", lambda *_: None)
        assert sweep(results, *ONE_CELL)[0] == 0
    return results


@pytest.fixture
def results(sent, tmp_path):
    """A copy of it."""
    shutil.copytree(sent, tmp_path / "results")
    return tmp_path / "results"


def change(results, edit):
    """Change the configuration in the manifest."""
    path = results / "tiny" / "study.yaml"
    manifest = yaml.safe_load(path.read_text())
    edit(manifest["config"])
    path.write_text(yaml.safe_dump(manifest))


def open_everywhere(results):
    """Return exit code and words of every action that reads a folder."""
    place = f"results_dir={results}"
    return [
        call("status", "tiny", place),
        call("report", "tiny", place),
        call("rerun", "tiny", place, "replication=1"),
    ]


@pytest.mark.parametrize(
    "target",
    [
        {"_target_": "shutil.copyfile"},
        {"_target_": "experiments.store.atomic.os.rename"},
        {"_target_": "experiments.provenance.subprocess.Popen"},
        {"_target_": "experiments.run.main"},
        {"_target_": "experiments.grids.Uniform", "_partial_": True},
    ],
    ids=str,
)
@pytest.mark.parametrize("group", ["grid", "dgp", "estimator"])
def test_what_a_manifest_names_does_not_run(results, tmp_path, target, group):
    (tmp_path / "a").write_text("mine")
    paths = {"src": str(tmp_path / "a"), "dst": str(tmp_path / "b")}

    def edit(config):
        (name,) = config[group]
        config[group][name] = target | paths

    change(results, edit)
    for code, text in open_everywhere(results):
        assert code == 2
        assert f"{group}." in text
    assert not (tmp_path / "b").exists()
    assert (tmp_path / "a").exists()


def test_a_package_that_the_user_names_may_be_built(monkeypatch):
    config = {"grid": {"g": {"_target_": "fractions.Fraction", "numerator": 2}}}
    assert cfg.instantiate(config, "grid.g") == 2
    monkeypatch.setenv("SPMLEX_PACKAGES", "numpy, pandas")
    with pytest.raises(InputError, match="SPMLEX_PACKAGES=fractions"):
        cfg.instantiate(config, "grid.g")


def test_a_manifest_looks_nothing_up(results, monkeypatch):
    monkeypatch.setenv("SECRET", "password")
    change(results, lambda config: config.update(question="${oc.env:SECRET}"))
    for code, text in open_everywhere(results):
        assert code == 1
        assert "no plain value" in text
        assert "password" not in text


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [1, 1]\n"
        + "".join(
            f"{x}: &{x} [*{y}, *{y}, *{y}]\n"
            for x, y in zip("bcdefghij", "abcdefghi", strict=True)
        ),
        "config: " + "[" * 100_000,
        "config: " + "x" * 2**21,
        "config: !!python/object/apply:os.getcwd []",
        "config: {dgp: 1, grid: 2, estimator: 3, seed: 4, streams: 5}",
        "config: {1: 2}",
        "[]",
        "\0",
    ],
    ids=["bomb", "deep", "long", "tag", "flat", "numbers", "list", "null"],
)
def test_a_manifest_that_is_none_ends_at_once(tmp_path, text):
    (tmp_path / "study.yaml").write_text(text)
    start = time.process_time()
    with pytest.raises(StoreError, match="can't be read as a study's manifest"):
        read_manifest(tmp_path)
    # Of this process alone, however busy the machine: a bomb takes hours.
    assert time.process_time() - start < 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("n_replications", 10**12),
        ("n_supp", [10**12]),
        ("sample_size", ["many"]),
        ("n_supp", [[]]),
        ("level", 2),
        ("target", 3),
        ("compute", []),
        ("dgp", {"x": None}),
        ("shard", "0/0"),
    ],
)
def test_a_value_that_no_study_has_is_named(results, name, value):
    change(results, lambda config: config.update({name: value}))
    for code, text in open_everywhere(results):
        assert code in (1, 2)
        assert "fault in the program" not in text
        assert name in text or "manifest" in text


def test_the_list_of_files_made_removes_nothing_outside(tmp_path):
    outside = tmp_path / "outside.txt"
    outside.write_text("mine")
    study = tmp_path / "study"
    study.mkdir()
    (study / "link").symlink_to(tmp_path)
    (study / "alias.txt").symlink_to(outside)
    inside = study / "old.txt"
    inside.write_text("mine")
    names = [str(outside), "../outside.txt", "link/outside.txt", "alias.txt", "old.txt"]
    digest = files._hash(outside)
    text = "{" + ", ".join(f'"{name}": "{digest}"' for name in names) + "}"
    (study / ".made.json").write_text(text)
    assert remove_outdated(study, []) == [inside]
    assert outside.read_text() == "mine"


@pytest.mark.parametrize("name", ["tables", "figures", "blocks"])
def test_nothing_is_written_through_a_link(results, tmp_path, name):
    (tmp_path / "outside").mkdir()
    folder = results / "tiny" / name
    if folder.exists():
        folder.rename(tmp_path / "outside" / "kept")
        folder.symlink_to(tmp_path / "outside" / "kept")
    else:
        folder.symlink_to(tmp_path / "outside")
    before = sorted(tmp_path.joinpath("outside").rglob("*"))
    with pytest.raises(StudyError, match="leads out of the study's folder"):
        make(results / "tiny")
    code, text = sweep(results, *ONE_CELL, "n_replications=6")
    assert code == 1
    assert "leads out of the study's folder" in text
    assert sorted(tmp_path.joinpath("outside").rglob("*")) == before


def test_certificates_reach_dask(monkeypatch):
    distributed = pytest.importorskip("distributed")
    from experiments.compute.dask import DaskAddress

    given = {}

    def connect(address, **settings):
        given.update(settings)
        raise OSError

    monkeypatch.setattr(distributed, "Client", connect)
    place = DaskAddress("tls://node1:8786", None, "ca.pem", "cert.pem", "key.pem")
    with pytest.raises(InputError), place.start():
        pass
    found = given["security"]
    assert found.require_encryption
    names = (found.tls_ca_file, found.tls_client_cert, found.tls_client_key)
    assert names == ("ca.pem", "cert.pem", "key.pem")
    with pytest.raises(ValueError, match="begins with tls"):
        DaskAddress("tcp://node1:8786", None, "ca.pem", "cert.pem", "key.pem")
