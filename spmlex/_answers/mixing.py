"""The estimated distribution of the unobservable: what it is, and how sure that is."""

from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from spmlex._answers.marginal import Cdf, Marginal, Quantile, mean_of, variance_of
from spmlex._efficient.efficient_estimate import EfficientEstimate
from spmlex._evidence.evidence import Estimated, Evidence, evidence_of
from spmlex._inference.delta_method import Functional, apply_function, expand
from spmlex._programs.compile import compile_together
from spmlex._support.continuum import rows_of
from spmlex._words.arguments import read_floats, show
from spmlex._words.inputs import read_count
from spmlex._words.types import Support

LEVELS = (0.1, 0.25, 0.5, 0.75, 0.9)

_CLEAR = 1.96
"""Standard errors that the distribution function has to be away from a level."""

_MOST_BENT = 2.0
"""How far the quantile function may be from its tangent within a standard error."""

_Levels = Float[Array | np.ndarray, " k"] | Sequence[float] | float


class MixingDistribution(eqx.Module):
    """The estimated distribution F of the unobservable, one for each group.

    That of a `Fit` has a few atoms; that of an `EfficientEstimate`, such as
    `MixingDistribution(estimate.efficient())`, is smooth, and says more about a
    distribution function and quantiles where F is continuous. Its functions have
    standard errors by the delta method, equations (16) and (20). Values of several
    groups follow one another, group 0 first.

    Attributes:
        estimate: What F was estimated with.
    """

    estimate: Evidence | EfficientEstimate

    def __init__(self, estimate: Estimated | EfficientEstimate):
        """Take the F of a fit, or the smooth one of an efficient-score estimate."""
        is_smooth = isinstance(estimate, EfficientEstimate)
        self.estimate = estimate if is_smooth else evidence_of("estimate", estimate)

    @property
    def n_groups(self) -> int:
        """Number of groups; one where there are none."""
        return 1 if self.estimate.probs.ndim == 1 else self.estimate.probs.shape[1]

    @property
    def support(self) -> Support:
        """Points where some group has positive mass, increasing in one dimension."""
        kept = self._order
        return jax.tree.map(lambda leaf: leaf[kept], self.estimate.supp)

    @property
    def masses(self) -> Float[Array, " n_supp *n_groups"]:
        """Their masses; a column for each group where there are."""
        return self.estimate.probs[self._order]

    @property
    def _order(self) -> np.ndarray:
        probs = np.asarray(self.estimate.probs)
        rows = np.asarray(rows_of(self.estimate.supp))
        order = np.argsort(rows[:, 0], kind="stable")
        return order[probs.reshape(len(probs), -1)[order].max(axis=1) > 0]

    @property
    def mean(self) -> Functional:
        """Mean of every coordinate of the unobservable."""
        return self._apply(mean_of)

    @property
    def variance(self) -> Functional:
        """Variance of every coordinate of the unobservable."""
        return self._apply(variance_of)

    def cdf(self, points: _Levels, *, coordinate: int = 0) -> Functional:
        """Return the distribution function, Pr(v <= point).

        Args:
            points: Where; in the unit of the unobservable.
            coordinate: Which one, from 0.

        Raises:
            ValueError: The points are no numbers, or there is no such coordinate.

        Examples:
            >>> below = estimate.mixing.cdf([0.0]).value
        """
        at = jnp.atleast_1d(read_floats("points", points, "[0.0, 1.0]"))
        return self._apply(Cdf(at, self.marginal(coordinate)))

    def quantile(self, levels: _Levels = LEVELS, *, coordinate: int = 0) -> Functional:
        """Return quantiles: the least v with Pr(V <= v) of a level or more.

        That of a fit is an atom. It has a standard error where atoms were free to move
        and the level is between the values of the distribution function beside it by
        two of their standard errors; else another sample may have another atom there,
        and the estimate no normal distribution. That of a smooth F has one where F is
        not flat around it: where moving the level by the standard error of the
        distribution function moves the quantile by its own, up to a factor of two. The
        standard error is `nan` where there is none: give the values at which
        `cdf` has the level in its band instead.

        Args:
            levels: Between 0 and 1.
            coordinate: Which one, from 0.

        Raises:
            ValueError: A level is no share, or there is no such coordinate.

        Examples:
            >>> median = estimate.mixing.quantile(0.5).value
        """
        at = jnp.atleast_1d(read_floats("levels", levels, "[0.25, 0.5]"))
        if at.ndim != 1 or not bool(jnp.all((at > 0) & (at < 1))):
            raise ValueError(f"levels={show(levels)}: give shares, such as 0.5.")
        marginal = self.marginal(coordinate)
        made = self._apply(Quantile(at, marginal))
        steps = marginal.steps(self.estimate.supp, self.estimate.probs)
        value, influence = _judge(made, at, steps, marginal.is_smooth)
        return Functional(value, influence, made.weights, made.counts)

    def marginal(self, coordinate: int = 0) -> Marginal:
        """Return what a coordinate of it is, for figures.

        Raises:
            ValueError: There is no such coordinate.
        """
        rows = rows_of(self.estimate.supp)
        count, size = read_count("coordinate", coordinate, 0), rows.shape[1]
        if not 0 <= count < size:
            raise ValueError(
                f"coordinate={coordinate}: the unobservable has {size}; the first is 0."
            )
        is_smooth = isinstance(self.estimate, EfficientEstimate)
        values = jnp.asarray(np.unique(rows[:, count])) if is_smooth else None
        return Marginal(values, count)

    def _apply(self, function: Any) -> Functional:
        return apply_function(expand(self.estimate), function)

    def __str__(self) -> str:
        is_smooth = isinstance(self.estimate, EfficientEstimate)
        points = [] if is_smooth else _list_points(self)
        return "\n".join([*_list_functions(self), *points])


