"""A picture of the distribution of the unobservable. Needs matplotlib, loaded here."""

from typing import Any

import jax
import numpy as np
from jaxtyping import Float

from spmlex._answers.mixing import MixingDistribution
from spmlex._efficient.efficient_estimate import EfficientEstimate
from spmlex._efficient.efficient_search import solve_from
from spmlex._evidence.evidence import Estimated, evidence_of
from spmlex._evidence.student import student_quantile
from spmlex._inference.intervals import default_kind
from spmlex._words.arguments import check_level

_MOST_POINTS = 200
_BEYOND = 0.08
"""How far the axis goes beyond the distribution, as a share of its range."""

_LEFT_OUT = 1e-3
"""Mass in each tail of a smooth distribution that the axis may leave out."""


def plot_mixing(
    estimate: Estimated | EfficientEstimate,
    *,
    level: float = 0.95,
    coordinate: int = 0,
    axes: Any = None,
) -> np.ndarray:
    """Draw the distribution of the unobservable: a column of axes for each group.

    Above the distribution function: of a fit its steps, and the smooth one of the
    efficient score with pointwise confidence bands where the model can generate data;
    where it can't the bands are those of the steps. Below the masses of the atoms,
    and, to the axis on the right, the smooth density.

    Args:
        estimate: A fit, or what `efficient_estimate` returns: then what is smooth
            alone.
        level: Confidence level of the bands.
        coordinate: Which coordinate of the unobservable, from 0.
        axes: To draw on, (2, n_groups); made by default.

    Returns:
        The axes, (2, n_groups), of matplotlib.

    Raises:
        ImportError: matplotlib is not installed.
        ValueError: The level or the coordinate do not exist, or there are not as many
            axes.

    Examples:
        >>> axes = plot_mixing(estimate, level=0.9)
        >>> axes.shape
        (2, 1)
    """
    check_level(level)
    steps = smooth = None
    if isinstance(estimate, EfficientEstimate):
        smooth = MixingDistribution(estimate)
    else:
        evidence = evidence_of("estimate", estimate)
        steps = MixingDistribution(evidence)
        steps.marginal(coordinate)
        if default_kind(evidence) == "efficient":
            smooth = MixingDistribution(solve_from(evidence))
    shown = [mixing for mixing in (steps, smooth) if mixing is not None]
    low, high = _range_of(shown, coordinate)
    axes = _make_axes(axes, shown[0].n_groups)
    band = _band_of(shown[-1], coordinate, (low, high), level)
    for group, (above, below) in enumerate(axes.T):
        if steps is not None:
            _draw_steps(above, below, steps, coordinate, group, (low, high))
        points, lines = band[0], [x[group] for x in band[1:]]
        if smooth is not None:
            above.plot(points, lines[0], color="C0", label="smooth")
            _draw_density(below, smooth, coordinate, group, (low, high))
        step = None if smooth is not None else "post"
        label = f"{100 * float(level):g}% band"
        above.fill_between(
            points, *lines[1:], step=step, color="C0", alpha=0.2, lw=0, label=label
        )
        above.set_title(f"group {group}" if axes.shape[1] > 1 else "")
        above.set_ylim(-0.03, 1.03)
        below.set_xlim(low, high)
        below.set_xlabel("unobservable")
        below.ticklabel_format(axis="x", style="plain", useOffset=False)
        below.locator_params(axis="x", nbins=5)
    axes[0, 0].set_ylabel("distribution function")
    axes[0, 0].legend(loc="upper left", frameon=False)
    axes[1, 0].set_ylabel("mass" if steps is not None else "")
    return axes


