"""Numbers with their Monte Carlo errors, as documents quote them: one, or a range.

Digits follow the error, as in tables.
"""

import dataclasses
import math

import numpy as np
from jaxtyping import Float

from analysis.digits import decimals, write_fixed


@dataclasses.dataclass(frozen=True)
class Quoted:
    """A number with its Monte Carlo error; as text `0.954 (0.007)`.

    Attributes:
        value: The number.
        mcse: Its error; `nan` of what has none.
        is_share: Whether it is a proportion, whose error counts one digit less from 5.
        study: The study it is of.
        source: Study, measure and cell in words.
    """

    value: float
    mcse: float = math.nan
    is_share: bool = False
    study: str = ""
    source: str = ""

    @property
    def places(self) -> int:
        """Decimals that the error leaves to be shown."""
        return decimals(self.mcse * (1 + self.is_share))

    @property
    def bare(self) -> str:
        """The number alone: `0.954`."""
        return write_fixed(self.value, self.places)

    def __str__(self) -> str:
        """Return the number with its error in brackets."""
        if not math.isfinite(self.mcse):
            return self.bare
        return f"{self.bare} ({write_fixed(self.mcse, self.places)})"

    def __float__(self) -> float:
        """Return the number."""
        return self.value


@dataclasses.dataclass(frozen=True)
class Range:
    """The numbers of several cells; as text `0.934 to 0.962 (at most 0.008)`.

    Attributes:
        values: The numbers, missing ones left out.
        mcses: Their errors.
        is_share: Whether they are proportions.
        study: The study they are of.
        source: Study, measure and cells in words.
    """

    values: Float[np.ndarray, " cells"]
    mcses: Float[np.ndarray, " cells"]
    is_share: bool = False
    study: str = ""
    source: str = ""

    @property
    def lowest(self) -> Quoted:
        """The smallest of them."""
        return self._quote(int(np.argmin(self.values)), "lowest of ")

    @property
    def highest(self) -> Quoted:
        """The largest of them."""
        return self._quote(int(np.argmax(self.values)), "highest of ")

    @property
    def total(self) -> int:
        """Their sum, of counts."""
        return int(self.values.sum())

    def share(self, low: float = -math.inf, high: float = math.inf) -> Quoted:
        """Return the share of them that lies within bounds, these included."""
        words = f"share within {low:g} to {high:g} of {self.source}"
        share = self.count(low, high) / len(self)
        return Quoted(share, study=self.study, source=words)

    def _quote(self, index: int, words: str) -> Quoted:
        value, mcse = float(self.values[index]), float(self.mcses[index])
        source = f"{words * (len(self) > 1)}{self.source}"
        return Quoted(value, mcse, self.is_share, self.study, source)

    def __len__(self) -> int:
        """Return how many there are."""
        return self.values.size

    def count(self, low: float = -math.inf, high: float = math.inf) -> int:
        """Return how many lie within bounds, these included."""
        return int(np.sum((self.values >= low) & (self.values <= high)))

    def __str__(self) -> str:
        """Return the ends and the largest error."""
        error = float(np.max(self.mcses))
        places = Quoted(0.0, error, self.is_share).places
        low, high = (write_fixed(x, places) for x in ends_of(self.values))
        if not math.isfinite(error):
            return f"{low} to {high}"
        return f"{low} to {high} (at most {write_fixed(error, places)})"


def ends_of(values: np.ndarray) -> tuple[float, float]:
    """Return the smallest and the largest of some numbers."""
    return float(np.min(values)), float(np.max(values))