_Steps = tuple[Float[Array, " n_steps"], Float[Array, "n_groups n_steps"]]
"""Points in order, and the distribution function at them by group."""


@compile_together
def _judge(
    made: Functional, levels: Float[Array, " n_levels"], steps: _Steps, is_smooth: bool
) -> tuple[Float[Array, " k"], Float[Array, "n_obs k"]]:
    """Return quantiles and their influence, `nan` where they have no standard error.

    Args:
        made: Quantiles, then the distribution function at them and below them.
        levels: Of the quantiles.
        steps: Of the distribution.
        is_smooth: Whether it is taken for smooth.
    """
    value, errors = (x.reshape(3, -1) for x in (made.value, made.standard_errors))
    quantile, level = value[0], jnp.tile(levels, steps[1].shape[0])
    if is_smooth:
        # What is added to it to first order is no improvement where it is not.
        plugged = _plug_in(levels, steps)
        regular = _is_steep(levels, steps, errors)
        regular &= jnp.abs(quantile - plugged) < errors[0]
        quantile = jnp.where(regular, quantile, plugged)
    else:
        above = value[1] - level > _CLEAR * errors[1]
        below = level - value[2] > _CLEAR * errors[2]
        regular = above & below & (errors[0] > 0)
    influence = jnp.where(regular, made.influence[:, : level.size], jnp.nan)
    return quantile, influence


def _plug_in(levels: Array, steps: _Steps) -> Float[Array, " k"]:
    """Return the quantiles of a smooth F, by group."""
    at, total = steps
    levels = jnp.broadcast_to(levels, (total.shape[0], levels.shape[-1]))
    found = jax.vmap(lambda level, f: jnp.interp(level, f, at))(levels, total)
    return found.ravel()


def _is_steep(levels: Array, steps: _Steps, errors: Float[Array, "3 k"]) -> Array:
    """Tell where the quantile function is near its tangent."""
    margin = errors[1].reshape(steps[1].shape[0], -1)
    low, high = (_plug_in(levels + x, steps) for x in (-margin, margin))
    half, error = 0.5 * (high - low), errors[0]
    near = (half < _MOST_BENT * error) & (error < _MOST_BENT * half)
    return near & (error > 0)


def _list_functions(mixing: MixingDistribution) -> list[str]:
    """Return mean, variance and quantiles by group and coordinate, as a table."""
    size = rows_of(mixing.estimate.supp).shape[1]
    kept = [mixing.mean, mixing.variance]
    kept += [mixing.quantile(coordinate=k) for k in range(size)]
    shapes = [(mixing.n_groups, -1)] * len(kept)
    values, errors = (
        [np.asarray(x).reshape(s) for x, s in zip(xs, shapes, strict=True)]
        for xs in ([f.value for f in kept], [f.standard_errors for f in kept])
    )
    ends = [""] if size == 1 else [f"[{k}]" for k in range(size)]
    names = [f"mean{end}" for end in ends] + [f"variance{end}" for end in ends]
    names += [f"quantile{end} {level:.2f}" for end in ends for level in LEVELS]
    lines = [f"{'':20}{'estimate':>12}{'std. error':>12}"]
    for group in range(mixing.n_groups):
        if mixing.n_groups > 1:
            lines.append(f"group {group}")
        table = [np.concatenate([x[group] for x in each]) for each in (values, errors)]
        for name, value, error in zip(names, *table, strict=True):
            shown = f"{error:12.5f}" if np.isfinite(error) else f"{'-':>12}"
            lines.append(f"{name:20}{value:12.5f}{shown}")
    if any(np.isnan(error).any() for error in errors):
        lines.append("-: no regular standard error, see `MixingDistribution.quantile`")
    return lines


def _list_points(mixing: MixingDistribution) -> list[str]:
    """Return the support points and their masses, as a table."""
    rows, masses = np.asarray(rows_of(mixing.support)), np.asarray(mixing.masses)
    masses = masses.reshape(len(rows), -1)
    head = f"{'support point':>{12 * rows.shape[1]}}"
    head += "".join(f"{'mass':>12}" for _ in range(masses.shape[1]))
    table = np.hstack([rows, masses])
    return [head, *("".join(f"{x:12.5f}" for x in row) for row in table)]
