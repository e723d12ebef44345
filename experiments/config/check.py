"""Settings against the tree that was composed without them: names, then types.

Hydra refuses a wrong one too, but in words about its own insides. Here the tree tells
which settings there are, and the schema which values they take.
"""

import dataclasses
import difflib
import typing
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml
from hydra.core.override_parser.types import Override
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from experiments.config.schema import LISTED, Study
from experiments.errors import InputError

ALL_GROUPS = (*LISTED, "compute", "experiment")

_IN_WORDS = {
    bool: "true or false",
    int: "a whole number",
    float: "a number, such as 0.5",
    str: "a text",
}


def suggest(name: str, known: Iterable[str]) -> str:
    """Return " Did you mean ...?" for the name nearest to the one given, or ""."""
    known = list(known)
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    if not near:  # the end of a long name, or an abbreviation
        near = [other for other in known if other.endswith(f".{name}")][:1]
    return f" Did you mean {near[0]}?" if near else ""


def is_setting(override: Override) -> bool:
    """Tell whether an override changes a value of the tree, and not its shape."""
    changes = not (override.is_add() or override.is_delete())
    return changes and override.key_or_group not in ALL_GROUPS


def check_settings(overrides: list[Override], tree: dict[str, Any]) -> None:
    """Refuse a setting that the tree does not have, or whose value is of no use.

    Args:
        overrides: Those that `is_setting` is true of.
        tree: The configuration composed without them.

    Raises:
        InputError: Names the setting.
    """
    known = [*flatten(tree), *ALL_GROUPS]
    for override in overrides:
        name = override.key_or_group
        if name not in known:
            raise InputError(f"{name}: no such setting.{suggest(name, known)}")
        schema = OmegaConf.structured(Study)
        if _is_count(name) and _has_fraction(override.value()):
            raise InputError(
                f"{override.input_line}: give whole numbers, such as 1000."
            )
        try:
            # What the schema leaves open, such as a model's numbers, it takes as it is.
            OmegaConf.update(schema, name, override.value(), force_add=True)
        except OmegaConfBaseException as error:
            wanted = describe_type(name) or str(error).splitlines()[0]
            raise InputError(f"{override.input_line}: {wanted}") from error


def check_experiment(path: Path, options: dict[str, list[str]]) -> None:
    """Refuse a file of an experiment that names what there is not.

    Args:
        path: The file, `conf/experiment/<name>.yaml`.
        options: The options of every group.

    Raises:
        InputError: Names the file, or the option.
        yaml.MarkedYAMLError: The file is no YAML.
    """
    content = yaml.safe_load(path.read_text()) or {}
    where = f"conf/experiment/{path.name}"
    for entry in content.pop("defaults", []):
        for key, value in entry.items() if isinstance(entry, dict) else ():
            group = key.removeprefix("override ").strip("/ ").partition("@")[0]
            if group not in options:
                raise InputError(f"{where}: {group}: no such group.")
            for name in value if isinstance(value, list) else [value]:
                if name is not None and name not in options[group]:
                    raise InputError(
                        f"{group}={name}: no such {group}."
                        f"{suggest(str(name), options[group])} "
                        f"Choices: {', '.join(options[group])}."
                    )
    for name, value in content.items():
        if name not in Study.__dataclass_fields__:
            known = suggest(name, Study.__dataclass_fields__)
            raise InputError(f"{where}: {name}: no such setting.{known}")
        try:
            OmegaConf.merge(OmegaConf.structured(Study), {name: value})
        except OmegaConfBaseException as error:
            first = str(error).splitlines()[0]
            raise InputError(f"{where}: {name}: {first}") from error


def describe_type(name: str) -> str:
    """Say what a setting takes, by the schema's annotation; "" if it does not tell."""
    hint: Any = Study
    for part in name.split("."):
        if not dataclasses.is_dataclass(hint):
            return ""  # of a part of a study: the schema leaves it open
        hint = typing.get_type_hints(hint).get(part)
    if typing.get_origin(hint) is list:
        if typing.get_args(hint) == (float,):
            return "give shares, such as [0.9,0.99]."
        return "give whole numbers, such as [500,1000]."
    kinds = [kind for kind in _IN_WORDS if kind in (hint, *typing.get_args(hint))]
    return f"give {_IN_WORDS[kinds[0]]}." if kinds else ""


def _is_count(name: str) -> bool:
    hint = typing.get_type_hints(Study).get(name)
    return int in (hint, *typing.get_args(hint)) or name == "compute.n_workers"


def _has_fraction(value: Any) -> bool:
    """Tell whether a number, or one of a list, is written as a float."""
    values = value if isinstance(value, list) else [value]
    return any(isinstance(x, float) for x in values)


def flatten(node: Any, prefix: str = "") -> Iterator[str]:
    """Name every setting of a tree, parts with their numbers too: grid.uniform.low."""
    for name, value in node.items():
        yield f"{prefix}{name}"
        if isinstance(value, dict):
            yield from flatten(value, f"{prefix}{name}.")
