"""Lay a table out as a table file says: numbers into rows and columns."""

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
import xarray as xr

from analysis import labels
from analysis.configuration import read_symbols
from analysis.copies import NONE
from analysis.labels import name_entries
from analysis.tables.layout import ENDS, PLACES, Layout
from analysis.tables.notes import table_notes
from analysis.tables.performance import performance_table
from analysis.tables.printed import HEADS, Cell, Printed, Row, print_cells

_HEADS = {**HEADS, "measure": ""}

_Place = tuple[object, ...]
"""The entries, of the dimensions in rows or in columns, that a cell belongs to."""


def compose_table(
    summary: xr.DataTree, layout: Layout, *, name: str, processes: Sequence[str]
) -> tuple[Printed, pd.DataFrame]:
    """Lay a table of some processes out.

    Args:
        summary: What `summarise` returns, before `labels.name_groups`.
        layout: What is where.
        name: How errors call the table.
        processes: The processes that are in it.

    Returns:
        The table as it is printed, and its numbers, tidy, by the names that the study
        has.

    Raises:
        ValueError: An entry that no process has, or a dimension with several entries
            that has no place.
    """
    stored: list[pd.DataFrame] = []
    shown: list[pd.DataFrame] = []
    kind = ""
    for process in processes:
        data = summary[process].to_dataset()
        symbols = read_symbols(summary, process) | dict(layout.symbol)
        data = _choose(name_entries(data, symbols), layout, name)
        label = str(data.attrs.get("label", process))
        table = _select(data, layout)
        kind = str(data["kind"].values[0]) if "kind" in layout.where else ""
        shown.append(table.assign(process=label))
        stored.append(_select(_by_names(data), layout).assign(process=process))
    table = pd.concat(shown, ignore_index=True)
    _check_places(table, layout, name)
    named = labels.name_groups(summary)
    notes = table_notes(named, processes[0], table, errors=layout.errors, kind=kind)
    measures = [x for x in layout.measures if x in table]
    words = [layout.head.get(x, labels.label_measure(x)) for x in measures]
    caption = layout.caption or _caption(table, layout, words)
    rows, heads = _pivot(_melt(table, measures, words, layout), layout)
    printed = Printed(
        caption=caption,
        names=tuple(_HEADS.get(x, labels.label_dim(x)) for x in layout.rows),
        heads=heads,
        rows=rows,
        notes=tuple(notes),
        below=layout.errors == "below",
    )
    return printed, pd.concat(stored, ignore_index=True)


def _select(process: xr.Dataset, layout: Layout) -> pd.DataFrame:
    kind = None
    if "kind" in layout.where and "kind" in process.dims:
        kind = str(process["kind"].values[0])
    table = performance_table(process, measures=layout.measures, kind=kind)
    for dim in PLACES:  # one entry that was chosen is no column of its own
        if dim not in table and dim in process.coords and process[dim].ndim == 0:
            table[dim] = process[dim].item()
    return table


def _choose(process: xr.Dataset, layout: Layout, name: str) -> xr.Dataset:
    """Select the entries that the layout names, in its order."""
    for dim, wanted in layout.where.items():
        if dim not in process.dims:
            continue
        labelled = [str(x) for x in process[dim].values]
        names = labelled
        if f"{dim}_name" in process.coords:
            names = [str(x) for x in process[f"{dim}_name"].values]
        found = []
        for entry in wanted:
            if entry in ENDS and process[dim].dtype.kind in "iuf":
                found.append(-1 if entry == "largest" else 0)
            elif entry in names or entry in labelled:
                found.append((names if entry in names else labelled).index(entry))
        if not found:
            raise ValueError(
                f"table {name}: where: {dim} has no {', '.join(wanted)}; it has "
                f"{', '.join(names)}."
            )
        process = process.isel({dim: found})
    return process


def _by_names(process: xr.Dataset) -> xr.Dataset:
    """Give entries the names back that they have in the study."""
    back = {
        dim: process[f"{dim}_name"].values
        for dim in ("estimator", "grid", "parameter", "kind")
        if f"{dim}_name" in process.coords and dim in process.dims
    }
    if "default_kind" in process.coords and "kind" in back:
        pairs = zip(process["kind"].values, back["kind"], strict=True)
        words = {str(x): str(y) for x, y in pairs}
        kinds = process["default_kind"]
        named = [words.get(str(x), str(x)) for x in np.atleast_1d(kinds.values)]
        process = process.assign_coords(
            default_kind=(kinds.dims, np.reshape(named, kinds.shape))
        )
    return process.assign_coords(back)


