"""Average partial effects, their errors by the delta method."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from spmlex._answers.posterior import Groups, choose_data, own_masses
from spmlex._answers.predict import Outcome, check_value, choose_function, open_estimate
from spmlex._efficient.efficient_estimate import EfficientEstimate
from spmlex._evidence.evidence import Estimated
from spmlex._inference.delta_method import Functional, apply_function, expand
from spmlex._profile.outer import OuterProblem
from spmlex._programs.compile import compile_together
from spmlex._words.arguments import read_number, show
from spmlex._words.inputs import read_count
from spmlex._words.parameters import names_by_field
from spmlex._words.types import Data, Weights


def average_partial_effects(
    estimate: Estimated | EfficientEstimate,
    variable: str,
    function: Outcome | None = None,
    data: Data | None = None,
    *,
    columns: Sequence[int | str] | None = None,
    change: tuple[float, float] | None = None,
    where: Bool[Array | np.ndarray, "n_obs ..."] | None = None,
    groups: Groups = None,
) -> Functional:
    """Average what a variable adds to an expected outcome, over observations and F.

    The derivative with the variable, or the difference between two of its values.
    With the fit's own data the standard error counts that they are a sample: other
    observations would have other covariates. With `data` it takes these as given.

    Args:
        estimate: A fit, or what `efficient_estimate` returns.
        variable: Its name in the data, a dictionary.
        function: Of model, data and supp, (n_obs, n_supp) or (n_obs, n_supp, ...): by
            default `model.expected_outcome(data, supp)`.
        data: Of other observations; by default those of the fit.
        columns: Entries of the last axis of the variable, moved one by one, an effect
            each: by number, or by the name of the coefficient in its place. By default
            all of the variable moves at once, and has one effect.
        change: Two values, such as (0.0, 1.0): the effect is that of the second in
            place of the first; by default the derivative.
        where: Which values of the function count, such as the mask of an unbalanced
            panel: in the shape of the function's value without support points.
        groups: Group of each of the other observations, where the fit has groups.

    Raises:
        ValueError: There is no such variable or column, or no function.

    Examples:
        >>> def index(model, data, supp):
        ...     return model.coef * data["x"][:, None, :] + supp[:, None]
        >>> effect = average_partial_effects(estimate, "x", index)
        >>> bool(jnp.isclose(effect.value[0], estimate.model.coef))
        True
    """
    source, problem, weights = open_estimate(estimate)
    is_own = data is None
    data, own = choose_data(problem, source.probs, data, groups)
    function = choose_function(function, problem)
    shape = check_value(function, problem, data)
    _check_variable(variable, data)
    asked = _read_columns(columns, variable, data, problem)
    numbers = tuple(number for _, number in asked)
    kept = jnp.ones(shape) if where is None else _read_mask(where, shape)
    if change is not None:
        _check_change(change)
    if not is_own:
        # Other data have no weights of the fit's, and are taken as they are.
        weights = jnp.full(shape[0], 1.0 / shape[0])
    cells = kept.reshape(shape[0], -1)
    cells = _divide_by_sum(cells, weights)
    effects = _Effects(data, own, cells, function, variable, numbers, change)
    averages = _Averages(effects, weights)
    made = apply_function(expand(source), averages)
    made = dataclasses.replace(made, names=tuple(name for name, _ in asked))
    if not is_own:
        return made
    model, supp, probs = source.model, source.supp, source.probs
    # The sample is a draw as well: what effects vary by between observations is error
    # of their average, beside that of theta and F.
    influence = _add_sampling(made, effects, model, supp, probs)
    return dataclasses.replace(made, influence=influence)


@compile_together
def _divide_by_sum(
    cells: Float[Array, "n_obs k"], weights: Weights
) -> Float[Array, "n_obs k"]:
    return cells / (weights @ jnp.sum(cells, axis=1))


@compile_together
def _add_sampling(
    made: Functional, effects: "_Effects", model: Any, supp: Any, probs: Array
) -> Float[Array, "n_obs n_columns"]:
    mine = jnp.sum(effects.cells, axis=1)
    sampled = effects(model, supp, probs) - made.value * mine[:, None]
    return made.influence + sampled


class _Effects(eqx.Module):
    """What each observation adds to the averages, by column."""

    data: Data
    groups: Array | None
    cells: Float[Array, "n_obs k"]
    function: Outcome = eqx.field(static=True)
    variable: str = eqx.field(static=True)
    columns: tuple[int | None, ...] = eqx.field(static=True)
    change: tuple[float, float] | None = eqx.field(static=True)

    def __call__(
        self, model: Any, supp: Any, probs: Array
    ) -> Float[Array, "n_obs n_columns"]:
        """Return the sums over an observation's values that count."""
        each = [self._effect(model, supp, column) for column in self.columns]
        masses = own_masses(probs, self.groups)
        masses = jnp.broadcast_to(masses, each[0].shape[:2])
        means = [jnp.einsum("ij,ij...->i...", masses, effect) for effect in each]
        rows = [mean.reshape(mean.shape[0], -1) for mean in means]
        # Values that do not count may be nan, as what is under a mask.
        some = self.cells > 0
        summed = [jnp.where(some, self.cells * row, 0.0).sum(axis=1) for row in rows]
        return jnp.stack(summed, axis=1)

    def _effect(self, model: Any, supp: Any, column: int | None) -> Array:
        values = jnp.asarray(self.data[self.variable], float)
        where = jnp.ones_like(values)
        if column is not None:
            where = jnp.zeros_like(values).at[..., column].set(1.0)

        def at(values: Array) -> Array:
            return self.function(model, self.data | {self.variable: values}, supp)

        if self.change is not None:
            first, second = (jnp.where(where > 0, x, values) for x in self.change)
            return at(second) - at(first)
        slope: Array
        # Rows depend on their own values alone: one pass differentiates all of them.
        _, slope = jax.jvp(at, (values,), (where,))
        return slope


