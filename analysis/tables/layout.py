"""A table file: what a table of a paper has in its rows and columns.

A file of `conf/table/`, chosen by an experiment, or any other by its path:

```yaml
rows: [parameter, sample_size]
columns: [estimator, measure]
measures: [bias, rmse, coverage]
where: {n_supp: largest}
```
"""

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import yaml

from analysis.configuration import flatten_symbols
from analysis.labels import MEASURES

Errors = Literal["brackets", "below", "note"]
PLACES = ("parameter", "sample_size", "n_supp", "grid", "estimator", "process")
CHOSEN = (*PLACES, "kind")
ENDS = ("largest", "smallest")


class Layout(NamedTuple):
    """What a table has where; the fields are the keys of a table file.

    Attributes:
        rows: What tells the rows apart, the first changing slowest: parameter,
            sample_size, n_supp, grid, estimator, process, measure.
        columns: What tells the columns apart, of these; the outer ones head groups.
            Without `measure` in either the measures are the innermost columns.
        measures: Names of measures, in order.
        where: The entries to be shown, in order, of what is in rows and columns, and
            the one to be shown of what is not; `largest` and `smallest` are of sizes,
            `kind` is of intervals.
        head: Words over measures that are not the usual ones.
        digits: Decimals, of all or by measure; else they follow the error.
        errors: Monte Carlo errors: `brackets`, `below`, or the largest in the `note`.
        caption: The caption; else it names the process and the measures.
        symbol: Symbols of parameters, as in the file of a process, before these.
    """

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    measures: tuple[str, ...] = ("bias", "rmse", "coverage")
    where: Mapping[str, tuple[str, ...]] = {}
    head: Mapping[str, str] = {}
    digits: int | Mapping[str, int] | None = None
    errors: Errors = "brackets"
    caption: str = ""
    symbol: Mapping[str, str] = {}

    def places(self, measure: str) -> int | None:
        """Return the decimals of a measure, if they are set."""
        if self.digits is None or isinstance(self.digits, int):
            return self.digits
        return self.digits.get(measure)


def read_layout(path: Path) -> Layout:
    """Read a table file.

    Raises:
        ValueError: It is none, or says what no table has.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"cannot read the table file {path} ({reason}).") from error
    return parse_layout(content, path.name)


def parse_layout(content: Any, name: str) -> Layout:
    """Check what a table file holds.

    Args:
        content: The keys of `Layout`, rows and columns at least.
        name: How errors call the file.

    Raises:
        ValueError: Names the key, what was given and what is allowed.
    """
    if not isinstance(content, Mapping):
        raise ValueError(f"table {name}: give rows, columns, measures, ... by name.")
    for key in content:
        _check(name, "key", key, Layout._fields)
    given = dict(content)
    for key in ("rows", "columns"):
        given[key] = _list(given.get(key, ()))
        for place in given[key]:
            _check(name, key, place, (*PLACES, "measure"))
    both = [*given["rows"], *given["columns"]]
    twice = [x for x in both if both.count(x) > 1]
    if twice:
        raise ValueError(f"table {name}: {twice[0]} is there twice; drop one.")
    if not given["rows"]:
        raise ValueError(f"table {name}: rows is empty; give one of {_join(PLACES)}.")
    if "measure" not in both:
        given["columns"] += ("measure",)
    if "measures" in given:
        given["measures"] = _list(given["measures"])
        for measure in given["measures"]:
            _check(name, "measures", measure, tuple(MEASURES))
    where = given.get("where") or {}
    for dim in where:
        _check(name, "where", dim, CHOSEN)
    given["where"] = {dim: _list(x) for dim, x in where.items()}
    if given.get("errors", "brackets") not in get_args(Errors):
        _check(name, "errors", given["errors"], get_args(Errors))
    given["symbol"] = flatten_symbols(given.get("symbol") or {})
    return Layout(**given)


def _check(name: str, key: str, given: Any, allowed: Sequence[str]) -> None:
    if given in allowed:
        return
    near = difflib.get_close_matches(str(given), allowed, n=1, cutoff=0.5)
    hint = f" Did you mean {near[0]}?" if near else f" Choose of {_join(allowed)}."
    raise ValueError(f"table {name}: {key}: {given} is not known.{hint}")


def _list(given: Any) -> tuple[str, ...]:
    if isinstance(given, str | int | float):
        return (str(given),)
    return tuple(str(x) for x in given)


def _join(words: Sequence[str]) -> str:
    return ", ".join(words)
