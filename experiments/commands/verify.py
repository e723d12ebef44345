"""The action `verify`: run one small cell of every kept study, and compare.

What is kept of a study is its summary. The cell that took the least time is run again,
all its replications, and a cell of every estimator that is in none of these. Bias, RMSE
and coverage are compared: to rounding where the processor has the same vector
instructions, within Monte Carlo error elsewhere. So are the hashes of its first data
sets, bit by bit, where the instructions are the same. A study of another version of the
numbers is stale, and is not compared.
"""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.table import Table

from analysis.dimensions import DESIGN_POINT
from experiments import provenance
from experiments.commands.kept import list_reproduced
from experiments.commands.report import merge_done
from experiments.commands.shared import make_console, split_arguments
from experiments.config import compose as cfg
from experiments.errors import InputError
from experiments.store.fingerprint import NUMBERS

if TYPE_CHECKING:
    from analysis.kept_study import KeptStudy

MEASURES = ("bias", "rmse", "coverage")
ROUNDING = 1e-9
ERRORS = 4.0
"""Monte Carlo errors by which a number may differ on another processor."""


def main(arguments: list[str]) -> int:
    """Compare kept studies with what this code gives; return 1 if one differs."""
    words, settings = split_arguments(arguments, {"results_dir"})
    results = Path(settings.get("results_dir", "results"))
    listed = list_reproduced()
    kept = [name for name in listed if any((results / name).glob("summary*.nc"))]
    for name in words:
        if name not in kept:
            raise InputError(
                f"{name}: no kept study in {results}.{cfg.suggest(name, kept)} "
                f"They are: {', '.join(kept) or 'none'}."
            )
    table = Table(box=None)
    for heading in ("study", "cell", "replications", "verdict"):
        table.add_column(heading)
    studies = {name: _read(results / name) for name in words or kept}
    differing = 0
    for name, process, cell in choose_cells(studies, every_estimator=not words):
        row, differs = _verify(name, listed[name], studies[name], process, cell)
        table.add_row(name, *row)
        differing += differs
    for name, study in studies.items():
        if study.version != NUMBERS:
            stale = f"stale: version {study.version} of {NUMBERS}"
            table.add_row(name, "-", "-", stale)
    console = make_console()
    console.print(table)
    if differing:
        console.print(
            f"{differing} kept cells are not what this code gives: if that is meant, "
            "raise NUMBERS in store/fingerprint.py and run `reproduce`."
        )
    return int(differing > 0)


def _read(folder: Path) -> "KeptStudy":
    from analysis.kept_study import KeptStudy

    return KeptStudy.read(folder)


def choose_cells(
    studies: dict[str, "KeptStudy"], *, every_estimator: bool
) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield study, process and cell: of each study that is not stale the cheapest.

    Args:
        studies: Kept studies by name.
        every_estimator: Whether estimators that are in none of these follow, each in
            its cheapest cell of all studies.
    """
    current = {name: x for name, x in studies.items() if x.version == NUMBERS}
    seen = set()
    for name, study in current.items():
        _, process, cell = min(list_cells(study), key=lambda entry: entry[0])
        seen.add(cell.get("estimator"))
        yield name, process, cell
    if not every_estimator:
        return
    every = [
        (seconds, name, process, cell)
        for name, study in current.items()
        for seconds, process, cell in list_cells(study)
    ]
    for _, name, process, cell in sorted(every, key=lambda entry: entry[0]):
        if cell.get("estimator") not in seen:
            seen.add(cell.get("estimator"))
            yield name, process, cell


def list_cells(kept: "KeptStudy") -> Iterator[tuple[float, str, dict[str, Any]]]:
    """Yield the time, process and place of every cell that has been run."""
    for process, node in kept.processes.items():
        seconds = (node["seconds"] * node["attempted"]).where(node["used"] > 0)
        flat = seconds.stack(cell=seconds.dims).dropna("cell")
        for each in flat:
            cell = {x: each[x].item() for x in DESIGN_POINT if x in seconds.dims}
            yield float(each), process, cell


def _verify(
    name: str,
    settings: list[str],
    kept: "KeptStudy",
    process: str,
    cell: dict[str, Any],
) -> tuple[tuple[str, str, str], bool]:
    """Return cell, replications and verdict of a study, and whether it differs."""
    from analysis.kept_study import KeptStudy
    from analysis.measures.summarise import summarise
    from analysis.stored import open_replications

    attempted = int(kept.range("attempted", process=process, **cell).values.max())
    chosen = {"dgp": process, **cell}
    lists = [f"{setting}=[{value}]" for setting, value in chosen.items()]
    with tempfile.TemporaryDirectory() as folder:
        # A shard of all blocks is not merged, and draws nothing.
        code = _sweep(
            [f"experiment={name}", *settings, *lists, f"n_replications={attempted}"]
            + [f"results_dir={folder}", "study=again", "shard=1/1"]
        )
        if code:
            return (_name(chosen), str(attempted), f"sweep ends with {code}"), True
        merged, _ = merge_done(Path(folder), "again")
        with open_replications(merged.path.parent) as replications:
            again = KeptStudy.of("again", summarise(replications))
    same = kept.attrs.get("instructions") == provenance.describe_instructions()
    apart = [
        f"{measure} {old:.12g} kept, {new:.12g} now"
        for measure, old, new, error in compare(kept, again, process, cell)
        if not abs(old - new) <= (ROUNDING if same else max(ERRORS * error, ROUNDING))
    ]
    if same:
        apart += compare_draws(kept, again, process, cell["sample_size"])
    how = "the same" if same else f"within {ERRORS:g} Monte Carlo errors"
    return (_name(chosen), str(attempted), "; ".join(apart) or how), bool(apart)


def compare(
    kept: "KeptStudy", again: "KeptStudy", process: str, cell: dict[str, Any]
) -> Iterator[tuple[str, float, float, float]]:
    """Yield measure, number kept, number now, and its Monte Carlo error."""
    for measure in MEASURES:
        if measure not in kept.processes[process]:
            continue
        old = kept.range(measure, process=process, **cell)
        new = again.range(measure, process=process, **cell)
        if len(old) != len(new):
            yield f"number of {measure}", float(len(old)), float(len(new)), 0.0
            continue
        # A number without an error may differ by rounding only.
        rows = zip(old.values, new.values, np.nan_to_num(old.mcses), strict=True)
        for one, other, error in rows:
            yield measure, float(one), float(other), float(error)


def compare_draws(
    kept: "KeptStudy", again: "KeptStudy", process: str, sample_size: int
) -> list[str]:
    """List the replications whose data are not those of the kept study.

    A summary of an older version keeps no hashes: nothing is then compared.
    """
    old, new = kept.processes[process], again.processes[process]
    if "data_hash" not in old:
        return []
    pair = [x["data_hash"].sel(sample_size=sample_size).values for x in (old, new)]
    return [
        f"data of replication {i}: hash {one} kept, {other} now"
        for i, (one, other) in enumerate(zip(*pair, strict=True))
        if one != other
    ]


def _sweep(settings: list[str]) -> int:
    command = [sys.executable, "-m", "experiments.run", "sweep", *settings]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        print(done.stdout + done.stderr, file=sys.stderr)
    return done.returncode


def _name(chosen: dict[str, Any]) -> str:
    return ", ".join(str(value) for value in chosen.values())
