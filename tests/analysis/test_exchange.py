from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from synthetic_study import make_process

from analysis.exchange import read_csv, tidy_replications
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
    summary = summarise(read_csv(MORRIS, **COLUMNS))
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
    read_csv(MORRIS, **COLUMNS).to_netcdf(tmp_path / "replications.nc")
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
    summary = summarise(read_csv(write(tmp_path, text), **columns))
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
    own = read_csv(path, **given, lower="lo", upper="hi")["process"].to_dataset()
    assert own["lower"].values.ravel().tolist() == [-9, -8]
    student = (
        read_csv(path, **given, df="df")["process"].to_dataset()["upper"].values.ravel()
    )
    assert student[0] == pytest.approx(2.570582, abs=1e-6)
    assert np.isnan(student[1])


def test_wrong_columns_are_refused(tmp_path):
    path = write(tmp_path, "i,b\n1,0\n1,2\n")
    with pytest.raises(ValueError, match=r"no column estimate='theta'; it has i, b\."):
        read_csv(path, estimate="theta", truth=0, replication="i")
    with pytest.raises(ValueError, match="two rows are estimator estimator, repl"):
        read_csv(path, estimate="b", truth=0, replication="i")
    with pytest.raises(ValueError, match="both `lower` and `upper`"):
        read_csv(path, estimate="b", truth=0, replication="i", lower="b")


def test_what_is_written_is_read_back_as_it_was(tmp_path):
    process = make_process(**SMALL)
    path = tmp_path / "a.csv"
    tidy = tidy_replications(process)
    assert len(tidy) == 2 * 2 * 2 * 35 * 3
    tidy.to_csv(path, index=False)
    names = ("estimator", "grid", "sample_size", "n_supp", "replication", "parameter")
    values = ("estimate", "truth", "standard_error", "lower", "upper")
    columns: dict[str, Any] = {x: x for x in (*names, *values)}
    back = read_csv(path, **columns)["process"].to_dataset()
    shown = process.sel(kind="sandwich", replication=back["replication"])
    for name in values:
        found = (
            back[name].squeeze("kind", drop=True)
            if "kind" in back[name].dims
            else back[name]
        )
        np.testing.assert_allclose(found, shown[name].transpose(*found.dims))
    np.testing.assert_array_equal(
        back["code"] == 0, (shown["code"] == 0).transpose(*back["code"].dims)
    )
