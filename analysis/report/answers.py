"""What a study found, in three to six sentences with numbers and Monte Carlo errors.

Each is read off the summary: who has the smallest RMSE and by how much, where coverage
is off and whether bias, width or failures make it so, what the grid does, and how fast
errors shrink. They speak of the largest sample size and number of grid points.
"""

from collections.abc import Iterator

import numpy as np
import pandas as pd
import xarray as xr

from analysis.design_points import choose_largest
from analysis.digits import format_error, format_value
from analysis.measures.formulas import Z
from analysis.report.cases import Case, name_case, take, tell_coverage, write_number
from analysis.symbols import in_unicode
from analysis.tables.performance import performance_table


def answer(summary: xr.DataTree) -> list[str]:
    """Say what a study found; empty before it has a replication.

    Args:
        summary: What `summarise` returns, after `labels.name_groups`.
    """
    nodes = {x: node.to_dataset() for x, node in summary.children.items()}
    nodes = {x: node for x, node in nodes.items() if int(node["attempted"].sum())}
    if not nodes:
        return []
    table = pd.concat(
        [
            _rows(node).assign(process=str(node.attrs.get("label", x)))
            for x, node in nodes.items()
        ],
        ignore_index=True,
    )
    sentences = [
        *_tell_best(table, nodes),
        *tell_coverage(table, nodes),
        *_tell_grid(nodes),
        *_tell_rates(nodes),
    ]
    if len(sentences) < 6:
        sentences.append(_tell_failures(nodes))
    return sentences[:6]


def _rows(process: xr.Dataset) -> pd.DataFrame:
    """List the numbers of one process at its largest size and grid."""
    at = {**choose_largest(process, "sample_size"), **choose_largest(process, "n_supp")}
    chosen = process.sel({x: [y] for x, y in at.items()})
    measures = (
        *("rmse", "bias", "empirical_se", "relative_model_se_error"),
        *("coverage", "bias_eliminated_coverage", "coverage_of_attempted"),
    )
    return performance_table(chosen, measures=measures)


def _tell_best(table: pd.DataFrame, nodes: dict[str, xr.Dataset]) -> Iterator[str]:
    """Say whose RMSE is smallest, of how many parameters, and how far others are."""
    keys = ["process", "parameter"]
    known = table.loc[table["rmse"].notna()]
    if "estimator" not in known or known["estimator"].nunique() < 2:
        if len(known):
            low, worst = (
                take(known, x) for x in (known["rmse"].idxmin(), known["rmse"].idxmax())
            )
            yield _upper(
                f"{_where(known)}the RMSE is between {write_number(low, 'rmse')} "
                f"({name_case(low, table)}) and {write_number(worst, 'rmse')} "
                f"({name_case(worst, table)})."
            )
        return
    pairs = known.groupby(keys, sort=False)
    best = known.loc[pairs["rmse"].idxmin()]
    counts = best["estimator"].value_counts()
    winner, wins = str(counts.index[0]), int(counts.iloc[0])
    beaten = _count_beaten(nodes, winner)
    text = (
        f"{_where(known)}{winner} has the smallest RMSE of {wins} of {len(best)} "
        f"parameters{_count_processes(table)}"
    )
    if beaten is not None:
        text += f" (of {beaten} beyond Monte Carlo error)"
    others = known.loc[known["estimator"] != winner].merge(
        known.loc[known["estimator"] == winner, [*keys, "rmse"]],
        on=keys,
        suffixes=("", "_best"),
    )
    ratios = others["rmse"] / others["rmse_best"]
    words = []
    for name, group in ratios.groupby(others["estimator"], sort=False):
        worst = take(others, group.idxmax())
        ratio, error = _ratio(nodes, worst, winner)
        words.append(
            f"{name} {group.median():.2f} and {format_value(ratio, error)} "
            f"{format_error(error)} ({name_case(worst, table)})"
        )
    yield _upper(
        f"{text}; the others' is so many times as large, in the median and at most: "
        f"{'; '.join(words)}."
    )


def _count_beaten(nodes: dict[str, xr.Dataset], winner: str) -> int | None:
    """Count parameters of which every other RMSE is larger, beyond its error."""
    total = 0
    for node in nodes.values():
        if "rmse_ratio_over_estimator" not in node:
            return None
        at = _at_largest(node)
        if winner not in at["estimator"].values:
            continue
        one = at.sel(estimator=winner)
        ratio, error = (one[f"rmse_ratio_over_estimator{x}"] for x in ("", "_mcse"))
        other = ratio.notnull() & (one["other_estimator"] != winner)
        below = (ratio + Z * error < 1) | ~other
        clear = below.all("other_estimator") & other.any("other_estimator")
        total += int(clear.sum())
    return total


