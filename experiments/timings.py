"""What was measured of the program: a file that is kept, and its last entry to compare.

The files of `benchmark`, of `load` and of what is tried with studies are lists of runs,
the last one at the end; they are text, so that git keeps them.
"""

import json
import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from experiments.compute.local import count_cores
from experiments.errors import InputError
from experiments.provenance import describe_code, describe_machine, name_code
from experiments.store.atomic import replacing

KEPT = Path("results/benchmark.json")

_KEYS = ("work", "kept", "F", "n_obs", "n_supp", "support", "devices", "allowed")
"""What tells the rows of a table apart; all else in them is measured."""

_TIMES = ("_ms", "_s")
"""Endings of the names of times; what else there is are ratios and counts."""


def describe_run(tables: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, Any]:
    """Return a run to keep: its tables, and when, where and of what code.

    Args:
        tables: The rows of each table by its name.
    """
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": describe_machine(),
        "load": round(os.getloadavg()[0], 1),  # its own included
        "cores": count_cores(),
        "code": name_code(describe_code()),
        **{name: [dict(row) for row in rows] for name, rows in tables.items()},
    }


def read_runs(path: Path) -> list[dict[str, Any]]:
    """Return the runs that are kept, the last one at the end.

    Raises:
        InputError: The file holds something else.
    """
    if not path.exists():
        return []
    try:
        runs = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path}: no JSON: {error}") from error
    if not isinstance(runs, list) or not all(isinstance(x, dict) for x in runs):
        raise InputError(f"{path}: no list of runs; give another --out.")
    return runs


def keep_run(run: Mapping[str, Any], path: Path) -> None:
    """Put a run behind those in a file."""
    runs = [*read_runs(path), run]
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as new:
        new.write_text(json.dumps(runs, indent=1) + "\n", encoding="utf-8")


def compare_runs(
    now: Mapping[str, Any], last: Mapping[str, Any], tables: Sequence[str]
) -> dict[str, list[dict[str, Any]]]:
    """Return the times of a run over those of another, where both have them.

    Args:
        now: The run.
        last: The other one.
        tables: Names of the tables.

    Returns:
        The rows of each table, times replaced by ratios: above one is slower now.
    """
    compared: dict[str, list[dict[str, Any]]] = {}
    for name in tables:
        before = {_key(row): row for row in last.get(name, [])}
        rows = [
            {key: row[key] for key in _KEYS if key in row}
            | {
                column.rpartition("_")[0]: value / before[_key(row)][column]
                for column, value in row.items()
                if column.endswith(_TIMES) and column in before[_key(row)]
            }
            for row in now[name]
            if _key(row) in before
        ]
        compared[name] = rows
    return compared


def name_run(run: Mapping[str, Any]) -> str:
    """Say on which machine a run was, when, of which code and how busy it was."""
    load = f"load {run['load']}"
    if is_busy(run):
        load = f"busy, {load} on {run['cores']} cores: compare with care"
    return f"{run['machine']}, {load}, {run['date']}, {run['code'][:12]}"


def is_busy(run: Mapping[str, Any]) -> bool:
    """Tell whether others wanted more than the machine had: times are then longer.

    The benchmark itself keeps one core at work, and compilation a little more.
    """
    return run["load"] > run.get("cores", run["load"]) + 1


def _key(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(row.get(key) for key in _KEYS)
