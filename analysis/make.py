"""Rebuild everything that is made from `replications.nc`: `python -m analysis.make`.

Nothing is estimated, so it takes seconds, and it works on a study still running. A file
that exists is whole, and one that an earlier call made and this one does not is gone.
"""

import argparse
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import get_args

import xarray as xr

from analysis.brought import store_replications
from analysis.configuration import read_symbols
from analysis.exchange import (
    table_to_csv,
    tidy_replications,
)
from analysis.figures.catalogue import Picture, list_process, list_study
from analysis.figures.written import write_pictures
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
    summarise,
)
from analysis.measures.used import ExclusionRule, used_replications
from analysis.report.page import render_report
from analysis.report.pictures import Drawn
from analysis.stored import (
    SUMMARY,
    StudyError,
    load_summary,
    open_replications,
    write_tree,
)
from analysis.tables.catalogue import Table, list_tables
from analysis.tables.compose import list_composed
from analysis.tables.printed import Printed
from analysis.tables.written import find_layouts, write_printed, write_table

REPORT = "report.html"
TIDY = "replications_tidy.csv"


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
        # Figures need all but the fitted distributions, most of the file by far.
        replications = {
            name: node.to_dataset().drop_vars(FITTED, errors="ignore").load()
            for name, node in stored.children.items()
        }
    paths = [write_file(study_dir / SUMMARY, lambda path: write_tree(summary, path))]
    named = name_groups(summary)
    composed, written = _write_composed(study_dir, summary, tables)
    paths += written
    shown: dict[str, list[Table]] = {}
    listed: dict[str, Iterable[Picture]] = {}
    for name in started(summary):
        shown[name], written = _write_tables(study_dir, summary, named, name)
        paths += written
        if tidy_csv:
            path = study_dir / "tables" / slug(name) / TIDY
            tidy = tidy_replications(replications[name])
            paths.append(write_text(path, table_to_csv(tidy)))
        used = used_replications(replications[name], exclusion_rule=rule)
        used = name_entries(used, read_symbols(summary, name))
        listed[name] = list_process(named[name].to_dataset(), used)
    listed[""] = list_study(named)
    drawn, written = _draw(study_dir, listed)
    paths += written
    report = render_report(summary, drawn, shown, composed)
    paths.append(write_text(study_dir / REPORT, report))
    remove_outdated(study_dir, paths)
    return paths


def _write_composed(
    study_dir: Path, summary: xr.DataTree, tables: Sequence[Path | str]
) -> tuple[dict[str, list[Printed]], list[Path]]:
    """Write the tables that table files lay out; return them by process."""
    try:
        layouts = find_layouts(summary, tables)
        laid_out = list(list_composed(summary, layouts, started(summary)))
    except ValueError as error:
        raise StudyError(str(error)) from error
    composed: dict[str, list[Printed]] = {}
    paths: list[Path] = []
    for name, stem, printed, numbers in laid_out:
        folder = study_dir / "tables" / slug(name)
        paths += write_printed(printed, numbers, folder / stem, process=name)
        composed.setdefault(name, []).append(printed)
    return composed, paths


def _write_tables(
    study_dir: Path, summary: xr.DataTree, named: xr.DataTree, name: str
) -> tuple[list[Table], list[Path]]:
    """Write the tables of a process: CSV by stored names, the rest by readable ones."""
    folder = study_dir / "tables" / slug(name)
    label = str(summary[name].attrs.get("label", name))
    shown = list(list_tables(named, name))
    paths: list[Path] = []
    for stored, table in zip(list_tables(summary, name), shown, strict=True):
        csv = table_to_csv(stored.numbers.assign(process=name))
        paths.append(write_text(folder / f"{stored.name}.csv", csv))
        paths += write_table(table, folder, name, label)
    return shown, paths


def _draw(
    study_dir: Path, listed: Mapping[str, Iterable[Picture]]
) -> tuple[dict[str, list[Drawn]], list[Path]]:
    """Write every figure; return what the report shows of them, by process."""
    pictures = [
        (name, picture, study_dir / "figures" / slug(name))
        for name, group in listed.items()
        for picture in group
    ]
    drawn: dict[str, list[Drawn]] = {}
    paths: list[Path] = []
    written = write_pictures([(picture, folder) for _, picture, folder in pictures])
    for (name, picture, _), (pdf, png) in zip(pictures, written, strict=True):
        paths += [pdf, png]
        drawn.setdefault(name, []).append(Drawn(picture.caption, png, picture.detail))
    return drawn, paths


def started(summary: xr.DataTree) -> list[str]:
    """List the processes of which a replication was attempted."""
    children = summary.children.items()
    return [x for x, node in children if node.to_dataset()["attempted"].sum() > 0]


def _make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
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
    _add_options_of_files(parser)
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
    return parser


def _add_options_of_files(parser: argparse.ArgumentParser) -> None:
    """Add what describes a file of replications."""
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


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit code, 2 if the study cannot be read."""
    options = _make_parser().parse_args(arguments)
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


if __name__ == "__main__":
    sys.exit(main())
