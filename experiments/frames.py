"""The models of this project on a data frame of one's own: no JAX to write.

Each function takes a frame with a row for each unit and period, and returns what
`spmlex.fit` wants: the model at its starting values, data, and a support grid. The
model knows the names of columns and periods, by which the fit calls its parameters.
"""

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
import pandas as pd

import spmlex
from experiments.models.duration import WeibullHazard
from experiments.models.learning import Learning
from experiments.models.linear_factor import LinearFactor
from experiments.models.panel_binary import PanelBinary
from experiments.models.parts.named import by_period
from experiments.models.poisson import MixedPoisson
from experiments.models.replacement import Replacement
from experiments.panels import Panel, refuse_values
from experiments.posed import N_SUPP, WIDEST, Problem, pose


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
    labels = by_period("coef", panel.periods[1:]), by_period("log_std_e", panel.periods)
    model = LinearFactor(jnp.ones(n_periods - 1), jnp.zeros(n_periods), labels=labels)
    first = outcomes[:, 0]
    # A range needs a length, also where all outcomes are equal.
    margin = 0.5 * np.ptp(first) + 1e-12
    ends = float(first.min() - margin), float(first.max() + margin)
    return pose(model, {"outcomes": outcomes}, ends)


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
    labels = (("coef", tuple(map(str, covariates[n_random - 1 :]))),)
    model = PanelBinary(jnp.zeros(size), link, n_random, labels=labels)
    data = panel.mask({"outcomes": chosen > 0, "covariates": panel.cells[:, :, 1:]})
    return pose(model, data, WIDEST, n_random)


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
    labels = (("coef", tuple(map(str, covariates))),)
    model = MixedPoisson(jnp.zeros(len(covariates)), labels=labels)
    return pose(model, data, WIDEST)


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
    labels = (("coef", tuple(map(str, covariates))),)
    model = WeibullHazard(0.0, jnp.zeros(len(covariates)), labels=labels)
    return pose(model, data, WIDEST)


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
    return pose(model, data, WIDEST)


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
    beliefs = (0.5, 0.0, jnp.zeros(2), jnp.array([0.0, 0.5, 0.5]))
    labels = (
        by_period("intercept_0", panel.periods),
        by_period("intercept_1", panel.periods[1:]),
        by_period("loading_1", panel.periods[1:]),
    )
    model = Learning(*start, *beliefs, labels=labels)
    data = {"choices": chosen.astype(int), "outcomes": outcomes}
    made = pose(model, data, WIDEST)
    # The factor has the unit of outcomes; where a start puts it says less.
    supp = spmlex.uniform_grid(float(outcomes.min()), float(outcomes.max()), N_SUPP)
    return made._replace(supp=supp)
