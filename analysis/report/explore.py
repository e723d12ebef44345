"""The numbers that a reader can choose from: a table to sort, a figure to point at.

The page holds them as JSON, texts rounded as everywhere; `explore.js` shows what is
chosen, `lines.js` against a size, `lollies.js` where there is one size only. Without a
script the page has the table of the first choice.
"""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import xarray as xr

from analysis import labels
from analysis.copies import NONE
from analysis.symbols import in_unicode
from analysis.tables.performance import performance_table
from analysis.tables.rounding import Z, round_column

_CHOSEN_BY = ("process", "parameter", "sample_size", "n_supp", "grid", "estimator")
MEASURES = (
    *("bias", "rmse", "coverage", "se_ratio", "empirical_se", "interval_width"),
    *("interval_score", "size", "power"),
)
MAIN = ("bias", "rmse", "coverage", "se_ratio")
"""Those that fit beside the figure; a reader may ask for all."""

FEW_ROWS = 24
"""Of a study with one sample size and one grid size so many are shown at first."""

MOST_ROWS = 20_000
"""A study with more rows shows the largest number of grid points alone."""


class Explorer(NamedTuple):
    """What the page shows at first, and all that it holds.

    Attributes:
        payload: JSON, safe inside a script element.
        columns: Heads of the table at first.
        rows: Its rows.
        caption: Its caption.
    """

    payload: str
    columns: list[str]
    rows: list[list[str]]
    caption: str


def explore(summary: xr.DataTree) -> Explorer | None:
    """Collect the numbers of all processes; None before there is a replication.

    Args:
        summary: What `summarise` returns, after `labels.name_groups`.
    """
    table, level = _gather(summary)
    if table is None:
        return None
    dims = [x for x in _CHOSEN_BY if x in table]
    names = [x for x in MEASURES if f"{x}_text" in table]
    entries = _list_entries(table, dims)
    places = {x: {y: i for i, y in enumerate(entries[x])} for x in dims}
    order = pd.DataFrame({x: [places[x][y] for y in table[x]] for x in dims})
    table = table.iloc[order.sort_values(dims).index].reset_index(drop=True)
    first = _choose_first(entries, len(table))
    heads = [x for x in dims if x not in first and _has_choice(x, entries[x])]
    main = [x for x in MAIN if x in names]
    payload = {
        "dims": [
            {
                "name": x,
                "label": labels.label_dim(x),
                "values": [_word(x, y) for y in entries[x]],
                "choice": _has_choice(x, entries[x]),
            }
            for x in dims
        ],
        "measures": [
            {"name": x, "label": labels.label_measure(x), "long": _long_name(x)}
            for x in names
        ],
        "rows": _list_rows(table, dims, names, places),
        "first": {x: entries[x].index(y) for x, y in first.items()},
        "main": [names.index(x) for x in main],
        "level": float(level),
    }
    return Explorer(
        payload=json.dumps(payload, ensure_ascii=False, separators=(",", ":")).replace(
            "<", "\\u003c"
        ),
        columns=[
            *(labels.label_dim(x) for x in heads),
            *map(labels.label_measure, main),
        ],
        rows=[
            [
                *(_word(x, row[x]) for x in heads),
                *(str(row[f"{x}_text"]) for x in main),
            ]
            for row in _take(table, first).to_dict("records")
        ],
        caption=", ".join(
            _sentence(x, entries[x][entries[x].index(y)]) for x, y in first.items()
        ),
    )


def _gather(summary: xr.DataTree) -> tuple[pd.DataFrame | None, float]:
    """Return the numbers of all processes begun, and the level of their coverage."""
    parts: list[pd.DataFrame] = []
    level = 0.95
    for name, node in summary.children.items():
        process = node.to_dataset()
        if not int(process["attempted"].sum()):
            continue
        if "coverage" in process:
            level = process["coverage"].attrs.get("level", level)
        table = performance_table(process, measures=MEASURES)
        label = str(process.attrs.get("label", name))
        parts.append(_write(table).assign(process=label))
    if not parts:
        return None, level
    table = pd.concat(parts, ignore_index=True)
    # The page stays small: of many rows those on the largest grids.
    if len(table) > MOST_ROWS and "n_supp" in table:
        sizes = [x for x in table["n_supp"] if x != NONE]
        table = table.loc[table["n_supp"].isin([max(sizes), NONE])]
    return table, level


