"""Compose a study's configuration from `conf/` and overrides.

Hydra's own errors name its internals; here each becomes an `InputError` of one or two
lines: what was given, and what to try.
"""

import math
import re
import sysconfig
from pathlib import Path
from typing import Any

import hydra
import yaml
from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Override, RangeSweep
from hydra.errors import HydraException, OverrideParseException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from experiments.config.check import (
    ALL_GROUPS,
    check_experiment,
    check_settings,
    describe_type,
    is_setting,
    suggest,
)
from experiments.config.schema import GROUPS, LISTED, Study, check_values
from experiments.config.targets import check_targets
from experiments.errors import InputError

CLONE = Path(__file__).resolve().parents[2]


def find_conf() -> Path:
    """Return the folder of the configuration.

    A folder `conf` of the user's own, with all that the study's has, where the command
    is called; else that of the clone; else the one that a wheel brings along.
    """
    brought = Path(sysconfig.get_path("data"), "share", "spmlex", "conf")
    for folder in (Path("conf").resolve(), CLONE / "conf", brought):
        if (folder / "config.yaml").is_file() and (folder / "dgp").is_dir():
            return folder
    return CLONE / "conf"


CONF = find_conf()
_LISTS = ("sample_size", "n_supp", *LISTED)


def compose(overrides: list[str]) -> dict[str, Any]:
    """Return the resolved configuration as plain values.

    Args:
        overrides: Hydra overrides, such as `dgp=linear_factor_normal` or
            `sample_size=[500,1000]`. A single value stands for a list of one.

    Raises:
        InputError: An override can't be used.
    """
    overrides = [_read_override(text) for text in overrides]
    ConfigStore.instance().store("schema", Study)
    parsed = OverridesParser.create().parse_overrides(overrides)
    settings = list(filter(is_setting, parsed))
    try:
        _check_experiments(parsed)
        with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
            if settings:
                pairs = zip(overrides, parsed, strict=True)
                chosen = [text for text, each in pairs if not is_setting(each)]
                tree = OmegaConf.to_container(hydra.compose("config", chosen))
                assert isinstance(tree, dict)
                check_settings(settings, {str(k): v for k, v in tree.items()})
            composed = hydra.compose("config", overrides)
        config = OmegaConf.to_container(composed, resolve=True, throw_on_missing=True)
    except (HydraException, OmegaConfBaseException) as error:
        raise InputError(_first_line(error)) from error
    except yaml.MarkedYAMLError as error:
        place = error.problem_mark
        where = f"{place.name}, line {place.line + 1}" if place else "a file of conf"
        raise InputError(f"{where}: no valid YAML: {error.problem}.") from error
    assert isinstance(config, dict)
    config = {str(name): value for name, value in config.items()}
    fields = Study.__dataclass_fields__
    for name in config.keys() - fields.keys():
        raise InputError(f"+{name}: no such setting.{suggest(name, fields)}")
    for name in fields.keys() - config.keys():
        raise InputError(f"~{name}: a study needs this setting; give it a value.")
    try:
        check_values(config)
    except ValueError as error:
        raise InputError(str(error)) from error
    _check_parts(config)
    config["question"] = config["question"] or _find_question(overrides)
    return config


def check_once(overrides: list[str]) -> None:
    """Refuse a setting that is given twice: which one counts is not obvious."""
    names = [text.partition("=")[0].lstrip("+~") for text in overrides]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"{name}: given twice; drop one.")


def write_config(config: dict[str, Any]) -> str:
    """Write a composed configuration as YAML."""
    return yaml.safe_dump(config, sort_keys=False, allow_unicode=True)


def read_stored(config: dict[str, Any]) -> dict[str, Any]:
    """Check a configuration that was stored, and drop what no study has any more.

    Raises:
        InputError: A value is none that a study can have.
    """
    found = OmegaConf.structured(Study)
    for name in Study.__dataclass_fields__:
        try:
            found = OmegaConf.merge(found, {name: config[name]})
        except (OmegaConfBaseException, ValueError) as error:
            raise InputError(f"study.yaml: {name}: {_first_line(error)}") from error
    try:
        plain = OmegaConf.to_container(found, throw_on_missing=True)
        assert isinstance(plain, dict)
        checked = {str(name): value for name, value in plain.items()}
        check_values(checked)
    except (OmegaConfBaseException, ValueError) as error:
        raise InputError(f"study.yaml: {_first_line(error)}") from error
    _check_parts(checked)
    return checked


