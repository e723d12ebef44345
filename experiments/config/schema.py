"""The typed top level of a study's configuration, and the values it may take."""

import dataclasses
import re
from typing import Any

from omegaconf import MISSING

from analysis.nulls import list_hypotheses

MOST_REPLICATIONS = 10_000_000
MOST_OBSERVATIONS = 100_000_000
MOST_POINTS = 1_000_000

MOST_SIZES = {"sample_size": MOST_OBSERVATIONS, "n_supp": MOST_POINTS}

GROUPS = ("dgp", "grid", "estimator")
"""Config groups chosen as lists: each is an axis of the study."""

LISTED = (*GROUPS, "estimand", "table")
"""Config groups of which several may be chosen."""


CELL_AXES = ("dgp", "estimator", "sample_size", "grid", "n_supp")
"""What a cell is named by, on the command line."""

CHOICES = {
    "streams": ("common", "independent"),
    "exclusion_rule": ("per_estimator", "all_or_none"),
}
"""Settings that take one of a few words."""


@dataclasses.dataclass
class TargetConfig:
    """The precision at which a cell is done; nothing set: `n_replications` decide."""

    coverage_mcse: float | None = MISSING
    rmse_rel_mcse: float | None = MISSING
    max_replications: int = MISSING


@dataclasses.dataclass
class Study:
    """A study's configuration; `conf/config.yaml` explains and fills every field."""

    study: str = MISSING
    question: str = ""
    seed: int = MISSING
    streams: str = MISSING
    sample_size: list[int] = MISSING
    n_supp: list[int] = MISSING
    n_replications: int = MISSING
    target: TargetConfig = dataclasses.field(default_factory=TargetConfig)
    max_failure_share: float = MISSING
    exclusion_rule: str = MISSING
    level: float = MISSING
    levels: list[float] = dataclasses.field(default_factory=list)
    tests: dict[str, Any] = dataclasses.field(default_factory=dict)
    block_size: int = MISSING
    shard: str | None = MISSING
    overwrite: bool = MISSING
    results_dir: str = MISSING
    dgp: dict[str, Any] = dataclasses.field(default_factory=dict)
    grid: dict[str, Any] = dataclasses.field(default_factory=dict)
    estimator: dict[str, Any] = dataclasses.field(default_factory=dict)
    compute: dict[str, Any] = dataclasses.field(default_factory=dict)
    table: dict[str, Any] = dataclasses.field(default_factory=dict)
    estimand: dict[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Shard:
    """One of `count` parts of a study's blocks, numbered from 1."""

    index: int
    count: int

    @classmethod
    def parse(cls, text: str) -> "Shard":
        """Read a text such as "3/16".

        Raises:
            ValueError: It is none.
        """
        match = re.fullmatch(r"(\d+)/(\d+)", text)
        if match is None or not 1 <= int(match[1]) <= int(match[2]):
            raise ValueError(
                f"shard={text}: give part and number of parts, from 1/16 to 16/16."
            )
        return cls(int(match[1]), int(match[2]))


def check_values(config: dict[str, Any]) -> None:
    """Refuse values that no study can have.

    Args:
        config: The resolved configuration, of the right types.

    Raises:
        ValueError: Names the field, what was given and what to try.
    """
    if not re.fullmatch(r"[\w][\w.+-]*", config["study"]):
        raise ValueError(
            f"study={config['study']!r} names a folder: use letters, digits, - and _."
        )
    if not config["results_dir"].strip():
        raise ValueError("results_dir is empty: name a folder, such as results.")
    for name in ("n_replications", "block_size"):
        value = config[name]
        if not 1 <= value <= MOST_REPLICATIONS:
            raise ValueError(f"{name}={value}: give 1 or more, up to ten million.")
    if not 0 <= config["seed"] < 2**32:
        raise ValueError(f"seed={config['seed']}: give a number from 0 to 2^32 - 1.")
    for name in MOST_SIZES:
        _check_sizes(name, config[name], MOST_SIZES[name])
    if not 0 < config["level"] < 1:
        raise ValueError(f"level={config['level']}: give a share, such as 0.95.")
    if not all(type(x) is float and 0 < x < 1 for x in config["levels"]):
        raise ValueError(f"levels={config['levels']}: give shares, such as [0.9,0.99].")
    list_hypotheses(config["tests"])
    share = config["max_failure_share"]
    if not 0 <= share <= 1:
        raise ValueError(f"max_failure_share={share}: give a share from 0 to 1.")
    _check_target(config)
    for name, choices in CHOICES.items():
        if config[name] not in choices:
            raise ValueError(f"{name}={config[name]!r}: choose {' or '.join(choices)}.")
    for name in GROUPS:
        if not config[name]:
            raise ValueError(f"{name}=[] leaves nothing to run: choose at least one.")


def _check_target(config: dict[str, Any]) -> None:
    target = config["target"]
    for name in ("coverage_mcse", "rmse_rel_mcse"):
        value = target[name]
        if value is not None and not 0 < value < 1:
            raise ValueError(
                f"target.{name}={value}: give a small share, such as 0.005, or null."
            )
    most, fewest = target["max_replications"], config["n_replications"]
    if most > MOST_REPLICATIONS:
        raise ValueError(f"target.max_replications={most}: give up to ten million.")
    if most < 1 or (has_target(config) and most < fewest):
        raise ValueError(
            f"target.max_replications={most}: give n_replications={fewest} or more."
        )
    if config["shard"] is None:
        return
    Shard.parse(config["shard"])
    if has_target(config):
        raise ValueError(
            "shard: a precision target needs the results of all shards at once. Leave "
            "target out and set n_replications; the action plan says how many."
        )


def has_target(config: dict[str, Any]) -> bool:
    """Return whether a precision is asked for."""
    target = config["target"]
    return (target["coverage_mcse"], target["rmse_rel_mcse"]) != (None, None)


def _check_sizes(name: str, sizes: list[Any], most: int) -> None:
    if not sizes:
        raise ValueError(f"{name}=[] leaves nothing to run: give at least one number.")
    # `isinstance` would take true for 1.
    if any(type(size) is not int for size in sizes):
        raise ValueError(f"{name}={sizes}: give whole numbers, such as 500.")
    if min(sizes) < 1:
        raise ValueError(f"{name}={sizes}: every number has to be 1 or more.")
    if max(sizes) > most:
        raise ValueError(f"{name}={sizes}: give numbers up to {most:,}.")
    if len(set(sizes)) < len(sizes):
        raise ValueError(f"{name}={sizes} holds a number twice: drop one.")
