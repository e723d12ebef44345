"""Compose a study's configuration from `conf/` and overrides.

Hydra's own errors name its internals; here each becomes an `InputError` of one or two
lines: what was given, and what to try.
"""

from typing import Any

import hydra
import yaml
from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from experiments.config import conf_folder
from experiments.config.check import (
    ALL_GROUPS,
    check_experiment,
    check_settings,
    is_setting,
    suggest,
)
from experiments.config.overrides import read_override
from experiments.config.schema import GROUPS, Study, check_values
from experiments.config.targets import check_targets
from experiments.errors import InputError


def compose(overrides: list[str]) -> dict[str, Any]:
    """Return the resolved configuration as plain values.

    Args:
        overrides: Hydra overrides, such as `dgp=linear_factor_normal` or
            `sample_size=[500,1000]`. A single value stands for a list of one.

    Raises:
        InputError: An override can't be used.
    """
    overrides = [read_override(text) for text in overrides]
    ConfigStore.instance().store("schema", Study)
    parsed = OverridesParser.create().parse_overrides(overrides)
    settings = list(filter(is_setting, parsed))
    try:
        _check_experiments(parsed)
        with hydra.initialize_config_dir(str(conf_folder.CONF), version_base="1.3"):
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
            # One by one, so that the error can name the setting.
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


def _check_experiments(overrides: list[Override]) -> None:
    """Refuse what the file of an experiment names and there is not."""
    options = {name: list(conf_folder.list_options(name)) for name in ALL_GROUPS}
    for override in overrides:
        if override.key_or_group == "experiment" and not override.is_delete():
            check_experiment(
                conf_folder.CONF / "experiment" / f"{override.value()}.yaml", options
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
    path = conf_folder.CONF / "experiment" / f"{experiment}.yaml"
    return conf_folder.first_comment(
        path if path.exists() else conf_folder.CONF / "config.yaml"
    )


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
