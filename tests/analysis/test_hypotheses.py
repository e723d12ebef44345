"""Size and power of tests, coverage at several levels, statistics of an estimator."""

import numpy as np
import pytest
import xarray as xr
import yaml
from scipy import stats
from synthetic_study import CONFIG, make_process

from analysis.figures import drawing, power
from analysis.labels import name_groups
from analysis.measures.summarise import summarise
from analysis.nulls import Hypothesis, list_hypotheses
from analysis.tables.catalogue import list_tables
from analysis.tables.compose import list_composed
from analysis.tables.layout import parse_layout
from analysis.tables.printed import print_rows
from analysis.tables.rounding import format_panels

ASKED = {"tests": {"coef[0]": ["truth", 1.2, 0.0]}, "levels": [0.9, 0.99]}
NAME = "linear_factor_discrete"


def make_study(process, asked=ASKED):
    tree = xr.DataTree.from_dict({f"/{NAME}": process})
    tree.attrs["config"] = CONFIG + yaml.safe_dump(asked)
    return tree


@pytest.fixture(scope="module")
def process():
    return make_process(n_supp=(25, 50), n_replications=200, share_failed=0.05)


@pytest.fixture(scope="module")
def summary(process):
    return summarise(make_study(process))


def test_nulls_are_numbers_or_the_truth():
    assert list_hypotheses({"a": 0, "b": ["truth", 1.5]}) == [
        Hypothesis("a", 0.0),
        Hypothesis("b", "truth"),
        Hypothesis("b", 1.5),
    ]
    with pytest.raises(ValueError, match="tests: a: 'zero' is no null"):
        list_hypotheses({"a": "zero"})


def test_rejections_are_those_of_the_two_sided_test(process, summary):
    found = summary[NAME].to_dataset()
    where = {"estimator": "em", "sample_size": 500, "n_supp": 25}
    at = {**where, "kind": "sandwich", "parameter": "coef[0]"}
    chosen = process.sel(at).squeeze()
    ok = chosen["code"] == 0
    for test, null, holds in (("coef[0] = truth", 1.5, 1), ("coef[0] = 1.2", 1.2, 0)):
        z = abs(chosen["estimate"] - null) / chosen["standard_error"]
        p_value = 2 * stats.norm.sf(z)
        for level in (0.95, 0.9, 0.99):
            known = ok & chosen["standard_error"].notnull()
            share = (p_value <= 1 - level)[known.values].mean()
            got = (
                found["rejection"]
                .sel({**where, "test": test, "nominal": level})
                .squeeze()
            )
            assert float(got) == pytest.approx(share)
        assert int(found["holds"].sel(test=test)) == holds
    # Size is one less the coverage of the interval that inverts the test.
    size = found["size"].sel({**where, "parameter": "coef[0]"}).squeeze()
    covered = found["coverage"].sel(at)
    assert float(size) == pytest.approx(1 - float(covered.squeeze()))
    power = found["power"].sel(parameter="coef[0]").squeeze()
    same = found["rejection"].sel(test="coef[0] = 1.2", nominal=0.95).squeeze()
    assert (power == same).all()
    assert found["size"].sel(parameter="coef[1]").isnull().all()


def test_coverage_rises_with_the_level(summary):
    found = summary[NAME].to_dataset()
    kinds = found["coverage"].sel(kind="sandwich")
    at = found["coverage_at"]
    assert at.sel(nominal=0.95).values == pytest.approx(kinds.values)
    assert (at.sel(nominal=0.9) <= at.sel(nominal=0.95)).all()
    assert (at.sel(nominal=0.99) >= at.sel(nominal=0.95)).all()
    ratio = found["width_at"].sel(nominal=0.99) / found["width_at"].sel(nominal=0.9)
    exact = stats.norm.ppf(0.995) / stats.norm.ppf(0.95)
    assert ratio.values == pytest.approx(np.full(ratio.shape, exact))


