"""Finite mixture: few support points and masses, free to move, their number by BIC."""

import dataclasses
from collections.abc import Callable
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

import spmlex
from experiments.dgp import Data, Model
from experiments.estimands import stack
from experiments.estimators.base import GridUse, LikelihoodEstimator, check_counts
from experiments.estimators.derivatives import NodeSum, Points
from experiments.estimators.likelihood import (
    Maximum,
    as_rows,
    like_grid,
    maximise,
    report,
    smooth_masses,
    split_model,
)
from experiments.estimators.outcome import Outcome

Count = Int[Array, ""]
Chosen = tuple[Count, Count, Maximum]
"""The number of points to be tried; the best number so far, and its fit."""

_ABSENT = -1e30  # log-mass of points beyond the number in use: finite, so is its slope
_PILOT_STEPS = 200
_CLUSTER_STEPS = 20
_LOOK_AHEAD = 2


@dataclasses.dataclass(frozen=True, kw_only=True)
class FiniteMixture(LikelihoodEstimator):
    """Maximum likelihood with K free support points, K by Schwarz's criterion.

    For K = 1, 2, ... theta, points and masses are fitted jointly (Heckman and Singer
    1984, section 4), from the model's starting values and from K clusters of a pilot
    estimate of F on the grid, until `-2 log L + (p + K d + K - 1) log n` has been above
    its least value for two K in a row. The K with the least is reported (Leroux 1992),
    with its result code; standard errors take K as known.

    Attributes:
        max_points: Largest number of support points, at most that of the trial grid.
        max_steps: Limit on the evaluations of the likelihood for each K.
    """

    grid_use: ClassVar[GridUse] = "range"

    max_points: int = 10
    max_steps: int = 50

    def __post_init__(self):
        """Refuse numbers that allow no fit."""
        check_counts(self, max_points=1, max_steps=1)

    def estimate(self, model: Model, data: Data, supp: Any) -> Outcome:
        """Fit one K after the other; failures are codes, never exceptions.

        The `supp` given is a trial grid; the one returned holds the points found, then
        points of the trial grid, which have no mass.
        """
        grid = as_rows(supp)
        dims, most = grid.shape[1], min(self.max_points, grid.shape[0])
        model0 = model.starting_values(data)
        theta0, build = split_model(model0)
        size = theta0.size
        pilot, _ = smooth_masses(model0.lclk(data, supp), _PILOT_STEPS)
        order = _spread_out(grid, pilot, most)

        def lclk_at(
            theta: Float[Array, " p"], points: Points
        ) -> Float[Array, "n_obs k"]:
            return build(theta).lclk(data, like_grid(points, supp))

        def fit(count: Count) -> Maximum:
            # Shapes do not depend on K: one program fits them all.
            present = jnp.arange(most) < count
            points0, masses0 = _cluster(grid, pilot, grid[order], present)
            logits0 = jnp.log(masses0[1:] / masses0[0])
            params0 = jnp.concatenate([theta0, points0.ravel(), logits0])
            held = jnp.concatenate(
                [jnp.zeros(size, bool), jnp.repeat(~present, dims), ~present[1:]]
            )

            likelihood = NodeSum(lclk_at, lambda of_f: _read(of_f, present), size)
            return maximise(likelihood, params0, self.max_steps, held)

        def criterion(fitted: Maximum, count: Count) -> Float[Array, ""]:
            return _schwarz(fitted, size + count * dims + count - 1)

        count, chosen = _add_points(fit, criterion, most)
        present = jnp.arange(most) < count
        points, masses = _read(chosen.params[size:], present)
        points = jnp.where(present[:, None], points, grid[:most])
        masses = jnp.where(present, jnp.exp(masses), 0.0)
        reported: Callable[[Array], Array] | None = None
        if self.estimands:
            function = stack(self.estimands)

            def behind(params: Array) -> Array:
                points, masses = _read(params[size:], present)
                supp_at = like_grid(points, supp)
                return function(build(params[:size]), supp_at, jnp.exp(masses))

            reported = behind

        return report(
            chosen,
            size,
            self.level,
            reported,
            num_atoms=count,
            probs=jnp.zeros(grid.shape[0]).at[:most].set(masses),
            supp=like_grid(grid.at[:most].set(points), supp),
        )