def _list_entries(table: pd.DataFrame, dims: list[str]) -> dict[str, list[Any]]:
    """List what there is along each dimension: sizes ascending, no grid last."""
    entries = {x: list(dict.fromkeys(table[x])) for x in dims}
    for name in ("sample_size", "n_supp"):
        if name in entries:
            # A pair, so that no number is compared with the text of no grid.
            entries[name].sort(key=lambda x: (x == NONE, x))
    return entries


def _take(table: pd.DataFrame, first: dict[str, Any]) -> pd.DataFrame:
    """Take the rows that are shown before a reader chooses."""
    shown = table
    for name, value in first.items():
        # What an estimator without a grid was computed once for is shown beside all.
        both = [value, NONE] if name in ("grid", "n_supp") else [value]
        own = table[name].isin(both)
        shown = shown.loc[own.reindex(shown.index)]
    return shown


def _write(table: pd.DataFrame) -> pd.DataFrame:
    """Add to every measure its text, with digits that follow the error."""
    texts = {}
    for name in (x for x in MEASURES if x in table):
        values, errors = round_column(table, name)
        known = np.isfinite(table[name].to_numpy(dtype=float))
        pairs = zip(values, errors, known, strict=True)
        texts[f"{name}_text"] = [f"{x} {y}" if z else "-" for x, y, z in pairs]
        texts[f"{name}_low"], texts[f"{name}_high"] = _bound(table, name)
    found = table.assign(**texts)
    if "parameter" in found:
        found["parameter"] = [in_unicode(str(x)) for x in found["parameter"]]
    return found


def _bound(table: pd.DataFrame, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the 95 percent Monte Carlo interval: Wilson's of a proportion."""
    value = table[name].to_numpy(dtype=float)
    margin = Z * np.nan_to_num(table[f"{name}_mcse"].to_numpy(dtype=float))
    low, high = value - margin, value + margin
    if f"{name}_lower" not in table:
        return low, high
    lower, upper = (
        table[f"{name}_{end}"].to_numpy(dtype=float) for end in ("lower", "upper")
    )
    # The plug-in interval where a proportion has no other.
    return (
        np.where(np.isnan(lower), low, lower),
        np.where(np.isnan(upper), high, upper),
    )


def _has_choice(dim: str, values: list[Any]) -> bool:
    """Tell whether there are several entries to choose from."""
    return len([x for x in values if dim not in ("grid", "n_supp") or x != NONE]) > 1


def _choose_first(entries: Mapping[str, list[Any]], n_rows: int) -> dict[str, Any]:
    """Choose the first process and grid, and the largest size and number of points.

    Few rows that differ in neither are all shown, to compare processes and grids.
    """
    sizes = ("sample_size", "n_supp")
    if n_rows <= FEW_ROWS and not any(
        _has_choice(x, entries.get(x, [])) for x in sizes
    ):
        return {}
    first = {
        x: entries[x][0]
        for x in ("process", "grid")
        if _has_choice(x, entries.get(x, []))
    }
    sizes = [x for x in entries.get("n_supp", ()) if x != NONE]
    if len(sizes) > 1:
        first["n_supp"] = max(sizes)
    if (
        len(entries.get("sample_size", ())) > 1
        and len(entries.get("estimator", ())) > 1
    ):
        first["sample_size"] = max(entries["sample_size"])
    return {x: first[x] for x in _CHOSEN_BY if x in first}


def _list_rows(
    table: pd.DataFrame,
    dims: list[str],
    names: list[str],
    places: Mapping[str, Mapping[Any, int]],
) -> list[list[Any]]:
    """List every row: positions of its words, then four entries for each measure.

    They are its value, the ends of its Monte Carlo interval, and its text.
    """
    rows = []
    for record in table.to_dict("records"):
        row: list[Any] = [places[x][record[x]] for x in dims]
        for name in names:
            row += [
                _number(record[name]),
                _number(record[f"{name}_low"]),
                _number(record[f"{name}_high"]),
                record[f"{name}_text"],
            ]
        rows.append(row)
    return rows


def _number(value: Any) -> float | None:
    return float(f"{value:.6g}") if np.isfinite(value) else None


def _word(dim: str, value: Any) -> str:
    return "none" if value == NONE and dim in ("grid", "n_supp") else str(value)


def _sentence(dim: str, value: Any) -> str:
    if dim == "sample_size":
        return f"n = {value}"
    return f"{value} grid points" if dim == "n_supp" else _word(dim, value)


def _long_name(name: str) -> str:
    return labels.MEASURES[name].long_name
