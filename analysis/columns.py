"""Which columns of somebody else's table hold what: named, melted, checked."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from analysis.dimensions import TIDY

KEYS = (*TIDY, "process")
VALUES = ("estimate", "standard_error", "lower", "upper", "df", "p_value", "code")
WIDE = "*"
"""Stands in the name of a column for what tells wide columns apart."""

Source = pd.DataFrame | xr.Dataset | Path | str
Truth = str | float | int | Mapping[str, float | int]
Column = str | Sequence[str] | None


def read_table(source: Source) -> pd.DataFrame:
    """Read a table: CSV, or Stata's by the ending `.dta`."""
    if isinstance(source, pd.DataFrame):
        return source.reset_index(drop=True)
    if isinstance(source, xr.Dataset):
        return source.to_dataframe().reset_index()
    if Path(source).suffix == ".dta":
        return pd.DataFrame(pd.read_stata(source))
    # As text: a method may be called None or NA, which pandas takes for nothing.
    return pd.read_csv(source, dtype=str, keep_default_na=False)


def parse_columns(settings: Sequence[str]) -> dict[str, Any]:
    """Read what a command line says of columns: `estimate=theta truth=-0.5 ...`.

    Several keys are parted by commas, `process=dgm,n`; a truth for each parameter or
    process is `truth=a:1,b:2`.

    Raises:
        ValueError: A setting without a name, or with one that is not known.
    """
    found: dict[str, Any] = {}
    known = (*KEYS, *VALUES, "truth", "level", "wide")
    for text in settings:
        name, equals, value = text.partition("=")
        if not equals or name not in known:
            raise ValueError(
                f"--columns {text}: write NAME=COLUMN, where NAME is one of "
                f"{', '.join(known)}."
            )
        if name == "truth" and ":" in value:
            pairs = (x.rpartition(":") for x in value.split(","))
            found[name] = {key: float(number) for key, _, number in pairs}
        elif name in ("truth", "df", "level") and _is_number(value):
            found[name] = float(value)
        elif name in KEYS and "," in value:
            found[name] = tuple(value.split(","))
        else:
            found[name] = value
    return found


def name_columns(
    table: pd.DataFrame,
    columns: Mapping[str, Column | float],
    truth: Truth,
    *,
    wide: str,
    source: str,
) -> pd.DataFrame:
    """Name the columns of a table by what they hold, one row a number estimated.

    Args:
        table: Somebody's.
        columns: By what they hold, of `KEYS` and `VALUES`; None if there is none. A
            value with a `*` in it stands for several columns, one for each entry of
            `wide`. Several keys are joined. `df` may be a number.
        truth: A column, one number, or numbers by parameter or process.
        wide: The key that tells wide columns apart.
        source: How errors call the table.
    """
    chosen = {x: y for x, y in columns.items() if y is not None}
    chosen |= {"truth": truth} if isinstance(truth, str) else {}
    stubs = {x: y for x, y in chosen.items() if isinstance(y, str) and WIDE in y}
    rows = len(table)
    if stubs:
        table, names = _melt(table, stubs, wide, source)
        chosen |= names
    needed = {
        f"{x}={part!r}": part for x, y in chosen.items() for part in _list_parts(y)
    }
    absent = [words for words, part in needed.items() if part not in table]
    if absent:
        raise ValueError(
            f"{source} has no column {', '.join(absent)}; it has "
            f"{', '.join(map(str, table.columns))}."
        )
    tidy = pd.DataFrame(index=table.index)
    for name, column in chosen.items():
        if isinstance(column, float | int):
            tidy[name] = float(column)
        elif name not in KEYS:
            tidy[name] = _read_values(pd.Series(table[column]), str(column), rows)
        else:
            parts = [
                _read_key(pd.Series(table[x]), name, x, rows)
                for x in _list_parts(column)
            ]
            tidy[name] = parts[0] if isinstance(column, str) else _join(parts)
    for name in ("estimator", "parameter", "process"):
        if name not in tidy:
            tidy[name] = name
    if not isinstance(truth, str):
        tidy["truth"] = _find_truth(tidy, truth)
    return tidy


def _list_parts(column: Column | float | int) -> list[str]:
    """List the columns that one thing is in; a number is in none."""
    if column is None or isinstance(column, float | int):
        return []
    return [column] if isinstance(column, str) else list(column)