def _add_points(
    fit: Callable[[Count], Maximum],
    criterion: Callable[[Maximum, Count], Float[Array, ""]],
    most: int,
) -> tuple[Count, Maximum]:
    """Fit one point more at a time, until the criterion has risen for long enough."""

    def is_rising(state: Chosen) -> Bool[Array, ""]:
        count, best, _ = state
        return (count <= most) & (count <= best + _LOOK_AHEAD)

    def add_point(state: Chosen) -> Chosen:
        count, best, chosen = state
        fitted = fit(count)
        better = criterion(fitted, count) < criterion(chosen, best)
        keep = jax.tree.map(
            lambda new, old: jnp.where(better, new, old), fitted, chosen
        )
        return count + 1, jnp.where(better, count, best), keep

    one = jnp.array(1)
    start = (one, one, _nothing(jax.eval_shape(fit, one)))
    _, count, chosen = jax.lax.while_loop(is_rising, add_point, start)
    return count, chosen


def _read(
    of_f: Float[Array, " f"], present: Array
) -> tuple[Float[Array, "k d"], Float[Array, " k"]]:
    """Return points and log-masses; the first point's mass has no parameter."""
    most = present.size
    dims = (of_f.size + 1) // most - 1
    points = of_f[: most * dims].reshape(most, dims)
    logits = jnp.concatenate([jnp.zeros(1), of_f[most * dims :]])
    return points, jax.nn.log_softmax(jnp.where(present, logits, _ABSENT))


def _schwarz(fitted: Maximum, n_params: Array) -> Float[Array, ""]:
    """Return Schwarz's criterion, infinite where the fit is of no use."""
    n_obs = fitted.scores.shape[0]
    value = -2 * fitted.log_likelihood + n_params * jnp.log(n_obs)
    return jnp.nan_to_num(value, nan=jnp.inf)


def _nothing(shapes: Maximum) -> Maximum:
    """Return what a first fit has to be better than."""
    missing = jax.tree.map(
        lambda leaf: jnp.full(
            leaf.shape, jnp.nan if leaf.dtype == jnp.float64 else 0, leaf.dtype
        ),
        shapes,
    )
    code = spmlex.result_code(spmlex.RESULTS.non_finite)
    return missing._replace(log_likelihood=jnp.array(-jnp.inf), code=code)


def _spread_out(
    grid: Float[Array, "n_supp d"], pilot: Float[Array, " n_supp"], count: int
) -> Array:
    """Return grid points with much mass and far apart, as positions.

    The first has the most mass; each next the largest product of mass and squared
    distance from those before: the seeds of k-means++ (Arthur and Vassilvitskii 2007),
    with the largest instead of a random one.
    """
    picked = [jnp.argmax(pilot)]
    distance = jnp.full(pilot.size, jnp.inf)
    for _ in range(count - 1):
        last = jnp.sum((grid - grid[picked[-1]]) ** 2, axis=1)
        distance = jnp.minimum(distance, last)
        picked.append(jnp.argmax(pilot * distance))
    return jnp.stack(picked)


def _cluster(
    grid: Float[Array, "n_supp d"],
    pilot: Float[Array, " n_supp"],
    centres: Float[Array, "k d"],
    present: Array,
) -> tuple[Float[Array, "k d"], Float[Array, " k"]]:
    """Return means and masses of clusters of a distribution (Lloyd 1982).

    Centres that are not present keep their place and have a mass of one.
    """

    def assign(centres: Points) -> Float[Array, "n_supp k"]:
        distance = jnp.sum((grid[:, None] - centres) ** 2, axis=2)
        nearest = jnp.argmin(jnp.where(present, distance, jnp.inf), axis=1)
        return pilot[:, None] * (nearest[:, None] == jnp.arange(centres.shape[0]))

    def improve(_: Count, centres: Points) -> Points:
        held = assign(centres)
        total = jnp.sum(held, axis=0)[:, None]
        return jnp.where(
            total > 0, held.T @ grid / jnp.where(total > 0, total, 1), centres
        )

    centres = jax.lax.fori_loop(0, _CLUSTER_STEPS, improve, centres)
    masses = jnp.sum(assign(centres), axis=0)
    # A start without mass on a point would have no finite logit.
    return centres, jnp.where(present, jnp.maximum(masses, 1e-3), 1.0)
