"""An estimate as a person reads it."""

from typing import Any

import jax
import numpy as np

from spmlex._efficient.efficient_estimate import EfficientEstimate
from spmlex._efficient.efficient_search import solve_from
from spmlex._evidence.evidence import Evidence
from spmlex._evidence.limits import tabulate
from spmlex._inference.intervals import (
    INTERVAL_KINDS,
    IntervalKind,
    Intervals,
    default_kind,
    make_intervals,
)
from spmlex._result.ending import (
    Ending,
    describe_certificate,
    describe_support,
    list_optima,
    list_warnings,
)
from spmlex._support.continuum import coordinates
from spmlex._words.arguments import check_level
from spmlex._words.codes import is_successful
from spmlex._words.printing import wrap
from spmlex._words.table import Table

_MOST_ATOMS = 20
"""Support points listed by `summary`."""


def format_summary(
    evidence: Evidence, ending: Ending, level: float | int, kind: str
) -> str:
    """Return a regression-style table of an estimate.

    Args:
        evidence: That of the estimate, of concrete arrays.
        ending: How its search ended.
        level: Confidence level of the intervals.
        kind: Kind of interval.
    """
    names, what = evidence.names, type(evidence.model).__name__
    row, found = INTERVAL_KINDS[kind], None
    if row.centre == "efficient" and names:
        check_level(level)
        found = solve_from(evidence)
        made = row.make(found, level, None, None)
    else:
        made = make_intervals(evidence, level, kind)
    made = jax.tree.map(np.asarray, made)
    if names:
        title = f"{what}: semiparametric maximum likelihood"
        table = _make_table(evidence, made, found, level, row)
    else:
        title, table = f"{what}: nonparametric maximum likelihood of F", []
    support = describe_support(evidence, ending)
    rule = "-" * max(map(len, [title, *table]))
    head = [title, rule, *([*table, rule] if table else [])]
    lines = [
        f"observations {int(evidence.n_obs)}, log-likelihood "
        f"{float(evidence.log_likelihood):.4f} at the maximum",
        f"{support}; gap {max(float(ending.gap), 0.0):.1e} nats per observation",
    ]
    if names:
        gradient = float(ending.gradient_norm)
        lines.append(f"{int(ending.num_steps)} steps, gradient {gradient:.1e}")
        lines += _describe_intervals(evidence, found, row, made)
        lines += describe_conflicts(names, made, level)
    if ending.optima is not None:
        lines += list_optima(ending.optima)
    if ending.certificate is not None:
        lines.append(describe_certificate(ending.certificate))
    warnings = [wrap(f"Warning: {text}") for text in list_warnings(evidence, ending)]
    # Sentences are broken; columns stand as they are.
    lines = [line if line.startswith(" ") else wrap(line) for line in lines]
    return "\n".join([*head, *lines, *_list_atoms(evidence), *warnings])


def tabulate_maximum(evidence: Evidence, ending: Ending) -> Table:
    """Return an estimate as it is printed: what takes no further computation.

    Args:
        evidence: That of the estimate, of concrete arrays.
        ending: How its search ended.
    """
    what, has_theta = type(evidence.model).__name__, bool(evidence.theta.size)
    title, table = f"{what}: maximum likelihood, F unrestricted", None
    notes = [
        f"observations {int(evidence.n_obs)}, log-likelihood "
        f"{float(evidence.log_likelihood):.4f}; {describe_support(evidence, ending)}"
    ]
    if has_theta:
        made = make_intervals(evidence, 0.95, "sandwich")
        table = tabulate(made, title)
        more = "`summary()` has the recommended intervals, and more"
        notes.append(f"std. errors and intervals: sandwich; {more}")
    table = Table(title, ("",), ()) if table is None else table
    warnings = (f"Warning: {text}" for text in list_warnings(evidence, ending))
    return table._replace(notes=(*notes, *warnings))


def _make_table(
    evidence: Evidence,
    made: Intervals,
    found: EfficientEstimate | None,
    level: float | int,
    row: IntervalKind,
) -> list[str]:
    """Return the lines of estimates, tests and intervals."""
    names = evidence.names
    width = max([10, *map(len, names)])
    columns = {"estimate": np.asarray(evidence.theta)}
    if found is not None:
        columns = {"max. lik.": columns["estimate"], "efficient": made.centre}
    tests = {}
    if row.has_error:
        opened = np.isinf(made.lower) | np.isinf(made.upper)
        columns["std. error"] = np.where(opened, np.nan, made.standard_error)
        mark = "z" if np.isinf(made.degrees_of_freedom) else "t"
        z, p_value = np.asarray(made.statistic), np.asarray(made.p_value)
        tests = {mark: z, f"P>|{mark}|": p_value}
    head = "".join(f" {name:>10}" for name in columns)
    head += "".join(f" {name:>8}" for name in tests)
    percent = f"{100 * level:g}% interval"
    lines = [f"{'':{width}}{head} {percent:>21}"]
    for i, name in enumerate(names):
        line = "".join(f" {_format(column[i])}" for column in columns.values())
        line += "".join(
            f" {column[i]:8.{digits}f}" if np.isfinite(column[i]) else f" {'':8}"
            for column, digits in zip(tests.values(), (2, 3), strict=False)
        )
        limits = f"{_format(made.lower[i])} {_format(made.upper[i])}"
        lines.append(f"{name:{width}}{line} {limits}")
    return lines


