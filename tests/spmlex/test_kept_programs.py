"""Compiled programs that are kept on disk: taken where nothing changed, else made."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

import spmlex
from spmlex._programs import kept_programs as _kept_programs
from spmlex._programs.interrupt import read_setting
from spmlex._programs.kept_programs import Program, keep_programs
from spmlex._words.codes import RESULTS

SCRIPT = """
import equinox as eqx, jax.numpy as jnp, numpy as np, spmlex

class Normal(eqx.Module):
    scale: jnp.ndarray

    def lclk(self, data, supp):
        rest = (data["y"][:, None] - supp) / jnp.exp(self.scale)
        return -0.5 * rest**2 - self.scale

spmlex.keep_programs(FOLDER)
rows = np.random.default_rng(0).normal(size=60).repeat(2) * 2
data = {"y": rows + np.random.default_rng(1).normal(size=120)}
made = spmlex.fit(Normal(jnp.array([0.1])), data, jnp.linspace(-6, 6, 13), throw=False)
print(made.theta, made.probs, made.num_steps, made.result)
"""


CLASS = """
class Own(eqx.Module):
    x: jax.Array

    def lclk(self, data, supp):
        return {}
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Return a folder in which programs are kept while a test runs."""
    monkeypatch.setattr(_kept_programs._Folder, "path", None)
    level = read_setting("jax_logging_level")
    yield keep_programs(tmp_path / "programs")
    jax.config.update("jax_logging_level", level)


def counted(function):
    """Return a function with the list that it is traced into."""
    traced = []

    def wrapped(*args, **kwargs):
        traced.append(1)
        return function(*args, **kwargs)

    wrapped.__qualname__ = wrapped.__name__ = "wrapped"
    return wrapped, traced


class Scaled(eqx.Module):
    factor: jax.Array
    shift: float = eqx.field(static=True, default=0.0)

    def lclk(self, data, supp):
        return self.factor * (data["y"][:, None] - supp) + self.shift


class Posed(eqx.Module):
    __module__ = "spmlex.posed"  # as that which stands for it in a fit

    model: Any
    data: dict[str, jax.Array]
    supp: jax.Array


def posed(model) -> Posed:
    return Posed(model, {"y": jnp.arange(3.0)}, jnp.arange(2.0))


def total(given: Posed) -> jax.Array:
    return jnp.sum(given.model.lclk(given.data, given.supp))


def run(function, *args, **kwargs):
    """Return what a new program returns, as in another process, and if it was made."""
    wrapped, traced = counted(function)
    return Program(wrapped)(*args, **kwargs), bool(traced)


def test_a_program_is_made_once_and_then_taken(folder):
    here = posed(Scaled(jnp.array([2.0])))
    first, made = run(total, here)
    again, made_again = run(total, here)
    assert (made, made_again) == (True, False)
    assert first == again == total(here)
    other, made = run(total, posed(Scaled(jnp.array([3.0]))))
    assert not made  # other numbers, the same program
    assert other == 1.5 * first
    assert len(list(folder.iterdir())) == 1


def test_what_changes_a_program_makes_another(folder):
    here = posed(Scaled(jnp.array([2.0])))
    run(total, here)
    longer = eqx.tree_at(lambda x: x.supp, here, jnp.arange(5.0))
    for changed in (posed(Scaled(jnp.array([2.0]), 1.0)), longer):
        found, made = run(total, changed)
        assert made
        assert found == total(changed)
    assert run(total, eqx.tree_at(lambda x: x.supp, here, jnp.arange(2)))[1]


@pytest.mark.parametrize("what", ["body", "global", "closure", "array"])
def test_another_code_of_the_model_makes_another_program(folder, what):
    bodies = {
        "body": ("{} * supp", "{} + 5 * supp"),
        "global": ("FACTOR * {} * supp",) * 2,
        "closure": ("closed({} * supp)",) * 2,
        "array": ("{} * supp + TABLE",) * 2,
    }[what]
    found = []
    for number, body in enumerate(bodies):
        kept = float(number + 1)
        scope = {
            "eqx": eqx,
            "jax": jax,
            "FACTOR": kept,
            "TABLE": np.full((3, 2), kept),
            "closed": lambda x, kept=kept: kept * x,
        }
        line = body.format("data['y'][:, None]")
        text = CLASS.format(line)
        exec(text, scope)
        scope["Own"].__module__ = "own"
        here = posed(scope["Own"](jnp.array([1.0])))
        value, made = run(total, here)
        assert made
        assert value == total(here)
        found.append(float(value))
    assert found[0] != found[1]


def test_keys_codes_and_numbers_come_back_as_they_are(folder):
    def several(key, number, scale=1):
        key, other = jr.split(key)
        code = RESULTS.where(number > 0, RESULTS.successful, RESULTS.stalled)
        return {"key": other, "draw": scale * jr.normal(key), "code": code, "two": 2}

    args = (jr.key(3), jnp.array(1.0))
    expected = eqx.filter_jit(several)(*args)
    for is_made in (True, False):
        found, made = run(several, *args)
        assert made is is_made
        assert found["code"] == RESULTS.successful
        assert found["two"] == 2
        assert found["draw"] == expected["draw"]
        assert jnp.all(jr.key_data(found["key"]) == jr.key_data(expected["key"]))
    # 1, 1.0 and True are equal, and not the same.
    assert run(several, *args, scale=True)[1]
    assert run(several, *args, scale=1.0)[1]


def test_what_cannot_be_told_is_compiled_as_ever(folder):
    class Unknown:
        factor = 2.0

    def scaled(x, unknown):
        return unknown.factor * x

    class Module(eqx.Module):
        factor: float = 2.0

    def own(x, function):
        return function(x)

    # A function may depend on any variable of its module, and a class too.
    cases = ((scaled, Unknown()), (scaled, Module()), (own, lambda x: 2.0 * x))
    for function, unknown in cases:
        for _ in range(2):
            found, made = run(function, jnp.array(3.0), unknown)
            assert made
            assert found == 6.0
    assert not list(folder.iterdir())


def test_a_program_that_calls_python_is_not_kept(folder):
    def called(x):
        shape = jax.ShapeDtypeStruct((), float)
        return jax.pure_callback(lambda x: 2.0 * np.asarray(x), shape, x)

    for _ in range(2):
        found, made = run(called, jnp.array(3.0))
        assert made
        assert found == 6.0
    assert not list(folder.iterdir())


def test_settings_of_jax_make_another_program(folder):
    wrapped, traced = counted(lambda x: x @ x)
    program = Program(wrapped)
    for precision, times in ((None, 1), ("float32", 2), (None, 2)):
        with jax.default_matmul_precision(precision):
            program(jnp.eye(2))
        assert len(traced) == times


def test_a_program_that_can_no_longer_be_loaded_is_made_again(folder, monkeypatch):
    here = posed(Scaled(jnp.array([2.0])))
    run(total, here)

    def fails(*_):
        raise AttributeError("no such class")

    monkeypatch.setattr(_kept_programs.pickle, "loads", fails)
    with pytest.warns(RuntimeWarning, match="can't be loaded"):
        found, made = run(total, here)
    assert made
    assert found == total(here)


def test_a_damaged_program_is_told_and_made_again(folder):
    here = posed(Scaled(jnp.array([2.0])))
    run(total, here)
    (path,) = folder.iterdir()
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))
    with pytest.warns(RuntimeWarning, match="is damaged: the program is made again"):
        found, made = run(total, here)
    assert made
    assert found == total(here)
    assert not run(total, here)[1]


def test_a_folder_that_will_not_do_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(_kept_programs._Folder, "path", None)
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match=r"folder=.*can't be made"):
        keep_programs(tmp_path / "file")
    with pytest.raises(ValueError, match="folder=.*give the path of a folder"):
        keep_programs("")
    if os.name == "posix":
        shared = tmp_path / "shared"
        shared.mkdir()
        shared.chmod(0o777)
        with pytest.raises(ValueError, match="others may write"):
            keep_programs(shared)
    assert _kept_programs._Folder.path is None


@pytest.mark.thorough
def test_a_second_process_takes_all_programs_of_the_first(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.replace("FOLDER", repr(str(tmp_path / "programs"))))
    printed, kept = [], []
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, str(script)],
            capture_output=True,
            text=True,
            check=True,
            env=os.environ | {"PYTHONPATH": str(Path(spmlex.__file__).parents[1])},
        )
        printed.append(done.stdout)
        assert "AOT" not in done.stderr
        files = (tmp_path / "programs").iterdir()
        kept.append({path.name: path.stat().st_mtime_ns for path in files})
    assert printed[0] == printed[1]
    assert kept[0] == kept[1]
    assert any(name.startswith("search_grid") for name in kept[0])
