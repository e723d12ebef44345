"""What the analysis reads of a study's configuration, an attribute of its files."""

from collections.abc import Mapping
from typing import Any

import xarray as xr
import yaml


def read_config(study: xr.DataTree) -> dict[str, Any]:
    """Read the resolved configuration from the attributes; empty if there is none."""
    config = yaml.safe_load(study.attrs.get("config", "")) or {}
    if not isinstance(config, dict):
        raise ValueError("the attribute config of the study is no YAML mapping.")
    return config


def read_symbols(study: xr.DataTree, process: str) -> dict[str, str]:
    """Read the symbols of a process's parameters and of estimands, `symbol:` in a file.

    Returns:
        LaTeX by the name of the parameter, without dollars; a parameter that has no
        symbol is not among them.
    """
    config = read_config(study)
    option = (config.get("dgp") or {}).get(process) or {}
    estimands = (config.get("estimand") or {}) | (option.get("estimands") or {})
    given = {x: y["symbol"] for x, y in estimands.items() if y.get("symbol")}
    return flatten_symbols(given | (option.get("symbol") or {}))


def flatten_symbols(symbols: Mapping[str, Any]) -> dict[str, str]:
    """Name symbols by their parameters: a list is of `name[0]`, `name[1]`, ..."""
    found: dict[str, str] = {}
    for name, symbol in symbols.items():
        if isinstance(symbol, str):
            found[name] = symbol
        else:
            found |= {f"{name}[{i}]": str(x) for i, x in enumerate(symbol)}
    return found
