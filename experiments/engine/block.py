"""How one block is computed: draw, estimate, and what an error leaves behind."""

import dataclasses
import math
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, PRNGKeyArray

from experiments.dgp import Data, Model, Process
from experiments.engine import replicate
from experiments.engine.compiling import (
    FOR_DRAWS,
    CompilationError,
    compile_once,
    describe_error,
    map_first,
)
from experiments.engine.watch import WATCH
from experiments.estimators import QUANTITIES, RAISED, find_own
from experiments.mixing import AbstractMixing
from experiments.provenance import read_peak_memory
from experiments.study import CELLS_AT_ONCE, Block, Cell, Design, Result

MAX_DATA_BYTES = 2**26
"""Memory for the data sets that are drawn together, per worker."""

PIECE = 50
"""Replications that one call of a compiled program takes at most.

Not the size of a block: another size is another program, and may give other bits.
"""


class Engine:
    """Runs blocks, from any number of threads; compiles once per cell shape.

    Drawing and estimating are two compiled functions, so that processes with the same
    model, and grids with the same number of points, share the expensive one.

    Args:
        design: The study.
        cells_at_once: How many cells have their programs in memory.
    """

    def __init__(self, design: Design, cells_at_once: int = CELLS_AT_ONCE):
        self.design = design
        self.cells_at_once = cells_at_once

    def run(self, block: Block) -> Result:
        """Compute a block; an error becomes part of the result."""
        try:
            with WATCH.over(f"{block.cell.name} from {block.first} on"):
                return self._run(block)
        except Exception as error:  # noqa: BLE001 - recorded, reported and run again
            message = describe_error(error)
            # What can't be compiled fails for every replication: no use in trying each.
            alone = len(block) == 1 or isinstance(error, CompilationError)
        if alone:
            return lose(block, message)
        # Whatever one replication raises, the others keep their results.
        singles = range(block.first, block.last + 1)
        return _join([self.run(Block(block.cell, r, r)) for r in singles])

    def draw(self, cell: Cell, first: int, count: int) -> tuple[Any, Any]:
        """Draw `count` data sets from replication `first` on.

        Returns:
            The data with leading axis replication, and their hashes; only the first
            `count` entries, at most the cell's capacity, have a meaning.
        """
        # Without its names, which are no part of the program: it may be another's too.
        process = dataclasses.replace(
            self.design.processes[cell.dgp], label="", symbol=(), estimands=()
        )
        stream = replicate.make_stream(
            self.design.seed, self.design.streams, cell.dgp, cell.sample_size
        )
        capacity = self.capacity(cell)
        # As many as the program is compiled for; those from `count` on are not drawn.
        numbers = first + np.arange(capacity)

        def draw_all(
            count: Int[Array, ""],
            numbers: Int[Array, " capacity"],
            stream: PRNGKeyArray,
            process: Process,
        ) -> tuple[Data, Int[Array, " capacity"]]:
            return map_first(
                lambda number: replicate.draw(
                    stream, number, process, cell.sample_size
                ),
                count,
                numbers,
            )

        args = (np.asarray(count), numbers, stream, process)
        names = "draw", cell.sample_size
        return self._compile(draw_all, args, *names, options=FOR_DRAWS)(*args)

    def capacity(self, cell: Cell) -> int:
        """Return how many replications of a cell are drawn together.

        It depends on the cell alone, so that whatever the size of its blocks the same
        program runs; a short block fills it in part.
        """
        process = self.design.processes[cell.dgp]
        shapes = jax.eval_shape(
            lambda: process.simulate(jax.random.key(0), cell.sample_size)
        )
        size = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(shapes))
        return max(1, min(PIECE, MAX_DATA_BYTES // max(size, 1)))

    def _compile(
        self,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        *names: Any,
        options: dict[str, str | bool] | None = None,
    ) -> Callable[..., Any]:
        kept = self.cells_at_once
        return compile_once(function, args, *names, cells=kept, options=options)

    def _run(self, block: Block) -> Result:
        cell = block.cell
        process = self.design.processes[cell.dgp]
        supp = jax.tree.map(jnp.asarray, self.design.support(cell))
        estimator = self.design.estimator(cell)
        n_parameters = self.design.count_parameters(cell.dgp)
        # Others share one program for all mixing distributions.
        mixing = process.mixing if replicate.needs_mixing(estimator) else None
        grid = self.design.adaptive_grid(cell)
        capacity = self.capacity(cell)
        batch_size = _choose_batch_size(capacity)

        def estimate_all(
            count: Int[Array, ""],
            data: Data,
            model: Model,
            supp: Any,
            mixing: AbstractMixing | None,
        ) -> dict[str, Array]:
            return map_first(
                lambda data: replicate.estimate(
                    estimator, model, data, supp, mixing, grid, n_parameters
                ),
                count,
                data,
                batch_size,
            )

        pieces: list[dict[str, np.ndarray]] = []
        seconds = 0.0
        for first in range(block.first, block.last + 1, capacity):
            count = min(capacity, block.last + 1 - first)
            data, hashes = self.draw(cell, first, count)
            args = (np.asarray(count), data, process.truth, supp, mixing)
            program = self._compile(
                estimate_all,
                args,
                "estimate",
                estimator,
                batch_size,
                grid,
                n_parameters,
            )
            # What is timed is the run alone; JAX would return before its end.
            start = time.perf_counter()
            arrays = jax.block_until_ready(program(*args))
            seconds += time.perf_counter() - start
            arrays = {**arrays, "data_hash": hashes}
            pieces.append({k: np.asarray(v)[:count] for k, v in arrays.items()})
        arrays = {
            name: np.concatenate([piece[name] for piece in pieces])
            for name in pieces[0]
        }
        return Result(arrays, seconds, peak_memory=read_peak_memory())


def lose(block: Block, message: str) -> Result:
    """Return the result of a block that raised, or whose worker was lost."""
    return Result({"code": np.full(len(block), RAISED, np.int8)}, math.nan, message)


def _choose_batch_size(capacity: int) -> int:
    # No setting: estimates of another batch size have other bits.
    # On a CPU the lanes of a batch wait for the slowest: mapping one at a time was
    # 2.6 times faster than batches of 20. On an accelerator large batches win.
    return 1 if jax.default_backend() == "cpu" else capacity


def _join(results: list[Result]) -> Result:
    """Join results of single replications; missing values where one raised."""
    errors = [result.error for result in results if result.error]
    # A replication that did not raise tells what arrays there are, and their shapes.
    whole = next((result for result in results if not result.error), None)
    if whole is None:
        code = np.full(len(results), RAISED, np.int8)
        return Result({"code": code}, math.nan, errors[0])
    lost = {name: _make_missing(name, value) for name, value in whole.arrays.items()}
    lost["code"] = np.full(1, RAISED, np.int8)
    rows = [lost if result.error else result.arrays for result in results]
    arrays = {name: np.concatenate([row[name] for row in rows]) for name in lost}
    # A replication that raised has no time, see `lose`.
    seconds = float(np.nansum([result.seconds for result in results]))
    peak_memory = max(result.peak_memory for result in results if not result.error)
    return Result(arrays, seconds, errors[0] if errors else "", peak_memory)


def _make_missing(name: str, value: np.ndarray) -> np.ndarray:
    # Those that estimators name themselves are floats, all of them.
    if find_own(name):
        return np.full_like(value, np.nan)
    # A hash of 0 stands for no data.
    return np.full_like(value, QUANTITIES[name].missing if name in QUANTITIES else 0)
