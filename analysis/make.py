"""Rebuild everything that is made from `replications.nc`: `python -m analysis.make`.

Nothing is estimated, so it takes seconds, and it works on a study still running. A file
that exists is whole, and one that an earlier call made and this one does not is gone.
"""

import argparse
import multiprocessing
import os
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, get_args

import xarray as xr
import yaml

from analysis.columns import parse_columns
from analysis.configuration import read_symbols
from analysis.exchange import (
    read_replications,
    table_to_csv,
    tidy_columns,
    tidy_replications,
)
from analysis.figures import drawing
from analysis.figures.catalogue import Picture, list_process, list_study
from analysis.files import (
    find_link_outside,
    remove_outdated,
    slug,
    write_file,
    write_text,
)
from analysis.labels import name_entries, name_groups
from analysis.measures.summarise import (
    FITTED,
    ExclusionRule,
    summarise,
    used_replications,
)
from analysis.nulls import list_hypotheses
from analysis.report.page import render_report
from analysis.report.pictures import Drawn
from analysis.stored import (
    REPLICATIONS,
    SUMMARY,
    StudyError,
    load_summary,
    open_replications,
    write_tree,
)
from analysis.tables.catalogue import list_tables
from analysis.tables.compose import list_composed
from analysis.tables.printed import Printed
from analysis.tables.written import find_layouts, write_printed, write_table

REPORT = "report.html"
TIDY = "replications_tidy.csv"
PICTURES_A_PROCESS = 8  # fewer are drawn sooner than a process starts


def make(
    study_dir: Path | str,
    *,
    exclusion_rule: ExclusionRule | None = None,
    tidy_csv: bool = False,
    tables: Sequence[Path | str] = (),
) -> list[Path]:
    """Write summary, tables, figures, report of a study from its replications alone.

    Args:
        study_dir: The folder that holds `replications.nc`.
        exclusion_rule: Which replications are used, see `summarise`; None for the
            study's own rule.
        tidy_csv: Write the replications as CSV too, see `exchange.tidy_replications`.
        tables: Table files, see `tables.layout`, beside those that the study chose.

    Returns:
        The files written: `summary.nc`, `tables/<process>/...`,
        `figures/<process>/...`, `figures/...` of all processes, `report.html`. A
        process without a replication yet has neither table nor figure. Files of an
        earlier call that are not among them are removed, see `files.remove_outdated`.

    Raises:
        StudyError: No such folder, no replications in it, or an unreadable file.
    """
    study_dir = Path(study_dir)
    with open_replications(study_dir) as stored:
        if (link := find_link_outside(study_dir)) is not None:
            raise StudyError(f"{link} leads out of the study's folder; remove it.")
        rule = exclusion_rule or stored.attrs.get("exclusion_rule", "per_estimator")
        summary = summarise(stored, exclusion_rule=rule)
        replications = {
            name: node.to_dataset().drop_vars(FITTED, errors="ignore").load()
            for name, node in stored.children.items()
        }
    paths = [write_file(study_dir / SUMMARY, lambda path: write_tree(summary, path))]
    named = name_groups(summary)
    listed, shown = {}, {}
    try:
        layouts = find_layouts(summary, tables)
        laid_out = list(list_composed(summary, layouts, started(summary)))
    except ValueError as error:
        raise StudyError(str(error)) from error
    composed: dict[str, list[Printed]] = {}
    for name, stem, printed, numbers in laid_out:
        folder = study_dir / "tables" / slug(name)
        paths += write_printed(printed, numbers, folder / stem, process=name)
        composed.setdefault(name, []).append(printed)
    for name in started(summary):
        folder = study_dir / "tables" / slug(name)
        label = str(summary[name].attrs.get("label", name))
        shown[name] = list(list_tables(named, name))
        pairs = zip(list_tables(summary, name), shown[name], strict=True)
        for stored, table in pairs:
            csv = table_to_csv(stored.numbers.assign(process=name))
            paths.append(write_text(folder / f"{stored.name}.csv", csv))
            paths += write_table(table, folder, name, label)
        process = replications[name]
        if tidy_csv:
            path = study_dir / "tables" / slug(name) / TIDY
            paths.append(write_text(path, table_to_csv(tidy_replications(process))))
        used = used_replications(process, exclusion_rule=rule)
        symbols = read_symbols(summary, name)
        used = name_entries(used, symbols)
        listed[name] = list_process(named[name].to_dataset(), used)
    listed[""] = list_study(named)
    pictures = [
        (name, picture, study_dir / "figures" / slug(name))
        for name, group in listed.items()
        for picture in group
    ]
    drawn: dict[str, list[Drawn]] = {}
    written = _write_figures([(picture, folder) for _, picture, folder in pictures])
    for (name, picture, _), (pdf, png) in zip(pictures, written, strict=True):
        paths += [pdf, png]
        drawn.setdefault(name, []).append(Drawn(picture.caption, png, picture.detail))
    report = render_report(summary, drawn, shown, composed)
    paths.append(write_text(study_dir / REPORT, report))
    remove_outdated(study_dir, paths)
    return paths


