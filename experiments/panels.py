"""A data frame as arrays by unit and period."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float


class Panel:
    """A frame as an array of units, periods and columns."""

    def __init__(
        self, frame: pd.DataFrame, unit: str, time: str, columns: Sequence[str]
    ):
        for column in (unit, time, *columns):
            if column not in frame:
                listed = ", ".join(map(str, frame.columns))
                raise ValueError(f"{column!r} is no column; the frame has {listed}.")
        for column in columns:
            wrong = ~np.isfinite(_as_numbers(frame, column))
            if wrong.any():
                raise ValueError(
                    f"{column} is missing in {wrong.sum()} rows, the first "
                    f"{frame.index[wrong][0]!r}: leave these rows out, as periods that "
                    "were not seen, or fill them."
                )
        twice = frame.duplicated([unit, time])
        if twice.any():
            row = frame[twice].iloc[0]
            raise ValueError(
                f"{unit}={row[unit]} has {time}={row[time]} twice: leave one out."
            )
        self.units, rows = np.unique(frame[unit].to_numpy(), return_inverse=True)
        self.periods, at = np.unique(frame[time].to_numpy(), return_inverse=True)
        shape = (len(self.units), len(self.periods))
        self.cells = np.zeros((*shape, len(columns)))
        self.seen = np.zeros(shape, bool)
        self.seen[rows, at] = True
        for k, column in enumerate(columns):
            self.cells[rows, at, k] = _as_numbers(frame, column)

    def mask(self, data: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Return the data, with a mask where cells are missing."""
        return data if self.seen.all() else data | {"mask": self.seen}

    def refuse_gaps(self, what: str) -> None:
        """Refuse a panel that is not balanced."""
        some = ~self.seen.all(axis=1)
        if some.any():
            raise ValueError(
                f"{some.sum()} units lack periods, the first {self.units[some][0]}: "
                f"{what} takes a balanced panel. Keep the units, or the periods, that "
                "are complete."
            )


def _as_numbers(frame: pd.DataFrame, column: str) -> Float[np.ndarray, " n_rows"]:
    try:
        return frame[column].to_numpy(dtype=float, na_value=np.nan)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{column} has dtype {frame[column].dtype}, which holds no numbers: "
            "convert it, for example by pd.to_numeric or pd.get_dummies."
        ) from error


def refuse_values(column: str, panel: Panel, wrong: np.ndarray, what: str) -> None:
    """Refuse a column that holds values which are none of a kind.

    Args:
        column: Its name.
        panel: Says which cells were seen.
        wrong: Which values are wrong, by unit and period.
        what: What to give in place of them.
    """
    wrong = wrong & panel.seen
    if wrong.any():
        raise ValueError(f"{column} has {wrong.sum()} other values: {what}.")
