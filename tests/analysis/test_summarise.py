import numpy as np
import pytest
import xarray as xr
from synthetic_study import make_process, make_replications, summarise_synthetic

from analysis.attributes import COUNT_NAMES, OTHERS, describe
from analysis.kinds import at_default_kind
from analysis.labels import name_entries
from analysis.measures import estimates as me
from analysis.measures.summarise import summarise, summarise_process

ONE = {"estimators": ("profile",), "n_supp": (50,)}  # nothing to compare
CELL = ("estimator", "grid", "sample_size", "n_supp")


def default_summary():
    return summarise_synthetic()


def test_summary_keeps_the_groups_and_says_its_rule():
    summary = summarise(make_replications(**ONE), exclusion_rule="all_or_none")
    assert list(summary.children) == ["linear_factor_discrete"]
    assert summary.attrs["exclusion_rule"] == "all_or_none"
    assert summary.attrs["study"] == "synthetic"
    assert summary["linear_factor_discrete"].attrs["label"].startswith("Linear")


def test_every_measure_has_its_error_beside_it_and_a_unit_or_why_none():
    summary = default_summary().copy()
    without_error = {*COUNT_NAMES, *OTHERS}
    for name, variable in summary.data_vars.items():
        assert variable.attrs["long_name"]
        assert variable.attrs.get("units") in ("1", "s", "percent", None)
        assert ("units" in variable.attrs) != ("comment" in variable.attrs), name
        assert "replication" not in variable.dims
        if str(name) not in without_error and not str(name).endswith(
            ("_mcse", "_mcse_normal", "_lower", "_upper")
        ):
            assert f"{name}_mcse" in summary


def test_measures_are_those_of_the_successes():
    process, summary = make_process(), default_summary()
    cell = {"estimator": "em", "sample_size": 500, "n_supp": 25, "grid": "uniform"}
    one = process.sel(cell)
    good = one["estimate"][one["code"].values == 0]
    alone = me.rmse(good, one["truth"])
    np.testing.assert_allclose(summary["rmse"].sel(cell), alone["rmse"])
    np.testing.assert_allclose(summary["rmse_mcse"].sel(cell), alone["rmse_mcse"])


def test_a_failed_replication_is_not_used_even_with_a_value():
    process = make_process(share_failed=0.0, **ONE)
    process["code"][..., 3] = 1
    process["estimate"][..., 3, :] = 1e6
    summary = summarise_process(process)
    assert (summary["failed"] == 1).all()
    assert float(summary["rmse"].max()) < 1


def test_counts_add_up():
    summary = summarise_process(make_process(not_run=7, **ONE))
    assert (summary["attempted"] == 33).all()
    assert (summary["used"] + summary["failed"] == summary["attempted"]).all()
    rate = summary["failed"] / summary["attempted"]
    xr.testing.assert_allclose(summary["failure_rate"].drop_attrs(), rate.drop_attrs())
    assert set(summary["used"].dims) == set(CELL)


def test_missing_sandwich_drops_only_measures_of_the_sandwich():
    summary = summarise_process(make_process(share_failed=0.0, **ONE))
    used = summary["used_standard_error"]
    assert (used.sel(kind="observed") == 40).all()
    assert (used.sel(kind="sandwich") == 39).all()
    assert (summary["used"] == 40).all()


def test_all_or_none_judges_estimators_on_the_same_draws():
    process = make_process()
    own = default_summary()
    shared = summarise_process(process, exclusion_rule="all_or_none")
    used = shared["used"]
    assert (used.isel(estimator=0) == used.isel(estimator=1)).all()
    assert (used < own["used"]).any()
    xr.testing.assert_equal(shared["failed"], own["failed"])


def test_an_estimator_outside_the_design_point_excludes_nothing():
    process = make_process(n_supp=(50,))
    process["code"].loc[{"estimator": "em", "sample_size": 500}] = -1
    process["estimate"].loc[{"estimator": "em", "sample_size": 500}] = np.nan
    both = summarise_process(process, exclusion_rule="all_or_none")
    alone = summarise_process(process)
    chosen = {"estimator": "profile", "sample_size": 500}
    xr.testing.assert_equal(both["used"].sel(chosen), alone["used"].sel(chosen))
    assert (both["used"].sel(estimator="em", sample_size=500) == 0).all()


def test_comparisons_are_antisymmetric_and_reciprocal():
    summary = default_summary().copy()
    difference = summary["bias_difference_over_n_supp"]
    forth = difference.sel(n_supp=25, other_n_supp=100)
    back = difference.sel(n_supp=100, other_n_supp=25)
    np.testing.assert_allclose(forth, -back)
    ratio = summary["rmse_ratio_over_estimator"]
    forth = ratio.sel(estimator="em", other_estimator="profile")
    back = ratio.sel(estimator="profile", other_estimator="em")
    np.testing.assert_allclose(forth * back, 1)
    itself = ratio.sel(estimator="em", other_estimator="em")
    np.testing.assert_allclose(itself, 1)
    assert "bias_difference_over_grid" not in summary


def test_unknown_rule_is_refused():
    with pytest.raises(ValueError, match="'some'; choose one of per_estimator, all_or"):
        summarise_process(make_process(), exclusion_rule="some")  # pyright: ignore
    with pytest.raises(ValueError, match="no process"):
        summarise(xr.DataTree())


def test_estimates_alone_are_enough():
    process = make_process(**ONE)[["estimate", "truth"]]
    summary = summarise_process(process)
    assert "rmse" in summary
    assert "coverage" not in summary
    assert (summary["attempted"] == 40).all()
    xr.testing.assert_identical(at_default_kind(summary), summary)


