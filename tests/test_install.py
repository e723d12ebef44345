"""Each way to install that the README shows, and what works afterwards."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LIBRARIES = sysconfig.get_path("purelib")

pytestmark = pytest.mark.slow


def run(*command, folder, **environment):
    done = subprocess.run(
        [str(word) for word in command],
        cwd=folder,
        env=os.environ | environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def clone(tmp_path):
    """The files under git as they are now, in a folder of their own."""
    names = run("git", "ls-files", "--", ":!results", folder=ROOT).splitlines()
    for name in names:
        target = tmp_path / "clone" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, target)
    return tmp_path / "clone"


def test_plain_pip_installs_as_the_readme_says(clone, tmp_path):
    text = (ROOT / "README.md").read_text()
    (block,) = re.findall(r"```bash\n(python3 -m venv.*?)```", text, flags=re.DOTALL)
    script = block.replace("python3", sys.executable, 1)
    run("bash", "-ec", script, folder=clone)
    python = clone / ".venv" / "bin" / "python"
    said = run(python, "-m", "experiments.run", "--help", folder=clone)
    assert "sweep" in said


@pytest.fixture
def installed(clone, tmp_path):
    """A Python with the wheel in it, and the libraries of this one."""
    dist, home = tmp_path / "dist", tmp_path / "home"
    run("uv", "build", "--wheel", "--out-dir", dist, ".", folder=clone)
    (wheel,) = dist.glob("*.whl")
    run("uv", "venv", "--python", sys.executable, home, folder=tmp_path)
    python = home / "bin" / "python"
    run("uv", "pip", "install", "--no-deps", "--python", python, wheel, folder=tmp_path)
    (place,) = home.glob("lib/python*/site-packages")
    (place / "libraries.pth").write_text(LIBRARIES)  # its own .pth files are not read
    return python


def test_a_wheel_runs_studies_away_from_the_clone(installed, tmp_path):
    away = tmp_path / "away"
    away.mkdir()
    where = "import experiments; print(experiments.__file__)"
    assert str(tmp_path / "home") in run(installed, "-c", where, folder=away)
    study = ["sweep", "experiment=quick", "n_replications=2", "sample_size=[50]"]
    said = run(installed, "-m", "experiments.run", *study, folder=away)
    assert "Done in" in said
    assert (away / "results" / "quick" / "report.html").exists()
    # A folder of one's own comes first.
    brought = tmp_path / "home" / "share" / "spmlex" / "conf"
    shutil.copytree(brought, away / "conf")
    mine = "# @package _global_\n# Is this mine?\nstudy: mine\n"
    (away / "conf" / "experiment" / "mine.yaml").write_text(mine)
    said = run(installed, "-m", "experiments.run", "--help", folder=away)
    assert "Is this mine?" in said
