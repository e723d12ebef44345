"""Studies whose summaries are kept, and their numbers.

A number is named by study, measure and cell, and comes with its Monte Carlo error:

    paper = KeptStudy.read("results/paper")
    paper.number("coverage", process="linear_factor_normal", n=4000, n_supp=160,
                 estimator="profile", parameter="coef[0]")
"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from analysis.quoted import Quoted, Range, ends_of
from analysis.stored import SUMMARY, StudyError, load_summary

_DIMENSIONS = {"n": "sample_size"}
"""How documents call a dimension, where that is not its name."""


@dataclasses.dataclass(frozen=True)
class KeptStudy:
    """A study whose summary is kept.

    Attributes:
        name: Of the study.
        processes: Its summaries by process.
        attrs: What the study's file says of itself.
    """

    name: str
    processes: Mapping[str, xr.Dataset]
    attrs: Mapping[str, Any]

    @classmethod
    def read(cls, folder: Path | str) -> "KeptStudy":
        """Read `summary.nc` of a folder, or a file `summary-*.nc` for each process.

        Where there are both, the study was run again since `analysis.keep` split it:
        `summary.nc` is the new one.

        Raises:
            StudyError: There is none, or it is damaged.
        """
        folder = Path(folder)
        paths = [folder / SUMMARY]
        if not paths[0].exists():
            paths = sorted(folder.glob("summary-*.nc"))
        if not paths:
            raise StudyError(f"{folder} keeps no summary; run the study first.")
        return cls.of(folder.name, *(load_summary(folder, x.name) for x in paths))

    @classmethod
    def of(cls, name: str, *trees: xr.DataTree) -> "KeptStudy":
        """Put together summaries of the processes of one study."""
        processes = {
            str(process): node.to_dataset()
            for tree in trees
            for process, node in tree.children.items()
        }
        about = {str(key): value for key, value in trees[0].attrs.items()}
        return cls(name, processes, about)

    @property
    def version(self) -> int:
        """The version of the numbers that made it; 0 before there were any."""
        return int(self.attrs.get("numbers_version", 0))

    @property
    def replications(self) -> str:
        """How many replications were attempted: one number, or the ends."""
        counts = [node["attempted"].values for node in self.processes.values()]
        ends = {int(x) for each in counts for x in ends_of(each[each > 0])}
        return " to ".join(f"{x:,}" for x in sorted({min(ends), max(ends)}))

    def number(self, measure: str, **cell: Any) -> Quoted:
        """Return a measure of one cell.

        Args:
            measure: A variable of the summary: `bias`, `rmse`, `coverage`,
                `rmse_ratio_over_estimator` ...
            cell: `process`, `estimator`, `grid`, `n`, `n_supp`, `parameter`, `kind`
                and other dimensions. What has one value only may be left out, and the
                kind of interval, which then is the one that the study shows.

        Raises:
            LookupError: No such measure or cell, several, or a missing value; the
                message lists what there is.
        """
        found = self.range(measure, **cell)
        if len(found) != 1:
            values, _ = self._select(measure, cell)
            left = {
                str(name): list(values[0][name].values)
                for name in values[0].dims
                if values[0].sizes[name] > 1
            }
            raise LookupError(
                f"{self._name(measure, cell)}: {len(found)} cells, not one; choose "
                + "; ".join(f"{name} from {some}" for name, some in left.items())
            )
        return found.lowest

    def range(self, measure: str, **cell: Any) -> Range:
        """Return a measure of all cells that agree with what is given.

        Args:
            measure: As of `number`.
            cell: As there; a list stands for several values.

        Raises:
            LookupError: No such measure or cell, or missing values alone.
        """
        values, errors = self._select(measure, cell)
        flat = np.concatenate([x.values.ravel() for x in values]).astype(float)
        mcses = np.concatenate([x.values.ravel() for x in errors]).astype(float)
        there = np.isfinite(flat)
        if not there.any():
            raise LookupError(f"{self._name(measure, cell)}: no value is there.")
        share = any(f"{measure}_lower" in node for node in self.processes.values())
        source = self._name(measure, cell)
        return Range(flat[there], mcses[there], share, self.name, source)

    def ratio(self, above: str, below: str, **cell: Any) -> Range:
        """Return one measure over another, cell by cell, without an error.

        Args:
            above: As of `range`.
            below: The measure that it is divided by.
            cell: As there.
        """
        one, other = self.range(above, **cell), self.range(below, **cell)
        if len(one) != len(other):
            raise LookupError(
                f"{one.source} has {len(one)} numbers, {other.source} {len(other)}."
            )
        source = self._name(f"{above} over {below}", cell)
        missing = np.full(len(one), np.nan)
        return Range(one.values / other.values, missing, False, self.name, source)

    def over(
        self, measure: str, one: dict[str, Any], other: dict[str, Any], **cell: Any
    ) -> Range:
        """Return a measure of one set of cells over that of another, cell by cell.

        The error is that of independent numbers. Those of estimators that see the same
        data mostly go together, so that it is on the large side.

        Args:
            measure: As of `range`, of positive numbers.
            one: What of the cell is above, such as `{"estimator": "efficient"}`.
            other: What is below.
            cell: What both have, as of `range`.

        Example:
            {{ bank.over("rmse", {"estimator": "moments"}, {"estimator": "profile"}) }}
        """
        (above, errors), (below, others) = (
            (np.concatenate([x.values.ravel() for x in part]) for part in pair)
            for pair in (self._select(measure, {**cell, **x}) for x in (one, other))
        )
        there = np.isfinite(above) & np.isfinite(below)
        where = self._name(measure, {**cell, **one})
        if not there.any():
            raise LookupError(f"{where}: no value is there beside {other}.")
        above, below, errors, others = (
            x[there].astype(float) for x in (above, below, errors, others)
        )
        ratio = above / below
        error = ratio * np.hypot(errors / above, others / below)
        return Range(ratio, error, False, self.name, f"{where} over {other}")

    def _select(
        self, measure: str, cell: dict[str, Any]
    ) -> tuple[list[xr.DataArray], list[xr.DataArray]]:
        cell = {_DIMENSIONS.get(name, name): value for name, value in cell.items()}
        chosen = cell.pop("process", list(self.processes))
        chosen = [chosen] if isinstance(chosen, str) else chosen
        values: list[xr.DataArray] = []
        errors: list[xr.DataArray] = []
        for process in chosen:
            if process not in self.processes:
                raise LookupError(
                    f"{self.name}: no process {process}; it has "
                    f"{', '.join(self.processes)}."
                )
            value, error = self._take(process, measure, cell)
            values.append(value)
            errors.append(error)
        return values, errors

    def _take(
        self, process: str, measure: str, cell: dict[str, Any]
    ) -> tuple[xr.DataArray, xr.DataArray]:
        """Return a measure and its errors at what is given of a cell."""
        node = self.processes[process]
        if measure not in node:
            raise LookupError(f"{self.name}: no measure {measure} in {process}.")
        value = node[measure]
        error = node.get(f"{measure}_mcse", xr.full_like(value, np.nan, float))
        if "kind" in value.dims and "kind" not in cell:
            shown = node["kind"] == node["default_kind"]
            # One kind is left of each estimator: the largest is that one.
            value, error = (x.where(shown).max("kind") for x in (value, error))
        for name, wanted in cell.items():
            if name not in value.dims:
                raise LookupError(
                    f"{self.name}: {measure} has no dimension {name}; it has "
                    f"{', '.join(map(str, value.dims))}."
                )
            try:
                value = value.sel({name: wanted})
                error = error.sel({name: wanted})
            except KeyError as missing:
                there = ", ".join(map(str, node[name].values))
                raise LookupError(
                    f"{self.name}: no {name}={wanted}; there are {there}."
                ) from missing
        return value, error

    def _name(self, measure: str, cell: dict[str, Any]) -> str:
        where = ", ".join(f"{name}={value}" for name, value in cell.items())
        return f"{self.name}: {measure}{' at ' if where else ''}{where}"
