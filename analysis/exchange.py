"""Replications of other programs in, replications for other programs out.

What is written is tidy, one row for every replication, method and parameter, as simsum
(Stata) and rsimsum (R) take it:

```python
from analysis.exchange import read_replications
from analysis.measures.summarise import summarise

replications = read_replications(
    "simulation.csv", estimate="theta", truth=-0.5, replication="idrep",
    standard_error="se", estimator="method", process="dgm",
)
print(summarise(replications)["1"]["bias"].to_pandas())
```
"""

from collections.abc import Container
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from analysis.columns import Column, Source, Truth, name_columns, read_table
from analysis.dimensions import NOT_RUN, TIDY
from analysis.kinds import at_default_kind, with_default_kind
from analysis.measures.intervals import wald_limits

GIVEN = "given"  # the kind of a standard error or interval of another program
FAILED = 1
TIDY_VALUES = ("estimate", "standard_error", "lower", "upper", "truth", "code")


def read_replications(
    source: Source,
    *,
    estimate: str,
    truth: Truth,
    replication: str,
    standard_error: str | None = None,
    lower: str | None = None,
    upper: str | None = None,
    df: str | float | int | None = None,
    p_value: str | None = None,
    code: str | None = None,
    estimator: Column = None,
    grid: Column = None,
    sample_size: str | None = None,
    n_supp: str | None = None,
    parameter: Column = None,
    process: Column = None,
    level: float | int = 0.95,
    wide: str = "estimator",
) -> xr.DataTree:
    """Read replications from a table whose columns are named by the arguments.

    An empty estimate is a replication that failed; a combination without a row was not
    run. Where methods stand side by side, a `*` stands for what tells their columns
    apart: `estimate="b*", standard_error="se*"` reads b1, b2, se1, se2.

    Args:
        source: A data frame, a dataset, or the path of a CSV or Stata file.
        estimate: Column of the estimates.
        truth: Column of the true values, the one value of all, or values by parameter
            or process.
        replication: Column of whole numbers; rows with the same one are paired.
        standard_error: Column of standard errors.
        lower: Column of lower limits, with `upper`; else the limits are those of the
            standard error.
        upper: Column of upper limits.
        df: Degrees of freedom for limits and tests from standard errors: a column or a
            number.
        p_value: Column of p-values, of a test for every parameter: a summary has how
            often it rejects.
        code: Column of result codes: 0 is a success, all else a failure.
        estimator: Column of methods, or several; without one there is a single
            `estimator`.
        grid: Column of support grids, as the next two only where there is one.
        sample_size: Column of sample sizes.
        n_supp: Column of numbers of grid points.
        parameter: Column of parameters, or several; without one there is a single
            `parameter`.
        process: Column of data-generating processes, or several; without one there is
            a single `process`.
        level: Level of the limits.
        wide: What the columns with a `*` tell apart: estimator or parameter.

    Returns:
        Groups as in `replications.nc`, for `summarise` or to be stored with `to_netcdf`
        as the `replications.nc` of a study.
    """
    if (lower is None) != (upper is None):
        raise ValueError("give both `lower` and `upper`, or neither.")
    if wide not in ("estimator", "parameter"):
        raise ValueError(f"wide is {wide!r}; choose estimator or parameter.")
    columns: dict[str, Column | float] = {
        "estimator": estimator,
        "grid": grid,
        "sample_size": sample_size,
        "n_supp": n_supp,
        "replication": replication,
        "parameter": parameter,
        "process": process,
        "estimate": estimate,
        "standard_error": standard_error,
        "lower": lower,
        "upper": upper,
        "df": df,
        "p_value": p_value,
        "code": code,
    }
    name = str(source) if isinstance(source, Path | str) else "the table"
    if not 0 < level < 1:
        raise ValueError(f"level={level}: give a share, such as 0.95.")
    table = read_table(source)
    tidy = name_columns(table, columns, truth, wide=wide, source=name)
    groups: dict[str, xr.Dataset] = {}
    for process_name, part in tidy.groupby("process", sort=False):
        found = _to_dataset(part.drop(columns="process"), level)
        label = str(process_name)
        groups[_name_group(label, groups)] = found.assign_attrs(label=label)
    return xr.DataTree.from_dict(groups)


def _name_group(name: str, taken: Container[str]) -> str:
    """Name a process's group: a slash, or nothing but dots, would be another path."""
    safe = f"/{name.replace('/', '_')}"
    while not safe.strip("/.") or safe in taken:
        safe += "_"
    return safe


def to_csv(replications: xr.DataTree, path: Path | str) -> None:
    """Write all replications as one tidy CSV, to the last digit.

    `read_replications(path, **tidy_columns(path))` reads back what was written: every
    estimator's default kind of interval.
    """
    parts = [
        tidy_replications(node.to_dataset()).assign(process=name)
        for name, node in replications.children.items()
    ]
    pd.concat(parts, ignore_index=True).to_csv(path, index=False)


