"""What a configuration may build: classes of this package, and of those named for it.

A study's folder may come from someone else, and its `study.yaml` names what is built
and with which values. Building `shutil.copyfile` would copy a file. So a name has to
lead to a class that is defined in this package, or into a package that the environment
variable `SPMLEX_PACKAGES` names.
"""

import functools
import importlib
import inspect
import os
import re
from typing import Any

from experiments.errors import InputError

VARIABLE = "SPMLEX_PACKAGES"
OWN = "experiments"


def check_targets(node: Any, place: str) -> None:
    """Refuse a part that is built of what nobody vouches for.

    Args:
        node: The part's configuration.
        place: Where it is, for the message.

    Raises:
        InputError: Names the part and what it would build.
    """
    if isinstance(node, list):
        for number, value in enumerate(node):
            check_targets(value, f"{place}[{number}]")
    if not isinstance(node, dict):
        return
    for name, value in node.items():
        if name == "_target_":
            _check_target(value, place)
        elif re.fullmatch("_.*_", str(name)):
            raise InputError(f"{place}.{name}: of such names only _target_ has a use.")
        else:
            check_targets(value, f"{place}.{name}")


def _locate(target: str) -> Any:
    """Import what a path leads to, modules of this package alone."""
    parts = target.split(".")
    # The longest module first; what is left may be a class within a class.
    for count in range(len(parts) - 1, 0, -1):
        try:
            found: Any = importlib.import_module(".".join(parts[:count]))
        except ModuleNotFoundError:
            continue
        return functools.reduce(getattr, parts[count:], found)
    raise ModuleNotFoundError(target)


def _check_target(target: Any, place: str) -> None:
    if not isinstance(target, str) or not re.fullmatch(r"[^\W\d]\w*(\.\w+)+", target):
        raise InputError(f"{place}: _target_ has to be the path of a class.")
    package = target.partition(".")[0]
    if package in os.environ.get(VARIABLE, "").replace(",", " ").split():
        return
    if package != OWN:
        raise InputError(
            f"{place}: it builds {target}, of another package. If you know what "
            f"that does, name the package: {VARIABLE}={package} in the environment."
        )
    try:
        found = _locate(target)
    except Exception:  # noqa: BLE001 - to be named by whoever builds it
        return
    if not inspect.isclass(found) or found.__module__.partition(".")[0] != OWN:
        raise InputError(f"{place}: {target} is no class of {OWN}.")
