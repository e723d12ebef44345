"""The folder `conf`: where it is, what options it holds, what they say."""

import sysconfig
from pathlib import Path

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
