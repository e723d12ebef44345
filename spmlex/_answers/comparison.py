"""Several estimates side by side, as papers print them."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from spmlex._efficient.efficient_estimate import EfficientEstimate
from spmlex._evidence.criteria import akaike, schwarz
from spmlex._evidence.evidence import Estimated
from spmlex._evidence.limits import Intervals
from spmlex._words.arguments import check_choice, check_level, check_truth, show
from spmlex._words.codes import RESULT_CODES, result_code
from spmlex._words.inputs import read_count
from spmlex._words.printing import write
from spmlex._words.table import Table, to_html, to_latex, to_markdown, to_text
from spmlex._words.types import Frame

BELOW = ("std_error", "interval")
_STARS = ((0.01, "***"), (0.05, "**"), (0.1, "*"))
_MOST_DIGITS = 9


@dataclasses.dataclass(frozen=True, repr=False)
class Comparison:
    """Estimates side by side; printing shows the table.

    Attributes:
        labels: Heads of the columns.
        intervals: Of each estimate.
        statistics: Of each estimate by name, such as "observations".
        table: The same as it is printed.
    """

    labels: tuple[str, ...]
    intervals: tuple[Intervals, ...]
    statistics: tuple[dict[str, float], ...]
    table: Table

    def to_frame(self) -> Frame:
        """Return the numbers as a `pandas.DataFrame`, a column for each estimate.

        Its rows have two levels: the parameter, and which number of it, by the names of
        `Intervals.to_frame`; below them the statistics, whose second level is "value".
        """
        import pandas as pd

        columns: dict[str, dict[tuple[str, str], float]] = {}
        for label, made, below in zip(
            self.labels, self.intervals, self.statistics, strict=True
        ):
            numbers = made.to_frame().set_index("term")
            table = {
                (term, number): float(numbers.loc[term, number])
                for term in numbers.index
                for number in numbers.columns
            }
            others = {(name, "value"): x for name, x in below.items()}
            columns[label] = table | others
        frame = pd.DataFrame(columns, columns=list(self.labels))
        order = [*_terms(self.intervals), *(k for x in self.statistics for k in x)]
        rows = sorted(frame.index, key=lambda row: order.index(row[0]))
        return frame.loc[rows].rename_axis(index=["term", "number"])

    def to_markdown(self) -> str:
        """Return the table in Markdown."""
        return to_markdown(self.table)

    def to_latex(self, caption: str | None = None, label: str | None = None) -> str:
        r"""Return the table in LaTeX, for a document that uses the package booktabs.

        Args:
            caption: Of a `table` around it; without there is only the `tabular`.
            label: Key for `\ref`; only with a caption.
        """
        return to_latex(self.table, caption, label)

    def __repr__(self) -> str:
        return to_text(self.table)

    def _repr_html_(self) -> str:
        return to_html(self.table)


def compare_fits(
    fits: Sequence[Estimated | EfficientEstimate],
    *,
    labels: Sequence[str] | None = None,
    level: float | int = 0.95,
    kind: str | None = None,
    below: str = "std_error",
    stars: bool = False,
    digits: int = 3,
) -> Comparison:
    """Put estimates side by side: a row for each parameter, by name, then statistics.

    The statistics are the observations, and of a maximum its log-likelihood, its
    support points with positive mass, and `Fit.aic` and `Fit.bic`.

    Args:
        fits: What `fit` or `efficient_estimate` return. Parameters of the same name
            share a row; one that a model does not have is left blank.
        labels: Heads of the columns; by default numbers.
        level: Confidence level of the intervals.
        kind: Kind of interval, as in `Fit.confint`; by default that of each.
        below: What stands below an estimate: "std_error", or "interval".
        stars: Mark P-values below 0.1, 0.05 and 0.01.
        digits: Digits behind the point; more where a standard error has its first two
            later.

    Raises:
        ValueError: There is no estimate, or the labels are not one distinct text each.

    Examples:
        >>> smaller = fit(model0, data, supp[::2], support="grid")
        >>> both = compare_fits([estimate, smaller], labels=["25 points", "13"])
        >>> both.to_frame().shape
        (11, 2)
    """
    check_level(level)
    check_choice("below", below, BELOW, "what can stand below an estimate")
    check_truth("stars", stars)
    if not 0 <= read_count("digits", digits, 3) <= _MOST_DIGITS:
        raise ValueError(f"digits={digits}: give 0 to {_MOST_DIGITS}, such as 3.")
    given = _read_fits(fits)
    heads = _read_labels(labels, given)
    made = tuple(fit.intervals(level, kind) for fit in given)
    below_them = tuple(_statistics(fit) for fit in given)
    body = _list_estimates(made, below, bool(stars), int(digits))
    foot = _list_statistics(below_them)
    table = Table(
        "Semiparametric maximum likelihood",
        ("", *heads),
        (*body, *foot),
        tuple(_notes(given, heads, made, below, stars)),
        (len(body),) if body else (),
    )
    return Comparison(heads, made, below_them, table)


def _read_fits(fits: Any) -> tuple[Any, ...]:
    if isinstance(fits, Estimated | EfficientEstimate):
        raise ValueError(f"fits={show(fits)}: give several in a list.")
    if not isinstance(fits, Sequence) or isinstance(fits, str) or not fits:
        raise ValueError(f"fits={show(fits)}: give a list of what `fit` returns.")
    for number, each in enumerate(fits):
        known = isinstance(each, Estimated | EfficientEstimate)
        if not known or not hasattr(each, "intervals"):
            raise ValueError(
                f"fits[{number}]={show(each)}: give what `fit` or `efficient_estimate` "
                "return."
            )
    return tuple(fits)


def _read_labels(labels: Any, fits: tuple[Any, ...]) -> tuple[str, ...]:
    if labels is None:
        return tuple(f"({k + 1})" for k in range(len(fits)))
    is_list = isinstance(labels, Sequence) and not isinstance(labels, str)
    found = tuple(labels) if is_list else ()
    texts = all(isinstance(x, str) and len(x.splitlines()) == 1 for x in found)
    if len(found) != len(fits) or not texts or len(set(found)) < len(found):
        raise ValueError(
            f"labels={show(labels)}: give a distinct text on one line for each of the "
            f"{len(fits)} estimates."
        )
    return found


def _statistics(fit: Any) -> dict[str, float]:
    if not isinstance(fit, Estimated):
        return {"observations": float(fit.equation.n_obs)}
    evidence = fit.evidence
    return {
        "observations": float(evidence.n_obs),
        "log-likelihood": float(evidence.log_likelihood),
        "support points": float(np.sum(np.asarray(evidence.probs) > 0)),
        "AIC": float(akaike(evidence)),
        "BIC": float(schwarz(evidence)),
    }


def _terms(made: tuple[Intervals, ...]) -> list[str]:
    return list(dict.fromkeys(name for one in made for name in one.names))


def _list_estimates(
    made: tuple[Intervals, ...], below: str, stars: bool, digits: int
) -> list[tuple[str, ...]]:
    """Return two rows for each parameter: the estimates, and what is below them."""
    rows: list[tuple[str, ...]] = []
    for term in _terms(made):
        found = [
            (one, one.names.index(term)) if term in one.names else None for one in made
        ]
        errors = [float(x[0].standard_error[x[1]]) for x in found if x is not None]
        places = _places(errors, digits)
        above, under = [term], [""]
        for cell in found:
            one, two = _cells(cell, places, below, stars)
            above.append(one)
            under.append(two)
        rows += [tuple(above), tuple(under)]
    return rows


def _cells(
    cell: tuple[Intervals, int] | None, places: int, below: str, stars: bool
) -> tuple[str, str]:
    """Return an estimate and what stands below it."""
    if cell is None:
        return "", ""
    one, k = cell
    p_value = float(one.p_value[k])
    mark = next((mark for least, mark in _STARS if p_value < least), "")
    above = write(one.centre[k], places) + (mark if stars else "")
    if below == "interval":
        low, high = (write(x[k], places) for x in (one.lower, one.upper))
        return above, f"[{low}, {high}]" if low and high else ""
    error = write(one.standard_error[k], places)
    return above, f"({error})" if error else ""


def _places(errors: list[float], digits: int) -> int:
    """Return the digits behind the point that show two of the least error."""
    sizes = [x for x in errors if np.isfinite(x) and x > 0]
    if not sizes:
        return digits
    return min(max(digits, 1 - int(np.floor(np.log10(min(sizes))))), _MOST_DIGITS)


def _list_statistics(
    statistics: tuple[dict[str, float], ...],
) -> list[tuple[str, ...]]:
    names = dict.fromkeys(name for each in statistics for name in each)
    whole = ("observations", "support points")
    return [
        (
            name,
            *(
                write(each[name], 0 if name in whole else 2) if name in each else ""
                for each in statistics
            ),
        )
        for name in names
    ]


def _notes(
    fits: tuple[Any, ...],
    heads: tuple[str, ...],
    made: tuple[Intervals, ...],
    below: str,
    stars: bool,
) -> list[str]:
    """Say what the brackets hold, of which kind, and which fits failed."""
    what = "Standard errors in brackets"
    if below == "interval":
        what = f"{100 * (made[0].level or 0.0):g}% intervals in brackets"
    kinds = list(dict.fromkeys(one.label for one in made if one.label))
    notes = [f"{what}: {kind}." for kind in kinds]
    for k, kind in enumerate(kinds if len(kinds) > 1 else ()):
        of = (h for h, one in zip(heads, made, strict=True) if one.label == kind)
        notes[k] = f"{what} of {', '.join(of)}: {kind}."
    if stars:
        notes.append("P-values: *** below 0.01, ** below 0.05, * below 0.1.")
    for head, fit in zip(heads, fits, strict=True):
        code = int(result_code(fit.result))
        if code:
            notes.append(f"{head} did not succeed: {RESULT_CODES[code][1]}.")
        elif bool(getattr(fit, "flagged", False)):
            notes.append(f"{head} looks like a degenerate maximum.")
    return notes
