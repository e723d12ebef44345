"""Confidence intervals as they are returned: numbers with names, and their tables."""

import abc
import dataclasses
from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from spmlex._evidence.student import student_p_value, student_quantile
from spmlex._programs.compile import on_host
from spmlex._words.printing import Printed, write, write_p_value
from spmlex._words.table import Table, to_latex, to_markdown
from spmlex._words.types import AnyArray, Frame, Scalar


class Intervals(Printed):
    """Confidence intervals for theta, with the estimate they belong to.

    Attributes:
        centre: The estimate they belong to: the root of the efficient score or the
            maximum of the likelihood.
        standard_error: Of that estimate; `nan` for likelihood ratio intervals.
        lower: Lower limits.
        upper: Upper limits.
        degrees_of_freedom: Of Student's t distribution, to which the ratio of estimate
            and standard error is compared; infinite for the normal one.
        names: Names of the parameters; empty where they were not told.
        level: Confidence level; `None` where it was traced, or not told.
        label: What the intervals are, in words.
    """

    centre: Float[Array, " p"]
    standard_error: Float[Array, " p"]
    lower: Float[Array, " p"]
    upper: Float[Array, " p"]
    degrees_of_freedom: float = eqx.field(static=True, default=float("inf"))
    names: tuple[str, ...] = eqx.field(static=True, default=())
    level: float | None = eqx.field(static=True, default=None)
    label: str = eqx.field(static=True, default="")

    @classmethod
    def symmetric(
        cls,
        centre: Float[Array, " p"],
        standard_error: Float[Array, " p"],
        level: float | int,
        degrees_of_freedom: float = float("inf"),
    ) -> "Intervals":
        """Return centre plus and minus a quantile of Student's t times the error."""
        critical = student_quantile(0.5 + 0.5 * level, degrees_of_freedom)
        lower = _move(centre, -critical, standard_error)
        upper = _move(centre, critical, standard_error)
        return cls(centre, standard_error, lower, upper, degrees_of_freedom)

    def named(
        self, names: Sequence[str], level: float | Scalar, label: str
    ) -> "Intervals":
        """Return the same intervals, knowing what they are of."""
        known = None if isinstance(level, Array) else float(level)
        return dataclasses.replace(self, names=tuple(names), level=known, label=label)

    @property
    def statistic(self) -> Float[Array, " p"]:
        """Ratio of estimate and standard error; `nan` where a limit is infinite.

        Where the data set no limit, the ratio says nothing.
        """
        return _ratio(self.centre, self.standard_error, self.lower, self.upper)

    @property
    def p_value(self) -> Float[Array, " p"]:
        """Probability of as large a ratio, either way, where the parameter is zero."""
        return student_p_value(self.statistic, self.degrees_of_freedom)

    def to_frame(self) -> Frame:
        """Return the table as a `pandas.DataFrame`, in tidy form.

        A row for each parameter, with the columns of R's broom: `term`, `estimate`,
        `std_error`, `statistic`, `p_value`, `conf_low` and `conf_high`.
        """
        import pandas as pd

        columns = {
            "estimate": self.centre,
            "std_error": self.standard_error,
            "statistic": self.statistic,
            "p_value": self.p_value,
            "conf_low": self.lower,
            "conf_high": self.upper,
        }
        numbers = {name: np.asarray(column) for name, column in columns.items()}
        return pd.DataFrame({"term": _names_of(self), **numbers})

    def to_markdown(self) -> str:
        """Return the table in Markdown."""
        return to_markdown(tabulate(self))

    def to_latex(self, caption: str | None = None, label: str | None = None) -> str:
        r"""Return the table in LaTeX, for a document that uses the package booktabs.

        Args:
            caption: Of a `table` around it; without there is only the `tabular`.
            label: Key for `\ref`; only with a caption.
        """
        table = tabulate(self)
        return to_latex(table._replace(notes=(f"{table.title}.",)), caption, label)

    def _tabulate(self) -> Table:
        return tabulate(self)


class HasIntervals(Printed):
    """What has intervals for theta, and so their tables."""

    @abc.abstractmethod
    def intervals(
        self, level: float | int = 0.95, kind: str | None = None
    ) -> Intervals:
        """Return confidence intervals of a level and kind."""

    def to_frame(self, level: float | int = 0.95, kind: str | None = None) -> Frame:
        """Return estimates and intervals as a frame; see `Intervals.to_frame`.

        Args:
            level: Confidence level.
            kind: Kind of interval, as in `intervals`: the estimates are those that it
                belongs to.
        """
        return self.intervals(level, kind).to_frame()

    def to_markdown(self, level: float | int = 0.95, kind: str | None = None) -> str:
        """Return estimates and intervals as a table in Markdown.

        Args:
            level: Confidence level.
            kind: Kind of interval, as in `intervals`.
        """
        return self.intervals(level, kind).to_markdown()

    def to_latex(
        self,
        level: float | int = 0.95,
        kind: str | None = None,
        *,
        caption: str | None = None,
        label: str | None = None,
    ) -> str:
        """Return estimates and intervals in LaTeX; see `Intervals.to_latex`.

        Args:
            level: Confidence level.
            kind: Kind of interval, as in `intervals`.
            caption: Of a `table` around it.
            label: Key of that.
        """
        return self.intervals(level, kind).to_latex(caption, label)


@on_host
def _move(
    _: Any,
    centre: Float[AnyArray, " p"],
    critical: Float[AnyArray, ""],
    error: Float[AnyArray, " p"],
) -> Any:
    return centre + critical * error


@on_host
def _ratio(
    xp: Any,
    centre: Float[AnyArray, " p"],
    error: Float[AnyArray, " p"],
    lower: Float[AnyArray, " p"],
    upper: Float[AnyArray, " p"],
) -> Any:
    opened = xp.isinf(lower) | xp.isinf(upper)
    return centre / xp.where(opened, xp.nan, error)


def tabulate(made: Intervals, title: str | None = None) -> Table:
    """Return intervals as a table of words.

    Args:
        made: The intervals, of concrete arrays.
        title: Of the table; by default what the intervals are.
    """
    mark = "t" if made.degrees_of_freedom < float("inf") else "z"
    percent = "" if made.level is None else f"{100 * made.level:g}% "
    head = ("", "estimate", "std. error", mark, f"P>|{mark}|", f"{percent}low", "high")
    rows = zip(
        _names_of(made),
        [write(x) for x in made.centre.tolist()],
        [write(x) for x in made.standard_error.tolist()],
        [write(x, 2) for x in made.statistic.tolist()],
        [write_p_value(x) for x in made.p_value.tolist()],
        [write(x) for x in made.lower.tolist()],
        [write(x) for x in made.upper.tolist()],
        strict=True,
    )
    kept = [k for k in range(7) if k not in (2, 3, 4) or _has_errors(made)]
    cut = tuple(tuple(row[k] for k in kept) for row in rows)
    label = f": {made.label}" if made.label else ""
    if title is None:
        title = f"Confidence intervals{label}"
    return Table(title, tuple(head[k] for k in kept), cut)


def _has_errors(made: Intervals) -> bool:
    return not bool(jnp.all(jnp.isnan(made.standard_error)))


def _names_of(made: Intervals) -> list[str]:
    return list(made.names) or [f"theta[{k}]" for k in range(made.centre.shape[0])]