def _melt(
    table: pd.DataFrame, stubs: Mapping[str, str], wide: str, source: str
) -> tuple[pd.DataFrame, dict[str, str]]:
    """Put wide columns below each other; return where each value is then."""
    found: dict[str, dict[str, str]] = {}
    for name, stub in stubs.items():
        before, _, after = stub.partition(WIDE)
        found[name] = {
            str(x)[len(before) : len(str(x)) - len(after)]: str(x)
            for x in table
            if str(x).startswith(before)
            and str(x).endswith(after)
            and len(str(x)) > len(before) + len(after)  # something is in between
        }
    if not found.get("estimate"):
        raise ValueError(
            f"{source} has no column like {stubs.get('estimate')!r}; it has "
            f"{', '.join(map(str, table.columns))}."
        )
    taken = {x for columns in found.values() for x in columns.values()}
    rest = table[[x for x in table if x not in taken]]
    parts = []
    for entry in found["estimate"]:
        values = {
            f"wide {name}": table[columns[entry]] if entry in columns else np.nan
            for name, columns in found.items()
        }
        parts.append(rest.assign(**{f"wide {wide}": entry}, **values))
    names = {name: f"wide {name}" for name in (*stubs, wide)}
    return pd.concat(parts, ignore_index=True), names


_WHOLE = ("replication", "sample_size", "n_supp")
_MISSING = ("", ".", "na", "nan", "n/a", "null", "none", "<na>")


def _read_texts(column: pd.Series) -> pd.Series:
    texts = column.astype(object).where(column.notna(), "")
    return texts.astype(str).str.strip()


def _read_key(column: pd.Series, key: str, name: str, rows: int) -> pd.Series:
    """Read what tells rows apart: never empty, and a whole number where it counts."""
    found = _read_texts(column)
    if key in _WHOLE:
        # Other programs write whole numbers as 1000.0; 15 digits are exact.
        wrong = ~found.str.fullmatch(r"[+-]?\d{1,15}(\.0*)?")
    else:
        wrong = found == ""
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        text = found.iloc[row]
        what = "empty" if text == "" else f"{text!r}, no whole number"
        # As in the file: its first line has names, and melting repeats the others.
        raise ValueError(f"row {row % rows + 2}: the {key}, column {name}, is {what}.")
    if key in _WHOLE:
        return found.astype(float).astype(int)
    return found


def _read_values(column: pd.Series, name: str, rows: int) -> pd.Series:
    """Read numbers; what stands for a missing one elsewhere is missing."""
    if pd.api.types.is_numeric_dtype(column):
        return column.astype(float)
    found = _read_texts(column)
    found = found.where(~found.str.lower().isin(_MISSING), "nan")
    numbers = pd.Series(pd.to_numeric(found, errors="coerce"))
    wrong = np.flatnonzero(numbers.isna() & (found != "nan"))
    if wrong.size:
        row = int(wrong[0])
        text = found.iloc[row]
        raise ValueError(f"row {row % rows + 2}: {name} is {text!r}, no number.")
    return numbers.astype(float)


def _join(keys: Sequence[pd.Series]) -> pd.Series:
    """Join several keys to one: `dgm 1, weak`; a number has the name of its column."""
    words = []
    for key in keys:
        texts = key.astype(str)
        number = pd.Series(pd.to_numeric(key, errors="coerce")).notna().all()
        words.append(f"{key.name} " + texts if number else texts)
    joined = words[0]
    for more in words[1:]:
        joined = joined + ", " + more
    return joined


def _find_truth(
    tidy: pd.DataFrame, truth: float | int | Mapping[str, float | int]
) -> pd.Series | float:
    if not isinstance(truth, Mapping):
        return float(truth)
    by_name = {str(x): float(y) for x, y in truth.items()}
    for key in ("parameter", "process"):
        if set(tidy[key]) <= by_name.keys():
            return pd.Series([by_name[x] for x in tidy[key]], tidy.index)
    lacking = sorted(set(tidy["parameter"]) - by_name.keys())
    raise ValueError(
        f"truth has no value of {', '.join(lacking)}; give one for every parameter, or "
        f"for every process ({', '.join(dict.fromkeys(tidy['process']))})."
    )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
