"""Overrides of the command line: read one by one, and refused in words."""

import math
import re

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Override, RangeSweep
from hydra.errors import OverrideParseException

from experiments.config import conf_folder
from experiments.config.check import ALL_GROUPS, describe_type, suggest
from experiments.config.schema import GROUPS, LISTED, Study
from experiments.errors import InputError

_LISTS = ("sample_size", "n_supp", *LISTED)


def check_once(overrides: list[str]) -> None:
    """Refuse a setting that is given twice: which one counts is not obvious."""
    names = [text.partition("=")[0].lstrip("+~") for text in overrides]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"{name}: given twice; drop one.")


def read_override(text: str) -> str:
    """Check one override's form and choices; make a list where one is needed."""
    if "=" not in text and not text.startswith("~"):
        for group in ("experiment", *GROUPS):
            if text in conf_folder.list_options(group):
                raise InputError(f"{text}: write {group}={text}.")
    name, _, value = text.partition("=")
    if name in TEXTS and value != "null":
        return f"{name}={_quote(value)}"
    try:
        (override,) = OverridesParser.create().parse_overrides([text])
    except OverrideParseException as error:
        raise InputError(_explain_form(text)) from error
    name, value = override.key_or_group, override.value()
    if name.partition(".")[0] == "hydra":
        raise InputError(f"{text}: Hydra's own settings are not used here.")
    if override.is_sweep_override():
        raise InputError(f"{text}: {_explain_sweep(override)}")
    if name in ALL_GROUPS and not override.is_delete():
        _check_choices(override, text)
    if name in _LISTS and override.is_add() is False and not isinstance(value, list):
        if isinstance(value, str | int | float):
            return f"{name}=[{text.partition('=')[2]}]"
    return text


TEXTS = ("study", "question", "results_dir")
"""Settings whose value is text, whatever it looks like: 2024_01, 1.10, a path."""


def _quote(text: str) -> str:
    """Write a text so that Hydra takes it as it is."""
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        return text
    # Hydra takes backslashes as they are, and those before a quote doubled.
    ends = len(text) - len(text.rstrip("\\"))
    escaped = re.sub(r"(\\*)'", r"\1\1\'", text) + "\\" * ends
    return f"'{escaped}'"


def _explain_form(text: str) -> str:
    """Say what is wrong with an override that can't be read."""
    name, equals, value = text.partition("=")
    bare = name.lstrip("+~")
    if not equals or not bare or " " in bare:
        return (
            f"{text}: not of the form NAME=VALUE, without spaces. Examples: "
            "n_replications=1000, sample_size=[500,1000]."
        )
    top = bare.partition(".")[0]
    if top not in Study.__dataclass_fields__ and top not in ALL_GROUPS:
        return f"{bare}: no such setting.{suggest(bare, Study.__dataclass_fields__)}"
    wanted = describe_type(bare) or f"put it in quotes, \"{name}='{value}'\"."
    return f"{text}: {value} can't be read as a value; {wanted}"


def _explain_sweep(override: Override) -> str:
    """Say what to write in place of values with commas between, or a range of them."""
    name = override.key_or_group
    if name in ALL_GROUPS and name not in LISTED:
        return f"choose one {name}."
    wanted = "" if name in _LISTS else describe_type(name)
    return wanted or f"write a list, {name}=[{_list_values(override)}]."


def _list_values(override: Override) -> str:
    """Write the values of a sweep, such as range(1,4), as a list has them."""
    sweep = override.value()
    if isinstance(sweep, RangeSweep):
        start, stop = sweep.start or 0, sweep.stop or 0
        step = float(sweep.step or 1)
        count = max(0, math.ceil((stop - start) / step)) if step else 0
        values = [start + i * step for i in range(min(count, 20))]
        return ",".join(f"{x:g}" for x in values)
    if isinstance(sweep, ChoiceSweep):
        return ",".join(str(getattr(x, "text", x)) for x in sweep.list)
    return "500,1000"


def _check_choices(override: Override, text: str) -> None:
    group, value = override.key_or_group, override.value()
    options = conf_folder.list_options(group)
    choices = value if isinstance(value, list) else [value]
    if isinstance(value, list) and group not in LISTED:
        raise InputError(f"{text}: choose one {group}, not a list.")
    if len(set(map(str, choices))) < len(choices):
        raise InputError(f"{text}: an option is there twice; drop one.")
    for choice in choices:
        if choice not in options:
            raise InputError(
                f"{text}: no such {group}.{suggest(str(choice), options)} "
                f"Choices: {', '.join(options)}."
            )
        _check_header(group, str(choice))


def _check_header(group: str, name: str) -> None:
    """Refuse a file whose content would land elsewhere in the configuration."""
    package = {"experiment": "_global_"}.get(group, f"{group}.{name}")
    if group == "compute":
        return
    lines = (conf_folder.CONF / group / f"{name}.yaml").read_text().splitlines()
    if lines[:1] != [f"# @package {package}"]:
        raise InputError(
            f"conf/{group}/{name}.yaml: its first line has to be `# @package "
            f"{package}`."
        )
