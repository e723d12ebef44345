"""The environment is set before JAX is there to read it; caches fit the processor."""

import subprocess
import sys
from pathlib import Path

import pytest

from experiments import environment


def test_the_command_line_is_imported_without_jax():
    code = "import sys, experiments.run; sys.exit('jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.fixture
def variables(monkeypatch, tmp_path):
    """The environment, to be changed freely."""
    variables = {"XDG_CACHE_HOME": str(tmp_path)}
    monkeypatch.setattr(environment.os, "environ", variables)
    return variables


def test_what_the_user_set_stays(variables):
    mine = {"JAX_COMPILATION_CACHE_DIR": "mine", "TF_CPP_MIN_LOG_LEVEL": "0"}
    variables |= mine
    environment.prepare()
    assert mine.items() <= variables.items()
    assert "XLA_FLAGS" in variables
    assert variables["OPENBLAS_NUM_THREADS"] == "1"


def test_a_cache_inherited_from_another_processor_is_not_used(variables, monkeypatch):
    for name in ("there", "here"):
        monkeypatch.setattr(environment, "_processor_key", lambda name=name: name)
        environment.prepare()
        folder = Path(variables["JAX_COMPILATION_CACHE_DIR"])
        assert folder == Path(variables["XDG_CACHE_HOME"], "spmlex", f"xla-{name}")
