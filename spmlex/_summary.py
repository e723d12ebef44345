"""An estimate as a person reads it."""

from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Int

from spmlex._adequacy import Adequacy
from spmlex._arguments import check_level
from spmlex._codes import RESULT_CODES, RESULTS
from spmlex._continuum import coordinates
from spmlex._degenerate import MAX_RIPPLE
from spmlex._edges import describe_faces
from spmlex._efficient_estimate import EfficientEstimate
from spmlex._efficient_search import solve_from
from spmlex._evidence import Evidence
from spmlex._intervals import (
    INTERVAL_KINDS,
    IntervalKind,
    Intervals,
    default_kind,
    make_intervals,
)
from spmlex._limits import tabulate
from spmlex._optima import Optima
from spmlex._table import Table
from spmlex._types import Scalar

_MOST_ATOMS = 20
"""Support points listed by `summary`."""


class Ending(NamedTuple):
    """How the search for a maximum ended.

    Attributes:
        result: Result code.
        num_steps: Evaluations of the profile likelihood.
        num_atoms: Support points with positive mass.
        gradient_norm: Largest entry of the gradient.
        gap: Bound on what other mixing probabilities could gain.
        grid_ripple: Ripple of the log-likelihood with the spacing of the grid, nats.
        support: "grid" or "free".
        optima: Where each start led; `None` where there was one.
        certificate: Of free support; else `None`.
    """

    result: RESULTS  # pyright: ignore[reportInvalidTypeForm]
    num_steps: Int[Array, ""]
    num_atoms: Int[Array, ""]
    gradient_norm: Scalar
    gap: Scalar
    grid_ripple: Scalar
    support: str
    optima: Optima | None
    certificate: Adequacy | None


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
    support = _describe_support(evidence, ending)
    rule = "-" * max(map(len, [title, *table]))
    lines = [title, rule]
    lines += [*table, rule] if table else []
    lines += [
        f"observations {int(evidence.n_obs)}, log-likelihood "
        f"{float(evidence.log_likelihood):.4f} at the maximum",
        f"{support}; gap {max(float(ending.gap), 0.0):.1e} nats per observation",
    ]
    if names:
        gradient = float(ending.gradient_norm)
        lines.append(f"{int(ending.num_steps)} steps, gradient {gradient:.1e}")
        lines += _describe_intervals(evidence, found, row, made)
    if ending.optima is not None:
        lines += _list_optima(ending.optima)
    if ending.certificate is not None:
        lines.append(_describe_certificate(ending.certificate))
    lines += _list_atoms(evidence)
    lines += [f"Warning: {text}" for text in _warnings(evidence, ending)]
    return "\n".join(lines)


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
        f"{float(evidence.log_likelihood):.4f}; {_describe_support(evidence, ending)}"
    ]
    if has_theta:
        made = make_intervals(evidence, 0.95, "sandwich")
        table = tabulate(made, title)
        more = "`summary()` has the recommended intervals, and more"
        notes.append(f"std. errors and intervals: sandwich; {more}")
    table = Table(title, ("",), ()) if table is None else table
    warnings = (f"Warning: {text}" for text in _warnings(evidence, ending))
    return table._replace(notes=(*notes, *warnings))


def _describe_support(evidence: Evidence, ending: Ending) -> str:
    if ending.support == "free":
        return f"free support, {int(ending.num_atoms)} atoms"
    counted = _count_atoms(evidence.probs)
    return f"grid of {evidence.probs.shape[0]} points, {counted} with positive mass"


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
    if found.result != RESULTS.successful:
        lines.append(f"Warning: efficient score: {RESULTS[found.result]}")
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


def _list(names: list[str], chosen: np.ndarray) -> str:
    return ", ".join(np.array(names)[chosen])


def _describe_certificate(certificate: Adequacy) -> str:
    proof = "numerical"
    if bool(certificate.is_proof):
        proof = "proved, if third derivatives at most double within a cell"
    return (
        "no distribution on the range gains more than "
        f"{max(float(certificate.gap), 0.0):.1e} nats per observation ({proof})"
    )


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


def describe_degeneracy(evidence: Evidence) -> str:
    """Return what a person should know about a flagged estimate."""
    width, probs = float(evidence.resolution), evidence.probs
    return (
        "this looks like a degenerate maximum: the kernels are "
        f"{width:.2f} grid steps wide and {_count_atoms(probs)} of "
        f"{probs.shape[0]} support points have positive mass. Do not trust the "
        "estimate, nor intervals around it: take the efficient score's, from a "
        "consistent start (`starting_values`), a coarser grid or, where no noise "
        "scale is free, support='free'."
    )


def _count_atoms(probs: Array) -> str:
    counts = np.sum(np.asarray(probs) > 0, axis=0)
    if counts.ndim == 0:
        return str(counts)
    each = ", ".join(map(str, counts[:10])) + (", ..." if counts.size > 10 else "")
    return f"{each} (by group)"


def _list_optima(optima: Optima) -> list[str]:
    """Return a line for each distinct local optimum, best first, and the failures."""
    number = np.asarray(optima.optimum)
    chosen = number[int(optima.chosen)]
    plural = "optimum" if int(optima.num_optima) == 1 else "optima"
    lines = [
        f"{number.size} starts, {int(optima.num_optima)} local {plural} "
        "(log-likelihood, support points with positive mass, starts that led there):"
    ]
    criterion = np.asarray(optima.criterion)
    for i in sorted(set(number[number >= 0]), key=lambda i: -criterion[i]):
        marks = ["chosen"] * bool(i == chosen)
        marks += ["degenerate"] * bool(optima.flagged[i])
        lines.append(
            f"  {float(optima.log_likelihood[i]):14.4f} {int(optima.num_atoms[i]):5d} "
            f"{int(np.sum(number == i)):5d}  {', '.join(marks)}".rstrip()
        )
    failed = np.asarray(optima.code)[number < 0]
    for code, name, _ in RESULT_CODES:
        if np.any(failed == code):
            lines.append(f"  {int(np.sum(failed == code))} ended as {name}")
    return lines


def _warnings(evidence: Evidence, ending: Ending) -> list[str]:
    found = []
    if ending.result != RESULTS.successful:
        found.append(RESULTS[ending.result])
    if bool(evidence.flagged):
        found.append(describe_degeneracy(evidence))
    elif float(ending.grid_ripple) > MAX_RIPPLE:
        found.append(
            "the grid is coarse for these kernels: by its spacing alone the log-"
            f"likelihood can rise and fall by {float(ending.grid_ripple):.1f} nats, "
            "and noise scales are estimated too small. Use more points."
        )
    if evidence.moved is not None and not bool(evidence.moved):
        found.append(
            "no maximum with the support points free to move was found near the one on "
            "the grid: the estimate, and more so its standard errors, depend on where "
            "the grid lies."
        )
    return found + describe_faces(evidence)
