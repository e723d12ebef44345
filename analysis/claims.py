"""Statements of documents, each beside the numbers that decide whether it is true."""

import dataclasses
import operator
from collections.abc import Callable
from typing import Any

RELATIONS: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    "==": operator.eq,
    ">=": operator.ge,
    ">": operator.gt,
}


class ClaimError(ValueError):
    """A statement that is not true."""


@dataclasses.dataclass(frozen=True)
class Claim:
    """A statement of a document, and what it was evaluated from.

    Attributes:
        document: The file that says it.
        words: What it says.
        numbers: The comparison, with its numbers filled in.
        source: Study, measure and cell of the first of them.
        study: The study it is a number of; "" of what is none.
    """

    document: str
    words: str
    numbers: str
    source: str
    study: str


class Claims:
    """The statements of all documents, in the order in which they are evaluated."""

    def __init__(self) -> None:
        self.document = ""
        self.found: list[Claim] = []

    def claim(self, words: str, left: Any, relation: str, right: Any) -> str:
        """Return words, which are said if the relation holds.

        Args:
            words: What the document says.
            left: A number of a kept study, or another.
            relation: One of `RELATIONS`.
            right: What it is compared with.

        Raises:
            ClaimError: It does not hold.

        Example:
            {{ claim("covers", bank.number("coverage", n=500), ">=", 0.935) }}
        """
        if not self._holds(left, relation, right):
            numbers = f"{_write(left)} {relation} {_write(right)}"
            raise ClaimError(
                f"the statement {words!r} does not hold any more: {numbers} is false."
            )
        return self._say(words, left, relation, right)

    def either(
        self, left: Any, relation: str, right: Any, words: str, otherwise: str
    ) -> str:
        """Return the one or the other words, whichever are true.

        Args:
            left: As of `claim`.
            relation: As there.
            right: As there.
            words: What is said if the relation holds.
            otherwise: What is said if not.
        """
        if self._holds(left, relation, right):
            return self._say(words, left, relation, right)
        return self._say(otherwise, left, f"not {relation}", right)

    def _holds(self, left: Any, relation: str, right: Any) -> bool:
        if relation not in RELATIONS:
            raise ClaimError(
                f"relation {relation!r}: give one of {', '.join(RELATIONS)}."
            )
        return RELATIONS[relation](float(left), float(right))

    def _say(self, words: str, left: Any, relation: str, right: Any) -> str:
        numbers = f"{_write(left)} {relation} {_write(right)}"
        known = left if getattr(left, "source", "") else right
        source = getattr(known, "source", "") or "numbers of this page"
        study = getattr(known, "study", "")
        self.found.append(Claim(self.document, words, numbers, source, study))
        return words


def _write(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
