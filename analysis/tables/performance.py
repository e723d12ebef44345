"""Tables of a summary: tidy numbers first, then Markdown, CSV, LaTeX or a console.

`performance_table` selects; `rounding` and `latex` write. Nothing is computed here.
"""

from collections.abc import Sequence
from textwrap import wrap

import numpy as np
import pandas as pd
import xarray as xr

from analysis import labels
from analysis.kinds import at_default_kind
from analysis.measures.summarise import CELL
from analysis.tables import rounding as fm

CONSOLE = ("bias", "rmse", "coverage")
_CONSOLE_WIDTH = 100
PAPER = ("bias", "rmse", "coverage", "empirical_se", "mean_model_se")
MIXING = (
    *("wasserstein", "cdf_sup", "cdf_squared"),
    *("latent_mean_bias", "latent_variance_bias", "num_atoms", "edge_mass"),
    *("grid_ripple", "adequacy"),
)
MARGINS = (
    *("margin_wasserstein", "margin_cdf_sup", "margin_cdf_squared"),
    *("margin_mean_bias", "margin_variance_bias"),
)
ORDER = ("estimator", "grid", "parameter", "coordinate", "sample_size", "n_supp")
ENDINGS = ("", "_mcse", "_lower", "_upper")
BEST = "rmse_best_over_"
COUNTS = ("attempted", "used", "failed", "flagged")

RULES = {
    "per_estimator": "every estimator is measured on all its own successes",
    "all_or_none": "only replications in which every estimator succeeded are used",
}


def performance_table(
    process: xr.Dataset,
    *,
    measures: Sequence[str] = PAPER,
    kind: str | None = None,
    best_over: str | None = None,
) -> pd.DataFrame:
    """Select measures of one process as a table with one row per design point.

    Args:
        process: One group of `summary.nc`.
        measures: Names of measures; one the summary does not hold is left out, as
            coverage is when no interval was stored.
        kind: Kind of interval, for measures that depend on one; else the default kind
            of every estimator.
        best_over: Dimension along which the best RMSE is marked, see `find_best`.

    Returns:
        Columns estimator, grid, parameter, sample_size, n_supp (those that exist),
        every measure with its `_mcse` (proportions also `_lower` and `_upper`), the
        counts, and `rmse_best_over_<dim>` if asked for. Design points never attempted
        are left out.
    """
    if kind is None:
        process = at_default_kind(process)
    else:
        stored = [str(x) for x in process["kind"].values]
        if kind not in stored:
            raise ValueError(f"kind is {kind!r}; choose one of {', '.join(stored)}.")
        process = process.sel(kind=kind, drop=True)
    counts = COUNTS
    if best_over is not None:
        name = f"rmse_best_over_{best_over}"
        process = process.assign({name: find_best(process, best_over)})
        counts = (*COUNTS, name)
    return select_rows(process, measures, counts)


def select_rows(
    process: xr.Dataset,
    measures: Sequence[str],
    counts: Sequence[str],
    *,
    dims: Sequence[str] = ORDER,
) -> pd.DataFrame:
    """Select measures with their errors, and counts: a row per design point attempted.

    Args:
        process: One group of `summary.nc`.
        measures: Names of measures; one that is absent is left out.
        counts: Names of variables that stand alone, likewise.
        dims: Dimensions of the rows, the first changing slowest.
    """
    columns = [f"{name}{end}" for name in measures for end in ENDINGS]
    present = [name for name in (*columns, *counts) if name in process]
    if not any(name in process for name in measures):
        raise ValueError(f"the summary holds none of {', '.join(measures)}.")
    chosen = process[present]
    order = [name for name in dims if name in chosen.dims]
    table = chosen.to_dataframe(dim_order=order).reset_index()
    table = table[[*order, *present]]
    return table.loc[np.asarray(table["attempted"]) > 0].reset_index(drop=True)


