"""Tables of a summary: tidy numbers first, then Markdown, CSV, LaTeX or a console.

`performance_table` selects; `rounding` and `latex` write. Nothing is computed here.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import xarray as xr

from analysis.copies import drop_copies
from analysis.dimensions import ENDINGS, ROWS
from analysis.kinds import at_default_kind
from analysis.labels import REPORTED
from analysis.measures.formulas import Z

PAPER = ("bias", "rmse", "coverage", "empirical_se", "mean_model_se")
MIXING = (
    *("wasserstein", "cdf_sup", "cdf_squared"),
    *("latent_mean_bias", "latent_variance_bias", "edge_mass"),
    *REPORTED,
)
MARGINS = (
    *("margin_wasserstein", "margin_cdf_sup", "margin_cdf_squared"),
    *("margin_mean_bias", "margin_variance_bias"),
)
BEST = "rmse_best_over_"
"""Column that marks the best entries along a dimension: this and its name."""

COUNT_COLUMNS = ("attempted", "used", "failed", "flagged")
OWN_COUNTS = ("used_estimate", "used_interval", "used_standard_error")
"""Of a parameter: replications used with an estimate, limits, a standard error."""


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
    if "relative_model_se_error" in process:
        relative, error = (
            process[f"relative_model_se_error{x}"] / 100 for x in ("", "_mcse")
        )
        process = process.assign(se_ratio=1 + relative, se_ratio_mcse=error)
    counts = (*COUNT_COLUMNS, *OWN_COUNTS)
    if best_over is not None:
        name = f"{BEST}{best_over}"
        process = process.assign({name: find_best(process, best_over)})
        counts = (*counts, name)
    per_parameter = any(
        "parameter" in process[x].dims for x in measures if x in process
    )
    if not per_parameter:
        counts = tuple(x for x in counts if x not in OWN_COUNTS)
    return select_rows(process, measures, counts)


def select_rows(
    process: xr.Dataset,
    measures: Sequence[str],
    counts: Sequence[str],
    *,
    dims: Sequence[str] = ROWS,
) -> pd.DataFrame:
    """Select measures with their errors, and counts: a row per design point attempted.

    What an estimator without a grid was computed once for is one row.

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
    table = table.loc[np.asarray(table["attempted"]) > 0].reset_index(drop=True)
    return drop_copies(table, process)


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
    # Nothing is compared with itself, nor with what was not run.
    below = ratio + Z * error < 1
    best = (below | ~other).all(f"other_{dim}") & other.any(f"other_{dim}")
    return best.transpose(*process["rmse"].dims).drop_attrs()