def _at_largest(process: xr.Dataset) -> xr.Dataset:
    at = {**choose_largest(process, "sample_size"), **choose_largest(process, "n_supp")}
    return process.sel(at)


def _ratio(nodes: dict[str, xr.Dataset], row: Case, winner: str) -> tuple[float, float]:
    """Return the paired ratio of the RMSE of a row to that of the winner."""
    for node in nodes.values():
        name = "rmse_ratio_over_estimator"
        if str(node.attrs.get("label", "")) != row["process"] or name not in node:
            continue
        at = _at_largest(node).sel(
            estimator=row["estimator"],
            other_estimator=winner,
            parameter=row["parameter"],
        )
        if "grid" in at.dims:
            at = at.sel(grid=row["grid"]) if row.get("grid") else at.isel(grid=0)
        return float(at[name]), float(at[f"{name}_mcse"])
    return float(row["rmse"] / row["rmse_best"]), np.nan


def _tell_grid(nodes: dict[str, xr.Dataset]) -> Iterator[str]:
    """Say what the smallest grid costs against the largest, of all that use it.

    The largest ratio of two RMSE, wherever it is: no other one is above it.
    """
    name = "rmse_ratio_over_n_supp"
    found = []
    for node in nodes.values():
        if name not in node:
            continue
        at = node.sel(choose_largest(node, "sample_size"))
        if "grid_use" in at.coords and "estimator" in at.dims:
            at = at.isel(estimator=np.flatnonzero(at["grid_use"].values == "points"))
        first, last = at["n_supp"].values[[0, -1]]
        ratio = at.sel(n_supp=first, other_n_supp=last)
        if not ratio[name].notnull().any():
            continue
        where = ratio[name].argmax(...)
        assert isinstance(where, dict)
        found.append((ratio.isel(where), node, first, last))
    if not found:
        return
    worst, node, first, last = max(found, key=lambda x: float(x[0][name]))
    value, error = float(worst[name]), float(worst[f"{name}_mcse"])
    parts = [
        in_unicode(str(worst[x].item()))
        for x in ("estimator", "parameter")
        if x in worst[name].coords
    ]
    if len(nodes) > 1:
        parts.append(str(node.attrs.get("label", "")))
    clear = value - Z * error > 1
    yield (
        f"Of the grid: with {first} points in place of {last} the RMSE is at most "
        f"{format_value(value, error)} {format_error(error)} times as large "
        f"({', '.join(parts)}){'' if clear else ', within Monte Carlo error of one'}."
    )


def _tell_rates(nodes: dict[str, xr.Dataset]) -> Iterator[str]:
    """Say how fast errors shrink with the sample size: the slowest."""
    found = []
    for node in nodes.values():
        if "rate" not in node:
            continue
        at = node.sel(choose_largest(node, "n_supp"))
        if at["rate"].notnull().any():
            where = at["rate"].argmax(...)
            assert isinstance(where, dict)
            found.append((at.isel(where), node, float(at["rate"].median())))
    if not found:
        return
    worst, node, _ = max(found, key=lambda x: float(x[0]["rate"]))
    middle = np.median([x[2] for x in found])
    value, error = float(worst["rate"]), float(worst["rate_mcse"])
    parts = [
        in_unicode(str(worst[x].item()))
        for x in ("estimator", "parameter")
        if x in worst["rate"].coords
    ]
    if len(nodes) > 1:
        parts.append(str(node.attrs.get("label", "")))
    yield (
        f"The RMSE falls with the sample size at a median slope of {middle:.2f} on log "
        f"scales, where the parametric rate is -0.5; slowest at "
        f"{format_value(value, error)} {format_error(error)} ({', '.join(parts)})."
    )


def _tell_failures(nodes: dict[str, xr.Dataset]) -> str:
    failed = sum(int(x["failed"].sum()) for x in nodes.values())
    attempted = sum(int(x["attempted"].sum()) for x in nodes.values())
    if not failed:
        return f"None of {attempted} fits failed."
    return f"{failed} of {attempted} fits failed ({failed / attempted:.2%})."


def _where(table: pd.DataFrame) -> str:
    parts = []
    for name, word in (("sample_size", "n = {}"), ("n_supp", "{} grid points")):
        values = [x for x in set(table[name] if name in table else ()) if x != ""]
        if len(values) == 1:
            parts.append(word.format(values[0]))
    return f"At {' and '.join(parts)} " if parts else ""


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]


def _count_processes(table: pd.DataFrame) -> str:
    names = list(dict.fromkeys(table["process"]))
    return f" over {len(names)} processes" if len(names) > 1 else ""
