"""Design points that are copies: an estimator that uses no grid is computed once.

The study stores its one result beside every grid and number of points, so that all
estimators have the same axes. Tables and figures show it once.
"""

import numpy as np
import pandas as pd
import xarray as xr

NONE = ""
"""Grid, or number of points, of an estimator that uses none."""


def drop_copies(table: pd.DataFrame, process: xr.Dataset) -> pd.DataFrame:
    """Keep one row of what was computed once; its grid or number of points is `NONE`.

    Args:
        table: Rows with the columns `estimator`, `grid` and `n_supp`, or some of them.
        process: One group of `summary.nc`; its `grid_use` says what an estimator uses.
    """
    if "grid_use" not in process.coords or table.empty:
        return table
    names = [str(x) for x in np.atleast_1d(process["estimator"].values)]
    uses = [str(x) for x in np.atleast_1d(process["grid_use"].values)]
    use = dict(zip(names, uses, strict=True))
    if "estimator" in table:
        found = np.array([use[str(x)] for x in table["estimator"]])
    else:  # chosen by the caller
        found = np.repeat(uses[:1], len(table))
    shared = {"grid": found == "nothing", "n_supp": found != "points"}
    shared = {x: y for x, y in shared.items() if x in table and y.any()}
    if not shared:
        return table
    before = [str(x) for x in table if x not in shared]
    # Sizes are whole numbers, and the mark a text.
    marked = table.astype(dict.fromkeys(shared, object))
    for dim, rows in shared.items():
        marked.loc[rows, dim] = NONE
    keys = [
        x
        for x in ("process", "estimator", "grid", "parameter", "coordinate")
        if x in before or x in shared
    ]
    others = ("test", "statistic", "sample_size", "n_supp", "kind")
    keys += [x for x in others if x in table]
    return marked.loc[~marked.duplicated(keys)].reset_index(drop=True)
