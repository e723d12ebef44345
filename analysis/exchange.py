"""Replications of other programs in, replications for other programs out, as CSV.

The table is tidy, one row for every replication, method and parameter, as simsum
(Stata) and rsimsum (R) take it.
"""

from collections.abc import Container
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from analysis.dimensions import NOT_RUN, TIDY
from analysis.kinds import at_default_kind, with_default_kind
from analysis.measures.intervals import wald_limits

GIVEN = "given"  # the kind of a standard error or interval of another program
FAILED = 1


def read_csv(
    path: Path | str,
    *,
    estimate: str,
    truth: str | float,
    replication: str,
    standard_error: str | None = None,
    lower: str | None = None,
    upper: str | None = None,
    df: str | None = None,
    estimator: str | None = None,
    grid: str | None = None,
    sample_size: str | None = None,
    n_supp: str | None = None,
    parameter: str | None = None,
    process: str | None = None,
    level: float = 0.95,
) -> xr.DataTree:
    """Read replications from a CSV whose columns are named by the arguments.

    An empty estimate is a replication that failed; a combination without a row was not
    run.

    Args:
        path: The file.
        estimate: Column of the estimates.
        truth: Column of the true values, or the one value of all.
        replication: Column of whole numbers; rows with the same one are paired.
        standard_error: Column of standard errors.
        lower: Column of lower limits, with `upper`; else the limits are those of the
            standard error.
        upper: Column of upper limits.
        df: Column of degrees of freedom, for limits from standard errors.
        estimator: Column of methods; without one there is a single `estimator`.
        grid: Column of support grids, as the next two only where there is one.
        sample_size: Column of sample sizes.
        n_supp: Column of numbers of grid points.
        parameter: Column of parameters; without one there is a single `parameter`.
        process: Column of data-generating processes; without one there is a single
            `process`.
        level: Level of the limits.

    Returns:
        Groups as in `replications.nc`, for `summarise` or to be stored with `to_netcdf`
        as the `replications.nc` of a study.
    """
    keys = {
        "estimator": estimator,
        "grid": grid,
        "sample_size": sample_size,
        "n_supp": n_supp,
        "replication": replication,
        "parameter": parameter,
        "process": process,
    }
    values = {
        "estimate": estimate,
        "standard_error": standard_error,
        "lower": lower,
        "upper": upper,
        "df": df,
        "truth": truth if isinstance(truth, str) else None,
    }
    if (lower is None) != (upper is None):
        raise ValueError("give both `lower` and `upper`, or neither.")
    if not 0 < level < 1:
        raise ValueError(f"level={level}: give a share, such as 0.95.")
    # As text: a method may be called None or NA, which pandas takes for nothing.
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    named = {x: y for x, y in {**keys, **values}.items() if y is not None}
    absent = [f"{x}={y!r}" for x, y in named.items() if y not in table]
    if absent:
        raise ValueError(
            f"{path} has no column {', '.join(absent)}; it has "
            f"{', '.join(map(str, table.columns))}."
        )
    tidy = pd.DataFrame(
        {
            **{x: _read_key(table, x, y) for x, y in keys.items() if y is not None},
            **{x: _read_values(table, y) for x, y in values.items() if y is not None},
        }
    )
    if not isinstance(truth, str):
        tidy["truth"] = float(truth)
    for name in ("estimator", "parameter", "process"):
        if name not in tidy:
            tidy[name] = name
    groups: dict[str, xr.Dataset] = {}
    for name, part in tidy.groupby("process", sort=False):
        found = _to_dataset(part.drop(columns="process"), level)
        groups[_name_group(str(name), groups)] = found.assign_attrs(label=str(name))
    return xr.DataTree.from_dict(groups)


def _name_group(name: str, taken: Container[str]) -> str:
    """Name a process's group: a slash, or nothing but dots, would be another path."""
    safe = f"/{name.replace('/', '_')}"
    while not safe.strip("/.") or safe in taken:
        safe += "_"
    return safe


def _read_key(table: pd.DataFrame, key: str, column: str) -> pd.Series:
    """Read what tells rows apart: never empty, and a whole number where it counts."""
    found = table[column].str.strip()
    if key not in ("replication", "sample_size", "n_supp"):
        wrong = found == ""
    else:
        wrong = ~found.str.fullmatch(r"[+-]?\d{1,15}(\.0*)?")
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        what = "empty" if found[row] == "" else f"{found[row]!r}, no whole number"
        raise ValueError(f"row {row + 2}: the {key}, column {column}, is {what}.")
    if key in ("replication", "sample_size", "n_supp"):
        return found.astype(float).astype(int)
    return found


def _read_values(table: pd.DataFrame, column: str) -> pd.Series:
    """Read numbers; what stands for a missing one elsewhere is missing."""
    found = table[column].str.strip()
    found = found.where(~found.str.lower().isin(_MISSING), "nan")
    numbers = pd.Series(pd.to_numeric(found, errors="coerce"))
    wrong = np.flatnonzero(numbers.isna() & (found != "nan"))
    if wrong.size:
        row = int(wrong[0])
        raise ValueError(f"row {row + 2}: {column} is {found[row]!r}, no number.")
    return numbers.astype(float)


_MISSING = ("", ".", "na", "nan", "n/a", "null", "none", "<na>")


def to_csv(table: pd.DataFrame) -> str:
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
    names = ("estimate", "standard_error", "lower", "upper", "truth", "code")
    chosen = process[[x for x in names if x in process]]
    dims = [x for x in TIDY if x in chosen.dims]
    chosen = chosen.drop_vars([x for x in chosen.coords if x not in dims])
    table = chosen.to_dataframe(dim_order=dims).reset_index()
    if "code" in table:
        table = table.loc[np.asarray(table["code"]) != NOT_RUN]
    return pd.DataFrame(table).reset_index(drop=True)


def _to_dataset(tidy: pd.DataFrame, level: float) -> xr.Dataset:
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
    data = tidy.assign(row=1.0).set_index(dims).to_xarray().reindex(order)
    run = data["row"].notnull().any("parameter")
    # One estimate missing of those that a method gives, and the replication failed.
    finite = (np.isfinite(data["estimate"]) | data["row"].isnull()).all("parameter")
    code = xr.where(run, xr.where(finite, 0, FAILED), NOT_RUN).astype(np.int8)
    code.attrs = {
        "flag_values": np.array([NOT_RUN, 0, FAILED], np.int8),
        "flag_meanings": "not_run successful failed",
        "flag_sentences": "Not run.\nSuccessful.\nThe file holds no estimate.",
    }
    found = xr.Dataset(
        {"truth": _reduce_truth(data["truth"]), "estimate": data["estimate"]}
    ).assign(code=code)
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
