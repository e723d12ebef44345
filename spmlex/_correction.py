"""The corrected centre: theta without the pull of the atoms that fitting F buys.

At each theta the fit of F gains log-likelihood beyond what the true F would have, about
one nat per support point with mass (Akaike 1973, the points as parameters). Where that
number changes with theta the profile likelihood is tilted: towards small noise scales,
whose narrow kernels need more atoms. Section "The corrected centre" of
`spmlex/README.md`, equations (9) and (10).
"""

from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from spmlex._degenerate import grid_resolution, is_degenerate
from spmlex._design import covariance_root, information_root, normal_design
from spmlex._evaluation import Evaluation
from spmlex._newton import climb
from spmlex._outer import OuterProblem
from spmlex._types import Kernel, Scalar, Weights

CORRECTIONS = ("one_step", "iterated", "smoothed")

_POINTS = 80
"""Points at which atoms are counted, all rounds together."""

_ROUNDS = 4
"""Rounds of the iterated correction."""

_REACH = 2.0
"""Standard deviation of the points around the centre, in standard errors."""


class Correction(eqx.Module):
    """Where the estimate is without the tilt, reported beside the estimate.

    Attributes:
        theta: The corrected centre.
        slope: Slope b of the number of support points with mass on theta.
        mean_atoms: Their average number around the centre.
        converged: Whether the climbs of the iterated or smoothed correction reached
            their maximum; always true for one step.
        maximum: The profile likelihood and its derivatives at the centre; `None` for
            one step, which uses those at the estimate.
        flagged: Whether the centre is degenerate, as in `Fit.flagged`; `None` for one
            step.
        bandwidth: Of the smoothed correction, in standard deviations of F; zero where
            F is unrestricted.
        kernel: Of the smoothed correction: F is this matrix times the probabilities in
            `maximum`.
    """

    theta: Float[Array, " p"]
    slope: Float[Array, " p"]
    mean_atoms: Scalar
    converged: Bool[Array, ""]
    maximum: Evaluation | None = None
    flagged: Bool[Array, ""] | None = None
    bandwidth: Scalar | None = None
    kernel: Kernel | None = None

    @property
    def probs(self) -> Float[Array, " n_supp *n_groups"] | None:
        """Mixing probabilities there, as in `Fit.probs`; `None` for one step."""
        if self.maximum is None:
            return None
        probs = self.maximum.probs.T
        return probs if self.kernel is None else self.kernel @ probs


class _Round(NamedTuple):
    theta: Float[Array, " p"]
    here: Evaluation
    slope: Float[Array, " p"]
    mean_atoms: Scalar
    converged: Bool[Array, ""]


def correct_once(
    problem: OuterProblem,
    theta: Float[Array, " p"],
    hessian: Float[Array, "p p"],
    probs: Float[Array, "*n_groups n_supp"],
    weights: Weights,
) -> Correction:
    """Return `theta - V b`, one Newton step from the estimate. Equation (9).

    Args:
        problem: The outer problem.
        theta: The estimate.
        hessian: Of the mean profile value there.
        probs: Mixing probabilities there.
        weights: Observation weights with sum one.
    """
    root = covariance_root(hessian, weights.shape[0])
    design = normal_design(theta.size, _POINTS)
    slope, mean = measure_tilt(problem, theta, root, design, probs, weights)
    shift = root @ (root.T @ slope)
    return Correction(theta - shift, slope, mean, jnp.array(True))


def correct_iterated(
    problem: OuterProblem, theta0: Float[Array, " p"], weights: Weights, tol: float
) -> Correction:
    """Maximise the profile log-likelihood less the tilt. Equation (10).

    Starts at a consistent estimate, not at the maximum, which may be degenerate. Each
    round measures the slope around the current theta and climbs with it.

    Args:
        problem: The outer problem.
        theta0: A consistent start.
        weights: Observation weights with sum one.
        tol: As in `fit`.
    """
    size, n_obs = theta0.size, weights.shape[0]
    design = normal_design(size, _POINTS)
    per_round = -(-design.shape[0] // (_ROUNDS * 2 * size)) * 2 * size
    design = normal_design(size, _ROUNDS * per_round)

    def run_round(number: Int[Array, ""], state: _Round) -> _Round:
        theta, here = state.theta, state.here
        # Not from the Hessian, which need not be definite before the last round.
        root = information_root(here.scores, weights)
        points = jax.lax.dynamic_slice_in_dim(design, number * per_round, per_round)
        fresh, mean = measure_tilt(problem, theta, root, points, here.probs, weights)
        # The first slope belongs to the start; the later ones are averaged.
        share = 1.0 / jnp.maximum(number, 1)
        slope = state.slope + share * (fresh - state.slope)
        at = penalise(problem, slope, theta, weights)
        end = climb(at, n_obs, theta, here.probs, tol, 30)
        untilted = take_penalty_off(end.here, slope, end.theta - theta)
        done = state.converged & end.converged
        return _Round(end.theta, untilted, slope, mean, done)

    start = _Round(
        theta0,
        problem.evaluate(theta0, problem.uniform_probs(), weights),
        jnp.zeros(size),
        jnp.array(0.0),
        jnp.array(True),
    )
    end = jax.lax.fori_loop(0, _ROUNDS, run_round, start)
    resolution = grid_resolution(problem.lclk(end.theta))
    flagged = is_degenerate(end.here.probs.T, resolution)
    return Correction(
        end.theta, end.slope, end.mean_atoms, end.converged, end.here, flagged
    )


def penalise(
    problem: OuterProblem,
    slope: Float[Array, " p"],
    centre: Float[Array, " p"],
    weights: Weights,
) -> Callable[..., Evaluation]:
    """Return the profile value plus `slope @ (theta - centre) / n`, for `climb`.

    Args:
        problem: The outer problem.
        slope: Support points with mass per unit of theta.
        centre: Where the penalty is zero.
        weights: Observation weights with sum one.
    """
    n_obs = weights.shape[0]

    def at(theta, probs) -> Evaluation:
        there = problem.evaluate(theta, probs, weights)
        return there._replace(
            value=there.value + slope @ (theta - centre) / n_obs,
            gradient=there.gradient + slope / n_obs,
        )

    return at


def take_penalty_off(
    there: Evaluation, slope: Float[Array, " p"], moved: Float[Array, " p"]
) -> Evaluation:
    """Return the profile value and gradient without what `penalise` added.

    Args:
        there: The penalised evaluation.
        slope: As in `penalise`.
        moved: How far theta is from the centre of the penalty.
    """
    n_obs = there.scores.shape[0]
    return there._replace(
        value=there.value - slope @ moved / n_obs,
        gradient=there.gradient - slope / n_obs,
    )


def measure_tilt(
    problem: OuterProblem,
    theta: Float[Array, " p"],
    root: Float[Array, "p p"],
    design: Float[Array, "n p"],
    probs: Float[Array, "*n_groups n_supp"],
    weights: Weights,
) -> tuple[Float[Array, " p"], Scalar]:
    """Return the least-squares slope of the number of atoms on theta, and its mean."""
    reach = _REACH * root
    counts = jax.lax.map(
        lambda z: problem.count_atoms(theta + reach @ z, probs, weights), design
    ).astype(float)
    # The design is symmetric, so its mean is zero and the constant drops out.
    slope = jnp.linalg.solve(design.T @ design, design.T @ counts)
    return jnp.linalg.solve(reach.T, slope), jnp.mean(counts)
