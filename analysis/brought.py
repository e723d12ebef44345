"""Somebody else's replications, stored as those of a study."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import xarray as xr
import yaml

from analysis.columns import parse_columns
from analysis.exchange import read_replications, tidy_columns
from analysis.files import write_file
from analysis.nulls import list_hypotheses
from analysis.stored import REPLICATIONS, StudyError, write_tree


def store_replications(
    path: Path,
    columns: Sequence[str],
    study_dir: Path,
    *,
    tests: Sequence[str] = (),
    levels: Sequence[float] = (),
) -> Path:
    """Store somebody else's replications as those of a study.

    Args:
        path: A CSV or Stata file.
        columns: What its columns are, see `columns.parse_columns`; nothing: they have
            the names that `exchange.to_csv` gives them.
        study_dir: The folder of the study.
        tests: Hypotheses to be tested, `theta=0` or `theta=truth`.
        levels: Levels of coverage and tests beside that of the limits.

    Raises:
        StudyError: No such file, or no such columns.
    """
    parsed = _parse_tests(tests)
    asked = {"tests": parsed, "levels": list(levels)}
    try:
        list_hypotheses(parsed)
        named = parse_columns(columns) if columns else tidy_columns(path)
        if missing := [x for x in ("estimate", "truth") if x not in named]:
            raise ValueError(
                f"{' and '.join(missing)} missing; give --columns "
                + " ".join(f"{x}=COLUMN" for x in missing)
            )
        replications = _name_single(read_replications(path, **named), named)
        _check_tested(replications, parsed)
    except (OSError, ValueError, TypeError) as error:
        raise StudyError(f"{path}: {str(error).splitlines()[0]}") from error
    replications.attrs = {
        "study": path.stem,
        "title": f"Replications of {path.name}",
        "config": yaml.safe_dump(asked),
    }
    target = study_dir / REPLICATIONS
    return write_file(target, lambda file: write_tree(replications, file))


def _name_single(replications: xr.DataTree, columns: dict[str, Any]) -> xr.DataTree:
    """Call a parameter that nothing names as the column of its estimates."""
    column = columns["estimate"]
    if "parameter" in columns or not isinstance(column, str) or "*" in column:
        return replications
    groups = {
        f"/{x}": node.to_dataset().assign_coords(parameter=[column])
        for x, node in replications.children.items()
    }
    return xr.DataTree.from_dict(groups)


def _check_tested(replications: xr.DataTree, tests: dict[str, list[str]]) -> None:
    groups = [node.to_dataset() for node in replications.children.values()]
    names = [str(x) for group in groups for x in group["parameter"].to_numpy()]
    if unknown := [x for x in tests if x not in names]:
        there = ", ".join(dict.fromkeys(names))
        raise ValueError(f"--test {unknown[0]}: no such parameter; there are {there}.")


def _parse_tests(tests: Sequence[str]) -> dict[str, list[str]]:
    """Read hypotheses of a command line: nulls by parameter."""
    found: dict[str, list[str]] = {}
    for text in tests:
        parameter, equals, null = text.rpartition("=")
        if not equals or not parameter:
            raise StudyError(f"--test {text}: write PARAMETER=NULL, such as theta=0.")
        found.setdefault(parameter, []).append(null)
    return found