def _check_places(table: pd.DataFrame, layout: Layout, name: str) -> None:
    for dim in PLACES:
        if dim in (*layout.rows, *layout.columns) or dim not in table:
            continue
        found = [str(x) for x in dict.fromkeys(table[dim]) if x != NONE]
        if len(found) > 1:
            raise ValueError(
                f"table {name}: {dim} has {', '.join(found)}; put it into rows or "
                "columns, or choose one under where."
            )


def _caption(table: pd.DataFrame, layout: Layout, words: Sequence[str]) -> str:
    """Say what is measured, and where, as far as rows and columns do not."""
    placed = (*layout.rows, *layout.columns)
    where = []
    for dim in ("process", *PLACES[:-1]):
        if dim in placed or dim not in table:
            continue
        values = [x for x in dict.fromkeys(table[dim]) if x != NONE]
        if len(values) == 1 and dim not in ("grid",):
            where.append(_word(dim, values[0]))
    return ": ".join(x for x in (", ".join(where), _join(words)) if x)


def _join(words: Sequence[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if words[1:] else words)


def _word(dim: str, value: object) -> str:
    """Write an entry so that it needs no head beside it."""
    if value == NONE:
        return "no grid" if dim == "grid" else ""
    if dim == "sample_size":
        return f"$n = {value}$"
    return f"{value} points" if dim == "n_supp" else str(value)


def _melt(
    table: pd.DataFrame, measures: Sequence[str], words: Sequence[str], layout: Layout
) -> Iterable[tuple[dict[str, object], Cell]]:
    """List where every cell belongs, and the cell."""
    keys = pd.DataFrame(table[[x for x in PLACES if x in table]]).to_dict("records")
    with_errors = layout.errors != "note"
    for measure, word in zip(measures, words, strict=True):
        places = layout.places(measure)
        cells = print_cells(table, measure, places=places, errors=with_errors)
        for key, cell in zip(keys, cells, strict=True):
            yield {**key, "measure": word}, cell


def _pivot(
    melted: Iterable[tuple[dict[str, object], Cell]], layout: Layout
) -> tuple[tuple[Row, ...], tuple[tuple[str, ...], ...]]:
    """Put cells into rows and columns, both in the order in which values are met."""
    cells: dict[_Place, dict[_Place, Cell]] = {}
    columns: dict[_Place, None] = {}
    order: dict[str, dict[object, int]] = {}
    for key, cell in melted:
        for dim, value in key.items():
            order.setdefault(dim, {}).setdefault(value, len(order[dim]))
        row = tuple(key.get(x, NONE) for x in layout.rows)
        column = tuple(key.get(x, NONE) for x in layout.columns)
        cells.setdefault(row, {})[column] = cell
        columns[column] = None

    def place(dims: Sequence[str], values: _Place) -> list[int]:
        pairs = zip(dims, values, strict=True)
        return [order.get(x, {}).get(y, -1) for x, y in pairs]

    across = sorted(columns, key=lambda x: place(layout.columns, x))
    rows = [
        Row(
            (),
            tuple(str(value) for value in row),
            tuple(cells[row].get(x, Cell()) for x in across),
        )
        for row in sorted(cells, key=lambda x: place(layout.rows, x))
    ]
    heads = [
        tuple(
            str(value) if dim == "measure" else _word(dim, value)
            for dim, value in zip(layout.columns, column, strict=True)
        )
        for column in across
    ]
    return tuple(rows), tuple(heads)


def list_composed(
    summary: xr.DataTree, layouts: dict[str, Layout], processes: Sequence[str]
) -> Iterable[tuple[str, str, Printed, pd.DataFrame]]:
    """Lay every table out: its process, its name, the table, its numbers.

    A table has all processes where the process has a place in it or there is a choice
    of them; it is then of no one process, "". Else there is one for each process.
    """
    for name, layout in layouts.items():
        chosen = layout.where.get("process", ())
        some = [x for x in processes if not chosen or x in chosen]
        if not some:
            raise ValueError(
                f"table {name}: where: no process {', '.join(chosen)}; there are "
                f"{', '.join(processes)}."
            )
        if "process" in (*layout.rows, *layout.columns):
            yield "", name, *compose_table(summary, layout, name=name, processes=some)
            continue
        for process in some:
            yield (
                process,
                name,
                *compose_table(summary, layout, name=name, processes=[process]),
            )
