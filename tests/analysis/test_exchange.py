from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy import stats
from synthetic_study import make_process

from analysis.columns import parse_columns
from analysis.exchange import (
    read_replications,
    tidy_columns,
    to_csv,
)
from analysis.make import main
from analysis.measures.summarise import summarise

MORRIS = Path(__file__).parents[1] / "data" / "morris_simtutorial.csv"
COLUMNS: dict[str, Any] = {
    "estimate": "theta",
    "truth": -0.5,
    "replication": "idrep",
    "standard_error": "se",
    "estimator": "method",
    "process": "dgm",
}
SMALL = {"sample_sizes": (500, 1000), "n_supp": (25, 50), "not_run": 5}


def write(folder, text):
    path = folder / "a.csv"
    path.write_text(text)
    return path


def test_worked_example_has_its_published_measures():
    summary = summarise(read_replications(MORRIS, **COLUMNS))
    assert list(summary.children) == ["1", "2"]
    one = summary["1"].to_dataset().squeeze()
    assert one["estimator"].values.tolist() == ["Exponential", "Weibull", "Cox"]
    cox = one.sel(estimator="Cox")
    assert cox["bias"].item() == pytest.approx(-0.002089, abs=5e-7)
    assert cox["bias_mcse"].item() == pytest.approx(0.005228, abs=5e-7)
    assert cox["empirical_se"].item() == pytest.approx(0.209111, abs=5e-7)
    assert 0.94 < cox["coverage"].item() < 0.96
    assert int(cox["used"]) == 1600


@pytest.mark.slow
def test_worked_example_becomes_a_study(tmp_path, capsys):
    read_replications(MORRIS, **COLUMNS).to_netcdf(tmp_path / "replications.nc")
    assert main([str(tmp_path), "--tidy-csv"]) == 0
    assert "report.html" in capsys.readouterr().out
    tidy = pd.read_csv(tmp_path / "tables" / "1" / "replications_tidy.csv")
    assert len(tidy) == 3 * 1600


def test_failures_rows_not_there_and_varying_truth(tmp_path):
    text = "i,m,b,t\n1,x,1.5,1\n2,x,,2\n3,x,3.0,3\n1,y,1,1\n2,y,2,2\n"
    columns: dict[str, Any] = {
        "estimate": "b",
        "truth": "t",
        "replication": "i",
        "estimator": "m",
    }
    summary = summarise(read_replications(write(tmp_path, text), **columns))
    found = summary["process"].to_dataset().squeeze()
    assert found["attempted"].values.tolist() == [3, 2]
    assert found["failed"].values.tolist() == [1, 0]
    assert found["bias"].values.tolist() == [0.25, 0.0]
    assert "coverage" not in found


def test_limits_come_from_columns_or_from_degrees_of_freedom(tmp_path):
    path = write(tmp_path, "i,b,se,df,lo,hi\n1,0,1,5,-9,9\n2,0,1,,-8,8\n")
    given: dict[str, Any] = {
        "estimate": "b",
        "truth": 0,
        "replication": "i",
        "standard_error": "se",
    }
    own = read_replications(path, **given, lower="lo", upper="hi")[
        "process"
    ].to_dataset()
    assert own["lower"].values.ravel().tolist() == [-9, -8]
    student = (
        read_replications(path, **given, df="df")["process"]
        .to_dataset()["upper"]
        .values.ravel()
    )
    assert student[0] == pytest.approx(2.570582, abs=1e-6)
    assert np.isnan(student[1])


def test_wrong_columns_are_refused(tmp_path):
    path = write(tmp_path, "i,b\n1,0\n1,2\n")
    with pytest.raises(ValueError, match=r"no column estimate='theta'; it has i, b\."):
        read_replications(path, estimate="theta", truth=0, replication="i")
    with pytest.raises(ValueError, match="two rows are estimator estimator, repl"):
        read_replications(path, estimate="b", truth=0, replication="i")
    with pytest.raises(ValueError, match="both `lower` and `upper`"):
        read_replications(path, estimate="b", truth=0, replication="i", lower="b")


