"""The page that says where things go is right: done once, in a copy of the project."""

import filecmp
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import xarray as xr

from experiments.api_page import REPORTED, render_reported
from experiments.estimators import QUANTITIES

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "experiments" / "README.md").read_text()
COPIED = ("spmlex", "experiments", "analysis", "conf")

MEASURE = '''
def share_above(estimate, truth, *, dim=REPLICATION):
    """Return `share_above`: a half where the estimate is median-unbiased."""
    above = (estimate > truth).where(estimate.notnull())
    return mean_of(above, name="share_above", dim=dim)


OF_ESTIMATES = (share_above, '''

ESTIMATOR = '''"""The starting values by themselves."""

import dataclasses

from jax.flatten_util import ravel_pytree

from experiments.estimators import Outcome


@dataclasses.dataclass(frozen=True)
class Start:
    """The starting values, a tenth to both sides."""

    label: str = ""
    kinds = ("tenth",)
    default_kind = "tenth"
    grid_use = "nothing"

    def estimate(self, model, data, supp):
        """Estimate once."""
        theta, _ = ravel_pytree(model.starting_values(data))
        return Outcome(theta, theta - 0.1, theta + 0.1, num_guesses=3)
'''

KIND = """
def _a_tenth(evidence: Evidence, *_) -> Intervals:
    theta = evidence.theta
    return Intervals(theta, 0.0 * theta, theta - 0.1, theta + 0.1)


_GENERATES = """

ROW = """
        "tenth": IntervalKind("a tenth", "a tenth off", "maximum", _a_tenth),
        "efficient": IntervalKind("""

CONF = """# @package estimator.start
_target_: experiments.estimators.start.Start
label: Start
"""


def list_files(row):
    """Return the files that a row of the page names, for a part called start."""
    (line,) = re.findall(rf"^\| {row} \| (.*) \|$", PAGE, flags=re.MULTILINE)
    names = re.findall(r"`([\w./]+\.(?:py|yaml|md|j2))`", line.replace("NAME", "start"))
    return {name for name in names if "/" in name}


def change(path, old, new):
    text = path.read_text()
    assert text.count(old) == 1, path
    path.write_text(text.replace(old, new))


@pytest.fixture
def copy(tmp_path):
    """A copy of the project, and what differs from it."""
    for name in COPIED:
        shutil.copytree(
            ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__")
        )

    def list_changes():
        return {
            str(path.relative_to(tmp_path))
            for name in COPIED
            for path in (tmp_path / name).rglob("*.*")
            if path.suffix in (".py", ".yaml", ".md", ".j2")
            and not (
                (original := ROOT / path.relative_to(tmp_path)).exists()
                and filecmp.cmp(path, original, shallow=False)
            )
        }

    return tmp_path, list_changes


def add_measure(root):
    change(root / "analysis/measures/estimates.py", "\nOF_ESTIMATES = (", MEASURE)
    words = '    "share_above": Measure("share above the truth", "Above"),\n'
    start = "\nMEASURES = {\n"
    change(root / "analysis/labels.py", start, f"{start}{words}")


def add_estimator(root):
    (root / "experiments/estimators/start.py").write_text(ESTIMATOR)
    (root / "conf/estimator/start.yaml").write_text(CONF)


def add_number(root):
    change(
        root / "experiments/estimators/outcome.py",
        "    probs: Any = _reported(",
        '    num_guesses: Any = _reported("guesses", dtype="i4", default=None)\n'
        "    probs: Any = _reported(",
    )
    change(
        root / "analysis/labels.py",
        "\nREPORTED = {\n",
        '\nREPORTED = {\n    "num_guesses": Measure("number of guesses", "Guesses"),\n',
    )


def add_interval_kind(root):
    module = root / "spmlex/_inference/intervals.py"
    change(module, "\n_GENERATES = ", KIND)
    change(module, '\n        "efficient": IntervalKind(', ROW)
    names = "\nINTERVAL_NAMES = {\n"
    label = '    "tenth": "a tenth to both sides",\n'
    change(root / "analysis/labels.py", names, names + label)
    row = "| `jackknife` | maximum |"
    page = root / "analysis/documents/spmlex.md.j2"
    change(page, row, f"| `tenth` | maximum | | |\n{row}")


