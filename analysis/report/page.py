"""The report of a study: one self-contained HTML file, for a screen, a phone or paper.

Everything in it comes from the summary and from the figures drawn of it. The words and
the looks are in the template `page.html.j2`.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jinja2
import numpy as np
import pandas as pd
import xarray as xr

from analysis import labels
from analysis.configuration import read_config
from analysis.digits import format_value
from analysis.kinds import at_default_kind
from analysis.measures.intervals import replications_needed
from analysis.report import ademp
from analysis.report.answers import answer
from analysis.report.explore import explore
from analysis.report.pictures import Drawn, embed, say_seen
from analysis.symbols import in_unicode
from analysis.tables.catalogue import Table
from analysis.tables.html import to_html
from analysis.tables.performance import PAPER
from analysis.tables.printed import Printed
from analysis.tables.rounding import format_panels

TEMPLATE = "page.html.j2"
PRECISION = 0.005  # of a coverage: half a percentage point
PROVENANCE = {
    "spmlex_version": "spmlex",
    "git_commit": "commit",
    "git_commits_of_blocks": "commits of the results",
    "seed": "seed",
    "streams": "random numbers",
    "machine": "machine",
    "created": "merged at",
}


def render_report(
    summary: xr.DataTree,
    pictures: Mapping[str, Sequence[Drawn]],
    tables: Mapping[str, Sequence[Table]],
    composed: Mapping[str, Sequence[Printed]] | None = None,
) -> str:
    """Write the report of a study as HTML.

    Args:
        summary: What `summarise` returns.
        pictures: Figures by process; under the empty name those of the whole study.
            They are embedded.
        tables: Tables by process, see `tables.catalogue.list_tables`.
        composed: Tables of table files, likewise; these are open.
    """
    composed = composed or {}
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    named = labels.name_groups(summary)
    processes = [
        _describe_process(node, name, pictures.get(name, ()), tables.get(name, ()))
        | {"composed": [to_html(x) for x in composed.get(name, ())]}
        for name, node in named.children.items()
    ]
    return environment.get_template(TEMPLATE).render(
        study=str(summary.attrs.get("study", "study")),
        title=str(summary.attrs.get("title") or summary.attrs.get("study", "Study")),
        complete=bool(summary.attrs.get("complete", 1)),
        design=_describe_design(named),
        ademp=ademp.describe_study(named),
        estimators=_describe_estimators(summary),
        answer=answer(named),
        explorer=explore(named),
        processes=processes,
        pictures=[embed(x, x.caption) for x in pictures.get("", ())],
        composed=[to_html(x) for x in composed.get("", ())],
        chosen=ademp.describe_replications(read_config(summary)),
        precision=_describe_precision(named),
        needed=replications_needed(PRECISION, proportion=0.95),
        target=PRECISION,
        provenance=_describe_provenance(summary),
        packages=_read_json(summary, "packages"),
        flags=_read_json(summary, "jax_flags"),
        config=str(summary.attrs.get("config", "")),
    )


def _describe_design(summary: xr.DataTree) -> list[tuple[str, str]]:
    config = read_config(summary)
    nodes = {name: node.to_dataset() for name, node in summary.children.items()}
    rows = [
        ("Processes", "; ".join(str(x.attrs.get("label", n)) for n, x in nodes.items()))
    ]
    for dim, group in (
        ("estimator", "estimator"),
        ("grid", "grid"),
        ("n_supp", ""),
        ("sample_size", ""),
    ):
        values = dict.fromkeys(
            str(x) for node in nodes.values() if dim in node for x in node[dim].values
        )
        if values:
            words = [ademp.label_option(config, group, x) for x in values]
            rows.append((labels.label_dim(dim), ", ".join(words)))
    attempted = np.concatenate([x["attempted"].values.ravel() for x in nodes.values()])
    low, high = attempted.min(), attempted.max()
    span = f"{low}" if low == high else f"{low} to {high}"
    rows.append(("Replications", f"{span} at each of {attempted.size} design points"))
    return rows


def _describe_estimators(summary: xr.DataTree) -> list[tuple[str, str, str]]:
    config = read_config(summary)
    names = dict.fromkeys(
        str(x)
        for node in summary.children.values()
        if "estimator" in node.coords
        for x in node.coords["estimator"].values
    )
    rows = []
    for name in names:
        option = dict((config.get("estimator") or {}).get(name) or {})
        settings = [f"{x} = {y}" for x, y in option.items() if x[:1] != "_"]
        settings = [x for x in settings if not x.startswith("label = ")]
        label = ademp.label_option(config, "estimator", name)
        rows.append((name, label, ", ".join(settings)))
    return rows


def _describe_process(
    node: xr.DataTree, name: str, pictures: Sequence[Drawn], tables: Sequence[Table]
) -> dict[str, Any]:
    process = node.to_dataset()
    failures, sentences = _describe_failures(process)
    return {
        "name": name,
        "label": str(process.attrs.get("label", name)),
        "tables": [
            (table.words, _group_panels(format_panels(table.shown())), table.notes)
            for table in tables
        ],
        "failures": group_rows(failures),
        "sentences": sentences,
        "pictures": [embed(x, say_seen(process, x)) for x in pictures if not x.detail],
        "details": [embed(x, x.caption) for x in pictures if x.detail],
    }


class Rows(NamedTuple):
    """A table for the page: its columns, and its rows below headings."""

    columns: list[str]
    groups: list[tuple[str, list[list[str]]]]

    def __len__(self) -> int:
        """Count the rows."""
        return sum(len(rows) for _, rows in self.groups)


def group_rows(text: pd.DataFrame) -> Rows:
    """Put rows below headings: a narrow screen then has room for the numbers.

    A heading takes the columns of words that come first, as long as most headings have
    several rows.
    """
    keys = [x for x in ("Estimator", "Grid", "Parameter") if x in text]
    while keys and len(text[keys].drop_duplicates()) > len(text) / 2:
        keys.pop()
    columns = [str(x) for x in text if x not in keys]
    groups: dict[str, list[list[str]]] = {}
    for row in text.astype(str).to_dict("records"):
        heading = ", ".join(row[x] for x in keys)
        groups.setdefault(heading, []).append([row[x] for x in columns])
    return Rows(columns, list(groups.items()))


def _group_panels(panels: Mapping[str, pd.DataFrame]) -> dict[str, Rows]:
    return {name: group_rows(text) for name, text in panels.items()}


def _describe_failures(process: xr.Dataset) -> tuple[pd.DataFrame, dict[str, str]]:
    """Count how the replications ended by estimator, grid and points, with sentences.

    Codes that never occurred are left out.
    """
    dims = [
        x for x in ("estimator", "grid", "n_supp") if x in process["attempted"].dims
    ]

    def total(values: xr.DataArray) -> xr.DataArray:
        return values.sum([x for x in values.dims if x not in (*dims, "code")])

    columns = {
        x.capitalize(): total(process[x])
        for x in ("attempted", "used", "failed", "flagged")
        if x in process
    }
    sentences = {}
    if "by_code" in process:
        # Older summaries have the flags beside the counts.
        attrs = {**process["by_code"].attrs, **process["code"].attrs}
        codes = [int(x) for x in process["code"].values]
        names = str(attrs.get("flag_meanings", "")).split() or [str(x) for x in codes]
        texts = str(attrs.get("flag_sentences", "")).split("\n")
        texts += [""] * (len(names) - len(texts))
        for code, word, text in zip(codes, names, texts, strict=False):
            counts = total(process["by_code"].sel(code=code, drop=True))
            if code > 0 and int(counts.sum()) > 0:
                columns[f"Failed: {word}"] = counts
                sentences[word] = text
    if not dims:
        return pd.DataFrame({x: [int(y)] for x, y in columns.items()}), sentences
    bare = {
        x: y.drop_vars([c for c in y.coords if c not in dims]).drop_attrs()
        for x, y in columns.items()
    }
    table = xr.Dataset(bare).to_dataframe(dim_order=dims).reset_index()
    return table.rename(columns={x: labels.label_dim(x) for x in dims}), sentences


def _describe_precision(summary: xr.DataTree) -> list[dict[str, str]]:
    """Find the largest Monte Carlo error of each measure, and where it is."""
    rows = []
    for measure in (*PAPER, "wasserstein"):
        found = []
        for name, node in summary.children.items():
            process = node.to_dataset()
            process = at_default_kind(process)
            if measure not in process:
                continue
            error = process[f"{measure}_mcse"]
            if error.notnull().any():
                where = error.argmax(...)
                assert isinstance(where, dict)
                found.append((float(error.max()), name, process.isel(where)))
        if not found:
            continue
        largest, name, cell = max(found, key=lambda x: x[0])
        dims = (*labels.SYMBOLS, "estimator", "grid", "parameter")
        parts = [
            f"{labels.label_dim(x).lower()} {in_unicode(str(cell[x].item()))}"
            for x in dims
            if x in cell[measure].coords
        ]
        rows.append(
            {
                "measure": labels.label_measure(measure),
                "error": f"{largest:.2g}",
                "value": format_value(cell[measure].item(), largest),
                "where": ", ".join([cell.attrs.get("label", name), *parts]),
                "used": str(int(cell["used"])),
            }
        )
    return rows


def _describe_provenance(summary: xr.DataTree) -> list[tuple[str, str]]:
    attrs = summary.attrs
    rows = [(word, str(attrs[x])) for x, word in PROVENANCE.items() if x in attrs]
    if attrs.get("git_dirty"):
        rows.append(("changes", "files differed from the commit"))
    return rows


def _read_json(summary: xr.DataTree, name: str) -> dict[str, Any]:
    found = json.loads(summary.attrs.get(name, "{}"))
    if not isinstance(found, dict):
        raise ValueError(f"the attribute {name} of the study is no JSON object.")
    return found
