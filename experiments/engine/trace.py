"""How a fit went: one replication fitted again, stopped after every step."""

import copy
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

from experiments.dgp import Data, Model
from experiments.engine import replicate
from experiments.engine.block import Engine
from experiments.engine.compiling import compile_once
from experiments.estimators import Estimator
from experiments.mixing import AbstractMixing
from experiments.study import Cell

MAX_ROWS = 100
"""A longer fit is shown at this many steps, spread more thinly towards its end."""


def trace(
    engine: Engine, cell: Cell, replication: int, num_steps: int
) -> list[dict[str, Any]] | None:
    """Fit one replication again for every step, each time with that limit on the steps.

    So the iterates are those of the study's own program; any estimator with a setting
    `max_steps` has them.

    Args:
        engine: The study's engine.
        cell: The cell.
        replication: The replication.
        num_steps: How many steps its fit takes.

    Returns:
        For each step what the estimator returns, and `step`; None if the estimator has
        no `max_steps`.
    """
    design = engine.design
    estimator = design.estimator(cell)
    n_parameters = design.count_parameters(cell.dgp)
    if not hasattr(estimator, "max_steps"):
        return None
    process = design.processes[cell.dgp]
    stacked, _ = engine.draw(cell, replication, 1)
    data = jax.tree.map(lambda leaf: leaf[0], stacked)
    supp = jax.tree.map(jnp.asarray, design.support(cell))
    mixing = process.mixing if replicate.needs_mixing(estimator) else None
    grid = design.adaptive_grid(cell)

    def fit(
        max_steps: Int[Array, ""],
        data: Data,
        model: Model,
        supp: Any,
        mixing: AbstractMixing | None,
    ) -> dict[str, Array]:
        stopped = _stop_after(estimator, max_steps)
        return replicate.estimate(
            stopped, model, data, supp, mixing, grid, n_parameters
        )

    steps = np.arange(1, num_steps + 1)
    if num_steps > MAX_ROWS:
        steps = np.unique(np.geomspace(1, num_steps, MAX_ROWS).astype(int))
    rows: list[dict[str, Any]] = []
    for step in steps:  # one program: the limit is an argument
        args = (jnp.asarray(step), data, process.truth, supp, mixing)
        arrays = compile_once(fit, args, "trace", estimator, grid, n_parameters)(*args)
        rows.append({name: np.asarray(value) for name, value in arrays.items()})
        rows[-1]["step"] = int(step)
    return rows


def _stop_after(estimator: Estimator, max_steps: Int[Array, ""]) -> Estimator:
    """Return the estimator with a limit on its steps known only at run time."""
    stopped = copy.copy(estimator)
    # Past the estimator's own checks, which want a plain number.
    object.__setattr__(stopped, "max_steps", max_steps)
    return stopped