def test_default_kind_is_the_one_the_study_names():
    assert (default_summary()["default_kind"] == "sandwich").all()
    process = make_process(**ONE)
    del process.attrs["default_kind"]
    assert (summarise_process(process)["default_kind"] == "observed").all()
    stored = process.assign_coords(default_kind=("estimator", ["sandwich"]))
    assert (summarise_process(stored)["default_kind"] == "sandwich").all()


def own_kinds():
    """Return a process in which `em` has no sandwich, the kind the study names."""
    process = make_process(n_supp=(50,), sample_sizes=(500,))
    for name in ("standard_error", "lower", "upper"):
        process[name].loc[{"estimator": "em", "kind": "sandwich"}] = np.nan
    return process


def test_an_estimator_without_the_default_kind_shows_its_own():
    summary = summarise_process(own_kinds())
    kinds = summary["default_kind"].sel(estimator=["profile", "em"]).values
    assert list(kinds) == ["sandwich", "observed"]
    shown = at_default_kind(summary)["coverage"]
    for estimator, kind in zip(("profile", "em"), kinds, strict=True):
        one = {"estimator": estimator}
        expected = summary["coverage"].sel(one).sel(kind=kind)
        np.testing.assert_array_equal(shown.sel(one), expected)
    difference = summary["coverage_difference_over_estimator"].squeeze()
    assert difference.notnull().all()
    alone = at_default_kind(summary.sel(estimator="em"))["coverage"]
    np.testing.assert_array_equal(alone, shown.sel(estimator="em"))


def test_limits_without_standard_errors_are_measured():
    process = make_process(share_failed=0.0, **ONE)
    process["standard_error"].loc[{"kind": "sandwich"}] = np.nan
    process["upper"].loc[{"kind": "sandwich", "replication": [3, 4]}] = np.nan
    summary = summarise_process(process).sel(kind="sandwich")
    assert (summary["used_standard_error"] == 0).all()
    assert (summary["used_interval"] == 37).all()  # the first has no sandwich either
    assert summary["coverage"].notnull().all()
    assert summary["mean_model_se"].isnull().all()


def test_attempts_without_an_interval_do_not_cover():
    process = make_process(share_failed=0.1, not_run=4, **ONE)
    process["upper"].loc[{"kind": "sandwich"}] = np.nan  # a kind that is not offered
    summary = summarise_process(process)
    found = summary["coverage_of_attempted"].sel(kind="observed")
    covering = summary["coverage"].sel(kind="observed") * summary["used"]
    assert (summary["attempted"] == 36).all()
    np.testing.assert_allclose(found, (covering / 36).transpose(*found.dims))
    assert summary["coverage_of_attempted"].sel(kind="sandwich").isnull().all()
    # What a failure left behind counts as it came.
    process["lower"].loc[{"kind": "observed"}] = -np.inf
    process["upper"].loc[{"kind": "observed"}] = np.inf
    summary = summarise_process(process).sel(kind="observed")
    assert (summary["coverage_of_attempted"] == 1).all()
    assert (summary["open_share"] == 1).all()


def test_flagged_fits_are_used_counted_and_left_out_beside():
    process = make_process(share_failed=0.1, **ONE)
    process["flagged"][...] = 0
    process["flagged"][..., :10] = 1
    process["estimate"][..., :10, 0] += 5.0  # far off
    process["lower"][..., :10, :, 0] += 5.0
    process["upper"][..., :10, :, 0] += 5.0
    summary = summarise_process(process).sel(parameter="coef[0]")
    share = summary["flagged"] / summary["used"]
    np.testing.assert_allclose(summary["flagged_share"], share)
    assert (summary["bias"] > 1).all()
    assert (abs(summary["bias_unflagged"]) < 1).all()
    without = process.isel(replication=slice(10, None))
    alone = summarise_process(without).sel(parameter="coef[0]")
    for name in ("rmse", "coverage", "interval_width"):
        for end in ("", "_mcse"):
            np.testing.assert_allclose(
                summary[f"{name}_unflagged{end}"], alone[f"{name}{end}"]
            )
    assert (summary["coverage"] < summary["coverage_unflagged"]).all()


def test_study_without_a_single_replication_is_summarised_as_missing():
    summary = summarise_synthetic(not_run=40, **ONE)
    assert (summary["attempted"] == 0).all()
    assert summary["rmse"].isnull().all()
    assert summary["rate"].isnull().all()


def test_summary_survives_the_file(tmp_path):
    summary = summarise(make_replications(**ONE))
    summary.to_netcdf(tmp_path / "summary.nc")
    with xr.open_datatree(tmp_path / "summary.nc") as stored:
        xr.testing.assert_equal(stored.load(), summary)


def test_entries_are_named_by_their_labels_unless_two_are_alike():
    process = own_kinds().assign_coords(
        estimator_label=("estimator", ["Profile likelihood", "EM"]),
        grid_label=("grid", ["Uniform"]),
    )
    summary = name_entries(summarise_process(process))
    assert list(summary["estimator"].values) == ["Profile likelihood", "EM"]
    assert list(summary["estimator_name"].values) == ["profile", "em"]
    assert list(summary["other_estimator"].values) == ["Profile likelihood", "EM"]
    assert list(summary["kind"].values) == ["observed information", "sandwich"]
    assert list(summary["default_kind"].values) == ["sandwich", "observed information"]
    assert at_default_kind(summary)["coverage"].notnull().all()
    alike = process.assign_coords(estimator_label=("estimator", ["A", "A"]))
    assert list(name_entries(alike)["estimator"].values) == ["profile", "em"]


def test_labels_fall_back_to_the_stored_name():
    words = describe("rmse_ratio_over_estimator_mcse")["long_name"]
    assert words.startswith("Monte Carlo standard error of the ratio of RMSEs")
