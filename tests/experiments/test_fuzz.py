"""Every kind of file of a study, damaged at random: no number changes in silence.

Run as a program it prints how many damages of each kind were found, how many did no
harm, and how many gave other numbers in silence (none may), and keeps that in
`results/fuzz.json`.
"""

import collections
import copy
import shutil
import sys

import numpy as np
import pytest
import xarray as xr
import yaml
from study_helpers import call, sweep

from analysis.stored import StudyError, load_summary, open_replications
from experiments.commands.shared import open_study
from experiments.errors import InputError, StoreError
from experiments.store.claims import Claims
from experiments.study import Block

SIZE = ["sample_size=20", "n_supp=4", "n_replications=4", "block_size=2"]
DAMAGED = ("block", "replications.nc", "summary.nc", "study.yaml", "fields", "claim")
ODD = [None, True, -1, 0, 2**70, 1e400, float("nan"), "", "x", "${oc.env:HOME}"]
ODD += [[], {}, [[]], {"_target_": "os.getcwd"}, {"_target_": 1}, "\0", "../x"]


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return make_study(tmp_path_factory.mktemp("results"))


def make_study(results):
    """Run a study, tables and figures included; return its folder."""
    code, text = sweep(results, *SIZE)
    assert code == 0, text
    return results / "tiny"


def damage(whole, rng):
    """Change, drop, double or blank a few bytes; return another content."""
    at = int(rng.integers(len(whole)))
    size = int(rng.integers(1, 64))
    how = rng.integers(5)
    if how == 0:
        return whole[:at]
    if how == 1:
        return whole[:at] + whole[at + size :]
    if how == 2:
        return whole[:at] + whole[at : at + size] + whole[at:]
    if how == 3:
        return whole[:at] + bytes(size) + whole[at + size :]
    return whole[:at] + bytes([whole[at] ^ int(rng.integers(1, 256))]) + whole[at + 1 :]


def edit(config, rng):
    """Put something odd in place of one value of a configuration."""
    config = copy.deepcopy(config)
    node, keys = config, []
    while True:
        key = list(node)[rng.integers(len(node))]
        keys.append(str(key))
        if isinstance(node[key], dict) and node[key] and rng.integers(3):
            node = node[key]
            continue
        node[key] = ODD[rng.integers(len(ODD))]
        return config


def read_numbers(path, study):
    """Return the numbers of a file, as whoever reads it gets them."""
    if path.suffix == ".yaml":
        _, design, files = open_study(study.parent, "tiny")
        return [files.fingerprint.hash_cell(cell) for cell in design.cells()]
    if path.name == "replications.nc":
        with open_replications(study) as tree:
            return tree.load()
    if path.name == "summary.nc":
        return load_summary(study)
    _, design, files = open_study(study.parent, "tiny")
    arrays = files.read(path, design.cells()[0])[0]
    return {name: value.tobytes() for name, value in arrays.items()}


def are_same(one, other):
    return one.identical(other) if isinstance(one, xr.DataTree) else one == other


def fuzz(study, kind, count, seed=1):
    """Damage a file again and again; count what came of it."""
    rng = np.random.default_rng(seed)
    counts = collections.Counter()
    block = next(study.rglob("000000-*.nc"))
    names = {"block": block, "fields": study / "study.yaml"}
    path = names.get(kind, study / kind)
    if kind == "claim":
        return fuzz_claims(study, count, rng)
    whole = path.read_bytes()
    right = read_numbers(path, study)
    try:
        for _ in range(count):
            if kind == "fields":
                manifest = yaml.safe_load(whole)
                manifest["config"] = edit(manifest["config"], rng)
                path.write_text(yaml.safe_dump(manifest))
            else:
                path.write_bytes(damage(whole, rng))
            try:
                found = read_numbers(path, study)
            except (StoreError, StudyError, InputError):
                counts["found"] += 1
            except Exception as error:  # noqa: BLE001 - counted: a fault of ours
                counts[f"fault: {type(error).__name__}: {error}"] += 1
            else:
                # A changed design is another study, as its fingerprint says.
                harmless = path.suffix == ".yaml" or are_same(found, right)
                counts["harmless" if harmless else "in silence"] += 1
    finally:
        path.write_bytes(whole)
    return counts


def fuzz_claims(study, count, rng):
    """Put anything in place of a claim: nobody stops, and nobody waits for ever."""
    counts = collections.Counter()
    _, design, files = open_study(study.parent, "tiny")
    block = Block(design.cells()[0], 90, 91)
    path = files.path(block).with_suffix(".claim")
    with Claims(files) as claims:
        for _ in range(count):
            path.write_bytes(damage(claims._me.encode(), rng))
            claims._seen[path] = (path.stat().st_mtime_ns, -1e9)
            try:
                taken = claims.take(block)
            except Exception as error:  # noqa: BLE001 - counted: a fault of ours
                counts[f"fault: {type(error).__name__}"] += 1
            else:
                counts["harmless" if taken else "waits"] += 1
            claims.release(block)
            path.unlink(missing_ok=True)
    return counts


@pytest.mark.thorough
@pytest.mark.parametrize("kind", DAMAGED)
def test_no_damage_changes_a_number_in_silence(study, kind):
    counts = fuzz(study, kind, 100)
    print(kind, dict(counts))
    assert set(counts) <= {"found", "harmless"}, counts


@pytest.mark.thorough
def test_a_damaged_manifest_is_no_fault_of_the_program(study, tmp_path):
    rng = np.random.default_rng(3)
    shutil.copytree(study, tmp_path / "tiny")
    path = tmp_path / "tiny" / "study.yaml"
    manifest = yaml.safe_load(path.read_text())
    for _ in range(25):
        config = edit(manifest["config"], rng)
        path.write_text(yaml.safe_dump(manifest | {"config": config}))
        code, text = call("status", "tiny", f"results_dir={tmp_path}")
        assert code in (0, 1, 2)
        assert "fault in the program" not in text, text


if __name__ == "__main__":
    import os
    import tempfile
    from pathlib import Path

    from experiments.timings import describe_run, keep_run

    os.environ["SPMLEX_PACKAGES"] = "study_helpers"
    rows = []
    each = int(sys.argv[1]) if len(sys.argv) > 1 else 300
    with tempfile.TemporaryDirectory() as folder:
        made = make_study(Path(folder))
        for name in DAMAGED:
            rows.append({"file": name, "damaged": each, **fuzz(made, name, each)})
            print(rows[-1], flush=True)
    kept = Path(__file__).parents[2] / "results" / "fuzz.json"
    keep_run(describe_run({"fuzz": rows}), kept)
