"""What a grid leaves to be gained: the gradient function between its points.

Theta is held at the estimate throughout. From concavity in F (Lindsay 1983) no mixing
distribution on the range gains more than `log sup g` over F, with g the gradient
function of equation (3) at F; so a bound on g over the continuum judges the grid.

The bound is that of `cell_bound`, for concave `v -> lclk_i(v)`, as with normal,
logistic, probit and Poisson kernels. Cells whose bound matters are halved until it is
within the tolerance of a value that g takes. Concavity is looked at along the diagonals
at the centre of every cell. Where it fails twice the curvature is added to the
first-order bound: still convex, but no longer a proof, and `is_proof` says so.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from spmlex._adequacy.cell_bound import bound_cells
from spmlex._evidence.evidence import Estimated, evidence_of
from spmlex._support.continuum import (
    Box,
    log_ratios,
    make_box,
    maximise_gradient,
    rows_of,
)
from spmlex._words.arguments import read_number
from spmlex._words.inputs import (
    read_count,
    read_inputs,
)
from spmlex._words.printing import Printed, write
from spmlex._words.table import Table
from spmlex._words.types import Data, Model, Point, Probs, Scalar, Weights

Vector = Float[np.ndarray, " d"]
Rows = Float[np.ndarray, "cells d"]

_FIRST_CELLS = 256
_BATCH_ENTRIES = 4_000_000
"""Entries of `lclk` held at a time, so that memory does not grow with the sample."""

_EDGE = 1e-6
"""Atoms this close to the edge, as a share of the range, lie on it."""


class Adequacy(Printed):
    """How much a mixing distribution leaves to be gained on a range, theta held.

    Attributes:
        gap: Upper bound on the gain of any distribution on the range, nats per
            observation.
        found: `log g` at the best point found, the greatest lower bound on the bound.
        at: That point, in the form of a support point; of groups, in the worst one.
        edge_mass: Probability on the edge of the range; where it is not zero, the range
            binds. The largest of the groups.
        is_proof: Whether every kernel was concave at the centre of every cell examined,
            so that `gap` is a bound and not a numerical estimate of one; as far as
            within a cell kernels stay concave and their third derivatives, relative to
            the second, at most double: a heuristic, of which no violation is known.
        num_cells: Cells examined.
    """

    gap: Scalar
    found: Scalar
    at: Point
    edge_mass: Scalar
    is_proof: Bool[Array, ""]
    num_cells: Int[Array, ""]

    def _tabulate(self) -> Table:
        at = ", ".join(
            write(x) for leaf in jax.tree.leaves(self.at) for x in leaf.ravel()
        )
        rows = (
            (
                "gain of any distribution on the range, at most",
                f"{float(self.gap):.3e}",
            ),
            ("log g at the best point found", f"{float(self.found):.3e}"),
            ("that point", at),
            ("mass on the edge of the range", write(self.edge_mass)),
            ("proved, but for third derivatives", "yes" if self.is_proof else "no"),
            ("cells examined", f"{int(self.num_cells)}"),
        )
        return Table("Adequacy of a grid, in nats per observation", ("", "value"), rows)


def adequacy(
    fit: Estimated,
    data: Data,
    low: Point,
    high: Point,
    *,
    tol: float = 1e-9,
    max_cells: int = 100_000,
) -> Adequacy:
    """Bound what any mixing distribution on a range could still gain over a fit.

    Theta is held: moving it as well could gain more. See the head of this module for
    the bound. The cost is one column of `lclk` and its slope for each cell; some
    thousands in one dimension.

    Args:
        fit: The fit whose grid is judged; with groups, all their distributions.
        data: What it was fitted to.
        low: Lower end of the range: a number, or a support point.
        high: Upper end.
        tol: How closely the supremum of g is bounded, nats per observation.
        max_cells: Limit on the cells; where it is hit, `gap` is a bound but wider.

    Raises:
        ValueError: The range is empty or does not have the form of a support point.

    Examples:
        >>> found = adequacy(estimate, data, -3.0, 3.0)
        >>> bool(found.gap >= found.found)
        True
    """
    evidence = evidence_of("fit", fit)
    tol = float(read_number("tol", tol, "1e-9", least=0.0))
    if read_count("max_cells", max_cells, 100_000) < 1:
        raise ValueError(f"max_cells={max_cells}: give 1 or more, such as 100000.")
    _, data, _ = read_inputs(evidence.model, data, evidence.supp)
    box = make_box(low, high)
    supp = rows_of(evidence.supp)
    if supp.shape[1] != box.low.size:
        raise ValueError(
            f"low={low} has {box.low.size} coordinates and the support points of the "
            f"fit {supp.shape[1]}; give low and high in the form of one support point."
        )

    def bound(probs: Probs, weights: Weights) -> Adequacy:
        log_ratio = log_ratios(evidence.model, data, evidence.supp, probs, weights)
        return bound_gradient(
            evidence.model, data, box, log_ratio, supp, probs, tol, max_cells
        )

    groups = evidence.given.groups
    if groups is None:
        return bound(evidence.probs, evidence.weights)
    own = jnp.where(
        groups == jnp.arange(evidence.probs.shape[1])[:, None], evidence.weights, 0.0
    )
    shares = jnp.sum(own, axis=1)
    pairs = zip(evidence.probs.T, own / shares[:, None], strict=True)
    each = [bound(probs, weights) for probs, weights in pairs]
    found = jnp.stack([one.found for one in each])
    return Adequacy(
        gap=shares @ jnp.stack([one.gap for one in each]),
        found=shares @ found,
        at=each[int(jnp.argmax(found))].at,
        edge_mass=jnp.max(jnp.stack([one.edge_mass for one in each])),
        is_proof=jnp.all(jnp.stack([one.is_proof for one in each])),
        num_cells=jnp.sum(jnp.stack([one.num_cells for one in each])),
    )


def bound_gradient(
    model: Model,
    data: Data,
    box: Box,
    log_ratio: Float[Array, " n_obs"],
    supp: Float[Array, "n_supp d"],
    probs: Probs,
    tol: float,
    max_cells: int,
) -> Adequacy:
    """Bound the supremum of `log g` over a box by halving cells."""
    low, high = np.asarray(box.low), np.asarray(box.high)
    span = high - low
    centres, radii = _first_cells(low, high)
    best, at = -np.inf, centres[0]
    settled, remaining = -np.inf, np.inf
    examined, proof = 0, True
    while len(centres) and examined < max_cells:
        upper, values, concave = _bound_cells(
            model, data, box, log_ratio, centres, radii
        )
        examined += len(centres)
        proof = proof and bool(np.all(concave))
        # From the best centres, always as many, so that the climb is compiled once.
        top = np.argsort(-values)[:16]
        peaks, heights = maximise_gradient(
            model,
            data,
            box,
            log_ratio,
            _pad(centres[top], 16),
            jnp.asarray(span / 256.0),
        )
        winner = int(np.argmax(heights))
        if float(heights[winner]) > best:
            best, at = float(heights[winner]), np.asarray(peaks)[winner]
        matters = upper > best + tol
        settled = max(settled, np.max(upper[~matters], initial=-np.inf))
        centres, radii = _halve(centres[matters], radii[matters], span)
        remaining = np.max(upper[matters], initial=-np.inf)
        if not len(centres):
            remaining = -np.inf
    gap = max(best, settled, remaining)
    on_edge = np.any(
        (np.asarray(supp) <= low + _EDGE * span)
        | (np.asarray(supp) >= high - _EDGE * span),
        axis=1,
    )
    return Adequacy(
        gap=jnp.asarray(gap),
        found=jnp.asarray(best),
        at=box.unravel(jnp.asarray(at)),
        edge_mass=jnp.sum(jnp.where(on_edge, probs, 0.0)),
        is_proof=jnp.asarray(proof),
        num_cells=jnp.asarray(examined),
    )


def _first_cells(low: Vector, high: Vector) -> tuple[Rows, Rows]:
    """Cut the box into about 256 equal cells."""
    size = low.size
    count = max(2, round(_FIRST_CELLS ** (1.0 / size)))
    steps = (np.arange(count) + 0.5) / count
    unit = np.stack(np.meshgrid(*[steps] * size, indexing="ij"), axis=-1)
    centres = low + unit.reshape(-1, size) * (high - low)
    return centres, np.broadcast_to(0.5 * (high - low) / count, centres.shape)


def _halve(
    centres: Rows, radii: Rows, span: Vector
) -> tuple[Float[np.ndarray, "halves d"], Float[np.ndarray, "halves d"]]:
    """Cut every cell in two across its longest side, measured in ranges."""
    rows = np.arange(len(centres))
    longest = np.argmax(radii / span, axis=1)
    smaller = np.array(radii)
    smaller[rows, longest] *= 0.5
    shift = np.zeros_like(smaller)
    shift[rows, longest] = smaller[rows, longest]
    return (
        np.concatenate([centres - shift, centres + shift]),
        np.concatenate([smaller, smaller]),
    )


def _pad(rows: Rows, length: int) -> Float[Array, "k d"]:
    """Repeat the last row up to a fixed length, so that shapes compile once."""
    padding = np.repeat(rows[-1:], length - len(rows), axis=0)
    return jnp.asarray(np.concatenate([rows, padding]))


def _bound_cells(
    model: Model,
    data: Data,
    box: Box,
    log_ratio: Float[Array, " n_obs"],
    centres: Rows,
    radii: Rows,
) -> list[np.ndarray]:
    batch = int(np.clip(_BATCH_ENTRIES // log_ratio.size, 16, _FIRST_CELLS))
    pieces: list[list[np.ndarray]] = []
    for start in range(0, len(centres), batch):
        rows = slice(start, start + batch)
        count = len(centres[rows])
        values = bound_cells(
            model,
            data,
            box,
            log_ratio,
            _pad(centres[rows], batch),
            _pad(radii[rows], batch),
        )
        pieces.append([np.asarray(value)[:count] for value in values])
    return [np.concatenate(column) for column in zip(*pieces, strict=True)]
