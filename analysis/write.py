"""Fill the documents with numbers of kept studies: `python -m analysis.write`.

A document is made from a template in `analysis/documents/`. There a number is named by
study, measure and cell, and a statement by a comparison that must hold:

    {{ paper.number("coverage", process="linear_factor_normal", n=4000) }}
    {{ claim("covers", paper.number("coverage", n=4000), ">=", 0.935) }}

`--check` writes nothing, prints what would change, and fails where that is anything, a
statement is false, or a decimal stands in a sentence of a template by itself.
`--claims` lists the statements with the numbers that decide them.
"""

import argparse
import difflib
import functools
import math
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2

from analysis import clone
from analysis.claims import ClaimError, Claims
from analysis.files import write_text
from analysis.kept_study import KeptStudy
from analysis.stored import StudyError

TEMPLATES = Path("analysis", "documents")
DOCUMENTS = {
    "readme.md.j2": "README.md",
    "spmlex.md.j2": "spmlex/README.md",
    "experiments.md.j2": "experiments/README.md",
    "findings.md.j2": "results/FINDINGS.md",
    "results.md.j2": "results/README.md",
}
"""What each template is made into, both below the root of the clone.

The last one lists the statements of all.
"""

MOST_SHORT = 10.0
"""Numbers below it are written with two digits, others as whole ones."""

_NOT_A_SENTENCE = re.compile(
    r"```.*?```|`[^`\n]*`|\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}|\]\([^)]*\)", re.DOTALL
)
"""Code, what is filled in, and addresses of links."""

_DECIMAL = re.compile(r"(?<![\w.])\d+\.\d+")


class DocumentError(ValueError):
    """A template that can't be filled; the message says where and why."""


def fill(template: Path, root: Path, claims: Claims) -> str:
    """Return the document that a template makes.

    Args:
        template: The file.
        root: Of the clone, with `results/`.
        claims: Of the documents before, to which those of this one are added.

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
    try:
        names = _list_names(root, claims)
        return environment.get_template(template.name).render(names)
    except (
        *(jinja2.TemplateError, LookupError, StudyError),
        *(ClaimError, clone.CloneError),
    ) as error:
        raise DocumentError(
            f"{template}:{_line_of(error, template)}: {error}"
        ) from error


def _list_names(root: Path, claims: Claims) -> dict[str, Any]:
    """Return what a template can name."""
    version = clone.read_version(root)
    study = functools.cache(lambda name: KeptStudy.read(root / "results" / name))

    def is_kept(name: str) -> bool:
        return any((root / "results" / name).glob("summary*.nc"))

    def of(function: Any) -> Any:
        return functools.partial(function, root)

    return {
        "study": study,
        "is_kept": is_kept,
        "is_current": lambda name: is_kept(name) and study(name).version == version,
        "stale": lambda name: describe_age(study(name), version),
        "claim": claims.claim,
        "either": claims.either,
        "claims": claims.found,
        "given": str,
        "fixed": lambda value, places: f"{float(value):.{places}f}",
        "exp": math.exp,
        "short": lambda value: (
            f"{float(value):#.2g}".rstrip(".")
            if abs(value) < MOST_SHORT
            else f"{float(value):.0f}"
        ),
        "minutes": lambda seconds: f"{seconds / 60:.0f} min",
        "megabytes": lambda count: f"{count / 1e6:.0f} MB",
        "percent": lambda share: f"{float(share):.0%}",
        "reproduced": clone.read_reproduced(root),
        "not_yet": clone.NOT_YET,
        "question": of(clone.read_question),
        "design": of(clone.read_design),
        "run": of(clone.read_run),
        "measured": of(clone.read_measured),
        "package": of(clone.read_package),
        "rows": of(clone.read_rows),
        "kept": of(clone.list_kept),
    }


def find_typed(text: str) -> list[str]:
    """List the decimals in sentences of a template: outside of code and of braces."""
    return _DECIMAL.findall(_NOT_A_SENTENCE.sub(" ", text))


def describe_age(study: KeptStudy, version: int) -> str:
    """Return a sentence where a study is not of this version of the numbers."""
    if study.version == version:
        return ""
    made = str(study.attrs.get("git_commit", "unknown"))[:7]
    return (
        f"*Stale: made at commit {made} by version {study.version} of the numbers; the "
        f"code has version {version}.* "
    )


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
    parser.add_argument(
        "--claims", action="store_true", help="list the statements with their numbers"
    )
    options = parser.parse_args(arguments)
    differs = False
    claims = Claims()
    for name, target in DOCUMENTS.items():
        path = root / target
        claims.document = target
        try:
            text = fill(root / TEMPLATES / name, root, claims)
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
    if options.claims:
        for each in claims.found:
            print(f"{each.document}: {each.words!r}: {each.numbers} [{each.source}]")
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
