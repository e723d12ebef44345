"""What `reproduce` runs, and its record of when, where and how long it took."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from experiments.config.conf_folder import CONF
from experiments.errors import InputError
from experiments.store.atomic import alone, replacing

RECORD = "reproduce.yaml"
LIST = "reproduce.yaml"


@dataclasses.dataclass(frozen=True)
class Run:
    """One study that was run from its beginning to its end.

    Attributes:
        commit: Of the code; with `+changes` where files differed from it.
        numbers: Version of the numbers.
        quick: Whether it has a few replications only.
        seconds: By the clock, of all runs that it took together.
        processor_seconds: Of all its processes.
        memory_bytes: The most that one of its processes held.
        disk_bytes: What its folder takes, replications included.
        machine: Processor, cores and operating system.
        ended: When, by UTC.
        complete: Whether no replication is missing.
    """

    commit: str
    numbers: int
    quick: bool
    seconds: float
    processor_seconds: float
    memory_bytes: int
    disk_bytes: int
    machine: str
    ended: str
    complete: bool


def list_reproduced() -> dict[str, list[str]]:
    """Return the settings of every kept study beside its experiment, by its name."""
    path = CONF / LIST
    try:
        listed = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path} can't be read: {error.strerror}.") from error
    if not isinstance(listed, dict):
        raise InputError(f"{path}: give lines of NAME: [SETTING, ...].")
    return {str(name): list(settings or []) for name, settings in listed.items()}


def read_record(results: Path) -> dict[str, Run]:
    """Return what was run before, by study; nothing where there is no record."""
    path = results / RECORD
    if not path.exists():
        return {}
    try:
        stored: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
        return {name: Run(**entry) for name, entry in stored.items()}
    except (TypeError, AttributeError, yaml.YAMLError) as error:
        raise InputError(
            f"{path} is not a record of `reproduce`; remove it, nothing else is lost."
        ) from error


def add_to_record(
    results: Path, name: str, describe: Callable[[Run | None], Run]
) -> None:
    """Write a study into the record; what other processes wrote there stays.

    Args:
        results: The folder of the studies.
        name: The study.
        describe: Returns its run, told what the record has of it now.
    """
    with alone(results):
        record = read_record(results)
        record[name] = describe(record.get(name))
        entries = {name: dataclasses.asdict(run) for name, run in record.items()}
        with replacing(results / RECORD) as temporary:
            temporary.write_text(yaml.safe_dump(entries, sort_keys=False))