def instantiate(config: dict[str, Any], path: str) -> Any:
    """Build the object that a part of the configuration describes.

    Args:
        config: The resolved configuration.
        path: Which part, such as "dgp.linear_factor_discrete".

    Raises:
        InputError: The values given don't make such an object.
    """
    node: Any = config
    for name in path.split("."):
        node = node[name]
    check_targets(node, path)
    try:
        return hydra.utils.instantiate(node, _convert_="all")
    except (HydraException, OmegaConfBaseException) as error:
        cause = error.__cause__ or error
        while isinstance(cause, HydraException) and cause.__cause__ is not None:
            cause = cause.__cause__
        where = _find_unbuildable(node, path)
        group, _, name = path.partition(".")
        file = f"conf/{group}/{name}.yaml" if name else f"the files in conf/{group}/"
        # Of a module that can't be imported, what its own first error was.
        root = _find_root(cause)
        text = _first_line(cause).rstrip(".:")
        if root is not cause:
            text = f"{text}: {type(root).__name__}: {_first_line(root)}"
        raise InputError(f"{where}: {text}. See {file}.") from error


def check_conf() -> None:
    """Refuse to go on without the folder of the configuration.

    Raises:
        InputError: There is none.
    """
    if not (CONF / "config.yaml").is_file():
        raise InputError(
            f"there is no configuration in {CONF}: run from a clone of the "
            "repository, installed by `uv sync` or `pip install -e .`, or from a "
            "folder with a copy of its conf."
        )


def list_options(group: str) -> dict[str, str]:
    """Return a group's options, each with the first comment of its file."""
    return {
        path.stem: first_comment(path) for path in sorted((CONF / group).glob("*.yaml"))
    }


def first_comment(path: Path) -> str:
    """Return the first comment of a YAML file that is not a directive."""
    for line in path.read_text().splitlines():
        if line.startswith("#") and not line.startswith("# @"):
            return line.lstrip("# ").strip()
    return ""


def _read_override(text: str) -> str:
    """Check one override's form and choices; make a list where one is needed."""
    if "=" not in text and not text.startswith("~"):
        for group in ("experiment", *GROUPS):
            if text in list_options(group):
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


def _check_experiments(overrides: list[Override]) -> None:
    """Refuse what the file of an experiment names and there is not."""
    options = {name: list(list_options(name)) for name in ALL_GROUPS}
    for override in overrides:
        if override.key_or_group == "experiment" and not override.is_delete():
            check_experiment(CONF / "experiment" / f"{override.value()}.yaml", options)


def _check_choices(override: Override, text: str) -> None:
    group, value = override.key_or_group, override.value()
    options = list_options(group)
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
    lines = (CONF / group / f"{name}.yaml").read_text().splitlines()
    if lines[:1] != [f"# @package {package}"]:
        raise InputError(
            f"conf/{group}/{name}.yaml: its first line has to be `# @package "
            f"{package}`."
        )


def _check_parts(config: dict[str, Any]) -> None:
    """Refuse a part that says nothing about what to build."""
    for group in (*GROUPS, "estimand"):
        for name, node in config[group].items():
            if not isinstance(node, dict) or "_target_" not in node:
                raise InputError(
                    f"{group}.{name}: no `_target_` says what to build. See the files "
                    f"in conf/{group}/."
                )


def _find_question(overrides: list[str]) -> str:
    chosen = dict(text.split("=", 1) for text in overrides if "=" in text)
    experiment = chosen.get("experiment", "null")
    path = CONF / "experiment" / f"{experiment}.yaml"
    return first_comment(path if path.exists() else CONF / "config.yaml")


def _find_unbuildable(node: Any, path: str) -> str:
    """Return which part of a part it is that can't be built, the innermost one."""
    if isinstance(node, dict):
        parts = {f"{path}.{name}": part for name, part in node.items()}
    else:
        parts = {f"{path}[{number}]": part for number, part in enumerate(node)}
    for place, part in parts.items():
        if not isinstance(part, dict | list):
            continue
        try:
            hydra.utils.instantiate(part, _convert_="all")
        except (HydraException, OmegaConfBaseException):
            return _find_unbuildable(part, place)
    return path


def _find_root(error: BaseException) -> BaseException:
    while error.__cause__ is not None:
        error = error.__cause__
    return error


def _first_line(error: BaseException) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0]
