"""Which kind of standard error and interval is shown where one has to be.

Estimators differ in the kinds they have; each has a default, the coordinate
`default_kind` by estimator.
"""

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import xarray as xr


def at_default_kind(process: xr.Dataset) -> xr.Dataset:
    """Select for every estimator its default kind of interval, `default_kind`.

    Estimators differ in the kinds they have, so that no kind would do for all.
    """
    return at_kind(process, process.coords)


def at_kind(process: xr.Dataset, coords: Mapping[Hashable, Any]) -> xr.Dataset:
    """Do so with `kind` and `default_kind` from elsewhere, for data without labels."""
    if "kind" not in process.dims:
        return process
    kinds = [str(x) for x in coords["kind"].values]
    chosen = coords["default_kind"]
    # By position, an array of them: each estimator has its own.
    index = np.reshape(
        [kinds.index(str(x)) for x in chosen.values.ravel()], chosen.shape
    )
    return process.isel(kind=xr.DataArray(index, dims=chosen.dims)).drop_vars(
        "kind", errors="ignore"
    )


def with_default_kind(process: xr.Dataset) -> xr.Dataset:
    """Add the coordinate `default_kind` by estimator where the study stored none.

    It is then the kind that the attribute `default_kind` names, else the first, and for
    an estimator without that the first it has.
    """
    if "kind" not in process.dims or "default_kind" in process.coords:
        return process
    kinds = [str(x) for x in process["kind"].values]
    stated = process.attrs.get("default_kind")
    first = kinds.index(stated) if stated in kinds else 0
    name = "lower" if "lower" in process else "standard_error"
    known = process[name].notnull()
    known = known.any([x for x in known.dims if x not in ("estimator", "kind")])
    fits = known.isel(kind=first) | ~known.any("kind")
    index = xr.where(fits, first, known.argmax("kind"))
    return process.assign_coords(default_kind=(index.dims, np.array(kinds)[index]))
