"""Numbers that moved, and a version of the numbers that did not.

Where this fails and the change is meant, raise `NUMBERS` in
`experiments/store/fingerprint.py` and write the file anew: run this
module as a program.
"""

import json
from pathlib import Path

import jax
import numpy as np

from experiments.config import compose as cfg
from experiments.config.build import build_design
from experiments.engine.block import Engine
from experiments.store.fingerprint import NUMBERS
from experiments.study import Block

FILE = Path(__file__).parents[1] / "data" / "numbers.json"
PROCESSES = ("linear_factor_discrete", "panel_logit_normal", "poisson_skewed")
ESTIMATOR = "normal_random_effects"


def compute():
    """Return what a change of code may move: draws, and a fit."""
    found = {}
    for name in PROCESSES:
        overrides = ["study=x", f"dgp={name}", "sample_size=40"]
        if name == PROCESSES[0]:
            overrides.append(f"estimator={ESTIMATOR}")
        engine = Engine(build_design(cfg.compose(overrides)))
        cell = engine.design.cells()[0]
        data, _ = engine.draw(cell, 3, 1)
        for number, leaf in enumerate(jax.tree.leaves(data)):
            first = np.asarray(leaf[0], float)
            weights = np.cos(np.arange(first.size))
            found[f"{name}, data {number}"] = [float(first.ravel() @ weights)]
        if name == PROCESSES[0]:
            arrays = engine.run(Block(cell, 3, 3)).arrays
            for key in ("estimate", "standard_error"):
                found[f"{name}, {key}"] = np.ravel(arrays[key]).tolist()
    return found


def test_numbers_that_move_have_another_version():
    stored = json.loads(FILE.read_text())
    assert stored["version"] == NUMBERS
    found = compute()
    assert found.keys() == stored["numbers"].keys()
    for name, values in stored["numbers"].items():
        np.testing.assert_allclose(found[name], values, rtol=1e-6, err_msg=name)


if __name__ == "__main__":
    content = {"version": NUMBERS, "numbers": compute()}
    FILE.write_text(json.dumps(content, indent=1) + "\n")