def _format(value: Any) -> str:
    """Return ten characters; blank for what is not a number."""
    if np.isnan(value):
        return " " * 10
    plain = value == 0 or not np.isfinite(value) or 1e-3 <= abs(value) < 1e4
    return f"{value:10.5f}" if plain else f"{value:10.3e}"


def _describe_intervals(
    evidence: Evidence,
    found: EfficientEstimate | None,
    row: IntervalKind,
    made: Intervals,
) -> list[str]:
    """Say whose standard errors, tests and intervals the table shows."""
    if found is None:
        lines = [f"standard errors and intervals: {row.label}"]
        if default_kind(evidence) != "efficient":
            lines.append(
                "these take F for one of few points: with `simulate` the model would "
                "get the efficient score's"
            )
        return lines
    names = evidence.names
    lines = [
        "efficient: root of the efficient score, F unrestricted; std. error, z and P "
        f"are its own, intervals: {row.sentence}"
    ]
    if not is_successful(found.result):
        lines.append(f"Warning: efficient score: {found.describe_end()}")
    known = np.asarray(found.identified)
    if not known.all():
        lines.append(
            f"Warning: not identified: {_list(names, ~known)}. A shift or another "
            "movement of F takes its place: normalise it, hold it by `fixed`, or drop "
            "it."
        )
    opened = known & (np.isinf(made.lower) | np.isinf(made.upper))
    if opened.any():
        lines.append(
            f"Warning: the data set no limit on a side of {_list(names, opened)}: "
            "hardly identified; there is no z nor P."
        )
    lost = known & (np.isnan(made.lower) | np.isnan(made.upper))
    if lost.any():
        lines.append(
            f"Warning: a limit of {_list(names, lost)} was not found: that is no "
            "evidence; kind='efficient_wald' has Wald's."
        )
    return lines


def describe_conflicts(
    names: list[str], made: Intervals, level: float | int
) -> list[str]:
    """Say of which parameters P and the interval judge zero differently.

    An interval that a test made need not be symmetric around the estimate, as z is.
    """
    outside = np.asarray((made.lower > 0) | (made.upper < 0))
    p_value = np.asarray(made.p_value)  # none where a limit is open or missing
    rejected = p_value < 1 - level
    lines = []
    for conflict, what in (
        (outside & ~rejected & ~np.isnan(p_value), "without zero although P is not"),
        (rejected & ~outside, "with zero although P is"),
    ):
        if conflict.any():
            lines.append(
                f"the interval of {_list(names, conflict)} is {what} below "
                f"{1 - level:g}: it is to be preferred, z takes it for symmetric"
            )
    return lines


def _list(names: list[str], chosen: np.ndarray) -> str:
    return ", ".join(np.array(names)[chosen])


def _list_atoms(evidence: Evidence) -> list[str]:
    """Return a line for each point with positive mass, the largest where many."""
    probs = np.asarray(evidence.probs)
    if probs.ndim == 2:
        return []
    kept = np.flatnonzero(probs > 0)
    largest = kept[np.argsort(-probs[kept])[:_MOST_ATOMS]]
    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(evidence.supp)]
    heads = ["support point"]
    if isinstance(evidence.supp, dict):  # a column for each coordinate, by its name
        found = (name.removeprefix("supp") for name, _ in coordinates(evidence.supp))
        heads = [x.strip("[]'").replace("'][:,", ",") for x in found if x]
        heads = heads or list(evidence.supp)
    lines = [" ".join(f"{x:>13}" for x in [*heads, "mass"])]
    for k in np.sort(largest):
        point = np.concatenate([np.ravel(leaf[k]) for leaf in leaves])
        cells = [_format(value).strip() for value in point]
        if len(heads) == 1:
            cells = [" ".join(cells)]
        lines.append(" ".join(f"{x:>13}" for x in [*cells, _format(probs[k])]))
    if len(kept) > len(largest):
        rest = 1.0 - float(np.sum(probs[largest]))
        lines.append(f"{len(kept) - len(largest):>6} others {_format(rest):>13}")
    return lines
