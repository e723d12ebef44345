"""A study end to end, with the real estimator, and the layout of its file."""

import subprocess

import numpy as np
import pytest
import xarray as xr
from study_helpers import call, sweep

from experiments import provenance

STUDY = [
    "study=small",
    "sample_size=[60]",
    "n_supp=[7]",
    "n_replications=4",
    "block_size=2",
    "compute.n_workers=1",
]


@pytest.mark.thorough
def test_a_study_end_to_end(tmp_path):
    code, text = call("sweep", *STUDY, f"results_dir={tmp_path}")
    assert code == 0, text
    folder = tmp_path / "small"
    for name in ("study.yaml", "replications.nc", "summary.nc"):
        assert (folder / name).exists()
        assert name == "study.yaml" or name in text
    assert "coverage" in text.lower()
    assert "Done in" in text

    with xr.open_datatree(folder / "replications.nc") as tree:
        tree.load()
    assert tree.attrs["complete"] == 1
    for name in ("title", "study", "spmlex_version", "git_commit", "git_dirty"):
        assert name in tree.attrs
    for name in ("packages", "jax_flags", "machine", "seed", "created", "config"):
        assert name in tree.attrs
    assert str(tmp_path) not in "".join(map(str, tree.attrs.values()))
    data = tree["linear_factor_discrete"].to_dataset()
    axes = ("estimator", "grid", "sample_size", "n_supp", "replication")
    assert data["estimate"].dims == (*axes, "parameter")
    assert data["lower"].dims == (*axes, "kind", "parameter")
    assert data["code"].dims == axes
    assert data["code"].dtype == np.int8
    assert data["data_hash"].dims == ("sample_size", "replication")
    assert data["truth"].values.tolist() == [1.5, 0.3, 0.0, 0.2, -0.3]
    assert data.attrs["default_kind"] in data["kind"]
    for variable in data.variables.values():
        if variable.dtype.kind != "T":
            assert "long_name" in variable.attrs
    meanings = data["code"].attrs["flag_meanings"].split()
    sentences = data["code"].attrs["flag_sentences"].split("\n")
    assert len(meanings) == len(sentences) == len(data["code"].attrs["flag_values"])

    used = data["code"] == 0
    assert int(used.sum()) >= 3
    total = data["probs"].sum("point").where(used, 1.0)
    np.testing.assert_allclose(total, 1.0, atol=1e-9)
    inside = (data["lower"] < data["estimate"]) & (data["estimate"] < data["upper"])
    assert bool(inside.where(used & np.isfinite(data["lower"]), True).all())
    assert (data["seconds"] > 0).all()


@pytest.mark.thorough
def test_support_points_are_padded_with_nan(tmp_path, monkeypatch):
    monkeypatch.setattr("experiments.commands.report.report", lambda *_: None)
    code, _ = sweep(tmp_path)
    assert code == 0
    with xr.open_datatree(tmp_path / "tiny" / "replications.nc") as tree:
        data = tree["linear_factor_discrete"].to_dataset().load()
    assert data.sizes["point"] == 6
    four = data[["supp", "probs"]].sel(n_supp=4)
    assert bool(four.isel(point=slice(4, None)).isnull().to_array().all())
    points = four["supp"].isel(point=slice(4))
    np.testing.assert_array_equal(points[0, 0, 0, 0], np.linspace(-6, 6, 4))
    assert bool((points == points[0, 0, 0, 0]).all())


def test_only_the_code_makes_a_clone_dirty(tmp_path, monkeypatch):
    def git(*words):
        who = ("-c", "user.name=A", "-c", "user.email=a@example.org")
        subprocess.run(["git", *who, *words], cwd=tmp_path, check=True)

    (tmp_path / "results").mkdir()
    code, result = tmp_path / "code.py", tmp_path / "results" / "summary.nc"
    for path in (code, result):
        path.write_text("1")
    git("init", "-q")
    git("add", "-A")
    git("commit", "-qm", "Start")
    monkeypatch.setattr(provenance, "REPOSITORY", tmp_path)
    describe = provenance.describe_code.__wrapped__
    result.write_text("2")
    assert describe()["git_dirty"] == 0
    code.write_text("2")
    assert describe()["git_dirty"] == 1
    assert len(describe()["git_commit"]) == 40