def tidy_columns(source: Source) -> dict[str, Any]:
    """Name the columns of a table that has them by our names, as `to_csv` writes it."""
    names = (*TIDY, *TIDY_VALUES, "df", "process")
    table = read_table(source)
    return {x: x for x in names if x in table}


def table_to_csv(table: pd.DataFrame) -> str:
    """Write a table as CSV that no spreadsheet takes for formulas.

    A text that begins as one does gets an apostrophe before it.
    """
    texts = [x for x in table if not pd.api.types.is_numeric_dtype(table[x])]
    written = {
        x: [f"'{y}" if str(y)[:1] in _FORMULA else y for y in table[x]] for x in texts
    }
    return table.assign(**written).to_csv(index=False)


_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def tidy_replications(process: xr.Dataset, *, kind: str | None = None) -> pd.DataFrame:
    """Write the replications of one process as a tidy table.

    Args:
        process: One group of `replications.nc`.
        kind: Kind of the standard errors and limits; else every estimator's default.

    Returns:
        A row for every replication attempted, method and parameter: where it belongs,
        `estimate`, `standard_error`, `lower`, `upper`, `truth`, `code`. A failed one
        has its code and whatever it left behind.
    """
    if kind is None:
        process = at_default_kind(with_default_kind(process))
    else:
        process = process.sel(kind=kind, drop=True)
    chosen = process[[x for x in TIDY_VALUES if x in process]]
    dims = [x for x in TIDY if x in chosen.dims]
    chosen = chosen.drop_vars([x for x in chosen.coords if x not in dims])
    table = chosen.to_dataframe(dim_order=dims).reset_index()
    if "code" in table:
        table = table.loc[np.asarray(table["code"]) != NOT_RUN]
    return pd.DataFrame(table).reset_index(drop=True)


def _to_dataset(tidy: pd.DataFrame, level: float | int) -> xr.Dataset:
    dims = [x for x in TIDY if x in tidy]
    twice = tidy.duplicated(dims)
    if twice.any():
        row = tidy.loc[twice, dims].iloc[0]
        where = ", ".join(f"{x} {row[x]}" for x in dims)
        raise ValueError(f"two rows are {where}; name the column that tells them.")
    order = {
        x: pd.Index(tidy[x].unique())
        for x in ("estimator", "grid", "parameter")
        if x in tidy
    }
    # `row` tells a row whose estimate is missing from a row that is not there. The
    # index is sorted; names keep the order in which the file has them.
    data = tidy.assign(row=1.0).set_index(dims).to_xarray().reindex(order)
    run = data["row"].notnull().any("parameter")
    # One estimate missing of those that a method gives, and the replication failed.
    finite = (np.isfinite(data["estimate"]) | data["row"].isnull()).all("parameter")
    ended = xr.where(finite, 0, FAILED)
    if "code" in data:
        # A replication failed where one of its parameters says so.
        given = data["code"].max("parameter").fillna(FAILED)
        ended = xr.where((given == 0) & ~finite, FAILED, given)
    code = xr.where(run, ended, NOT_RUN).astype(np.int8)
    values = [NOT_RUN, 0, *(x for x in np.unique(code) if x > 0)]
    failures = ["failed" if x == FAILED else f"failed_{x}" for x in values[2:]]
    sentence = "\nThe file holds no estimate, or says that it failed."
    code.attrs = {
        "flag_values": np.array(values, np.int8),
        "flag_meanings": " ".join(["not_run", "successful", *failures]),
        "flag_sentences": f"Not run.\nSuccessful.{sentence * len(failures)}",
    }
    found = xr.Dataset(
        {"truth": _reduce_truth(data["truth"]), "estimate": data["estimate"]}
    ).assign(code=code)
    if "p_value" in data:
        tests = [f"reported, {x}" for x in data["parameter"].values]
        moved = data["p_value"].rename(parameter="reported_test")
        found["p_value"] = moved.assign_coords(reported_test=tests)
    if "df" in data:
        found["df"] = data["df"]
    if "standard_error" in data:
        found["standard_error"] = data["standard_error"].expand_dims(kind=[GIVEN])
    if "lower" in data:
        limits = data["lower"], data["upper"]
    elif "standard_error" in data:
        limits = wald_limits(
            data["estimate"], data["standard_error"], level=level, df=data.get("df")
        )
    else:
        return found
    for name, limit in zip(("lower", "upper"), limits, strict=True):
        found[name] = limit.expand_dims(kind=[GIVEN]).assign_attrs(level=level)
    return found


def _reduce_truth(truth: xr.DataArray) -> xr.DataArray:
    """Keep one truth per parameter where it is the same in every row."""
    others = [x for x in truth.dims if x != "parameter"]
    low, high = truth.min(others), truth.max(others)
    return low if bool((low == high).all()) else truth