def test_what_is_written_is_read_back_as_it_was(tmp_path):
    process = make_process(**SMALL)
    left = {"estimator": "profile", "sample_size": 500, "n_supp": 25}
    process["estimate"].loc[{**left, "replication": 3}] = 7.0  # a failure's leftovers
    process["code"].loc[{**left, "replication": 3}] = 2
    tree = xr.DataTree.from_dict({"/a": process, "/b": process.isel(sample_size=[0])})
    path = tmp_path / "a.csv"
    to_csv(tree, path)
    back = read_replications(path, **tidy_columns(path))
    assert list(back.children) == ["a", "b"]
    found = back["a"].to_dataset().squeeze("kind", drop=True)
    shown = process.sel(kind="sandwich", replication=found["replication"])
    for name in ("estimate", "truth", "standard_error", "lower", "upper"):
        np.testing.assert_array_equal(
            found[name], shown[name].transpose(*found[name].dims)
        )
    np.testing.assert_array_equal(
        found["code"], shown["code"].transpose(*found["code"].dims)
    )
    again = tmp_path / "b.csv"
    to_csv(back, again)
    assert again.read_text() == path.read_text()


def test_a_frame_and_a_dataset_are_read_like_a_file():
    frame = pd.read_csv(MORRIS).query("idrep <= 50")
    from_frame = read_replications(frame, **COLUMNS)
    keys = ["idrep", "dgm", "method"]
    dataset = frame.set_index(keys).to_xarray()
    from_dataset = read_replications(dataset, **COLUMNS)
    for name in ("1", "2"):
        one, other = (x[name].to_dataset() for x in (from_frame, from_dataset))
        xr.testing.assert_identical(one.sortby("estimator"), other.sortby("estimator"))


def test_wide_tables_are_read_like_long_ones(tmp_path):
    frame = pd.read_csv(MORRIS).query("idrep <= 50")
    wide = frame.pivot(index=["idrep", "dgm"], columns="method")
    wide.columns = [
        f"{'b' if x == 'theta' else 'se'}_{method}" for x, method in wide.columns
    ]
    columns = {**COLUMNS, "estimate": "b_*", "standard_error": "se_*"}
    del columns["estimator"]
    for source in (wide.reset_index(), tmp_path / "w.dta"):
        wide.reset_index().to_stata(tmp_path / "w.dta", write_index=False)
        found = read_replications(source, **columns)["2"].to_dataset()
        long = read_replications(frame, **COLUMNS)["2"].to_dataset()
        xr.testing.assert_identical(found.sortby("estimator"), long.sortby("estimator"))
    with pytest.raises(ValueError, match=r"no column like 'beta\*'; it has idrep, dgm"):
        read_replications(wide.reset_index(), **{**columns, "estimate": "beta*"})


def test_parameters_may_stand_side_by_side():
    frame = pd.DataFrame({"i": [1, 2], "b_x": [1.0, 1.5], "b_y": [2.0, 2.5]})
    tree = read_replications(
        frame,
        estimate="b_*",
        truth={"x": 1, "y": 2},
        replication="i",
        wide="parameter",
    )
    found = summarise(tree)["process"].to_dataset().squeeze()
    assert found["parameter"].values.tolist() == ["x", "y"]
    assert found["bias"].values.tolist() == [0.25, 0.25]


def test_truth_is_a_mapping_by_parameter_or_process():
    frame = pd.DataFrame({"i": [1, 1], "p": ["a", "b"], "b": [1.0, 3.0]})
    given: dict[str, Any] = {"estimate": "b", "replication": "i"}
    by_process = read_replications(frame, **given, process="p", truth={"a": 1, "b": 2})
    assert by_process["b"]["truth"].item() == 2
    by_parameter = read_replications(
        frame, **given, parameter="p", truth={"a": 1, "b": 2}
    )
    assert by_parameter["process"].to_dataset()["truth"].values.tolist() == [1, 2]
    with pytest.raises(ValueError, match="truth has no value of b; give one for every"):
        read_replications(frame, **given, parameter="p", truth={"a": 1})


def test_several_keys_are_joined_and_degrees_of_freedom_may_be_a_number():
    frame = pd.DataFrame(
        {
            "i": [1, 1, 1],
            "dgm": [1, 1, 2],
            "size": ["weak", "strong", "weak"],
            "b": [0.0, 1.0, 2.0],
            "se": [1.0, 1.0, 1.0],
        }
    )
    tree = read_replications(
        frame,
        estimate="b",
        truth=0,
        replication="i",
        standard_error="se",
        process=("dgm", "size"),
        df=5,
    )
    assert list(tree.children) == ["dgm 1, weak", "dgm 1, strong", "dgm 2, weak"]
    upper = tree["dgm 1, weak"]["upper"].item()
    assert upper == pytest.approx(2.570582, abs=1e-6)


