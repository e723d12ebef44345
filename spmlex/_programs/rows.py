"""Observations in blocks of rows: sums over all of them, a block at a time.

What is as large as the sample times the grid exists for one block only. Rows are
dealt out to grains of a fixed number; a sum is taken within each grain, by itself, and
then over the grains in their order. So it has the same bits however many grains a block
has. Grain g of G has the rows g, g + G, ...: the first grains alone are a systematic
sample, whatever the order of the data.
"""

import dataclasses
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Float, Int

from spmlex._words.types import Data, Weights

GRAIN = 256
"""Rows in a grain."""

_FEW = 8
"""Grains that a search begins with."""

_MANY = 100_000
"""Rows from which on a search begins with some of them, one in 16."""


@dataclasses.dataclass(frozen=True)
class RowPlan:
    """How rows are put in blocks.

    Attributes:
        per_block: Grains in a block, two or more: XLA computes one by itself in another
            way than several.
        mesh: The devices that share the rows; `None`: one has all.
        axis: Name of the axis of the mesh along which they share.
    """

    per_block: int
    mesh: Mesh | None = None
    axis: str | None = None

    @property
    def num_devices(self) -> int:
        """How many devices share the rows."""
        if self.mesh is None or self.axis is None:
            return 1
        return self.mesh.shape[self.axis]