@pytest.mark.thorough
def test_a_measure_an_estimator_and_a_number_are_added_where_the_page_says(copy):
    root, list_changes = copy
    add_measure(root)
    changed = list_changes()
    assert len(changed) == 2
    assert changed < list_files("a measure")
    add_estimator(root)
    added = list_changes() - changed
    assert added == list_files("an estimator")
    assert len(added) == 2
    add_number(root)
    more = list_changes() - changed - added
    assert more | {"analysis/labels.py"} == list_files(
        "a number that an estimator reports"
    )
    assert len(more) == 1
    files = list_files("a kind of interval")
    assert not (files - {"analysis/labels.py"}) & list_changes()
    add_interval_kind(root)
    assert files <= list_changes()
    assert list_changes() - changed - added - more == files - {"analysis/labels.py"}
    assert len(files) == 3
    done = subprocess.run(
        [sys.executable, "-m", "experiments.run", "sweep", "study=added"]
        + ["estimator=[start,profile]", "+estimator.profile.intervals=[tenth]"]
        + ["sample_size=[50]", "n_supp=[10]", "n_replications=4"]
        + ["compute.n_workers=1", "results_dir=results"],
        cwd=root,
        env=os.environ | {"PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    folder, process = root / "results" / "added", "linear_factor_discrete"
    with xr.open_datatree(folder / "summary.nc") as tree:
        summary = tree[process].to_dataset().load()
    assert summary["share_above"].attrs["long_name"] == "share above the truth"
    assert summary["share_above_mcse"].notnull().any()
    assert (summary["num_guesses"].sel(estimator="start") == 3).all()
    assert (summary["coverage"].sel(estimator="profile", kind="tenth") > 0).any()
    with xr.open_datatree(folder / "replications.nc") as tree:
        assert tree[process]["num_guesses"].attrs["long_name"] == "guesses"
    assert "Guesses" in (folder / "tables" / process / "mixing.md").read_text()


SOLVER = '''"""Every support point alike: no solver, but one by its form."""

import equinox as eqx
import jax.numpy as jnp


class Start(eqx.Module):
    """Returns equal masses."""

    def __call__(self, scaled, weights, probs0):
        """Return them after no step."""
        n_supp = scaled.shape[0]
        return jnp.full(n_supp, 1.0 / n_supp), jnp.array(0), jnp.array(False)
'''

FIGURE = """
    def draw():
        return plt.figure()

    yield Picture("added", "A figure that was added.", draw)
"""

USED = """
import numpy as np, spmlex, xarray as xr
from analysis.figures import catalogue

lclk = np.log([[0.2, 0.4], [0.3, 0.1]])
found = spmlex.solve_probs(lclk, solver="start", throw=False)
print(found.probs.tolist(), list(spmlex.SOLVERS))
print([x.name for x in catalogue.power.list_pictures(xr.Dataset())])
"""


@pytest.mark.thorough
def test_an_inner_solver_and_a_figure_are_added_where_the_page_says(copy):
    root, list_changes = copy
    (root / "spmlex/_inner/start.py").write_text(SOLVER)
    table = root / "spmlex/_inner/solve.py"
    change(table, '    "em": EM,\n', '    "em": EM,\n    "start": Start,\n')
    change(table, "| MixSQP | EM\n", "| MixSQP | EM | Start\n")
    em = "from spmlex._inner.em import EM\n"
    change(table, em, f"{em}from spmlex._inner.start import Start\n")
    changed = list_changes()
    assert changed == list_files("an inner solver")
    assert len(changed) == 2
    module = root / "analysis/figures/power.py"
    head = "def list_pictures(process: xr.Dataset) -> Iterator[Picture]:\n"
    text = module.read_text()
    before, after = text.split(head)
    docstring, body = after.split('"""\n', 1)
    module.write_text(f'{before}{head}{docstring}"""\n{FIGURE}{body}')
    (added,) = list_changes() - changed
    assert added.startswith("analysis/figures/")
    done = subprocess.run(
        [sys.executable, "-c", USED],
        cwd=root,
        env=os.environ | {"PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    solved, listed = done.stdout.splitlines()
    assert solved.startswith("[0.5, 0.5]")
    assert "'start'" in solved
    assert listed == "['added']"


def test_the_page_names_what_is_there():
    for name in re.findall(r"`((?:experiments|analysis|tests|conf)/[\w./]+)`", PAGE):
        if "NAME" not in name and f"\n`{name}`:\n" not in PAGE:
            assert (ROOT / name).exists(), name
    wings = re.findall(r"^\| `(\w+)` \| .* \| ", PAGE.split("## Where")[0], re.M)
    folders = {path.parent.name for path in ROOT.glob("experiments/*/__init__.py")}
    assert set(wings) == folders


def test_the_page_of_what_an_estimator_reports_is_current():
    text = REPORTED.read_text()
    assert text == render_reported(), "run python -m experiments.api_page"
    for name in QUANTITIES:
        assert f"\n| `{name}` | " in text
