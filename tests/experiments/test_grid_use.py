"""Estimators without a grid are computed once; grids that the data place."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr
from study_helpers import call, make_design, sweep

from analysis.measures.mixing import mixing_measures
from experiments.estimators import FiniteMixture, NormalRandomEffects, Oracle, Profile
from experiments.grids import Bell, DataRange, Uniform
from experiments.store.merged import NOT_RUN
from experiments.study import Cell

RIVALS = [
    "estimator=[profile,profile_em,moments]",
    "estimator.profile_em._target_=study_helpers.Ranged",
    "estimator.profile_em.solver=works",
    "grid=[uniform,uniform_wide]",
]
DGP = "linear_factor_discrete"


def test_cells_hold_what_their_estimator_uses():
    cells = make_design(*RIVALS).cells()
    by_estimator = {
        name: [cell for cell in cells if cell.estimator == name]
        for name in ("profile", "profile_em", "moments")
    }
    assert {k: len(v) for k, v in by_estimator.items()} == {
        "profile": 8,
        "profile_em": 4,
        "moments": 2,
    }
    assert by_estimator["moments"][0] == Cell(DGP, None, 20, None, "moments")
    assert by_estimator["moments"][0].name == f"{DGP}--n20--moments"
    assert by_estimator["profile_em"][0].name == f"{DGP}--uniform--n20--profile_em"
    assert len({cell.name for cell in cells}) == len(cells)


def test_rivals_say_what_they_use_of_the_grid():
    uses = [x.grid_use for x in (Profile, NormalRandomEffects, FiniteMixture, Oracle)]
    assert uses == ["points", "range", "range", "nothing"]


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("experiments.commands.report.report", lambda *_: None)
        code, text = sweep(folder, *RIVALS)
    assert code == 0, text
    return folder


@pytest.mark.thorough
def test_one_result_stands_at_every_grid(study):
    with xr.open_datatree(study / "tiny" / "replications.nc") as tree:
        data = tree[DGP].to_dataset().load()
    assert bool((data["code"] != NOT_RUN).all())
    assert data["grid_use"].values.tolist() == ["points", "range", "nothing"]
    alone = data.sel(estimator="moments")
    for name in ("estimate", "standard_error", "lower", "code", "seconds"):
        first = alone[name].isel(grid=0, n_supp=0)
        np.testing.assert_array_equal(alone[name], first.broadcast_like(alone[name]))
    assert bool(alone["probs"].isnull().all())
    # All three see the same data, and here estimate the same way but for a label.
    profile = data["estimate"].sel(estimator="profile")
    assert bool((data["estimate"].sel(estimator="profile_em") == profile).all())
    trial = data["supp"].sel(estimator="profile_em", grid="uniform_wide")
    np.testing.assert_allclose(
        trial.isel(sample_size=0, n_supp=1, replication=0), np.linspace(-12, 12, 101)
    )


@pytest.mark.thorough
def test_more_grids_leave_what_does_not_depend_on_them(study, monkeypatch):
    monkeypatch.setattr("experiments.commands.report.report", lambda *_: None)
    blocks = study / "tiny" / "blocks" / f"{DGP}--n20--moments"
    before = {path: path.stat().st_mtime_ns for path in blocks.iterdir()}
    code, text = sweep(study, *RIVALS, "n_supp=[4,6,8]")
    assert code == 0, text
    assert "98 replications are there already, 28 are left to run" in text
    assert {path: path.stat().st_mtime_ns for path in blocks.iterdir()} == before


@pytest.mark.thorough
def test_a_cell_without_a_grid_can_be_looked_at_and_run_again(study):
    folder = f"results_dir={study}"
    code, text = call("status", "tiny", folder)
    assert code == 0
    (line,) = [x for x in text.splitlines() if "moments" in x and " 20 " in x]
    assert DGP in text
    assert line.split()[:4] == ["-", "moments", "20", "-"]
    where = ["sample_size=20", "replication=2"]
    code, text = call("rerun", "tiny", folder, "estimator=moments", *where)
    assert code == 0, text
    assert "bit for bit" in text
    code, text = call("rerun", "tiny", folder, "estimator=profile_em", *where)
    assert code == 2
    assert "grid: missing. Choices: uniform, uniform_wide" in text
    code, text = call("rerun", "tiny", folder, "estimator=moments", "n_supp=4", *where)
    assert "n_supp: 4 is not in the study. Choices: any" in text


def test_what_a_grid_leaves_is_averaged_over_the_replications_used():
    process = xr.Dataset({"adequacy": ("replication", [1e-3, 3e-3, 1.0, np.nan])})
    used = xr.DataArray([True, True, False, True], dims="replication")
    (found,) = mixing_measures(process, used)
    assert float(found["adequacy"]) == pytest.approx(2e-3)
    assert float(found["adequacy_mcse"]) == pytest.approx(1e-3)


def test_a_shifted_grid_lies_half_way_between():
    plain, shifted = Uniform(-6, 6).make(13), Uniform(-6, 6, shift=0.5).make(13)
    np.testing.assert_allclose(shifted[:-1], 0.5 * (plain[1:] + plain[:-1]))


def test_a_bell_is_dense_in_the_middle_and_keeps_its_ends():
    points = Bell(-6, 8, loc=1, scale=3).make(41)
    steps = np.diff(points)
    assert (steps > 0).all()
    np.testing.assert_allclose([points[0], points[20], points[-1]], [-6, 1, 8])
    assert (np.diff(steps[20:]) > 0).all()
    with pytest.raises(ValueError, match="scale=0: give a positive"):
        Bell(-6, 8, loc=1, scale=0).make(41)


@pytest.mark.thorough
def test_a_grid_from_data_covers_where_they_put_the_latent_variable():
    process = make_design().processes[DGP]
    data = process.simulate(jax.random.key(0), 300)
    grid = DataRange(-12, 12, margin=0.1)
    start = process.truth.starting_values(data)
    points = np.asarray(grid.adapt(start, data, jnp.zeros(25)))
    assert points.shape == (25,)
    np.testing.assert_allclose(np.diff(points), points[1] - points[0])
    # Atoms at -3, 0 and 5, observations that are off by their noise, and the margin.
    assert -7 < points[0] < -3
    assert 5 < points[-1] < 9
    assert grid.make(25)[0] == -12


@pytest.mark.thorough
def test_a_study_stores_the_grid_of_every_replication(tmp_path, monkeypatch):
    monkeypatch.setattr("experiments.commands.report.report", lambda *_: None)
    code, text = sweep(tmp_path, "grid=data_range", "sample_size=20")
    assert code == 0, text
    with xr.open_datatree(tmp_path / "tiny" / "replications.nc") as tree:
        supp = tree[DGP]["supp"].sel(n_supp=4).isel(point=slice(4)).squeeze()
    assert len(np.unique(supp[:, 0])) == 7
    assert bool((supp.diff("point") > 0).all())