def store_replications(
    path: Path,
    columns: Sequence[str],
    study_dir: Path,
    *,
    tests: Sequence[str] = (),
    levels: Sequence[float] = (),
) -> Path:
    """Store somebody else's replications as those of a study.

    Args:
        path: A CSV or Stata file.
        columns: What its columns are, see `columns.parse_columns`; nothing: they have
            the names that `exchange.to_csv` gives them.
        study_dir: The folder of the study.
        tests: Hypotheses to be tested, `theta=0` or `theta=truth`.
        levels: Levels of coverage and tests beside that of the limits.

    Raises:
        StudyError: No such file, or no such columns.
    """
    parsed = _parse_tests(tests)
    asked = {"tests": parsed, "levels": list(levels)}
    try:
        list_hypotheses(parsed)
        named = parse_columns(columns) if columns else tidy_columns(path)
        if missing := [x for x in ("estimate", "truth") if x not in named]:
            raise ValueError(
                f"{' and '.join(missing)} missing; give --columns "
                + " ".join(f"{x}=COLUMN" for x in missing)
            )
        replications = _name_single(read_replications(path, **named), named)
        _check_tested(replications, parsed)
    except (OSError, ValueError, TypeError) as error:
        raise StudyError(f"{path}: {str(error).splitlines()[0]}") from error
    replications.attrs = {
        "study": path.stem,
        "title": f"Replications of {path.name}",
        "config": yaml.safe_dump(asked),
    }
    target = study_dir / REPLICATIONS
    return write_file(target, lambda file: write_tree(replications, file))


def _name_single(replications: xr.DataTree, columns: dict[str, Any]) -> xr.DataTree:
    """Call a parameter that nothing names as the column of its estimates."""
    column = columns["estimate"]
    if "parameter" in columns or not isinstance(column, str) or "*" in column:
        return replications
    groups = {
        f"/{x}": node.to_dataset().assign_coords(parameter=[column])
        for x, node in replications.children.items()
    }
    return xr.DataTree.from_dict(groups)


def _check_tested(replications: xr.DataTree, tests: dict[str, list[str]]) -> None:
    groups = [node.to_dataset() for node in replications.children.values()]
    names = [str(x) for group in groups for x in group["parameter"].to_numpy()]
    if unknown := [x for x in tests if x not in names]:
        there = ", ".join(dict.fromkeys(names))
        raise ValueError(f"--test {unknown[0]}: no such parameter; there are {there}.")


def _parse_tests(tests: Sequence[str]) -> dict[str, list[str]]:
    """Read hypotheses of a command line: nulls by parameter."""
    found: dict[str, list[str]] = {}
    for text in tests:
        parameter, equals, null = text.rpartition("=")
        if not equals or not parameter:
            raise StudyError(f"--test {text}: write PARAMETER=NULL, such as theta=0.")
        found.setdefault(parameter, []).append(null)
    return found


