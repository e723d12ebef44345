"""Mass on the faces of the range of F: does the range bind, or is an atom at infinity?

Where mass sits on the end of a range a wider one mostly raises the likelihood. Not
where the likelihood of those observations saturates, as of people who never move in a
model of moving: their unobservable is anything below some value, F has an atom at
infinity, and however wide the range is, there is mass on its end. Then the gradient
function of equation (3) is one there and stays one far beyond.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from spmlex._adequacy.gradient_on import gradient_on
from spmlex._evidence.evidence import Evidence
from spmlex._support.continuum import Box, coordinates, range_of

_EDGE_MASS = 1e-3
"""More at an end of the range is warned of, whatever the number of observations."""

_ON_FACE = 1e-6
"""Points this close to a face, as a share of the range, lie on it."""

_BEYOND = np.array([0.02, 0.1, 0.5, 1.0, 2.0, 4.0, 8.0])
"""How far beyond the end the likelihood is looked at, in ranges."""

_MOST_SHIFT = 1 / 3
"""Standard errors by which theta may move for the range to do. It takes about a
hundredth off the coverage of an interval of 95%: `c phi(c)` times its square, with c
the normal quantile and phi the density."""

_FLAT = 0.5 * _MOST_SHIFT**2
"""Change in the log-likelihood of the sample, in nats, by which theta moves no more.

Where other distributions gain at most x at every theta nearby, the profile likelihood
that they have is at most x above the one that the range has. Its maximum is then where
the latter, quadratic with curvature one in standard errors, is at most x below its own:
within `sqrt(2 x)` standard errors."""

_MOST_POINTS = 8


class Face(NamedTuple):
    """An end of the range of one coordinate that has positive mass.

    Attributes:
        name: Of the coordinate; empty where there is one.
        is_upper: Which end.
        mass: On it, of the group that has most there.
        gain: Bound on what mass beyond it gains, nats in the whole group.
        saturates: Whether the likelihood does not change beyond it.
    """

    name: str
    is_upper: bool
    mass: float
    gain: float
    saturates: bool


def find_loaded_faces(evidence: Evidence) -> list[Face]:
    """Return the faces of the range with the mass of an observation or more.

    Support points that are whole numbers are no places on a continuum and have no ends;
    nor does a coordinate that does not vary.

    Args:
        evidence: That of an estimate, of concrete arrays.
    """
    grid = evidence.given.supp
    box, around = range_of(grid)
    low, high = np.asarray(box.low), np.asarray(box.high)
    points = np.asarray(range_of(evidence.supp)[1])
    probs = np.asarray(evidence.probs).reshape(len(points), -1)
    # One observation beyond the range is enough to move theta.
    least = min(_EDGE_MASS, 1.0 / float(evidence.n_obs))
    faces = []
    for k, (name, is_number) in enumerate(coordinates(grid)):
        if not is_number or high[k] <= low[k]:
            continue
        reach = _width_of_face(np.asarray(around), k) * (high[k] - low[k])
        for is_upper in (False, True):
            end = high[k] if is_upper else low[k]
            mass = np.where((np.abs(points[:, k] - end) <= reach)[:, None], probs, 0.0)
            group = int(np.argmax(mass.sum(axis=0)))
            total = float(mass[:, group].sum())
            if total > least:
                gain, saturates = _look_beyond(
                    evidence, box, points, mass[:, group], group, k, is_upper
                )
                faces.append(Face(name, is_upper, total, gain, saturates))
    return faces


def _width_of_face(grid: np.ndarray, k: int) -> float:
    """Return how close to the end points count, as a share of the range.

    Those on it; of a scattered grid, which hardly has a point there, half a spacing.
    """
    n_supp, dimension = grid.shape
    scattered = dimension > 1 and len(np.unique(grid[:, k])) == n_supp > 2
    return 0.5 * n_supp ** (-1.0 / dimension) if scattered else _ON_FACE


def _look_beyond(
    evidence: Evidence,
    box: Box,
    points: np.ndarray,
    mass: np.ndarray,
    group: int,
    k: int,
    is_upper: bool,
) -> tuple[float, bool]:
    """Return what mass beyond a face gains at most, and whether g stays one there."""
    given, weights = evidence.given, np.asarray(evidence.weights)
    counts = (
        np.ones_like(weights)
        if evidence.counts is None
        else np.asarray(evidence.counts)
    )
    probs = np.asarray(evidence.probs).reshape(len(points), -1)[:, group]
    if given.groups is not None:
        weights = np.where(np.asarray(given.groups) == group, weights, 0.0)
    n_obs = float(np.sum(np.where(weights > 0, counts, 0.0)))
    heaviest = np.argsort(-mass)[:_MOST_POINTS]
    heaviest = heaviest[mass[heaviest] > 0]
    side = 1.0 if is_upper else -1.0
    span = float(box.high[k] - box.low[k])
    beyond = np.repeat(points[heaviest][None], len(_BEYOND), axis=0)
    beyond[:, :, k] += side * span * _BEYOND[:, None]
    values = gradient_on(
        evidence.model,
        given.data,
        evidence.supp,
        jnp.asarray(probs),
        box.to_supp(jnp.asarray(beyond.reshape(-1, points.shape[1]))),
        weights=jnp.asarray(weights),
    )
    with np.errstate(divide="ignore"):
        change = n_obs * np.log(np.asarray(values))
    if np.isnan(change).any():
        return np.inf, False
    return float(max(change.max(), 0.0)), bool(np.all(np.abs(change) <= _FLAT))


def describe_faces(evidence: Evidence) -> list[str]:
    """Return a sentence for each kind of end with positive mass."""
    faces = find_loaded_faces(evidence)
    of_group = " of a group" if jnp.ndim(evidence.probs) == 2 else ""
    sentences, loaded = [], {}
    for face in faces:
        share = f"{100 * face.mass:.2g}% of the mass{of_group}"
        where = f" of {face.name}" if face.name else ""
        if face.saturates:
            sentences.append(
                f"{share} sits on the {'upper' if face.is_upper else 'lower'} end of "
                f"the range{where}, beyond which the likelihood no longer changes: an "
                "atom at infinity, as of people who never move. A wider range gains at "
                f"most {face.gain:.1g} nats, which moves theta by at most about "
                f"{np.sqrt(2 * face.gain):.1g} standard errors; the place of that "
                "atom, and means of F, are not identified."
            )
        else:
            end = f"{'upper' if face.is_upper else 'lower'} end of the range{where}"
            loaded.setdefault(face.name, []).append(f"{share} sits on the {end}")
    return sentences + [" and ".join(ends) + "; widen it." for ends in loaded.values()]


__all__ = ["Face", "describe_faces", "find_loaded_faces"]
