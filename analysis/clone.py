"""What documents say of a clone: its experiments, its records, its versions.

All of it is read from files; nothing is imported from `experiments`.
"""

import ast
import functools
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import yaml

LIST = Path("conf", "reproduce.yaml")
CONFIG = Path("conf", "config.yaml")
EXPERIMENTS = Path("conf", "experiment")
RECORD = Path("results", "reproduce.yaml")
VERSION_FILE = Path("experiments", "store", "fingerprint.py")
LOCK = Path("requirements.lock")

LISTED = ("dgp", "grid", "estimator", "estimand")
NOT_YET = "not yet run by this version"


class CloneError(ValueError):
    """A file of the clone that does not say what a document wants of it."""


def read_version(root: Path) -> int:
    """Read which version of the numbers this code makes."""
    tree = ast.parse((root / VERSION_FILE).read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "NUMBERS":
            return int(ast.literal_eval(node.value))
    raise CloneError(f"{root / VERSION_FILE} names no NUMBERS.")


def read_reproduced(root: Path) -> dict[str, list[str]]:
    """Read the kept studies, and the settings of each beside its experiment."""
    return {name: list(some or []) for name, some in _read_yaml(root / LIST).items()}


def read_question(root: Path, name: str) -> str:
    """Return the first sentence of comment in the file of an experiment."""
    lines = (root / EXPERIMENTS / f"{name}.yaml").read_text("utf-8").splitlines()
    comments = [line.lstrip("# ") for line in lines if line.startswith("# ")]
    return next(line for line in comments if not line.startswith("@"))


def read_design(root: Path, name: str) -> dict[str, Any]:
    """Return the size of an experiment: what its file says, else the default study.

    Args:
        root: Of the clone.
        name: Of the experiment.

    Returns:
        `dgp`, `grid`, `estimator`, `estimand`, `sample_size` and `n_supp`, lists, and
        `n_replications`.
    """
    found: dict[str, Any] = {}
    for path in (root / CONFIG, root / EXPERIMENTS / f"{name}.yaml"):
        content = _read_yaml(path)
        for entry in content.get("defaults", []):
            if isinstance(entry, dict):
                for key, value in entry.items():
                    group = str(key).removeprefix("override /")
                    found[group] = value
        found |= {key: x for key, x in content.items() if key not in LISTED}
    names = (*LISTED, "sample_size", "n_supp", "n_replications")
    return {key: found.get(key, []) for key in names}


def read_run(root: Path, name: str) -> dict[str, Any] | None:
    """Return the record of a study that `reproduce` ran; None where there is none."""
    return _read_yaml(root / RECORD).get(name)


def read_measured(
    root: Path, name: str, section: str | None = None
) -> dict[str, Any] | None:
    """Return the last run that a program kept in `results/NAME.json`; None without.

    Args:
        root: The clone.
        name: Of the program.
        section: What the run has to hold; by default any run will do.

    Raises:
        CloneError: The file holds something else.
    """
    path = root / "results" / f"{name}.json"
    if not path.exists():
        return None
    try:
        runs = json.loads(path.read_text(encoding="utf-8"))
        fitting = [dict(run) for run in runs if section is None or section in run]
        return fitting[-1] if fitting or section is None else None
    except (ValueError, TypeError, LookupError) as error:
        raise CloneError(f"{path} holds no runs; make it again.") from error


def read_package(root: Path, name: str) -> str:
    """Return the version of a package that `requirements.lock` pins."""
    text = (root / LOCK).read_text(encoding="utf-8")
    found = re.search(rf"^{re.escape(name)}==(\S+)", text, re.MULTILINE)
    if found is None:
        raise CloneError(f"{root / LOCK} pins no {name}.")
    return found[1]


def read_rows(root: Path, path: str) -> str:
    """Return the first table of a page in Markdown."""
    lines = (root / path).read_text(encoding="utf-8").splitlines()
    rows = [line for line in lines if line.startswith("|")]
    if not rows:
        raise CloneError(f"{root / path} has no table.")
    return "\n".join(rows)


def list_kept(root: Path, name: str) -> dict[str, list[str]]:
    """List the files that are kept of a study, by what they are.

    Those that git knows, where it does: a folder in which the study was run holds more.
    """
    known = _list_tracked(root)
    folder = root / "results" / name
    kinds = {
        "summary": "summary*.nc",
        "tables": "tables/**/*.md",
        "figures": "figures/**/*.p*",
    }
    return {
        kind: sorted(
            path.relative_to(folder).as_posix()
            for path in folder.glob(pattern)
            if known is None or path.relative_to(root).as_posix() in known
        )
        for kind, pattern in kinds.items()
    }


@functools.cache
def _list_tracked(root: Path) -> frozenset[str] | None:
    """Return the files of results that git keeps; `None` without git or its folder."""
    command = ["git", "ls-files", "-z", "results"]
    try:
        done = subprocess.run(
            command, cwd=root, capture_output=True, text=True, check=False
        )
    except OSError:
        return None
    return frozenset(done.stdout.split("\0")) if done.returncode == 0 else None


def _read_yaml(path: Path) -> dict[str, Any]:
    """Read a file of settings; nothing where there is none."""
    if not path.exists():
        return {}
    return yaml.safe_load(path.read_text(encoding="utf-8")) or {}
