"""Fill the documents with numbers of kept studies: `python -m analysis.write`.

A document is made from a template in `analysis/documents/`. There a number is named by
study, measure and cell, and a statement by an expression that must be true:

    {{ paper.number("coverage", process="linear_factor_normal", n=4000) }}
    {{ claim("covers", paper.number("coverage", n=4000).value > 0.935) }}

`--check` writes nothing, prints what would change, and fails where that is anything, a
statement is false, or a decimal stands in a sentence of a template by itself.
"""

import argparse
import ast
import difflib
import functools
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2
import yaml

from analysis.files import write_text
from analysis.quoted import KeptStudy
from analysis.stored import StudyError

TEMPLATES = Path("analysis", "documents")
DOCUMENTS = {"results.md.j2": "results/README.md"}
"""What each template is made into, both below the root of the clone."""

LIST = Path("conf", "reproduce.yaml")
EXPERIMENTS = Path("conf", "experiment")
RECORD = Path("results", "reproduce.yaml")
VERSION_FILE = Path("experiments", "store", "fingerprint.py")

_NOT_A_SENTENCE = re.compile(
    r"```.*?```|`[^`\n]*`|\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}|\]\([^)]*\)", re.DOTALL
)
"""Code, what is filled in, and addresses of links."""

_DECIMAL = re.compile(r"(?<![\w.])\d+\.\d+")


class DocumentError(ValueError):
    """A template that can't be filled; the message says where and why."""


def fill(template: Path, root: Path) -> str:
    """Return the document that a template makes.

    Args:
        template: The file.
        root: Of the clone, with `results/`.

    Raises:
        DocumentError: A name is wrong, a statement false, or a decimal typed.
    """
    text = template.read_text(encoding="utf-8")
    if typed := find_typed(text):
        raise DocumentError(
            f"{template}: decimals that are typed, not named: {', '.join(typed)}. "
            'Name study, measure and cell, or say given("0.95") of what is no result.'
        )
    loader = jinja2.FileSystemLoader(template.parent)
    environment = jinja2.Environment(  # noqa: S701 - Markdown, of our own
        loader=loader,
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    version = read_version(root)
    names: dict[str, Any] = {
        "study": functools.cache(lambda name: KeptStudy.read(root / "results" / name)),
        "stale": lambda study: describe_age(study, version),
        "claim": _claim,
        "given": str,
        "percent": lambda share: f"{float(share):.0%}",
        "reproduced": _read_yaml(root / LIST),
        "question": lambda name: _read_question(root / EXPERIMENTS / f"{name}.yaml"),
        "took": lambda name: _describe_time(_read_yaml(root / RECORD).get(name)),
        "is_kept": lambda name: any((root / "results" / name).glob("summary*.nc")),
    }
    try:
        return environment.get_template(template.name).render(names)
    except (jinja2.TemplateError, LookupError, StudyError, DocumentError) as error:
        raise DocumentError(
            f"{template}:{_line_of(error, template)}: {error}"
        ) from error


def find_typed(text: str) -> list[str]:
    """List the decimals in sentences of a template: outside of code and of braces."""
    return _DECIMAL.findall(_NOT_A_SENTENCE.sub(" ", text))


def read_version(root: Path) -> int:
    """Read which version of the numbers this code makes."""
    tree = ast.parse((root / VERSION_FILE).read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "NUMBERS":
            return int(ast.literal_eval(node.value))
    raise DocumentError(f"{root / VERSION_FILE} names no NUMBERS.")


def describe_age(study: KeptStudy, version: int) -> str:
    """Return a sentence where a study is not of this version of the numbers."""
    if study.version == version:
        return ""
    made = str(study.attrs.get("git_commit", "unknown"))[:7]
    return (
        f"*Stale: made at commit {made} by version {study.version} of the numbers; the "
        f"code has version {version}.* "
    )


def _read_yaml(path: Path) -> dict[str, Any]:
    """Read a file of settings; nothing where there is none."""
    if not path.exists():
        return {}
    return yaml.safe_load(path.read_text(encoding="utf-8")) or {}


def _read_question(path: Path) -> str:
    """Return the first sentence of comment in the file of an experiment."""
    lines = path.read_text(encoding="utf-8").splitlines()
    comments = [line.lstrip("# ") for line in lines if line.startswith("# ")]
    return next(line for line in comments if not line.startswith("@"))


def _describe_time(run: dict[str, Any] | None) -> str:
    """Say how long a study took, and where."""
    if run is None:
        return "not yet by this command"
    return f"{run['seconds'] / 60:.0f} min, {run['machine']}"


def _claim(words: str, holds: bool) -> str:
    """Return words that are true; the expression beside them says so."""
    if not holds:
        raise DocumentError(f"the statement {words!r} does not hold any more.")
    return words


def _line_of(error: BaseException, template: Path) -> int:
    """Return the line of a template at which an error arose."""
    line = getattr(error, "lineno", None) or 0
    trace = error.__traceback__
    while trace is not None:
        if Path(trace.tb_frame.f_code.co_filename).name == template.name:
            line = trace.tb_lineno
        trace = trace.tb_next
    return line


def main(arguments: Sequence[str] | None = None, root: Path = Path()) -> int:
    """Write or check all documents; return 1 where a check finds a difference."""
    parser = argparse.ArgumentParser(
        prog="python -m analysis.write",
        description="Fill the documents with the numbers of kept studies.",
    )
    parser.add_argument(
        "--check", action="store_true", help="write nothing; fail where one differs"
    )
    options = parser.parse_args(arguments)
    differs = False
    for name, target in DOCUMENTS.items():
        path = root / target
        try:
            text = fill(root / TEMPLATES / name, root)
        except DocumentError as error:
            print(f"error: {error}", file=sys.stderr)
            return 2
        there = path.read_text(encoding="utf-8") if path.exists() else ""
        if text == there:
            continue
        differs = True
        if options.check:
            print(_compare(there, text, target))
        else:
            print(write_text(path, text))
    return int(differs and options.check)


def _compare(there: str, text: str, target: str) -> str:
    lines: Any = difflib.unified_diff(
        there.splitlines(),
        text.splitlines(),
        target,
        f"{target}, as its template and the kept studies make it",
        lineterm="",
        n=0,
    )
    return "\n".join(lines)


if __name__ == "__main__":
    raise SystemExit(main())
