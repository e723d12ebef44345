"""A study's design, its cells and blocks, and how one block is computed.

Nothing here knows about files, processes or clusters: `Engine.run` maps a block to its
results, `experiments.compute` decides where, `experiments.store` keeps them.
"""

import collections
import dataclasses
import itertools
import math
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Int

import spmlex
from experiments import replicate
from experiments.dgp import Process
from experiments.estimators import RAISED, Estimator
from experiments.grids import Grid

MAX_DATA_BYTES = 2**26
"""Memory for the data sets that are drawn together, per worker."""


@dataclasses.dataclass(frozen=True, order=True)
class Cell:
    """One combination of the study's axes."""

    dgp: str
    grid: str
    sample_size: int
    n_supp: int
    estimator: str

    @property
    def name(self) -> str:
        """The cell's name in messages and in folder names."""
        size = f"n{self.sample_size}--m{self.n_supp}"
        return f"{self.dgp}--{self.grid}--{size}--{self.estimator}"


@dataclasses.dataclass(frozen=True, order=True)
class Block:
    """Replications `first` to `last`, the latter included, of one cell."""

    cell: Cell
    first: int
    last: int

    def __len__(self) -> int:
        """Return the number of replications."""
        return self.last - self.first + 1


@dataclasses.dataclass(frozen=True)
class Result:
    """What running a block gave.

    Attributes:
        arrays: By name, leading axis replication; only `code` if the block raised.
        seconds: Time of the block without compilation.
        error: What the block raised, or "".
    """

    arrays: dict[str, np.ndarray]
    seconds: float
    error: str = ""


@dataclasses.dataclass(frozen=True)
class Design:
    """A study: list axes, processes, grids and estimators by name, replications."""

    seed: int
    streams: str
    n_replications: int
    block_size: int
    batch_size: int | None
    sample_size: list[int]
    n_supp: list[int]
    processes: dict[str, Process]
    grids: dict[str, Grid]
    estimators: dict[str, Estimator]

    def cells(self) -> list[Cell]:
        """List the cells; neighbours differ in size, so they compile in parallel."""
        axes = (
            self.processes,
            self.grids,
            self.estimators,
            self.sample_size,
            self.n_supp,
        )
        return [
            Cell(dgp, grid, n, m, estimator)
            for dgp, grid, estimator, n, m in itertools.product(*axes)
        ]

    def truth(self, dgp: str) -> tuple[list[str], np.ndarray]:
        """Return names and true values of a process's parameters."""
        model = self.processes[dgp].truth
        theta, _ = ravel_pytree(eqx.filter(model, eqx.is_inexact_array))
        return list(spmlex.parameter_names(model)), np.asarray(theta)


def order_blocks(
    missing: dict[Cell, list[tuple[int, int]]], block_size: int
) -> list[Block]:
    """Cut missing replications into blocks, the first block of every cell first.

    So every cell compiles early, on all workers, and Monte Carlo errors shrink at
    the same time.

    Args:
        missing: By cell, the ranges (first, last) that are not done.
        block_size: Most replications in a block; blocks end at its multiples.
    """
    by_cell = [
        [Block(cell, *piece) for span in spans for piece in _cut(span, block_size)]
        for cell, spans in missing.items()
    ]
    rounds = itertools.zip_longest(*by_cell)
    return [block for blocks in rounds for block in blocks if block is not None]


