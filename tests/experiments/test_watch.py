"""A study whose blocks wait for each other for ever says so and ends."""

import os
import re
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest
from study_helpers import override

from experiments.config.build import build_design
from experiments.config.compose import compose
from experiments.engine import block, watch
from experiments.engine.watch import Watch
from experiments.study import Block

LAPACK = re.compile(r"custom_call @lapack\w+\(.*\) \{.*\} : \((.*)\) ->")
BATCH = re.compile(r"tensor<\d+x\d+x\d+xf64>")
HERE = Path(__file__).parent
RUN = """
import sys
from experiments import run
from experiments.engine import watch
watch.SECONDS_BETWEEN_LOOKS, watch.SECONDS_STILL = 0.5, 5.0
sys.exit(run.main(sys.argv[1:]))
"""


@pytest.mark.slow
def test_study_that_stands_still_names_the_cell_ends_and_keeps_what_is_done(tmp_path):
    study = override("estimator.profile.solver='stands still'", "n_supp=4")
    paths = [str(HERE), str(HERE.parents[1])]
    run = subprocess.run(
        [sys.executable, "-c", RUN, "sweep", f"results_dir={tmp_path}", *study],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert run.returncode == 1
    said = "No block uses the processor any more"
    assert said in run.stdout
    assert said in (tmp_path / "tiny" / "log.txt").read_text()
    assert "--n30--" in run.stdout
    assert "--n20--" not in run.stdout
    assert len(list((tmp_path / "tiny" / "blocks").rglob("[0-9]*.nc"))) >= 1


def look_on(used, seconds=10.0, looks=40):
    """Look at a block that uses so much in each look; return what was ended."""
    ended = []
    watched = Watch(ended.append)
    with watched.over("block"):
        for _ in range(looks):
            watched.look(seconds, used)
    return ended


def test_block_that_uses_the_processor_however_slowly_goes_on():
    assert look_on(used=0.02) == []


def test_blocks_that_use_none_are_ended():
    assert look_on(used=0.0)[0] == ["block"]
    assert look_on(used=0.0, looks=29) == []


def test_process_that_was_suspended_goes_on():
    assert look_on(used=0.0, seconds=1e5, looks=1) == []


def test_nothing_is_ended_between_blocks():
    ended = []
    watched = Watch(ended.append)
    with watched.over("block"):
        watched.look(watch.SECONDS_STILL, 0.0)
    for _ in range(100):
        watched.look(watch.SECONDS_STILL, 0.0)
    assert ended == []


@pytest.mark.parametrize(
    "study",
    [
        ["dgp=linear_factor_normal", "grid=linear_factor", "n_supp=9"],
        ["dgp=panel_logit_slopes", "grid=product_wide", "n_supp=16"],
    ],
    ids=["one dimension", "two dimensions"],
)
def test_no_estimate_hands_lapack_a_batch(study, monkeypatch):
    # What programs wait for: LAPACK gives a batch to the threads of XLA's pool.
    lowered = []

    def lower(function, args, *names, **_):
        lowered.append(jax.jit(function).lower(*args).as_text())
        shapes = jax.eval_shape(function, *args)
        return lambda *_: jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)

    monkeypatch.setattr(block, "compile_once", lower)
    settings = ["estimator=[profile,efficient]", "sample_size=40", "n_replications=1"]
    design = build_design(compose([*settings, *study]))
    for cell in design.cells():
        block.Engine(design).run(Block(cell, 0, 0))
    calls = [call for text in lowered for call in LAPACK.findall(text)]
    assert len(lowered) == 4
    assert calls
    assert [call for call in calls if BATCH.search(call)] == []
