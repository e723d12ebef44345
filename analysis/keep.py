"""Keep studies in the repository: `python -m analysis.keep [NAME ...]`.

Of what `experiments.run reproduce` made of a study git gets the summary, a file for
each process where it is large, and those tables and figures that it had before; of a
study that is new the tables of all processes. The record of the run goes with it.
"""

import argparse
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from analysis.clone import LIST, RECORD
from analysis.files import slug, write_text
from analysis.stored import SUMMARY, StudyError, load_summary, write_tree

LARGE = 1_500_000
"""Bytes above which a summary is kept as a file for each process: of those that a
change leaves as they are, the repository holds no second copy."""

BLOCKS = "blocks"
"""The folder in that of a study which holds what was computed."""

NEW = ("tables/*.csv", "tables/*.md")
"""What is kept of a study of which nothing is."""


def keep(name: str, made: Path, root: Path) -> list[Path]:
    """Put a study into the index of git, in place of what that had of it.

    Args:
        name: Of the study.
        made: The folder that `reproduce` wrote to; it may be the clone's own.
        root: The clone.

    Returns:
        The files kept.

    Raises:
        StudyError: The study is not there, not complete or a quick look only; or the
            clone's folder of this name holds a run of its own.
    """
    run = _read(made / RECORD.name).get(name)
    if run is None or not run["complete"] or run["quick"]:
        state = "was not run" if run is None else "is not complete"
        raise StudyError(
            f"{name} {state} in {made}: `python -m experiments.run reproduce {name} "
            f"results_dir={made}` runs what is missing."
        )
    source, target = made / name, root / RECORD.parent / name
    elsewhere = source.resolve() != target.resolve()
    if elsewhere and (target / BLOCKS).exists():
        raise StudyError(
            f"{target} holds a run of its own, whose files would be overwritten: move "
            "it, or keep that one by leaving out --results."
        )
    summary = load_summary(source)
    before = _list_tracked(root, target)
    chosen = [x for x in before if x.suffix != ".nc"]
    if not before:
        found = (path for pattern in NEW for path in source.glob(pattern))
        chosen = sorted(path.relative_to(source) for path in found)
    kept = [path for path in chosen if (source / path).exists()]
    if elsewhere:
        # What git has can be had again; nothing else is touched.
        for path in before:
            (target / path).unlink(missing_ok=True)
        for path in kept:
            (target / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source / path, target / path)
    target.mkdir(parents=True, exist_ok=True)
    kept += _write_summary(summary, target)
    if elsewhere and Path(SUMMARY) not in kept:
        (target / SUMMARY).unlink()
    record = _read(root / RECORD) | {name: run}
    write_text(root / RECORD, yaml.safe_dump(record, sort_keys=False))
    gone = [target / path for path in before if path not in kept]
    if gone:
        _git(root, "rm", "-rq", "--cached", "--", *map(str, gone))
    paths = [target / path for path in kept]
    _git(root, "add", "-f", "--", str(root / RECORD), *map(str, paths))
    return paths


def _write_summary(summary: Any, target: Path) -> list[Path]:
    """Write a summary as one file; where that is large also one for each process.

    Returns:
        The file, or those.
    """
    for old in target.glob("summary-*.nc"):
        old.unlink()
    write_tree(summary, target / SUMMARY)
    if (target / SUMMARY).stat().st_size <= LARGE or len(summary.children) < 2:
        return [Path(SUMMARY)]
    parts: list[Path] = []
    for name in summary.children:
        one = summary.copy()
        for other in set(summary.children) - {name}:
            del one[other]
        parts.append(Path(f"summary-{slug(name)}.nc"))
        write_tree(one, target / parts[-1])
    return parts


def _list_tracked(root: Path, folder: Path) -> list[Path]:
    """List the files of a folder that git has, by their names in it."""
    said = _git(root, "ls-files", "-z", "--", str(folder))
    paths = (root / name for name in said.split("\0") if name)
    return [path.relative_to(folder) for path in paths]


def _git(root: Path, *words: str) -> str:
    done = subprocess.run(
        ["git", *words], cwd=root, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise StudyError(f"git {words[0]}: {done.stderr.strip()}")
    return done.stdout


def _read(path: Path) -> dict[str, Any]:
    return yaml.safe_load(path.read_text("utf-8")) if path.exists() else {}


def main(arguments: Sequence[str] | None = None, root: Path | None = None) -> int:
    """Keep the studies that are named; return the exit code."""
    root = root or Path(__file__).parents[1]
    parser = argparse.ArgumentParser(
        prog="python -m analysis.keep", description=(__doc__ or "").split("\n\n")[0]
    )
    parser.add_argument("name", nargs="*", help="default: every one that was run")
    parser.add_argument(
        "--results",
        type=Path,
        default=root / RECORD.parent,
        help="where `reproduce` wrote to, its results_dir",
    )
    options = parser.parse_args(arguments)
    listed = _read(root / LIST)
    ran = _read(options.results / RECORD.name)
    names = options.name or [name for name in listed if name in ran]
    try:
        for name in names:
            if name not in listed:
                raise StudyError(f"{name}: no kept study; {LIST} lists them.")
            paths = keep(name, options.results, root)
            size = sum(path.stat().st_size for path in paths)
            print(f"{name}: {len(paths)} files, {size / 1e6:.1f} MB")
    except StudyError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print("`python -m analysis.write` fills the documents; then commit.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