def started(summary: xr.DataTree) -> list[str]:
    """List the processes of which a replication was attempted."""
    children = summary.children.items()
    return [x for x, node in children if node.to_dataset()["attempted"].sum() > 0]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit code, 2 if the study cannot be read."""
    parser = argparse.ArgumentParser(
        prog="python -m analysis.make",
        description="Rebuild summary, tables, figures and report of a study, without "
        "estimating anything.",
    )
    parser.add_argument(
        "study",
        type=Path,
        help="its folder, results/<study>; or a CSV or Stata file of "
        "anybody's replications",
    )
    parser.add_argument(
        "--columns",
        nargs="+",
        default=[],
        metavar="NAME=COLUMN",
        help="what the columns of the file are, as estimate=theta truth=-0.5 "
        "replication=idrep standard_error=se estimator=method; see "
        "analysis.exchange.read_replications",
    )
    parser.add_argument(
        "--test",
        action="append",
        default=[],
        metavar="PARAMETER=NULL",
        help="of such a file: a hypothesis whose size or power to measure, theta=0 or "
        "theta=truth; may be given several times",
    )
    parser.add_argument(
        "--levels",
        type=float,
        nargs="+",
        default=[],
        help="of such a file: levels of coverage and tests beside that of its limits",
    )
    parser.add_argument(
        "--output",
        type=Path,
        help="folder of the report of such a file (default: beside it, of its name)",
    )
    parser.add_argument(
        "--exclusion-rule",
        choices=get_args(ExclusionRule),
        help="use every estimator's own successes, or only replications in which all "
        "estimators succeeded (default: as the study's configuration says)",
    )
    parser.add_argument(
        "--tidy-csv",
        action="store_true",
        help=f"write tables/<process>/{TIDY} for rsimsum, simsum and others",
    )
    parser.add_argument(
        "--table",
        type=Path,
        action="append",
        default=[],
        metavar="FILE.yaml",
        help="lay a table out as this file says, such as conf/table/by_size.yaml; may "
        "be given several times",
    )
    options = parser.parse_args(arguments)
    study = options.study
    try:
        if options.columns or options.study.is_file():
            study = options.output or study.with_suffix("")
            asked = {"tests": options.test, "levels": options.levels}
            store_replications(options.study, options.columns, study, **asked)
        elif options.test or options.levels:
            raise StudyError(
                "--test and --levels are for a file of replications; of a study they "
                "are tests and levels of its configuration."
            )
        paths = make(
            study,
            exclusion_rule=options.exclusion_rule,
            tidy_csv=options.tidy_csv,
            tables=options.table,
        )
        summary = load_summary(study)
    except StudyError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"error: cannot write to {study}: {error}", file=sys.stderr)
        return 2
    if not summary.attrs.get("complete", 1):
        print("The study is incomplete: these are the replications done so far.")
    for name in set(summary.children) - set(started(summary)):
        print(f"{name}: no replication yet, so no table and no figure.")
    for path in paths:
        print(path)
    return 0


def _write_figures(pictures: list[tuple[Picture, Path]]) -> list[tuple[Path, Path]]:
    """Write every picture as PDF and PNG, many at a time where there are many.

    Embedding fonts takes most of the time. A process starts in a second or two.
    """
    workers = min(os.cpu_count() or 1, len(pictures) // PICTURES_A_PROCESS)
    if workers < 2:
        return [_write_figure(x) for x in pictures]
    # Spawned, not forked: the caller may have threads, of JAX for one.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        return list(pool.map(_write_figure, pictures))


def _write_figure(job: tuple[Picture, Path]) -> tuple[Path, Path]:
    picture, folder = job
    with drawing.style():
        figure = picture.draw()
        pdf, png = (
            write_file(
                folder / f"{slug(picture.name)}.{ending}",
                lambda path: drawing.save_figure(figure, path),
            )
            for ending in ("pdf", "png")
        )
    return pdf, png


if __name__ == "__main__":
    sys.exit(main())