def test_p_values_of_others_and_statistics_are_measured(process):
    shape = {x: process.sizes[x] for x in process["code"].dims}
    rng = np.random.default_rng(1)
    p_value = xr.DataArray(rng.uniform(size=tuple(shape.values())), dims=list(shape))
    more = process.assign(
        p_value=p_value.expand_dims(reported_test=["overidentification"], axis=-1),
        reported=(2 * p_value).expand_dims(statistic=["J"], axis=-1),
    )
    summary = summarise(make_study(more))
    found = summary[NAME].to_dataset()
    used = (process["code"] == 0).values
    at = found["rejection"].sel(test="overidentification")
    for level in (0.9, 0.95):
        share = np.where(used, p_value <= 1 - level, 0).sum(-1) / used.sum(-1)
        got = at.sel(nominal=level).transpose(*p_value.dims[:-1])
        assert got.values == pytest.approx(share)
    assert int(found["holds"].sel(test="overidentification")) == -1
    mean = np.where(used, 2 * p_value, 0).sum(-1) / used.sum(-1)
    assert found["statistic_mean"].squeeze("statistic").values == pytest.approx(mean)
    names = [x.name for x in list_tables(name_groups(summary), NAME)]
    assert {"tests", "levels", "statistics"} <= set(names)


def test_tables_show_size_and_power_at_every_level(summary):
    tables = {x.name: x for x in list_tables(name_groups(summary), NAME)}
    tests = tables["tests"]
    assert [x for x in tests.numbers if f"{x}_mcse" in tests.numbers] == [
        "0.05",
        "0.1",
        "0.01",
    ]
    (text,) = format_panels(tests.shown()).values()
    assert set(text["It is true or not"]) == {"true", "false"}
    (printed,) = print_rows(tests.shown(), caption="Tests", notes=tests.notes)
    words = {word for row in printed.rows for word in (*row.heading, *row.names)}
    assert {"coef[0] = truth", "coef[0] = 0", "true", "false"} <= words
    (text,) = format_panels(tables["levels"].shown()).values()
    assert list(text)[-3:] == ["0.95", "0.9", "0.99"] or "0.99" in text


def test_table_files_take_size_and_power(summary):
    content = {
        "rows": ["parameter", "sample_size"],
        "columns": ["estimator", "measure"],
        "measures": ["bias", "size", "power", "interval_score"],
        "where": {"n_supp": "largest", "parameter": "coef[0]"},
    }
    layout = parse_layout(content, "tests")
    ((_, _, printed, numbers),) = list_composed(summary, {"tests": layout}, [NAME])
    assert [words[-1] for words in printed.heads[:4]] == [
        "Bias",
        "Size",
        "Power",
        "Interval score",
    ]
    assert np.isfinite(numbers["power"]).all()


def test_normal_theory_errors_stand_beside_the_robust(summary):
    found = summary[NAME].to_dataset()
    spread, used = found["empirical_se"], found["used_estimate"]
    plain = spread / (2 * (used - 1)) ** 0.5
    assert found["empirical_se_mcse_normal"].values == pytest.approx(plain.values)
    assert "normal theory" in found["empirical_se_mcse_normal"].attrs["long_name"]
    gain = found["relative_precision_over_estimator"]
    one = gain.sel(estimator="em", other_estimator="profile")
    other = gain.sel(estimator="profile", other_estimator="em")
    assert ((1 + one / 100) * (1 + other / 100)).values == pytest.approx(
        np.ones(one.shape)
    )


@pytest.fixture(scope="module")
def curve(process):
    nulls = [0.9, 1.2, 1.5, 1.8, 2.1]
    return name_groups(summarise(make_study(process, {"tests": {"coef[0]": nulls}})))


def test_power_curves_are_the_rejection_rates(curve):
    process = curve[NAME].to_dataset()
    pictures = {x.name: x for x in power.list_pictures(process)}
    assert set(pictures) == {"power"}
    with drawing.style():
        figure = pictures["power"].draw()
    (ax,) = figure.axes
    at = process["rejection"].sel(sample_size=2000, n_supp=50, nominal=0.95).squeeze()
    drawn = {x.get_label(): x.lines[0].get_xydata() for x in ax.containers}
    for estimator in at["estimator"].values:
        x, y = np.asarray(drawn[str(estimator)]).T
        assert x.tolist() == [0.9, 1.2, 1.5, 1.8, 2.1]
        assert y == pytest.approx(at.sel(estimator=estimator).values)
    assert {"nominal", "truth"} <= set(ax.get_legend_handles_labels()[1])
    assert ax.get_title() == "coef[0]"


def test_two_nulls_are_no_curve(summary):
    process = name_groups(summary)[NAME].to_dataset()
    process = process.isel(test=[0, 1])
    assert power.curves(process) is None
