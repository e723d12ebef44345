"""Somebody else's replications, stored as those of a study."""

from collections.abc import Sequence
from pathlib import Path

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
        replications = read_replications(path, **named)
    except (OSError, ValueError, TypeError) as error:
        raise StudyError(f"{path}: {str(error).splitlines()[0]}") from error
    replications.attrs = {
        "study": path.stem,
        "title": f"Replications of {path.name}",
        "config": yaml.safe_dump(asked),
    }
    target = study_dir / REPLICATIONS
    return write_file(target, lambda file: write_tree(replications, file))


def _parse_tests(tests: Sequence[str]) -> dict[str, list[str]]:
    """Read hypotheses of a command line: nulls by parameter."""
    found: dict[str, list[str]] = {}
    for text in tests:
        parameter, equals, null = text.rpartition("=")
        if not equals or not parameter:
            raise StudyError(f"--test {text}: write PARAMETER=NULL, such as theta=0.")
        found.setdefault(parameter, []).append(null)
    return found
