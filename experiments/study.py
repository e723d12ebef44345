"""A study's design, its cells and blocks, and what running a block gives.

Nothing here knows about files, processes or clusters: `experiments.engine` maps a block
to its results, `experiments.compute` decides where, `experiments.store` keeps them.
"""

import dataclasses
import itertools
import math
from collections.abc import Iterator

import equinox as eqx
import jax
import numpy as np
from jax.flatten_util import ravel_pytree

import spmlex
from experiments.dgp import Process
from experiments.estimands import Estimand, list_estimands
from experiments.estimators import Estimator, grid_use
from experiments.grids import DataRange, Grid


@dataclasses.dataclass(frozen=True)
class Cell:
    """One combination of the study's axes.

    The number of points is None for an estimator that uses the grid's range only, the
    grid as well for one that uses no grid: its one cell stands for all of them.
    """

    dgp: str
    grid: str | None
    sample_size: int
    n_supp: int | None
    estimator: str

    @property
    def name(self) -> str:
        """The cell's name in messages and in folder names."""
        grid = "" if self.grid is None else f"--{self.grid}"
        points = "" if self.n_supp is None else f"--m{self.n_supp}"
        return f"{self.dgp}{grid}--n{self.sample_size}{points}--{self.estimator}"


@dataclasses.dataclass(frozen=True)
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
        peak_memory: Most bytes that the process held so far; NaN if not known.
    """

    arrays: dict[str, np.ndarray]
    seconds: float
    error: str = ""
    peak_memory: float = math.nan


@dataclasses.dataclass(frozen=True)
class Target:
    """How precise every cell has to be; None leaves a measure out.

    Attributes:
        coverage_mcse: Monte Carlo standard error of coverage, a share.
        rmse_rel_mcse: Monte Carlo standard error of the RMSE over the RMSE.
        max_replications: No cell gets more than these.
    """

    coverage_mcse: float | None
    rmse_rel_mcse: float | None
    max_replications: int


@dataclasses.dataclass(frozen=True)
class Design:
    """A study: list axes, processes, grids and estimators by name, replications.

    With a target, `n_replications` is the fewest that a cell gets.
    """

    seed: int
    streams: str
    n_replications: int
    target: Target | None
    max_failure_share: float
    block_size: int
    sample_size: list[int]
    n_supp: list[int]
    processes: dict[str, Process]
    grids: dict[str, Grid]
    estimators: dict[str, Estimator]
    estimands: dict[str, Estimand] = dataclasses.field(default_factory=dict)

    def cells(self) -> list[Cell]:
        """List the cells; neighbours differ in size, so they compile in parallel."""
        axes = (
            self.processes,
            self.grids,
            self.estimators,
            self.sample_size,
            self.n_supp,
        )
        uses = {name: grid_use(each) for name, each in self.estimators.items()}
        cells = [
            Cell(
                dgp,
                None if uses[estimator] == "nothing" else grid,
                n,
                m if uses[estimator] == "points" else None,
                estimator,
            )
            for dgp, grid, estimator, n, m in itertools.product(*axes)
        ]
        return list(dict.fromkeys(cells))

    def order_cells(self, at_once: int) -> list[Cell]:
        """List the cells in the order of work: what estimates is compiled once.

        Cells of processes with the same model share it. Where there are more such
        programs than are kept, all cells of the first ones come first.

        Args:
            at_once: How many cells have their programs in memory.
        """
        sharing: dict[object, list[Cell]] = {}
        for cell in self.cells():
            model = jax.tree.structure(self.processes[cell.dgp].truth)
            program = model, cell.estimator, cell.sample_size, cell.n_supp
            sharing.setdefault(program, []).append(cell)
        return [
            cell
            for kept in itertools.batched(sharing.values(), at_once)
            for cells in itertools.zip_longest(*kept)
            for cell in cells
            if cell is not None
        ]

    def support(self, cell: Cell) -> np.ndarray | None:
        """Return the support grid that a cell's estimator is given, if any."""
        if cell.grid is None:
            return None
        grid = self.grids[cell.grid]
        return grid.trial() if cell.n_supp is None else grid.make(cell.n_supp)

    def adaptive_grid(self, cell: Cell) -> DataRange | None:
        """Return the cell's grid if its points depend on the data."""
        grid = None if cell.n_supp is None else self.grids.get(cell.grid or "")
        return grid if isinstance(grid, DataRange) else None

    def shard_of(self, block: Block, count: int) -> int:
        """Return which of `count` shards a block belongs to, from 1.

        Cell by cell the blocks are dealt out in turn, so that the shards get equal
        shares of the expensive cells. What is done already doesn't matter.
        """
        blocks_per_cell = -(-self.n_replications // self.block_size)
        number = self.cells().index(block.cell) * blocks_per_cell
        return (number + block.first // self.block_size) % count + 1

    def theta(self, dgp: str) -> tuple[list[str], np.ndarray]:
        """Return names and true values of a process's parameters."""
        model = self.processes[dgp].truth
        theta, _ = ravel_pytree(eqx.filter(model, eqx.is_inexact_array))
        return list(spmlex.parameter_names(model)), np.asarray(theta)

    def estimands_of(self, dgp: str) -> dict[str, Estimand]:
        """Return what is estimated of a process beside theta: the study's, its own."""
        return self.estimands | dict(self.processes[dgp].estimands)

    def truth(self, dgp: str) -> tuple[list[str], np.ndarray]:
        """Return names and true values of all of the axis `parameter`.

        Raises:
            ValueError: An estimand does not fit the process.
        """
        names, values = self.theta(dgp)
        behind, true = list_estimands(self.estimands_of(dgp), self.processes[dgp])
        return names + behind, np.concatenate([values, true])

    def count_parameters(self, dgp: str) -> int | None:
        """Return the length of the axis `parameter`; None where it is theta alone."""
        return len(self.truth(dgp)[0]) if self.estimands_of(dgp) else None

    def estimator(self, cell: Cell) -> Estimator:
        """Return a cell's estimator, told the estimands that it can report."""
        estimator = self.estimators[cell.estimator]
        estimands = tuple(self.estimands_of(cell.dgp).values())
        if not estimands or not hasattr(estimator, "estimands"):
            return estimator
        return dataclasses.replace(estimator, estimands=estimands)  # pyright: ignore


CELLS_AT_ONCE = 8
"""Cells whose programs are in memory, some 60 MB each for a fit; or one a thread."""


def order_blocks(
    missing: dict[Cell, list[tuple[int, int]]],
    block_size: int,
    cells_at_once: int = CELLS_AT_ONCE,
) -> list[Block]:
    """Cut missing replications into blocks, the first block of every cell first.

    So cells compile early, on all workers, and Monte Carlo errors shrink at the same
    time. Of many cells so many are worked on at once as have their programs in memory.

    Args:
        missing: By cell, the ranges (first, last) that are not done.
        block_size: Most replications in a block; blocks end at its multiples.
        cells_at_once: Of how many cells blocks take turns.
    """
    by_cell = [
        [Block(cell, *piece) for span in spans for piece in _cut(span, block_size)]
        for cell, spans in missing.items()
    ]
    return [
        block
        for group in itertools.batched(by_cell, cells_at_once)
        for blocks in itertools.zip_longest(*group)
        for block in blocks
        if block is not None
    ]


def _cut(span: tuple[int, int], size: int) -> Iterator[tuple[int, int]]:
    first, last = span
    while first <= last:
        end = min(last, (first // size + 1) * size - 1)
        yield first, end
        first = end + 1