class Blocks(eqx.Module):
    """Data and weights in blocks.

    Attributes:
        data: Leaves with axes block, grain, row and those of their own.
        weights: Of the rows; zero where one only fills a block.
        num_used: Blocks on each device that sums run over, the first ones.
        n_obs: Number of rows of data.
        plan: How they were put in blocks.
    """

    data: Data
    weights: Float[Array, "n_blocks per_block grain"]
    num_used: Int[Array, ""]
    n_obs: int = eqx.field(static=True)
    plan: RowPlan = eqx.field(static=True)

    def add_up[Sums](self, measure: Callable[[Data, Weights], Sums]) -> Sums:
        """Return the sum of what is measured in every grain.

        Args:
            measure: Called with the data and the weights of one; returns arrays.
        """
        devices = self.plan.num_devices
        shared = self._by_device((self.data, self.weights))
        grain = jax.tree.map(lambda leaf: leaf[0, 0, 0], shared)
        shapes = jax.eval_shape(measure, *grain)
        nothing: Sums = jax.tree.map(
            lambda shape: jnp.zeros((devices, *shape.shape), shape.dtype), shapes
        )

        def add_block(block: Array, sums: Sums) -> Sums:
            own = self._share(jax.tree.map(lambda leaf: leaf[:, block], shared))
            if devices == 1:  # no axis that XLA would have to see through
                first = jax.tree.map(lambda leaf: leaf[0], own)
                parts = jax.tree.map(lambda x: x[None], jax.vmap(measure)(*first))
            else:
                parts = jax.vmap(jax.vmap(measure))(*own)
            parts = jax.tree.map(lambda part: jnp.swapaxes(part, 0, 1), parts)
            return self._share(_add_in_order(sums, parts))

        # A bound known at run time only: some of the rows need no other program.
        each = jax.lax.fori_loop(0, self.num_used, add_block, self._share(nothing))
        first = jax.tree.map(lambda leaf: jnp.zeros_like(leaf[0]), each)
        return _add_in_order(first, each)

    def for_each(self, compute: Callable[[Data], Array]) -> Array:
        """Return something for each row, with the axes of the blocks.

        Args:
            compute: Called with the data of a grain; the first axis is that of rows.
        """
        shared = self._by_device(self.data)
        every = jax.vmap(jax.vmap(compute))

        def compute_block(own: Data) -> Array:
            return self._share(every(self._share(own)))

        turned = jax.tree.map(lambda leaf: jnp.swapaxes(leaf, 0, 1), shared)
        found = jnp.swapaxes(jax.lax.map(compute_block, turned), 0, 1)
        return found.reshape(-1, *found.shape[2:])

    def _by_device[Tree](self, tree: Tree) -> Tree:
        """Give leaves a first axis of devices, before that of blocks."""
        devices = self.plan.num_devices
        return self._share(
            jax.tree.map(lambda leaf: leaf.reshape(devices, -1, *leaf.shape[1:]), tree)
        )

    def _share[Tree](self, tree: Tree) -> Tree:
        """Have each device keep its own part of the first axis."""
        mesh, axis = self.plan.mesh, self.plan.axis
        if mesh is None or axis is None:
            return tree
        where = NamedSharding(mesh, PartitionSpec(axis))
        return jax.tree.map(
            lambda leaf: jax.lax.with_sharding_constraint(leaf, where), tree
        )

    def in_order(self, values: Array) -> Array:
        """Return what `for_each` returned in the order of the data."""
        trailing = values.shape[3:]
        grains = _count_grains(self.n_obs)
        dealt = values.reshape(-1, GRAIN, *trailing)[:grains]
        return jnp.swapaxes(dealt, 0, 1).reshape(-1, *trailing)[: self.n_obs]

    def joined(self, values: Array) -> "Blocks":
        """Return blocks whose data are a pair: those here, and something by row."""
        return dataclasses.replace(self, data=(self.data, values))

    def sampled(self, share: int | Int[Array, ""]) -> "Blocks":
        """Return blocks that sum over one grain in so many, weights with sum one.

        The first ones of every device. With a share of one all rows are there.
        """
        count, per_block, _ = self.weights.shape
        own = count * per_block // self.plan.num_devices
        some = -(-_count_grains(self.n_obs) // (share * self.plan.num_devices))
        kept = jnp.where(share == 1, own, some)
        used = (jnp.arange(count * per_block) % own < kept).reshape(count, per_block, 1)
        weights = jnp.where(used, self.weights, 0.0)
        num_used = -(-kept // per_block)
        chosen = dataclasses.replace(self, weights=weights, num_used=num_used)
        total = chosen.add_up(lambda _, weights: jnp.sum(weights))
        total = jnp.where((share == 1) | (total == 0.0), 1.0, total)
        return dataclasses.replace(chosen, weights=weights / total)

    @property
    def shares(self) -> Int[Array, " n_stages"]:
        """One row in how many, in each stage of a search: at last all."""
        return jnp.array([16, 1] if self.n_obs >= _MANY else [1])

    @property
    def first_grains(self) -> tuple[Data, Weights]:
        """The data and weights of a few grains, row after row."""
        some = min(_FEW, _count_grains(self.n_obs))

        def take(leaf: Array) -> Array:
            trailing = leaf.shape[3:]
            return leaf.reshape(-1, GRAIN, *trailing)[:some].reshape(-1, *trailing)

        return jax.tree.map(take, (self.data, self.weights))


def put_in_blocks(plan: RowPlan, data: Data, weights: Weights) -> Blocks:
    """Deal rows out to grains, and put these in blocks.

    Blocks that the rows don't fill repeat the first one, without weight.

    Args:
        plan: How large blocks are, and who has them.
        data: Leaves with leading axis n_obs.
        weights: Of the rows.
    """
    n_obs = weights.size
    grains = _count_grains(n_obs)
    together = plan.per_block * plan.num_devices
    blocks = -(-grains // together) * plan.num_devices

    def deal(leaf: Array, fill: Array) -> Array:
        trailing = leaf.shape[1:]
        tail = jnp.broadcast_to(fill, (grains * GRAIN - n_obs, *trailing))
        dealt = jnp.concatenate([leaf, tail]).reshape(GRAIN, grains, *trailing)
        dealt = jnp.swapaxes(dealt, 0, 1)
        shape = (blocks * plan.per_block - grains, GRAIN, *trailing)
        dealt = jnp.concatenate([dealt, jnp.broadcast_to(fill, shape)])
        dealt = dealt.reshape(blocks, plan.per_block, GRAIN, *trailing)
        if plan.mesh is None:
            return dealt
        where = NamedSharding(plan.mesh, PartitionSpec(plan.axis))
        return jax.lax.with_sharding_constraint(dealt, where)

    # A row of the data, not zeros, which a model may have no likelihood for.
    dealt = jax.tree.map(lambda leaf: deal(leaf, leaf[0]), data)
    num_used = jnp.array(blocks // plan.num_devices)
    return Blocks(dealt, deal(weights, jnp.zeros(())), num_used, n_obs, plan)


def _count_grains(n_obs: int) -> int:
    return -(-n_obs // GRAIN)


def _add_in_order[Sums](sums: Sums, parts: Sums) -> Sums:
    """Add parts, along their first axis, to sums: one after the other."""
    count = jax.tree.leaves(parts)[0].shape[0]

    def add(k: Array, sums: Sums) -> Sums:
        return jax.tree.map(lambda total, part: total + part[k], sums, parts)

    # `jnp.sum` may add in another order where there are more of them.
    return jax.lax.fori_loop(0, count, add, sums)
