"""Tables beside that of performance.

Comparisons paired by replication, all kinds of interval side by side, and rates in n.
Like in `performance`, nothing is computed here.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import xarray as xr

from analysis.copies import NONE
from analysis.dimensions import DESIGN_POINT, ENDINGS, ROWS
from analysis.tables.performance import COUNT_COLUMNS, select_rows
from analysis.tables.rounding import measures_in

DIFFERENCES = (
    *("bias_difference", "rmse_ratio", "relative_precision", "coverage_difference"),
)
INTERVALS = ("coverage", "interval_width")
MISSING = ("coverage_of_attempted",)
OPEN = ("median_width", "open_share")
UNFLAGGED = ("coverage_unflagged", "interval_width_unflagged", "flagged_share")
F_RATES = {
    "wasserstein_rate": "F: Wasserstein-1",
    "cdf_sup_rate": "F: sup distance",
    "cdf_squared_rate": "F: root of squared distance",
}


def interval_table(process: xr.Dataset) -> pd.DataFrame:
    """Select coverage and width of every kind of interval that an estimator has.

    Where intervals are missing, also coverage over all attempts; where some are open,
    the median width and the share of them; where fits were flagged, also without them,
    and the share of them. The count `used_interval` is of the replications used in
    which both limits are known.

    Args:
        process: One group of `summary.nc`.

    Returns:
        One row per estimator, grid, parameter, sample size, number of points and kind.
    """
    measures = INTERVALS
    given = process["used_interval"]
    if bool((given < process["attempted"]).where(given > 0, False).any()):
        measures += MISSING
    if bool((process["open_share"] > 0).any()):
        measures += OPEN
    if int(process.get("flagged", xr.DataArray(0)).sum()) > 0:
        measures += UNFLAGGED
    counts = (*COUNT_COLUMNS, "used_interval", "used_interval_unflagged")
    table = select_rows(process, measures, counts, dims=(*ROWS, "kind"))
    return table.loc[np.asarray(table["used_interval"]) > 0].reset_index(drop=True)


def widen_intervals(table: pd.DataFrame) -> pd.DataFrame:
    """Lay intervals out with a column for every parameter and a panel a measure.

    Args:
        table: What `interval_table` returns.

    Returns:
        A row per measure, estimator, grid, sample size, number of points and kind. Each
        parameter is a column with its `_mcse`, as a measure is elsewhere. The share of
        flagged fits, if it is known, is a column in the rows that follow. Counts are
        the fewest over the parameters.
    """
    keys = [x for x in (*DESIGN_POINT, "kind") if x in table]
    counts = [x for x in COUNT_COLUMNS if x in table]
    panels = []
    for measure in (x for x in measures_in(table) if x != "flagged_share"):
        used = "used_interval"
        if measure.endswith("_unflagged") and "used_interval_unflagged" in table:
            used = "used_interval_unflagged"
        rows = _fewest(table, keys, [*counts, used])
        rows = rows.rename(columns={used: "used_interval"})
        if measure in MISSING:
            rows["used_interval"] = rows["attempted"]
        ends = [end for end in ENDINGS if f"{measure}{end}" in table]
        for parameter, part in table.groupby("parameter", sort=False):
            names = {f"{measure}{end}": f"{parameter}{end}" for end in ends}
            part = pd.DataFrame(part[[*keys, *names]]).rename(columns=names)
            rows = rows.merge(part, on=keys, how="left")
        panels.append(rows.assign(measure=measure))
    if "flagged_share" in table:
        cells = [x for x in keys if x != "kind"]
        share = [f"flagged_share{end}" for end in ENDINGS]
        rows = _fewest(table, cells, [*counts, *share])
        panels.append(rows.assign(measure="flagged_share"))
    return pd.concat(panels, ignore_index=True)


def _fewest(table: pd.DataFrame, keys: list[str], columns: list[str]) -> pd.DataFrame:
    groups = table.groupby(keys, sort=False, as_index=False)
    return pd.DataFrame(groups[columns].min())


def comparison_table(process: xr.Dataset, dim: str) -> tuple[pd.DataFrame, str]:
    """Select the paired comparisons of every entry along a dimension with one of them.

    That one is the first estimator or grid, and the largest number of grid points.

    Args:
        process: One group of `summary.nc`.
        dim: estimator, grid or n_supp.

    Returns:
        The table, with the measures `bias_difference`, `rmse_ratio` (the RMSE of the
        entry over that of the other) and `coverage_difference`, and what is compared
        with. Rows whose other side was not run are left out.
    """
    stems = {f"{x}_over_{dim}": x for x in DIFFERENCES if f"{x}_over_{dim}" in process}
    if not stems:
        raise ValueError(f"the summary compares nothing along {dim!r}.")
    other = process[f"other_{dim}"].values[-1 if dim == "n_supp" else 0]
    chosen = process.sel({f"other_{dim}": other}, drop=True)
    chosen = chosen.sel({dim: [x for x in process[dim].values if x != other]})
    ends = {f"{x}_mcse": f"{y}_mcse" for x, y in stems.items()}
    own = {
        f"pairs_over_{dim}": "used_estimate",
        f"pairs_interval_over_{dim}": "used_interval",
    }
    own = {x: y for x, y in own.items() if x in chosen}
    chosen = chosen[[*stems, *ends, *own, *(x for x in COUNT_COLUMNS if x in chosen)]]
    counts = (*COUNT_COLUMNS, *own.values())
    table = select_rows(chosen.rename({**stems, **ends, **own}), DIFFERENCES, counts)
    known = table[list(stems.values())].notna().any(axis=1) & (table[dim] != NONE)
    against = f"{other} points" if dim == "n_supp" else str(other)
    return table.loc[known].reset_index(drop=True), against


def rate_table(process: xr.Dataset) -> pd.DataFrame:
    """Select the rates in the sample size, of every parameter and of F.

    The counts are sums over the sample sizes. Empty with fewer than two sizes.
    """
    sizes = {
        x: process[x].sum("sample_size")
        for x in COUNT_COLUMNS
        if x in process and "sample_size" in process[x].dims
    }
    parts = []
    if "rate" in process:
        parts.append(process[["rate", "rate_mcse"]])
    for name, words in F_RATES.items():
        if name in process:
            names = {name: "rate", f"{name}_mcse": "rate_mcse"}
            part = process[list(names)].rename(names)
            parts.append(part.expand_dims(parameter=[words]))
    tables = [
        select_rows(part.assign(sizes), ("rate",), COUNT_COLUMNS) for part in parts
    ]
    if not tables:
        return pd.DataFrame()
    table = pd.concat(tables, ignore_index=True)
    keys = [x for x in ("estimator", "grid") if x in table]
    if keys:  # in the order of the study, F after the parameters
        place = {x: {y: i for i, y in enumerate(process[x].values)} for x in keys}
        table = table.sort_values(
            keys, key=lambda column: column.map(place[str(column.name)]), kind="stable"
        )
    return table.loc[table["rate"].notna()].reset_index(drop=True)


HOLDS = {1: "true", 0: "false", -1: "not known"}


def rejection_table(process: xr.Dataset) -> pd.DataFrame:
    """Select the rejection rates of every test: size where the null is true, or power.

    Args:
        process: One group of `summary.nc` with `rejection`.

    Returns:
        A row for every estimator, grid, test, sample size and number of points, and a
        column for every level of the tests, 0.05 for a level of confidence of 0.95.
    """
    order = [x for x in (*ROWS, "test") if x != "parameter"]
    table = _widen(process, "rejection", order)
    holds = dict(zip(process["test"].values, process["holds"].values, strict=True))
    table["holds"] = [HOLDS[int(holds[x])] for x in table["test"]]
    return table


def level_table(process: xr.Dataset) -> pd.DataFrame:
    """Select the coverage at every level that was asked for, a column each."""
    return _widen(process, "coverage_at", ROWS)


def statistic_table(process: xr.Dataset) -> pd.DataFrame:
    """Select mean and spread of the statistics that estimators report of their own."""
    dims = [x for x in (*ROWS, "statistic") if x != "parameter"]
    measures = ("statistic_mean", "statistic_sd")
    table = select_rows(process, measures, COUNT_COLUMNS, dims=dims)
    known = table["statistic_mean"].notna()
    return table.loc[known].reset_index(drop=True)


def _widen(process: xr.Dataset, name: str, dims: Sequence[str]) -> pd.DataFrame:
    """Put a measure at every level into a column of its own; drop rows without any."""
    parts = process[[f"{name}{end}" for end in ENDINGS]]
    columns, stems = {}, []
    for i, level in enumerate(process["nominal"].values):
        stem = f"{1 - level:.2g}" if name == "rejection" else f"{level:g}"
        stems.append(stem)
        for end in ENDINGS:
            columns[f"{stem}{end}"] = parts[f"{name}{end}"].isel(nominal=i, drop=True)
    counts = process[[x for x in COUNT_COLUMNS if x in process]]
    chosen = counts.assign(columns)
    table = select_rows(chosen, stems, COUNT_COLUMNS, dims=dims)
    known = table[stems].notna().any(axis=1)
    return table.loc[known].reset_index(drop=True)