class _Averages(eqx.Module):
    """The averages over observations as a function of theta and F."""

    effects: _Effects
    weights: Weights

    def __call__(self, model: Any, supp: Any, probs: Array) -> Array:
        """Return them, one for each column."""
        each = self.effects(model, supp, probs)
        return self.weights @ jnp.where(self.weights[:, None] > 0, each, 0.0)


def _check_variable(variable: str, data: Data) -> None:
    names = list(data) if isinstance(data, dict) else []
    if not isinstance(variable, str) or variable not in names:
        listed = ", ".join(map(str, names)) or "no names: make it a dictionary"
        raise ValueError(f"variable={show(variable)}: the data have {listed}.")


def _read_columns(
    columns: Any, variable: str, data: Data, problem: OuterProblem
) -> list[tuple[str, int | None]]:
    """Return what each effect is called, and the number of its column.

    A column may be asked for by the name of the coefficient in its place, in a field
    with one for each; asked for by number it is called so, for no field need be meant.
    """
    if columns is None:
        return [(variable, None)]
    if not isinstance(columns, Sequence) or isinstance(columns, str) or not columns:
        raise ValueError(f"columns={show(columns)}: give a list, such as [0, 1].")
    shape = jnp.shape(data[variable])
    if len(shape) < 2:
        raise ValueError(f"columns={show(columns)}: {variable} has no columns.")
    fields = names_by_field(problem.model, problem.free, problem.names).values()
    places = {
        name: k
        for names in fields
        if len(names) == shape[-1]
        for k, name in enumerate(names)
    }
    found: list[tuple[str, int | None]] = []
    for column in columns:
        if isinstance(column, str):
            if column not in places:
                listed = ", ".join(places) or "no coefficients with names"
                raise ValueError(
                    f"columns holds {column!r}: for the {shape[-1]} columns of "
                    f"{variable} there are {listed}. Or give their numbers."
                )
            found.append((column, places[column]))
        elif not 0 <= read_count("columns", column, 0) < shape[-1]:
            raise ValueError(
                f"columns holds {column}: {variable} has {shape[-1]}, from 0."
            )
        else:
            found.append((f"{variable}[{int(column)}]", int(column)))
    return found


def _read_mask(where: Any, shape: tuple[int, ...]) -> Array:
    mask = np.asarray(where)
    if mask.dtype != bool or mask.shape != shape:
        raise ValueError(
            f"where has shape {mask.shape} and dtype {mask.dtype}; give truth values "
            f"of shape {shape}."
        )
    return jnp.asarray(mask, float)


def _check_change(change: Any) -> None:
    if not isinstance(change, tuple) or len(change) != 2:
        raise ValueError(f"change={show(change)}: give two values, as (0.0, 1.0).")
    for value in change:
        read_number("change", value, "(0.0, 1.0)")
