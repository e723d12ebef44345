"""Tab completion of the command line, as Hydra's users know it: `-sc install=bash`.

The shell calls the program with `-sc query=bash` and what stands on its line; a word a
line comes back. Nothing is composed, and JAX is not imported, unless a part of a study
is asked for.
"""

import os
import typing
from collections.abc import Iterable
from pathlib import Path

from experiments.config import compose as cfg
from experiments.config import conf_folder
from experiments.config.check import ALL_GROUPS, flatten
from experiments.config.schema import CELL_AXES, CHOICES, LISTED, Study
from experiments.errors import InputError

PROGRAM = "experiments.run"

_HOOK = """\
_spmlex_complete() {
    local word prefix=()
    for word in "${COMP_WORDS[@]:0:COMP_CWORD}"; do
        prefix+=("$word")
        [[ $word == experiments.run ]] && break
    done
    [[ $word == experiments.run ]] || return
    mapfile -t COMPREPLY < <(
        COMP_LINE="$COMP_LINE" COMP_POINT="$COMP_POINT" \\
        COMP_WORDBREAKS="$COMP_WORDBREAKS" \\
        "${prefix[@]}" -sc query=bash 2> /dev/null
    )
}
complete -o nospace -o default -F _spmlex_complete python python3 uv
"""

_USE = 'give install=bash, uninstall=bash: eval "$(python -m experiments.run -sc ...)".'


def main(arguments: list[str], actions: Iterable[str]) -> int:
    """Print the shell's function, or what a word on its line may become.

    Args:
        arguments: The words of the command line after `-sc`.
        actions: What the program can do.

    Raises:
        InputError: The words are none of those that Hydra's `-sc` takes, for bash.
    """
    if arguments == ["install=bash"]:
        print(_HOOK, end="")
    elif arguments == ["uninstall=bash"]:
        print("complete -r python python3 uv; unset -f _spmlex_complete")
    elif arguments == ["query=bash"]:
        line = os.environ.get("COMP_LINE", "")
        line = line[: int(os.environ.get("COMP_POINT", len(line)))]
        breaks = os.environ.get("COMP_WORDBREAKS", "=")
        words = line.partition(f"{PROGRAM} ")[2].split(" ")
        # Bash breaks words at these, and replaces what follows the last one alone.
        kept = max((words[-1].rfind(x) + 1 for x in "=:" if x in breaks), default=0)
        for word in complete([x for x in words[:-1] if x], words[-1], actions):
            print(word[kept:])
    else:
        raise InputError(f"-sc {' '.join(arguments)}: {_USE}")
    return 0


def complete(words: list[str], begun: str, actions: Iterable[str]) -> list[str]:
    """List what a word of the command line may become.

    Args:
        words: Those before it, after the program's name.
        begun: Its beginning.
        actions: What the program can do.

    Returns:
        Whole words; one after which another follows ends in a blank.
    """
    if not words:
        found = [f"{name} " for name in (*actions, "--help")]
    elif words[0] in ("sweep", "plan"):
        found = _complete_setting(words[1:], begun)
    elif words[0] in ("status", "report", "rerun"):
        found = _list_own(words, begun)
    else:
        found = []
    return [word for word in found if word.startswith(begun)]


def _complete_setting(words: list[str], begun: str) -> list[str]:
    """List settings of a study, or the values that one may have."""
    name, equals, value = begun.partition("=")
    if equals:
        choices = _list_values(name)
        if name in LISTED and value.startswith("["):
            done = value[: max(value.rfind("["), value.rfind(",")) + 1]
            return [f"{name}={done}{choice}" for choice in choices]
        return [f"{name}={choice} " for choice in choices]
    fields = [x for x in Study.__dataclass_fields__ if x not in ALL_GROUPS]
    names = [*ALL_GROUPS, *fields]
    if "." in begun:
        try:
            tree = cfg.compose([word for word in words if "=" in word])
        except InputError:
            return []
        names = list(flatten(tree))
    return [f"{name}=" for name in names]


def _list_values(name: str) -> Iterable[str]:
    if name in ALL_GROUPS:
        return conf_folder.list_options(name)
    if typing.get_type_hints(Study).get(name) is bool:
        return "true", "false"
    return CHOICES.get(name, ())


def _list_own(words: list[str], begun: str) -> list[str]:
    """List studies; and of one that is named the settings that choose a replication."""
    given = dict(word.split("=", 1) for word in words if "=" in word)
    results = Path(given.get("results_dir", "results"))
    named = [word for word in words[1:] if "=" not in word]
    if not named:
        return [f"{path.parent.name} " for path in sorted(results.glob("*/study.yaml"))]
    if words[0] != "rerun":
        return ["results_dir="]
    own = (*CELL_AXES, "replication", "csv", "results_dir")
    return [f"{x}=" for x in own if x not in given]