SETTINGS = [
    *("estimate=theta", "truth=-0.5", "replication=idrep", "standard_error=se"),
    *("estimator=method", "process=dgm"),
]


def test_the_command_line_reads_columns():
    found = parse_columns([*SETTINGS, "level=0.9", "parameter=a,b"])
    assert found == {**COLUMNS, "level": 0.9, "parameter": ("a", "b")}
    assert parse_columns(["truth=a:1,b[0]:-2"]) == {"truth": {"a": 1, "b[0]": -2}}
    with pytest.raises(ValueError, match="--columns method: write NAME=COLUMN"):
        parse_columns(["method"])


@pytest.mark.slow
def test_a_report_is_made_of_somebody_elses_file(tmp_path, capsys):
    path = tmp_path / "morris.csv"
    path.write_bytes(MORRIS.read_bytes())
    assert main([str(path), "--columns", *SETTINGS]) == 0
    report = (tmp_path / "morris" / "report.html").read_text()
    assert "Replications of morris.csv" in report
    for name in ("Exponential", "Weibull", "Cox"):
        assert name in report
    assert list((tmp_path / "morris" / "figures" / "1").glob("lolly-bias*.pdf"))
    latex = (tmp_path / "morris" / "tables" / "1" / "performance.tex").read_text()
    assert (
        "0.209"
        in (tmp_path / "morris" / "tables" / "1" / "performance.csv").read_text()
    )
    assert "Cox" in latex


def test_a_file_with_other_columns_is_refused_in_one_line(tmp_path, capsys):
    path = write(tmp_path, "i,b\n1,0\n")
    given = ["--columns", "estimate=theta", "truth=0", "replication=i"]
    assert main([str(path), *given]) == 2
    error = capsys.readouterr().err
    assert "no column estimate='theta'; it has i, b." in error
    assert error.count("\n") == 1
    for columns, missing in (
        (["--columns", "estimate=b"], "truth missing; give --columns truth=COLUMN"),
        ([], "estimate and truth missing; give --columns estimate=COLUMN truth=COLUMN"),
    ):
        assert main([str(path), *columns]) == 2
        assert missing in capsys.readouterr().err


def test_p_values_and_degrees_of_freedom_of_others_are_tested(tmp_path):
    rng = np.random.default_rng(2)
    table = pd.DataFrame(
        {
            "i": np.arange(200),
            "b": rng.normal(size=200),
            "se": 1.0,
            "p": rng.uniform(size=200),
        }
    )
    tree = read_replications(
        table,
        estimate="b",
        truth=0.0,
        replication="i",
        standard_error="se",
        p_value="p",
        df=5,
    )
    tree.attrs["config"] = "{tests: {parameter: [truth, 2]}, levels: [0.9]}"
    found = summarise(tree)["process"].to_dataset().squeeze()
    rate = found["rejection"]
    reported = rate.sel(test="reported, parameter", nominal=0.95)
    assert reported.item() == pytest.approx((table["p"] <= 0.05).mean())
    critical = stats.t.ppf(0.975, 5)
    for test, null in (("parameter = truth", 0.0), ("parameter = 2", 2.0)):
        share = (abs(table["b"] - null) >= critical).mean()
        assert rate.sel(test=test, nominal=0.95).item() == pytest.approx(share)
    wider = found["width_at"].sel(nominal=0.9).item()
    assert wider == pytest.approx(2 * stats.t.ppf(0.95, 5))


def test_hypotheses_of_a_command_line_are_checked(tmp_path, capsys):
    assert main([str(MORRIS), "--output", str(tmp_path / "a"), "--test", "theta"]) == 2
    assert "write PARAMETER=NULL" in capsys.readouterr().err
    named = ["--columns", *SETTINGS]
    asked = [str(MORRIS), "--output", str(tmp_path / "a"), *named, "--test"]
    assert main([*asked, "beta=0"]) == 2
    assert "--test beta: no such parameter; there are theta." in capsys.readouterr().err
    assert main([str(tmp_path), "--test", "theta=0"]) == 2
    assert "for a file of replications" in capsys.readouterr().err
