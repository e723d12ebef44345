"""What a study tests: hypotheses by parameter. Nothing but the standard library."""

from collections.abc import Mapping
from typing import Any, NamedTuple

TRUTH = "truth"
"""Stands for the true value in place of a number."""

Null = float | str


class Hypothesis(NamedTuple):
    """That a parameter has a value.

    Attributes:
        parameter: Its name.
        null: The value, or `truth`.
    """

    parameter: str
    null: Null

    @property
    def name(self) -> str:
        """What it says: `coef[0] = 0`."""
        null = self.null if isinstance(self.null, str) else f"{self.null:g}"
        return f"{self.parameter} = {null}"


def list_hypotheses(tests: Mapping[str, Any]) -> list[Hypothesis]:
    """Read what a study declares: one null or several for each parameter.

    Raises:
        ValueError: A null is neither a number nor `truth`.

    Example:
        >>> [x.name for x in list_hypotheses({"theta": [0, "truth"]})]
        ['theta = 0', 'theta = truth']
    """
    found = []
    for parameter, nulls in tests.items():
        for null in [nulls] if isinstance(nulls, str | int | float) else nulls:
            try:
                null = TRUTH if null == TRUTH else float(null)
            except (TypeError, ValueError) as error:
                raise ValueError(
                    f"tests: {parameter}: {null!r} is no null: give a number or truth."
                ) from error
            found.append(Hypothesis(str(parameter), null))
    return found
