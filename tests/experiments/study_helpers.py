"""An estimator that compiles in no time, and small studies for the tests."""

import contextlib
import dataclasses
import io
import os
import threading
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jax.flatten_util import ravel_pytree

from experiments.config import compose as cfg
from experiments.config.build import build_design
from experiments.engine.block import Engine
from experiments.estimators import Outcome
from experiments.run import main
from experiments.study import Design

ONE_CELL = ["sample_size=20", "n_supp=4"]


@dataclasses.dataclass(frozen=True)
class Moments:
    """The model's starting values as an estimator; takes the settings of `profile`."""

    solver: str = "works"
    max_steps: int = 1
    level: float = 0.95
    label: str = "Moments"
    kinds: tuple[str, ...] = ("observed", "sandwich")
    default_kind: str = "sandwich"

    def estimate(self, model: Any, data: Any, supp: Any) -> Outcome:
        """Return moment estimates; or do what `solver` says."""
        outcomes = data["outcomes"].astype(float)
        if self.solver == "dawdles":
            outcomes = outcomes + jax.pure_callback(
                _dawdle, jax.ShapeDtypeStruct((), jnp.float64), outcomes[0, 0]
            )
        if self.solver == "stands still" and outcomes.shape[0] == 30:
            outcomes = outcomes + jax.pure_callback(
                _stand_still, jax.ShapeDtypeStruct((), jnp.float64)
            )
        theta, _ = ravel_pytree(model.starting_values(data))
        if self.solver == "raises" and outcomes.shape[0] == 20:
            raise RuntimeError("no estimate for 20 observations")
        fails = (self.solver == "fails") & (outcomes[0, 0] < 0)
        if self.solver == "steps":
            theta = theta + 0.5**self.max_steps
        error = jnp.full((2, theta.size), 0.1)
        return Outcome(
            theta,
            theta - error,
            theta + error,
            error,
            code=jnp.where(fails, 1, 0),
            gap=0.0,
            gradient_norm=0.0,
            log_likelihood=(outcomes**2).sum(),
            num_steps=self.max_steps,
            num_atoms=0,
            probs=jnp.full(len(supp), 1 / len(supp)),
            supp=supp,
        )


class Ranged(Moments):
    """Moments that are told the range of the grid only."""

    grid_use = "range"


class Open(Moments):
    """Moments whose first interval of the first parameter is open above."""

    def estimate(self, model: Any, data: Any, supp: Any) -> Outcome:
        """Return moment estimates with an infinite limit."""
        found = super().estimate(model, data, supp)
        return dataclasses.replace(found, upper=found.upper.at[0, 0].set(jnp.inf))


def _dawdle(_: Any) -> np.ndarray:
    """Take a while, and note the process in the file that DAWDLED names."""
    with open(os.environ["DAWDLED"], "a") as file:
        file.write(f"{os.getpid()}\n")
    time.sleep(0.02)
    return np.zeros(())


def _stand_still() -> np.ndarray:
    """Wait for ever, as programs do that wait for each other."""
    threading.Event().wait()
    return np.zeros(())


TINY = [
    "study=tiny",
    "estimator.profile._target_=study_helpers.Moments",
    "estimator.profile.solver=works",
    "sample_size=[20,30]",
    "n_supp=[4,6]",
    "n_replications=7",
    "block_size=3",
    "compute.n_workers=2",
]


def override(*overrides: str) -> list[str]:
    """Return the settings of the tiny study, with others in place of its own."""
    settings = {text.partition("=")[0]: text for text in (*TINY, *overrides)}
    return list(settings.values())


def make_design(*overrides: str) -> Design:
    return build_design(cfg.compose([*TINY, *overrides]))


def make_engine(*overrides: str) -> Engine:
    return Engine(make_design(*overrides))


def sweep(results: Path, *overrides: str) -> tuple[int, str]:
    """Run the tiny study below `results`; return exit code and what was printed."""
    return call("sweep", f"results_dir={results}", *override(*overrides))


def call(*arguments: str) -> tuple[int, str]:
    """Call the command line; return exit code and what was printed."""
    text = io.StringIO()
    with contextlib.redirect_stdout(text), contextlib.redirect_stderr(text):
        code = main(list(arguments))
    return code, text.getvalue()


def read(results, study="tiny"):
    """Return the merged replications of a study."""
    with xr.open_datatree(results / study / "replications.nc") as tree:
        return tree.load()


def assert_same_numbers(one, other):
    """Compare merged replications, but for the time they took."""
    assert one.children.keys() == other.children.keys()
    for name in one.children:
        xr.testing.assert_identical(
            one[name].to_dataset().drop_vars("seconds"),
            other[name].to_dataset().drop_vars("seconds"),
        )