def find_best(process: xr.Dataset, dim: str) -> xr.DataArray:
    """Find the RMSE below all others along a dimension by more than Monte Carlo error.

    Every ratio to another one, paired by replication, is below 1 by 1.96 of its errors
    or more. Nothing is best where no other was run.
    """
    name = f"rmse_ratio_over_{dim}"
    if name not in process:
        raise ValueError(f"the summary compares nothing along {dim!r}.")
    ratio, error = process[name], process[f"{name}_mcse"]
    itself = process[dim] == process[f"other_{dim}"]
    other = ratio.notnull() & ~itself
    below = ratio + 1.96 * error < 1
    best = (below | ~other).all(f"other_{dim}") & other.any(f"other_{dim}")
    return best.transpose(*process["rmse"].dims).drop_attrs()


def _keep_computed(process: xr.Dataset, cells: pd.DataFrame) -> pd.DataFrame:
    """Keep one design point where an estimator without a grid was computed once."""
    if "grid_use" not in process.coords or "estimator" not in cells.columns:
        return cells
    names = [str(name) for name in process["estimator"].values]
    use = np.asarray(pd.Series(process["grid_use"].values, names)[cells["estimator"]])
    keys = cells[[x for x in CELL if x in cells.columns]].astype(object)
    for dim, shared in (("grid", use == "nothing"), ("n_supp", use != "points")):
        if dim in keys.columns:
            keys.loc[shared, dim] = None
    return cells.loc[~keys.duplicated()]


def table_notes(summary: xr.DataTree, name: str, table: pd.DataFrame) -> list[str]:
    """Say in sentences what a reader must know about the numbers of a table."""
    process = summary[name].to_dataset()
    rule = summary.attrs["exclusion_rule"]
    cells = table.drop_duplicates([x for x in CELL if x in table.columns])
    cells = _keep_computed(process, cells)
    counts = {x: np.asarray(cells[x]) for x in COUNTS if x in cells.columns}
    failed, attempted = counts["failed"].sum(), counts["attempted"].sum()
    share = f"{failed / attempted:.2%}" if attempted else "none"
    sentences = [
        f"Replications attempted {_span(counts['attempted'])} and used "
        f"{_span(counts['used'])} per design point; {failed} of {attempted} fits "
        f"failed ({share}).",
        f"Rule: {RULES[rule]}.",
    ]
    flagged = counts.get("flagged", np.zeros(1)).sum()
    if flagged:
        sentences.append(
            f"A degenerate maximum is suspected in {flagged} of the fits used"
            + (
                "; what is named unflagged leaves them out."
                if "coverage_unflagged" in table.columns
                else ", which are used like any other."
            )
        )
    errors = {x: fm.shown_errors(table, x) for x in fm.measures_in(table)}
    largest = [
        f"{labels.label_measure(x)} {np.nanmax(error):.2g}"
        for x, error in errors.items()
        if np.isfinite(error).any()
    ]
    sentences.append(
        "Monte Carlo standard errors in brackets; the largest: "
        f"{', '.join(largest) or 'none'}."
    )
    if "coverage" in table.columns:
        level = process["coverage"].attrs.get("level", 0.95)
        sentences.append(f"Nominal coverage {level:g}.")
    if "used_interval" in table.columns:
        sentences.append(
            "Used are the replications with both limits, the fewest over the "
            "parameters; a missing limit counts neither as covering nor as missing the "
            "truth. Widths are means of finite widths."
        )
    elif "default_kind" in process.coords and _depends_on_kind(process, table):
        sentences.append(f"Intervals shown: {_describe_kinds(process)}.")
    proportions = [x for x in fm.measures_in(table) if f"{x}_lower" in table.columns]
    if any(np.any(table[f"{x}_mcse"] == 0) for x in proportions):
        sentences.append(
            "At a proportion of 0 or 1 half of Wilson's interval over 1.96 stands in "
            "for the error."
        )
    for column in map(str, table.columns):
        if column.startswith(BEST) and np.any(table[column]):
            words = labels.label_dim(column.removeprefix(BEST)).lower()
            sentences.append(
                f"Bold or *: the RMSE is below that of every other {words} at the "
                "design point by more than 1.96 Monte Carlo errors of their paired "
                "ratio."
            )
    if not summary.attrs.get("complete", 1):
        sentences.append("The study is incomplete; numbers will change.")
    return sentences