def _cut(span: tuple[int, int], size: int) -> Iterator[tuple[int, int]]:
    first, last = span
    while first <= last:
        end = min(last, (first // size + 1) * size - 1)
        yield first, end
        first = end + 1


class Engine:
    """Runs blocks, from any number of threads; compiles once per cell shape.

    Drawing and estimating are two compiled functions, so that processes with the same
    model, and grids with the same number of points, share the expensive one.
    """

    def __init__(self, design: Design):
        self.design = design

    def run(self, block: Block) -> Result:
        """Compute a block; an error becomes part of the result."""
        try:
            return self._run(block)
        except Exception as error:  # noqa: BLE001 - recorded, reported and run again
            code = np.full(len(block), RAISED, np.int8)
            message = f"{type(error).__name__}: {error}"
            return Result({"code": code}, math.nan, message)

    def draw(self, cell: Cell, first: int, count: int) -> tuple[Any, Any]:
        """Draw `count` data sets from replication `first` on.

        Returns:
            The data with leading axis replication, and their hashes; only the first
            `count` entries, at most the cell's capacity, have a meaning.
        """
        process = self.design.processes[cell.dgp]
        stream = replicate.make_stream(
            self.design.seed, self.design.streams, cell.dgp, cell.sample_size
        )
        capacity = self.capacity(cell)
        numbers = jnp.arange(capacity, dtype=jnp.int64) + first

        def draw_all(count, numbers, stream, process):
            return _map_first(
                lambda number: replicate.draw(
                    stream, number, process, cell.sample_size
                ),
                count,
                numbers,
            )

        args = (jnp.asarray(count), numbers, stream, process)
        return _compile(draw_all, args, "draw", cell.sample_size)(*args)

    def capacity(self, cell: Cell) -> int:
        """Return how many replications of a cell are drawn together."""
        process = self.design.processes[cell.dgp]
        shapes = jax.eval_shape(
            lambda: process.simulate(jax.random.key(0), cell.sample_size)
        )
        size = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(shapes))
        return max(1, min(self.design.block_size, MAX_DATA_BYTES // max(size, 1)))

    def _run(self, block: Block) -> Result:
        cell = block.cell
        model = self.design.processes[cell.dgp].truth
        supp = jnp.asarray(self.design.grids[cell.grid].make(cell.n_supp))
        estimator = self.design.estimators[cell.estimator]
        capacity = self.capacity(cell)
        batch_size = self.design.batch_size or _default_batch_size(capacity)

        def estimate_all(count, data, model, supp):
            return _map_first(
                lambda data: replicate.estimate(estimator, model, data, supp),
                count,
                data,
                batch_size,
            )

        pieces, seconds = [], 0.0
        for first in range(block.first, block.last + 1, capacity):
            count = min(capacity, block.last + 1 - first)
            data, hashes = self.draw(cell, first, count)
            args = (jnp.asarray(count), data, model, supp)
            program = _compile(estimate_all, args, "estimate", estimator, batch_size)
            start = time.perf_counter()
            arrays = jax.block_until_ready(program(*args))
            seconds += time.perf_counter() - start
            arrays = {**arrays, "data_hash": hashes}
            pieces.append({k: np.asarray(v)[:count] for k, v in arrays.items()})
        arrays = {
            name: np.concatenate([piece[name] for piece in pieces])
            for name in pieces[0]
        }
        return Result(arrays, seconds)


@dataclasses.dataclass
class _Program:
    lock: threading.Lock = dataclasses.field(default_factory=threading.Lock)
    compiled: Callable | None = None


_programs: dict[Any, _Program] = collections.defaultdict(_Program)
_programs_lock = threading.Lock()


def _compile(function: Callable, args: tuple, *names: Any) -> Callable:
    """Compile a function for arguments like these, once in this process.

    Unlike `jax.jit` alone, threads that want the same program wait for one compilation,
    and compiling is apart from running, so that blocks can be timed.

    Args:
        function: What to compile.
        args: Arguments of the types and shapes it will be called with.
        names: Identify the function beside its arguments: all that it closes over.
    """
    leaves, structure = jax.tree.flatten(args)
    types = tuple((jnp.shape(leaf), jnp.result_type(leaf)) for leaf in leaves)
    with _programs_lock:
        program = _programs[names, structure, types]
    with program.lock:
        if program.compiled is None:
            # Only so are the rows of a draw the first rows of a longer one.
            with jax.threefry_partitionable(True):
                program.compiled = jax.jit(function).lower(*args).compile()
        return program.compiled


def _default_batch_size(capacity: int) -> int:
    # On a CPU the lanes of a batch wait for the slowest: mapping one at a time was
    # 2.6 times faster than batches of 20. On an accelerator large batches win.
    return 1 if jax.default_backend() == "cpu" else capacity


def _map_first(
    function: Callable[[Any], Any],
    count: Int[Array, ""],
    xs: Any,
    batch_size: int = 1,
) -> Any:
    """Apply a function to the first `count` entries of xs; the rest is arbitrary.

    Like `jax.lax.map`, but `count` is known only at run time: a short block needs
    neither another compilation nor wasted work.
    """
    size = jax.tree.leaves(xs)[0].shape[0]
    batch_size = min(batch_size, size)

    def apply(rows: Int[Array, " batch"]) -> Any:
        if batch_size == 1:
            y = function(jax.tree.map(lambda x: x[rows[0]], xs))
            return jax.tree.map(lambda leaf: leaf[None], y)
        return jax.vmap(function)(jax.tree.map(lambda x: x[rows], xs))

    def body(number: Int[Array, ""], ys: Any) -> Any:
        # A last batch that doesn't fit overlaps the one before, or repeats an entry.
        start = jnp.minimum(number * batch_size, size - batch_size)
        y = apply(jnp.minimum(start + jnp.arange(batch_size), count - 1))
        return jax.tree.map(
            lambda all_, new: lax.dynamic_update_slice_in_dim(all_, new, start, 0),
            ys,
            y,
        )

    shapes = jax.eval_shape(apply, jnp.arange(batch_size))
    ys = jax.tree.map(lambda y: jnp.zeros((size, *y.shape[1:]), y.dtype), shapes)
    return lax.fori_loop(0, -(-count // batch_size), body, ys)
