"""The checks before anything runs: data that can be drawn, grids that cover them."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from experiments.dgp import Data, Model, Process
from experiments.engine.block import Engine
from experiments.engine.compiling import describe_error
from experiments.errors import InputError
from experiments.study import Cell

# An observation's density, averaged over its outcomes, below the smallest float64.
_LOG_UNDERFLOW = -745.0


def check_design(engine: Engine) -> None:
    """Draw one data set of each process and look at it before the study runs.

    Raises:
        InputError: The data hold NaN, or an observation has zero likelihood at every
            support point of a grid even at the true parameters.
    """
    design = engine.design
    estimator = next(iter(design.estimators))
    for dgp, process in design.processes.items():
        # The largest sample reaches farthest into the tails, which a grid has to cover.
        n = max(design.sample_size)
        cell = Cell(dgp, next(iter(design.grids)), n, design.n_supp[0], estimator)
        data = _draw(engine, cell)
        for leaf in jax.tree.leaves(data):
            if not np.isfinite(np.asarray(leaf, float)).all():
                raise InputError(
                    f"dgp.{dgp}: the data it draws hold NaN or infinite values. "
                    "Look at the numbers under its truth and mixing."
                )
        width = sum(leaf.size for leaf in jax.tree.leaves(data)) / n
        for name, grid in design.grids.items():
            for n_supp in design.n_supp:
                supp = grid.make(n_supp)
                _check_dimensions(dgp, process, name, supp)
                value = _best(process.truth, data, supp, f"dgp.{dgp}")
                if np.isnan(value).any():
                    raise InputError(
                        f"dgp.{dgp}: its log-likelihood is NaN at the true parameters. "
                        "Look at the numbers under its truth."
                    )
                lost = int((value < _LOG_UNDERFLOW * width).sum())
                if lost:
                    raise InputError(
                        f"grid.{name} with n_supp={n_supp}, from {_show(supp.min(0))} "
                        f"to {_show(supp.max(0))}: {lost} of {n} observations of {dgp} "
                        "have zero likelihood at every point.\nMake the grid cover the "
                        "unobservable's distribution, or take more points."
                    )


def _check_dimensions(dgp: str, process: Process, grid: str, supp: np.ndarray) -> None:
    latent, points = len(process.mixing.list_margins()), supp[0].size
    if latent != points:
        raise InputError(
            f"grid.{grid} has points of {points} and the unobservable of dgp.{dgp} "
            f"{latent} coordinates. Choose another grid, such as "
            f"{'uniform' if latent == 1 else 'product'}; a study's grids have to fit "
            "all its processes."
        )


def _show(point: np.ndarray | np.floating) -> str:
    text = ", ".join(f"{x:g}" for x in np.ravel(point))
    return f"({text})" if np.size(point) > 1 else text


def _draw(engine: Engine, cell: Cell) -> Data:
    """Draw the first data set of a process."""
    try:
        stacked, _ = engine.draw(cell, 0, 1)
    except Exception as error:
        raise InputError(
            f"dgp.{cell.dgp}: it can't draw {cell.sample_size} observations. "
            f"{describe_error(error)} (--traceback shows where)"
        ) from error
    return jax.tree.map(lambda leaf: np.asarray(leaf)[0], stacked)


def _best(
    model: Model, data: Data, supp: Float[np.ndarray, "n_supp ..."], name: str
) -> Float[np.ndarray, " n_obs"]:
    """Return each observation's largest log-density on the grid."""
    n_obs = jax.tree.leaves(data)[0].shape[0]
    try:
        lclk = np.asarray(_lclk(model, data, jnp.asarray(supp)))
    except Exception as error:
        raise InputError(
            f"{name}: its lclk raised an error. {describe_error(error)} (--traceback "
            "shows where)"
        ) from error
    if lclk.shape != (n_obs, len(supp)):
        raise InputError(
            f"{name}: its lclk returned shape {lclk.shape}; it must be (n_obs, n_supp) "
            f"= {(n_obs, len(supp))}."
        )
    return lclk.max(axis=1)


@jax.jit
def _lclk(model: Model, data: Data, supp: Float[Array, "n_supp ..."]) -> Array:
    return model.lclk(data, supp)
