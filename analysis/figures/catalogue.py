"""Which figures a study gets: the list that `make` writes, in the order of the report.

Every module lists its own. A figure whose numbers the study does not hold, or that has
nothing to compare, is left out.
"""

from collections.abc import Iterator

import xarray as xr

from analysis.figures import (
    against_size,
    intervals,
    mixing,
    overview,
    power,
    replications,
)
from analysis.figures.nested_loops import list_study
from analysis.figures.picture import Picture

__all__ = ["Picture", "list_process", "list_study"]


def list_process(process: xr.Dataset, used: xr.Dataset) -> Iterator[Picture]:
    """List the figures of one process.

    Args:
        process: One group of `summary.nc`.
        used: The same group after `used.used_replications`.
    """
    for module in (against_size, power, mixing, intervals, overview):
        yield from module.list_pictures(process)
    yield from replications.list_pictures(process, used)
