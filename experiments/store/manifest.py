"""A study's manifest, `study.yaml`: what it is, and what computed it.

It may come from someone else. So it is data and nothing more: no aliases, by which a
few lines stand for gigabytes, no tags, and no `${...}`, which would be looked up on the
machine that reads it.
"""

from pathlib import Path
from typing import Any

import yaml

from experiments.errors import StoreError
from experiments.store.atomic import replacing
from experiments.store.fingerprint import Fingerprint

NAME = "study.yaml"
MOST_BYTES = 2**20
MOST_LEVELS = 50


class _Loader(yaml.SafeLoader):
    """Reads YAML without aliases, and not deeper than anyone needs."""

    levels = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("it holds an alias (*name)")
        self.levels += 1
        if self.levels > MOST_LEVELS:
            raise yaml.YAMLError(f"it is nested more than {MOST_LEVELS} deep")
        node = super().compose_node(parent, index)
        self.levels -= 1
        return node


class _Dumper(yaml.SafeDumper):
    """Writes everything out."""


# PyYAML writes one for a list that it meets twice, and `_Loader` refuses them.
_Dumper.ignore_aliases = lambda *_: True  # pyright: ignore


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """Read a study's manifest; None if the folder holds no study.

    Raises:
        StoreError: It is none, or more than data.
    """
    path = folder / NAME
    try:
        if path.stat().st_size > MOST_BYTES:
            raise yaml.YAMLError(f"it is larger than {MOST_BYTES} bytes")
        manifest = yaml.load(path.read_text(encoding="utf-8"), _Loader)  # noqa: S506
        _check_literal(manifest["config"])
        # For the errors alone: what lacks a part is no manifest.
        Fingerprint.from_config(manifest["config"])
        manifest["created"]
    except FileNotFoundError:
        return None
    except (
        yaml.YAMLError,
        LookupError,
        TypeError,
        AttributeError,
        ValueError,
    ) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise StoreError(
            f"{path} can't be read as a study's manifest ({reason}). Give the study "
            "another name (study=NAME), or move that file away."
        ) from error
    return manifest


def write_manifest(folder: Path, manifest: dict[str, Any]) -> None:
    """Write a study's manifest, all of it or nothing."""
    with replacing(folder / NAME) as temporary:
        text = yaml.dump(manifest, Dumper=_Dumper, sort_keys=False, allow_unicode=True)
        temporary.write_text(text, encoding="utf-8")


def _check_literal(node: Any) -> None:
    """Refuse a text that is looked up elsewhere."""
    if isinstance(node, dict):
        for name, value in node.items():
            if not isinstance(name, str):
                raise ValueError(f"a name in it is no text: {name!r}")
            _check_literal(name)
            _check_literal(value)
    elif isinstance(node, list):
        for value in node:
            _check_literal(value)
    elif isinstance(node, str) and "${" in node:
        raise ValueError(f"{node!r} is no plain value: `${{` looks something up")
