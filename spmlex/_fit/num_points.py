"""How many support points: the likelihood with at most so many, and criteria."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from spmlex._atoms.joint import JointProblem
from spmlex._climb.newton import State, climb
from spmlex._climb.verdict import judge
from spmlex._evidence.evidence import Estimated, evidence_of
from spmlex._inner import ActiveSet
from spmlex._inner.mixture import scale_rows, weight_per_density
from spmlex._profile.evaluation import Evaluation
from spmlex._support.continuum import range_of, rows_of
from spmlex._words.arguments import check_choice
from spmlex._words.codes import RESULTS
from spmlex._words.inputs import conditional_likelihoods, read_count
from spmlex._words.printing import Printed, write
from spmlex._words.table import Table

CRITERIA = ("aic", "bic")

_TOL = 1e-6
_MAX_STEPS = 100
_LEAST_GAIN = 1e-6
"""Nats that another point has to add, or there is no use in more."""


class PointCounts(Printed):
    """Models with 1, 2, ... support points whose places are free.

    Attributes:
        num_points: How many.
        log_likelihood: Of the sample, nats.
        num_parameters: Theta, places and masses.
        aic: Minus twice the log-likelihood plus twice the number of parameters.
        bic: The same with the log of the number of observations in place of two.
        theta: The parameters with each.
        converged: Whether the search for the maximum ended at one.
    """

    num_points: Int[np.ndarray, " k"]
    log_likelihood: Float[np.ndarray, " k"]
    num_parameters: Int[np.ndarray, " k"]
    aic: Float[np.ndarray, " k"]
    bic: Float[np.ndarray, " k"]
    theta: Float[np.ndarray, "k p"]
    converged: Bool[np.ndarray, " k"]

    def _tabulate(self) -> Table:
        columns = (self.log_likelihood, self.aic, self.bic)
        rows: list[tuple[str, ...]] = []
        for i, number in enumerate(self.num_points):
            name = f"{int(number)}" + ("" if self.converged[i] else " (no maximum)")
            value, *criteria = (write(column[i], 3) for column in columns)
            rows.append((name, value, f"{int(self.num_parameters[i])}", *criteria))
        head = ("points", "log-likelihood", "parameters", "AIC", "BIC")
        best = (f"best by AIC {self.best('aic')}, by BIC {self.best('bic')}",)
        return Table("Support points that are free to move", head, tuple(rows), best)

    def best(self, criterion: str = "bic") -> int:
        """Return the number of points with the least value of a criterion.

        Args:
            criterion: "aic" or "bic".

        Raises:
            ValueError: It is another one.
        """
        check_choice("criterion", criterion, CRITERIA, "a criterion")
        values = self.aic if criterion == "aic" else self.bic
        return int(self.num_points[np.argmin(values)])


def count_points(estimate: Estimated, most: int = 8) -> PointCounts:
    """Fit the model with few support points, one more at a time.

    Each begins with the points before and the one at which, by the gradient function,
    mass would add most; theta, places and masses are then free. It ends early where no
    point adds anything: F with as many is the maximum likelihood estimate. A search
    that begins in one place, so that another maximum may be higher.

    Args:
        estimate: A fit without groups: gives the model, the data and theta to begin
            with.
        most: Largest number of points tried.

    Raises:
        ValueError: The fit has groups, or `most` is no count.

    Examples:
        >>> found = count_points(estimate, most=3)
        >>> found.best("bic")
        2
    """
    evidence = evidence_of("estimate", estimate)
    if read_count("most", most, 8) < 1:
        raise ValueError(f"most={most}: give 1 or more, such as 8.")
    if evidence.given.groups is not None:
        raise ValueError("estimate: points are counted for one F; this has groups.")
    box, trial = range_of(evidence.given.supp)
    solver = ActiveSet(working_sizes=(most,), has_net=False)
    joint = JointProblem(evidence.given, box, trial, evidence.weights, solver)
    size, n_obs = evidence.theta.size, float(evidence.n_obs)
    theta, places = evidence.theta, jnp.zeros((most, trial.shape[1]))
    following = evidence.probs @ rows_of(evidence.supp)
    probs = jnp.zeros(most)
    rows: list[tuple[float, int, np.ndarray, bool]] = []
    for count in range(1, most + 1):
        places = places.at[count - 1].set(joint.to_places(following[None])[0])
        share = 1.0 / count
        # An even share for the new one: the solve that follows corrects it.
        probs = ((1.0 - share) * probs).at[count - 1].set(share)
        both = jnp.concatenate([theta, places.ravel()])
        state, code = _climb(joint, both, probs, jnp.arange(most) < count)
        theta = state.theta[:size]
        places = jnp.clip(state.theta[size:].reshape(places.shape), 0.0, 1.0)
        probs = state.here.probs
        height = -n_obs * float(state.here.value)
        if rows and height < rows[-1][0] + _LEAST_GAIN:
            break
        used = size + count * trial.shape[1] + count - 1
        ended = bool(code == RESULTS.successful)
        rows.append((height, used, np.asarray(theta), ended))
        gradient = _gradient_function(joint, theta, places, probs)
        following = trial[int(jnp.argmax(gradient))]
    heights, used, thetas, ended = zip(*rows, strict=True)
    heights, used = np.array(heights), np.array(used)
    return PointCounts(
        np.arange(1, len(rows) + 1),
        heights,
        used,
        2.0 * used - 2.0 * heights,
        np.log(n_obs) * used - 2.0 * heights,
        np.stack(thetas),
        np.array(ended),
    )


@eqx.filter_jit
def _climb(
    joint: JointProblem,
    both: Float[Array, " q"],
    probs: Float[Array, " k"],
    present: Bool[Array, " k"],
) -> tuple[State, Any]:
    def at(both: Array, probs: Array) -> Evaluation:
        return joint.evaluate(both, probs, present)

    n_rows = joint.weights.shape[0]
    args = (at, n_rows, both, probs, _TOL, _MAX_STEPS)
    state = climb(*args, atoms_move=True)
    return state, judge(state, joint.weights, jnp.array(jnp.inf), _TOL)


@eqx.filter_jit
def _gradient_function(
    joint: JointProblem,
    theta: Float[Array, " p"],
    places: Float[Array, "k d"],
    probs: Float[Array, " k"],
) -> Float[Array, " n_supp"]:
    """Return what mass at each point of the grid would add. Equation (3)."""
    lclk = jnp.where(probs > 0, joint.lclk(theta, places), -jnp.inf)
    scaled, shift = scale_rows(lclk)
    ratio = weight_per_density(scaled @ probs, joint.weights)
    model, data = joint.outer.build(theta), joint.outer.data
    there = conditional_likelihoods(model, data, joint.box.to_supp(joint.trial))
    return ratio @ jnp.exp(there - shift[:, None])
