"""What the numbers of a study depend on: hashed into every block file."""

import dataclasses
import hashlib
import json
from typing import Any

from experiments.study import Cell

NUMBERS = 5
"""The version of the numbers: one more with every change of code that moves a number.

Blocks of another version are never taken for one of this. `tests/experiments/
test_numbers.py` fails where numbers moved and this did not.
"""


@dataclasses.dataclass(frozen=True)
class Fingerprint:
    """What the numbers of a study depend on, as plain values.

    Attributes:
        seed: The study's seed.
        streams: "common" or "independent".
        dgp: Configuration of each process, by name.
        grid: Configuration of each grid, by name.
        estimator: Configuration of each estimator, by name.
        estimand: Configuration of each estimand, by name.
    """

    seed: int
    streams: str
    dgp: dict[str, Any]
    grid: dict[str, Any]
    estimator: dict[str, Any]
    estimand: dict[str, Any]

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Fingerprint":
        """Take it from a resolved configuration.

        Labels and symbols are no part of it, and of what is built from this package
        only the name of the class: the module may move.
        """
        fields = (field.name for field in dataclasses.fields(cls))
        # Studies of older versions had no estimands.
        known = {"estimand": {}, **config}
        return cls(**{name: _reduce(known[name]) for name in fields})

    def hash_cell(self, cell: Cell) -> str:
        """Hash everything a cell's numbers depend on."""
        address = {
            "numbers": NUMBERS,
            "seed": self.seed,
            "streams": self.streams,
            # With its name, which goes into independent streams.
            "dgp": [cell.dgp, self.dgp[cell.dgp]],
            "grid": None if cell.grid is None else self.grid[cell.grid],
            "estimator": self.estimator[cell.estimator],
            "sample_size": cell.sample_size,
            "n_supp": cell.n_supp,
        }
        if self.estimand:  # an axis of every block; without any nothing is new
            # As a list, whose order `sort_keys` leaves alone: it is that of the axis.
            address["estimand"] = list(self.estimand.items())
        text = json.dumps(address, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def difference(self, old: "Fingerprint") -> list[str]:
        """List, one line a field, where names known to both mean different things."""
        lines = []
        for field in dataclasses.fields(self):
            here, there = getattr(self, field.name), getattr(old, field.name)
            if isinstance(here, dict) and field.name != "estimand":
                both = here.keys() & there.keys()
                here = {name: here[name] for name in both}
                there = {name: there[name] for name in both}
            lines += _difference(field.name, there, here)
        return sorted(lines)


def _reduce(value: Any) -> Any:
    if isinstance(value, dict):
        kept = value.keys() - {"label", "symbol"}
        found = {k: _reduce(v) for k, v in value.items() if k in kept}
        target = found.get("_target_")
        if isinstance(target, str) and target.startswith("experiments."):
            found["_target_"] = target.rpartition(".")[2]
        return found
    return value


def _difference(name: str, there: Any, here: Any) -> list[str]:
    if isinstance(there, dict) and isinstance(here, dict):
        return [
            line
            for key in there.keys() | here.keys()
            for line in _difference(
                f"{name}.{key}", there.get(key, "absent"), here.get(key, "absent")
            )
        ]
    return [] if there == here else [f"{name}: {there} there, {here} here"]