def _make_axes(axes: Any, n_groups: int) -> np.ndarray:
    if axes is None:
        try:
            import matplotlib.pyplot as plt
        except ImportError as error:
            raise ImportError(
                "plot_mixing needs matplotlib, which is not installed: pip install "
                "matplotlib."
            ) from error
        _, axes = plt.subplots(
            *(2, n_groups),
            sharex=True,
            sharey="row",
            squeeze=False,
            figsize=(1.6 + 3.6 * n_groups, 5.0),
            layout="constrained",
        )
    axes = np.asarray(axes, dtype=object)
    if axes.size != 2 * n_groups or not all(hasattr(x, "plot") for x in axes.flat):
        raise ValueError(
            f"axes holds {axes.size} objects; give {2 * n_groups} axes of matplotlib, "
            f"(2, {n_groups}), as `plt.subplots(2, {n_groups})` makes."
        )
    return axes.reshape(2, n_groups)


def _range_of(shown: list[MixingDistribution], coordinate: int) -> tuple[float, float]:
    """Return the ends of the horizontal axis."""
    ends: list[np.ndarray] = []
    for mixing in shown:
        at, total = _steps_of(mixing, coordinate)
        beyond = (total > _LEFT_OUT).any(axis=0), (total >= 1 - _LEFT_OUT).all(axis=0)
        first, last = (int(np.argmax(x)) for x in beyond)
        smooth = mixing.marginal(coordinate).is_smooth
        ends += [at[max(first - int(smooth), 0)], at[last]]
    low, high = float(min(ends)), float(max(ends))
    margin = _BEYOND * (high - low) or 0.5 * max(abs(low) * 0.01, 1.0)
    return low - margin, high + margin


def _steps_of(
    mixing: MixingDistribution, coordinate: int
) -> tuple[Float[np.ndarray, " k"], Float[np.ndarray, "n_groups k"]]:
    given = mixing.estimate.supp, mixing.estimate.probs
    at, total = jax.tree.map(np.asarray, mixing.marginal(coordinate).steps(*given))
    return at, total


def _band_of(
    mixing: MixingDistribution,
    coordinate: int,
    ends: tuple[float, float],
    level: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return points, and the distribution function with its limits by group.

    Put in order, which brings neither further from a distribution function
    (Chernozhukov, Fernandez-Val and Galichon 2010).
    """
    at, _ = _steps_of(mixing, coordinate)
    inside = at[(at > ends[0]) & (at < ends[1])]
    # Each point of the band is a function with an error of its own to compute.
    thinned = inside[:: 1 + len(inside) // _MOST_POINTS]
    # With the ends of the figure, or lines and band would stop short of them.
    points = np.unique([ends[0], *thinned, ends[1]])
    made = mixing.cdf(points, coordinate=coordinate)
    value, error = (
        np.asarray(x).reshape(mixing.n_groups, -1)
        for x in (made.value, made.standard_errors)
    )
    margin = float(student_quantile(0.5 + 0.5 * level, np.inf)) * error
    lines = [np.clip(np.sort(x), 0, 1) for x in (value, value - margin, value + margin)]
    return points, lines[0], lines[1], lines[2]


def _draw_steps(
    above: Any,
    below: Any,
    mixing: MixingDistribution,
    coordinate: int,
    group: int,
    ends: tuple[float, float],
) -> None:
    """Draw distribution function and masses of a distribution of few points."""
    at, total = _steps_of(mixing, coordinate)
    points = [ends[0], *at, ends[1]]
    above.step(
        points, [0, *total[group], 1], where="post", color="0.3", lw=1, label="atoms"
    )
    masses = np.diff(total[group], prepend=0.0)
    some = masses > 0
    below.vlines(at[some], 0, masses[some], color="0.3", lw=1)
    below.plot(at[some], masses[some], "o", color="0.3", ms=4)
    below.set_ylim(bottom=0)


def _draw_density(
    axis: Any,
    mixing: MixingDistribution,
    coordinate: int,
    group: int,
    ends: tuple[float, float],
) -> None:
    """Draw the smooth density to an axis of its own on the right."""
    edges, total = _steps_of(mixing, coordinate)
    density = np.diff(total[group]) / np.diff(edges)
    right = axis.twinx()
    right.plot(0.5 * (edges[1:] + edges[:-1]), density, color="C0")
    right.set_ylim(bottom=0)
    right.set_xlim(*ends)
    right.set_ylabel("smooth density")
