"""The records of all cells of a study, and the blocks that they still need."""

import numpy as np

from experiments.estimators import RAISED
from experiments.provenance import name_code
from experiments.session.record import Record
from experiments.store.blocks import Store, UnusableBlockError, naming, read_result
from experiments.study import (
    CELLS_AT_ONCE,
    Block,
    Cell,
    Design,
    Result,
    order_blocks,
)


class Tracker:
    """The records of all cells of a study."""

    def __init__(self, design: Design):
        self.design = design
        self.records = {cell: Record(design, cell) for cell in design.cells()}
        self.commits: set[str] = set()

    def load(self, files: Store) -> int:
        """Count what a folder holds; return how many block files are of no use.

        `commits` has the code that computed the others.
        """
        unusable = 0
        for cell in self.records:
            for path in files.find(cell):
                try:
                    arrays, attrs = files.read(path, cell)
                except UnusableBlockError:
                    unusable += 1
                    continue
                self.commits.add(name_code(attrs))
                # One in which something raised is run again, see `Store.clean`.
                if not attrs["error"]:
                    with naming(path):
                        self.add(cell, attrs["first"], read_result(arrays, attrs))
        return unusable

    def add(self, cell: Cell, first: int, result: Result) -> None:
        """Count a block of a cell, from replication `first` on."""
        record = self.records[cell]
        record.add(first, result.seconds, result.arrays)
        # `max` would keep the NaN that stands for not known.
        record.peak_memory = np.fmax(record.peak_memory, result.peak_memory)

    def check_failures(self, block: Block, codes: np.ndarray, error: str) -> str:
        """Halt a cell whose block raised too often; return why, or ""."""
        raised = int((codes == RAISED).sum())
        share, most = raised / len(codes), self.design.max_failure_share
        record = self.records[block.cell]
        if share <= most or record.halted:
            return ""
        record.halted = (
            f"{block.cell.name} is stopped: {raised} of {len(codes)} replications from "
            f"{block.first} on raised, more than max_failure_share={most:g}. The other "
            f"cells go on.\n  {error.splitlines()[0]}"
        )
        return record.halted

    def needs(self, block: Block) -> bool:
        """Return whether a block is still of use: its cell may have ended since."""
        final = self.records[block.cell].final()
        return not self.records[block.cell].halted and (
            final is None or block.first < final
        )

    def plan_blocks(
        self, pilot: bool = False, cells_at_once: int = CELLS_AT_ONCE
    ) -> list[Block]:
        """List the blocks to run before looking again.

        Args:
            pilot: Only the first block of every cell.
            cells_at_once: Of how many cells blocks take turns.
        """
        size = self.design.block_size
        missing = {
            cell: record.missing(min(size, record.next()) if pilot else record.next())
            for cell in self.design.order_cells(cells_at_once)
            if not (record := self.records[cell]).halted
        }
        return order_blocks(missing, size, cells_at_once)

    def counts(self) -> dict[Cell, int]:
        """Return how many replications of each cell the merged file holds.

        With a target, those beyond a cell's end would depend on the order of work.
        """
        return {cell: record.count() for cell, record in self.records.items()}

    def is_complete(self) -> bool:
        """Return whether every cell has all the replications it gets."""
        return all(
            not record.halted and record.final() is not None and not record.missing(n)
            for record in self.records.values()
            for n in [record.predict()]
        )
