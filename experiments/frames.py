"""The models of this project on a data frame of one's own: no JAX to write.

Each function takes a frame with a row for each unit and period, and returns what
`spmlex.fit` wants: the model at its starting values, data, and a support grid.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
import pandas as pd
from jaxtyping import Array

import spmlex
from experiments.models.duration import WeibullHazard
from experiments.models.learning import Learning
from experiments.models.linear_factor import LinearFactor
from experiments.models.panel_binary import PanelBinary
from experiments.models.poisson import MixedPoisson
from experiments.models.replacement import Replacement
from experiments.panels import Panel, refuse_values

_N_SUPP, _N_SLOPES, _N_TRIAL = 60, 15, 400
_WIDEST = 20.0
"""Where the trial range of an unobservable ends that an exponential is taken of."""


class Problem(NamedTuple):
    """What `spmlex.fit` is called with: `spmlex.fit(*problem)`.

    Attributes:
        model0: The model at its starting values; coefficients in the order of the
            covariates.
        data: Arrays with a leading axis for units, in the order of their labels,
            `np.unique(frame[unit])`, and one for periods; with a `mask`, false for
            those that a unit lacks, where some do.
        supp: A support grid over the range where the data put the unobservable.
    """

    model0: Any
    data: dict[str, Array]
    supp: Array


def linear_factor(
    frame: pd.DataFrame, *, unit: str, time: str, outcome: str
) -> Problem:
    """Return the linear factor model of an outcome that every unit has every period.

    Args:
        frame: A row for each unit and period.
        unit: Its column with the unit.
        time: Its column with the period; loadings are in this order, the first is one.
        outcome: Its column with the outcome.

    Raises:
        ValueError: A column is missing or holds no numbers, a unit has a period twice,
            or lacks one.
    """
    panel = Panel(frame, unit, time, [outcome])
    panel.refuse_gaps("the linear factor model")
    outcomes = panel.cells[:, :, 0]
    n_periods = outcomes.shape[1]
    model = LinearFactor(jnp.ones(n_periods - 1), jnp.zeros(n_periods))
    first = outcomes[:, 0]
    margin = 0.5 * np.ptp(first) + 1e-12
    ends = float(first.min() - margin), float(first.max() + margin)
    return _finish(model, {"outcomes": outcomes}, panel, ends)


def panel_binary(
    frame: pd.DataFrame,
    *,
    unit: str,
    time: str,
    outcome: str,
    covariates: Sequence[str],
    link: str = "logit",
    n_random: int = 1,
) -> Problem:
    """Return the panel logit or probit with a random intercept, and random slopes.

    Units may lack periods.

    Args:
        frame: A row for each unit and period.
        unit: Its column with the unit.
        time: Its column with the period.
        outcome: Its column with the choice, 0 or 1.
        covariates: Its columns with the covariates; those with a random slope first.
        link: "logit" or "probit".
        n_random: Number of random coefficients, the intercept included.

    Raises:
        ValueError: A column is missing or holds no numbers, a unit has a period twice,
            or an outcome is neither 0 nor 1.
    """
    panel = Panel(frame, unit, time, [outcome, *covariates])
    chosen = panel.cells[:, :, 0]
    refuse_values(outcome, panel, ~np.isin(chosen, (0, 1)), "give 0 or 1")
    size = len(covariates) - (n_random - 1)
    if size < 1:
        raise ValueError(
            f"covariates={list(covariates)}: with n_random={n_random} give {n_random} "
            "or more."
        )
    model = PanelBinary(jnp.zeros(size), link, n_random)
    data = panel.mask({"outcomes": chosen > 0, "covariates": panel.cells[:, :, 1:]})
    return _finish(model, data, panel, (-_WIDEST, _WIDEST), n_random)


def poisson(
    frame: pd.DataFrame,
    *,
    unit: str,
    time: str,
    outcome: str,
    covariates: Sequence[str],
) -> Problem:
    """Return the mixed Poisson model of counts; units may lack periods.

    Args:
        frame: A row for each unit and period.
        unit: Its column with the unit.
        time: Its column with the period.
        outcome: Its column with the count.
        covariates: Its columns with the covariates.

    Raises:
        ValueError: A column is missing or holds no numbers, a unit has a period twice,
            or an outcome is no count.
    """
    panel = Panel(frame, unit, time, [outcome, *covariates])
    counts = panel.cells[:, :, 0]
    wrong = (counts < 0) | (counts != np.rint(counts))
    refuse_values(outcome, panel, wrong, "give whole numbers from 0 on")
    data = panel.mask({"outcomes": counts, "covariates": panel.cells[:, :, 1:]})
    model = MixedPoisson(jnp.zeros(len(covariates)))
    return _finish(model, data, panel, (-_WIDEST, _WIDEST))


def duration(
    frame: pd.DataFrame,
    *,
    unit: str,
    spell: str,
    outcome: str,
    ended: str,
    covariates: Sequence[str],
) -> Problem:
    """Return the Weibull hazard with frailty; units may have fewer spells than others.

    Args:
        frame: A row for each unit and spell.
        unit: Its column with the unit.
        spell: Its column with the number of the spell.
        outcome: Its column with the duration, in any unit of time.
        ended: Its column that is 1 for a spell that ended, 0 for one cut short.
        covariates: Its columns with the covariates.

    Raises:
        ValueError: A column is missing or holds no numbers, a unit has a spell twice,
            or a duration is not positive.
    """
    panel = Panel(frame, unit, spell, [outcome, ended, *covariates])
    times = panel.cells[:, :, 0]
    refuse_values(outcome, panel, ~(times > 0), "give positive durations")
    refuse_values(ended, panel, ~np.isin(panel.cells[:, :, 1], (0, 1)), "give 0 or 1")
    data = panel.mask(
        {
            "outcomes": np.where(panel.seen, times, 1.0),
            "ended": panel.cells[:, :, 1] > 0,
            "covariates": panel.cells[:, :, 2:],
        }
    )
    model = WeibullHazard(0.0, jnp.zeros(len(covariates)))
    return _finish(model, data, panel, (-_WIDEST, _WIDEST))


def replacement(
    frame: pd.DataFrame,
    *,
    unit: str,
    time: str,
    mileage: str,
    replaced: str,
    n_states: int,
    discount: float = 0.95,
) -> Problem:
    """Return the model of optimal replacement; units may be followed for unequal times.

    Args:
        frame: A row for each unit and period.
        unit: Its column with the unit, such as a bus.
        time: Its column with the period: without gaps within a unit.
        mileage: Its column with the bin of mileage before the decision, 0, 1, ...;
            each unit begins at 0.
        replaced: Its column that is 1 where the engine was replaced.
        n_states: Number of bins.
        discount: Discount factor, known.

    Raises:
        ValueError: A column is missing or holds no numbers, a unit has a period twice
            or a gap, or mileage falls without a replacement.
    """
    panel = Panel(frame, unit, time, [mileage, replaced])
    state, choice = panel.cells[:, :, 0], panel.cells[:, :, 1]
    whole = (state >= 0) & (state < n_states) & (state == np.rint(state))
    refuse_values(mileage, panel, ~whole, f"give bins from 0 to {n_states - 1}")
    refuse_values(replaced, panel, ~np.isin(choice, (0, 1)), "give 0 or 1")
    if (np.diff(panel.seen.astype(int), axis=1) > 0).any() or (state[:, 0] != 0).any():
        raise ValueError(
            f"{mileage}: each unit begins in the first period with mileage 0, and has "
            "no gaps: its initial condition would depend on the unobservable."
        )
    both = panel.seen[:, 1:]
    after = np.where(choice[:, :-1] > 0, 0, state[:, :-1])
    moves = state[:, 1:] - after
    if (moves[both] < 0).any():
        raise ValueError(f"{mileage} falls without a replacement in between.")
    size = int(moves[both].max())
    if size < 1:
        raise ValueError(f"{mileage} never rises: its increments can't be estimated.")
    n_units = len(panel.units)
    decisions = np.zeros((n_units, 2 * n_states))
    increments = np.zeros((n_units, size + 1))
    for t in range(state.shape[1]):
        rows = np.flatnonzero(panel.seen[:, t])
        column = (choice[rows, t] * n_states + state[rows, t]).astype(int)
        np.add.at(decisions, (rows, column), 1.0)
        if t:
            np.add.at(increments, (rows, moves[rows, t - 1].astype(int)), 1.0)
    model = Replacement(0.1, jnp.zeros(size), n_states, state.shape[1], discount)
    data = {"decisions": decisions, "increments": increments}
    return _finish(model, data, panel, (-_WIDEST, _WIDEST))


def learning(
    frame: pd.DataFrame, *, unit: str, time: str, choice: str, outcome: str
) -> Problem:
    """Return the model of learning about ability; every unit has every period.

    Args:
        frame: A row for each unit and period.
        unit: Its column with the unit.
        time: Its column with the period.
        choice: Its column with the choice, 0 or 1.
        outcome: Its column with the outcome of what was chosen.

    Raises:
        ValueError: A column is missing or holds no numbers, a unit has a period twice
            or lacks one, or there are fewer than three.
    """
    panel = Panel(frame, unit, time, [choice, outcome])
    panel.refuse_gaps("the learning model")
    chosen, outcomes = panel.cells[:, :, 0], panel.cells[:, :, 1]
    refuse_values(choice, panel, ~np.isin(chosen, (0, 1)), "give 0 or 1")
    later = outcomes.shape[1] - 1
    if later < 2:
        raise ValueError(f"{time} has {later + 1} periods: give three or more.")
    zeros, ones = jnp.zeros(later), jnp.ones(later)
    start = (jnp.zeros(later + 1), zeros, jnp.ones(1), ones)
    model = Learning(*start, 0.5, 0.0, jnp.zeros(2), jnp.array([0.0, 0.5, 0.5]))
    data = {"choices": chosen.astype(int), "outcomes": outcomes}
    made = _finish(model, data, panel, (-_WIDEST, _WIDEST))
    # The factor has the unit of outcomes; where a start puts it says less.
    supp = spmlex.uniform_grid(float(outcomes.min()), float(outcomes.max()), _N_SUPP)
    return made._replace(supp=supp)


def _finish(
    model: Any,
    arrays: dict[str, np.ndarray],
    panel: Panel,
    ends: tuple[float, float],
    n_random: int = 1,
) -> Problem:
    """Start the model at its own estimate, and put the grid where the data are."""
    data = {name: jnp.asarray(values) for name, values in arrays.items()}
    model = model.starting_values(data)
    if n_random == 1:
        low, high = spmlex.data_range(
            model, _leave_extremes_out(model, data, ends), *ends
        )
        supp = spmlex.uniform_grid(float(low), float(high), _N_SUPP)
    else:
        axis = jnp.linspace(-6.0, 6.0, _N_SLOPES)
        supp = spmlex.product_grid(*[axis] * n_random)
    return Problem(model, data, supp)


def _leave_extremes_out(
    model: Any, data: dict[str, Array], ends: tuple[float, float]
) -> dict[str, Array]:
    """Return the data without units that are the likelier the further out F is.

    Such as those that always chose the same: the kernels of the others, and their
    widths beyond these, say how far a grid has to reach.
    """
    trial = jnp.linspace(*ends, _N_TRIAL)
    at = spmlex.most_likely_points(model, data, trial)
    inside = np.asarray((at > trial[0]) & (at < trial[-1]))
    if not inside.any():
        return data
    return {name: values[inside] for name, values in data.items()}
