"""The action `rerun`: one replication again, step by step, beside what was stored."""

import csv
from pathlib import Path
from typing import Any

import jax
import numpy as np
from rich.table import Table

from experiments import provenance
from experiments.commands.shared import make_console, open_study, split_arguments
from experiments.config.schema import CELL_AXES, MOST_REPLICATIONS
from experiments.engine.block import Engine
from experiments.engine.trace import trace
from experiments.errors import InputError
from experiments.estimators import SCALARS
from experiments.store.atomic import replacing
from experiments.store.blocks import Store, UnusableBlockError
from experiments.study import Block, Cell, Design

KNOWN = {*CELL_AXES, "replication", "csv", "results_dir"}

MADE_BY = "made by"
"""Beside a stored result's numbers: the attributes of its block."""


def main(arguments: list[str]) -> int:
    """Draw and fit one replication again and compare; return the exit code."""
    console = make_console()
    names, settings = split_arguments(arguments, KNOWN)
    if len(names) != 1 or "replication" not in settings:
        raise InputError(
            "rerun: name a study and a replication, such as `rerun default "
            "sample_size=500 n_supp=25 replication=17`."
        )
    results = Path(settings.get("results_dir", "results"))
    _, design, files = open_study(results, names[0])
    cell = _choose_cell(design, settings)
    replication = _read_number("replication", settings["replication"])

    engine = Engine(design)
    result = engine.run(Block(cell, replication, replication))
    if result.error:
        raise InputError(f"{cell.name}, replication {replication}: {result.error}")
    new = {name: values[0] for name, values in result.arrays.items()}
    old = _read_stored(files, cell, replication)
    console.print(f"{cell.name}, replication {replication}")
    console.print(_compare(design, cell, new, old))
    rows = trace(engine, cell, replication, int(new["num_steps"]))
    if rows is None:
        console.print(f"{cell.estimator} has no max_steps, so no trace of its steps.")
    else:
        console.print(_show_trace(design, cell, rows))
    console.print(f"Hash of its data: {int(new['data_hash'])}")
    if "csv" in settings:
        stacked, _ = engine.draw(cell, replication, 1)
        data = jax.tree.map(lambda leaf: np.asarray(leaf[0]), stacked)
        _write_csv(Path(settings["csv"]), data)
        console.print(f"Data written to {settings['csv']}.")
    if old is None:
        console.print("This replication is not stored, nothing to compare with.")
    elif old["data_hash"] != new["data_hash"]:
        console.print("The data differ from those of the stored result.")
        console.print(_explain(old))
        return 1
    else:
        console.print("The data are those of the stored result, bit for bit.")
    return 0


def _choose_cell(design: Design, settings: dict[str, str]) -> Cell:
    """Return the one cell that the settings name."""
    cells = design.cells()
    for axis in CELL_AXES:
        options = list(dict.fromkeys(_name_entry(cell, axis) for cell in cells))
        chosen = settings.get(axis, options[0] if len(options) == 1 else None)
        if chosen not in options:
            given = "missing" if chosen is None else f"{chosen} is not in the study"
            raise InputError(f"{axis}: {given}. Choices: {', '.join(options)}.")
        cells = [cell for cell in cells if _name_entry(cell, axis) == chosen]
    (cell,) = cells
    return cell


def _name_entry(cell: Cell, axis: str) -> str:
    """Name a cell's place on an axis; "any" where its estimator does not use it."""
    entry = getattr(cell, axis)
    return "any" if entry is None else str(entry)


def _read_number(name: str, text: str) -> int:
    if not text.isdecimal() or int(text) >= MOST_REPLICATIONS:
        raise InputError(f"{name}={text}: give a whole number from 0 to ten million.")
    return int(text)


def _read_stored(files: Store, cell: Cell, replication: int) -> dict[str, Any] | None:
    for path in files.find(cell):
        try:
            arrays, attrs = files.read(path, cell)
        except UnusableBlockError:
            continue
        row = replication - attrs["first"]
        if 0 <= row < len(arrays["code"]) and not attrs["error"]:
            found = {name: values[row] for name, values in arrays.items()}
            return found | {MADE_BY: attrs}
    return None


def _explain(old: dict[str, Any]) -> str:
    """Say what of the machine and the code differs from what computed a result."""
    attrs = old[MADE_BY]
    pairs = {
        "vector instructions": ("instructions", provenance.describe_instructions()),
        "JAX": ("jax_version", provenance.describe_software()["jax"]),
    }
    lines = [
        f"{words}: {attrs.get(name, 'unknown')} there, {here} here"
        for words, (name, here) in pairs.items()
        if attrs.get(name, "unknown") != here
    ]
    there, here = (
        provenance.name_code(attrs),
        provenance.name_code(provenance.describe_code()),
    )
    if there != here:
        lines.append(f"code: {there} there, {here} here")
    if not lines:
        return "Machine, JAX and code are those that computed it: this is a fault."
    return (
        "Bits are the same on processors with the same vector instructions, with the "
        "same JAX and code. What differs:\n  " + "\n  ".join(lines)
    )


def _compare(
    design: Design, cell: Cell, new: dict[str, Any], old: dict[str, Any] | None
) -> Table:
    parameters, truth = design.truth(cell.dgp)
    estimator = design.estimators[cell.estimator]
    kind = estimator.kinds.index(estimator.default_kind)
    table = Table("", "truth", "again", "stored", "difference", "std. error", box=None)
    for column in table.columns[1:]:
        column.justify = "right"
    for i, name in enumerate(parameters):
        value = new["estimate"][i]
        stored = None if old is None else old["estimate"][i]
        error = new["standard_error"][kind, i]
        table.add_row(name, f"{truth[i]:.6g}", *_three(value, stored), f"{error:.4g}")
    for name in (name for name in SCALARS if name in new):
        stored = None if old is None else old[name]
        table.add_row(name, "", *_three(new[name], stored), "")
    return table


def _show_trace(design: Design, cell: Cell, rows: list[dict[str, Any]]) -> Table:
    """Return a table of the iterates; a refused step repeats the one before."""
    parameters, _ = design.truth(cell.dgp)
    columns = ("log-likelihood", "gap", "gradient", *parameters)
    table = Table("step", *columns, box=None)
    for column in table.columns:
        column.justify = "right"
    for row in rows:
        table.add_row(
            str(row["step"]),
            f"{row['log_likelihood']:.8f}",
            *(f"{row['gap']:.1e}", f"{row['gradient_norm']:.1e}"),
            *(f"{value:.8g}" for value in row["estimate"]),
        )
    return table


def _three(new: Any, old: Any) -> tuple[str, str, str]:
    if old is None:
        return f"{new:.8g}", "-", "-"
    return f"{new:.8g}", f"{old:.8g}", f"{float(new) - float(old):.1e}"


def _write_csv(path: Path, data: Any) -> None:
    """Write the data, one row an observation, one column an array's column."""
    columns: dict[str, np.ndarray] = {}
    for keys, leaf in jax.tree_util.tree_leaves_with_path(data):
        name = jax.tree_util.keystr(keys, simple=True, separator=".")
        flat = leaf.reshape(leaf.shape[0], -1)
        for i in range(flat.shape[1]):
            columns[f"{name}{i + 1}" if flat.shape[1] > 1 else name] = flat[:, i]
    with replacing(path) as temporary, temporary.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        # repr keeps every bit of a float64.
        writer.writerows(zip(*(v.tolist() for v in columns.values()), strict=True))