def render_console_table(summary: xr.DataTree) -> str:
    """Write the summary for a terminal or a log: plain text, at most 100 columns.

    One block per process, estimator and grid; one row per parameter, sample size and
    number of grid points; each measure with its Monte Carlo standard error in brackets.
    """
    blocks = []
    summary = labels.name_groups(summary)
    for name, node in summary.children.items():
        table = performance_table(node.to_dataset(), measures=CONSOLE)
        label = node.attrs.get("label", name)
        outer = [x for x in ("estimator", "grid") if x in table.columns]
        where = [
            ", ".join(f"{x} {row[x]}" for x in outer)
            for row in table.to_dict("records")
        ]
        for block in dict.fromkeys(where):
            part = table.loc[[x == block for x in where]]
            heading = ", ".join(x for x in (f"{label} ({name})", block) if x)
            blocks.append(f"{heading}\n{_console_block(part)}")
        if table.empty:
            blocks.append(f"{label} ({name})\nno replication yet")
        else:
            notes = " ".join(table_notes(summary, name, table))
            blocks.append("\n".join(wrap(notes, _CONSOLE_WIDTH)))
    return "\n\n".join(blocks) + "\n"


def _console_block(table: pd.DataFrame) -> str:
    text = _console_lines(table, significant=2)
    if max(map(len, text)) > _CONSOLE_WIDTH:
        text = _console_lines(table, significant=1)
    return "\n".join(text)


def _console_lines(table: pd.DataFrame, *, significant: int) -> list[str]:
    columns: list[list[str]] = []
    for name in ("parameter", "sample_size", "n_supp"):
        if name not in table:
            continue
        cells = [str(x) for x in table[name]]
        header = labels.SYMBOLS.get(name, name)
        length = max(len(x) for x in (header, *cells))
        if name == "parameter":
            cells = ["" if i and x == cells[i - 1] else x for i, x in enumerate(cells)]
            columns.append([x.ljust(length) for x in (header, *cells)])
        else:
            columns.append([x.rjust(length) for x in (header, *cells)])
    for name in fm.measures_in(table):
        pairs = fm.round_column(table, name, significant=significant)
        values, errors = map(fm.align_decimals, pairs)
        cells = [f"{x} {e}" for x, e in zip(values, errors, strict=True)]
        header = f"{labels.label_measure(name)} (MCSE)"
        length = max(len(x) for x in (header, *cells))
        columns.append([header.rjust(length), *(x.rjust(length) for x in cells)])
    counts = ["used/run", *fm.used_over_attempted(table)]
    length = max(map(len, counts))
    columns.append([x.rjust(length) for x in counts])
    rows = ["  ".join(cells).rstrip() for cells in zip(*columns, strict=True)]
    rule = "-" * max(map(len, rows))
    return [rule, rows[0], rule, *rows[1:], rule]


def _depends_on_kind(process: xr.Dataset, table: pd.DataFrame) -> bool:
    names = [x for x in fm.measures_in(table) if x in process]
    return any("kind" in process[x].dims for x in names) or (
        "coverage_difference" in table.columns
    )


def _describe_kinds(process: xr.Dataset) -> str:
    """Say which kind of interval is shown: of all, or of every estimator."""
    kinds = process["default_kind"]
    found = [str(x) for x in np.atleast_1d(kinds.values)]
    if len(set(found)) == 1:
        return found[0]
    pairs = zip(process["estimator"].values, found, strict=True)
    return "; ".join(f"{name}: {kind}" for name, kind in pairs)


def _span(values: np.ndarray) -> str:
    low, high = values.min(), values.max()
    return f"{low}" if low == high else f"{low} to {high}"
