"""Estimands: true values, and what estimators report of them in a study."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr
from scipy import stats
from study_helpers import call

from experiments import estimands
from experiments.config.build import build_design
from experiments.config.compose import compose
from experiments.errors import InputError
from experiments.store.fingerprint import Fingerprint
from experiments.study import Cell

ALL = "estimand=[mean,variance,share_positive,median,loading_ratio]"


def design(*overrides):
    return build_design(compose(list(overrides)))


def test_true_values_are_those_of_the_process():
    study = design("dgp=[linear_factor_normal,linear_factor_discrete]", ALL)
    names, values = study.truth("linear_factor_normal")
    assert names[5:] == ["mean", "variance", "share_positive", "median"] + [
        "loading_ratio"
    ]
    assert values[5:] == pytest.approx([0.0, 4.0, 0.5, 0.0, 5.0], abs=1e-9)
    _, values = study.truth("linear_factor_discrete")
    assert values[5:] == pytest.approx([0.1, 7.69, 0.2, 0.0, 5.0], abs=1e-9)


def test_averages_over_f_are_integrals():
    study = design(
        "dgp=[panel_logit_normal]",
        "grid=[panel_binary]",
        "estimand=[choice_probability,partial_effect]",
    )
    names, values = study.truth("panel_logit_normal")
    assert names[2:] == ["choice_probability", "partial_effect[0]", "partial_effect[1]"]
    slope = stats.norm.expect(lambda v: stats.logistic.pdf(v))
    assert values[2:] == pytest.approx([0.5, slope, -0.5 * slope], abs=1e-6)


def test_a_process_brings_estimands_of_its_own():
    study = design("dgp=[linear_factor_normal]", "estimand=[mean]")
    process = dataclasses.replace(
        study.processes["linear_factor_normal"],
        estimands={"above_one": estimands.Share(above=1.0)},
    )
    assert hash(process.estimands)
    study = dataclasses.replace(study, processes={"own": process})
    names, values = study.truth("own")
    assert names[5:] == ["mean", "above_one"]
    assert values[6] == pytest.approx(stats.norm.sf(0.5), abs=1e-9)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["estimand.mean.coordinate=1", "estimand=[mean]"], "coordinate=1"),
        (["estimand=[choice_probability]"], "no method choice_probability"),
        (["estimand=[nothing]"], "no such estimand"),
        (
            ["estimand=[loading_ratio]", "estimand.loading_ratio.numerator=slope"],
            "slope is no parameter",
        ),
    ],
)
def test_what_does_not_fit_a_process_is_refused(overrides, message):
    with pytest.raises(InputError, match=message):
        design(*overrides)


def test_values_are_sums_over_the_points_of_f():
    supp, probs = jnp.array([3.0, -1.0, 0.5]), jnp.array([0.2, 0.5, 0.3])
    model, of = None, estimands
    assert float(of.Mean().value(model, supp, probs)) == pytest.approx(0.25)
    assert float(of.Variance().value(model, supp, probs)) == pytest.approx(2.3125)
    assert float(of.Share(above=0.5).value(model, supp, probs)) == pytest.approx(0.2)
    for level, value in ((0.5, -1.0), (0.51, 0.5), (0.81, 3.0)):
        found = of.Quantile(level=level).value(model, supp, probs)
        assert float(found) == value
    rows = jnp.stack([supp, 2 * supp], axis=1)
    second = of.Mean(coordinate=1).value(model, rows, probs)
    assert float(second) == pytest.approx(0.5)
    slope = jax.grad(lambda v: of.Quantile(level=0.9).value(model, v, probs))(supp)
    assert slope.tolist() == [1.0, 0.0, 0.0]  # the atom that it is, moves


def test_blocks_without_estimands_keep_their_address():
    config = compose(["sample_size=[500]"])
    cell = Cell("linear_factor_discrete", "uniform", 500, 25, "profile")
    without = Fingerprint.from_config(config)
    older = {name: value for name, value in config.items() if name != "estimand"}
    assert Fingerprint.from_config(older) == without
    with_mean = Fingerprint.from_config(compose(["estimand=[mean]"]))
    assert with_mean.hash_cell(cell) != without.hash_cell(cell)
    assert with_mean.difference(without)


@pytest.mark.slow
def test_a_study_measures_the_coverage_of_a_share(tmp_path):
    code, text = call(
        "sweep",
        f"results_dir={tmp_path}",
        "study=shares",
        "estimand=[mean,share_positive]",
        "estimator=[profile,normal_random_effects,moments]",
        "dgp=[linear_factor_normal]",
        "sample_size=[200]",
        "n_supp=[25]",
        "n_replications=4",
    )
    assert code == 0, text
    folder = tmp_path / "shares"
    study = xr.open_datatree(folder / "replications.nc")
    process = study["linear_factor_normal"].to_dataset()
    names = process["parameter"].values.tolist()
    assert names[5:] == ["mean", "share_positive"]
    found = process["estimate"].sel(parameter="share_positive").squeeze()
    assert np.isfinite(found.sel(estimator=["profile", "normal_random_effects"])).all()
    assert found.sel(estimator="moments").isnull().all()  # it has no F
    moments = process["estimate"].sel(estimator="moments")
    assert moments.sel(parameter="coef[0]").notnull().all()
    assert ((found.sel(estimator="profile") > 0) & (found < 1)).any()
    summary = xr.open_datatree(folder / "summary.nc")["linear_factor_normal"]
    coverage = summary["coverage"].sel(parameter="share_positive", kind="sandwich")
    assert np.isfinite(coverage.sel(estimator="profile")).all()
