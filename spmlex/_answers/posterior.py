"""What an observation says about its own unobservable: the empirical Bayes rule."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PyTree

from spmlex._evidence.evidence import Evidence
from spmlex._inner.mixture import posterior_weights
from spmlex._profile.outer import OuterProblem
from spmlex._programs.compile import compile_together
from spmlex._support.continuum import rows_of
from spmlex._words.arguments import check_function, read_floats, read_masses, show
from spmlex._words.inputs import (
    cast_to_float64,
    check_rows,
    conditional_likelihoods,
    read_count,
    read_inputs,
)
from spmlex._words.types import Data, LogCondLik, Model, Support, Weights

Groups = Int[Array | np.ndarray, " n_obs"] | None

_ROUNDING = 1e-12
"""Masses that sum to a level up to this reach it."""

_EXAMPLE = "`lambda v: v**2`"


class Posterior(eqx.Module):
    """Distribution of each observation's unobservable, theta and F taken for known.

    Rows without weight in the fit, which are no observations, are `nan`.

    Attributes:
        probs: Probabilities of the support points, a row for each observation.
        supp: The support points.
    """

    probs: Float[Array, "n_obs n_supp"]
    supp: Support

    def mean(  # pyright: ignore[reportUnknownParameterType]
        self, function: Callable[[Any], Any] | None = None
    ) -> PyTree[Float[Array, "n_obs ..."]]:
        """Return the posterior mean of the unobservable, or of a function of it.

        Args:
            function: Called with `supp`; by default the unobservable itself.

        Returns:
            In the form of `supp`, or of what the function returns, with a leading axis
            for observations in place of support points.

        Raises:
            ValueError: The function does not return a value for each support point.

        Examples:
            >>> estimate.posterior().mean(lambda v: v > 0).shape
            (60,)
        """
        return jax.tree.map(self._average, self._values(function))

    def std(  # pyright: ignore[reportUnknownParameterType]
        self, function: Callable[[Any], Any] | None = None
    ) -> PyTree[Float[Array, "n_obs ..."]]:
        """Return the posterior standard deviation, as `mean` returns the mean."""

        def spread(values: Array) -> Array:
            # Around their mean first: far from zero the squares would cancel.
            centred = values - jnp.mean(values, axis=0)
            variance = self._average(centred**2) - self._average(centred) ** 2
            return jnp.sqrt(jnp.maximum(variance, 0.0))

        return jax.tree.map(spread, self._values(function))

    def quantile(
        self, level: float = 0.5, *, coordinate: int = 0
    ) -> Float[Array, " n_obs"]:
        """Return a posterior quantile: the least v with Pr(V <= v) at the level.

        Args:
            level: Between 0 and 1.
            coordinate: Which one of the unobservable, from 0.

        Raises:
            ValueError: The level is no share, or there is no such coordinate.
        """
        share = read_floats("level", level, "0.5")
        if share.shape != () or not 0 < share < 1:
            raise ValueError(f"level={show(level)}: give a share, such as 0.5.")
        rows = rows_of(self.supp)
        if not 0 <= read_count("coordinate", coordinate, 0) < rows.shape[1]:
            raise ValueError(
                f"coordinate={coordinate}: the unobservable has {rows.shape[1]}; the "
                "first is 0."
            )
        at = rows[:, coordinate]
        order = jnp.argsort(at)
        total = jnp.cumsum(self.probs[:, order], axis=1)
        # The first that reaches the level; argmax of truth values is that.
        found = at[order][jnp.argmax(total >= share - _ROUNDING, axis=1)]
        return jnp.where(jnp.isnan(total[:, -1]), jnp.nan, found)

    def class_probabilities(
        self, classes: Callable[[Any], Any] | None = None
    ) -> dict[Any, Float[Array, " n_obs"]]:
        """Return the posterior probability of each class of support points.

        Args:
            classes: Gives each support point the label of its class, such as
                `lambda v: v > 0`; by default each point with mass is a class, numbered
                from 0 in the order of the first coordinate.

        Returns:
            By label.

        Raises:
            ValueError: `classes` does not return a label for each support point.

        Examples:
            >>> list(estimate.posterior().class_probabilities(lambda v: v > 0))
            [False, True]
        """
        if classes is None:
            kept = np.flatnonzero(np.nanmax(np.asarray(self.probs), axis=0) > 0)
            first = np.asarray(rows_of(self.supp))[kept, 0]
            ordered = kept[np.argsort(first, kind="stable")]
            return {k: self.probs[:, column] for k, column in enumerate(ordered)}
        check_function("classes", classes, "`lambda v: v > 0`")
        labels = np.asarray(classes(self.supp))
        n_supp = self.probs.shape[1]
        if labels.shape != (n_supp,):
            raise ValueError(
                f"classes returned shape {labels.shape}: it must return a label for "
                f"each of the {n_supp} support points."
            )
        return {
            label: jnp.sum(self.probs[:, labels == label], axis=1)
            for label in np.unique(labels).tolist()
        }

    def _average(self, values: Array) -> Array:
        return jnp.tensordot(self.probs, values, axes=1)

    def _values(self, function: Callable[[Any], Any] | None) -> Any:
        if function is None:
            return self.supp
        if not callable(function) or isinstance(function, type):
            raise ValueError(
                f"function={function!r}: give a function of the support points, such "
                f"as {_EXAMPLE}, or leave it out."
            )
        values, n_supp = function(self.supp), self.probs.shape[1]
        shapes = [jnp.shape(leaf) for leaf in jax.tree.leaves(values)]
        if not shapes or any(shape[:1] != (n_supp,) for shape in shapes):
            listed = ", ".join(map(str, shapes)) or "nothing"
            raise ValueError(
                f"function returned {listed}: it must return a value for each of the "
                f"{n_supp} support points, along the first axis."
            )
        return jax.tree.map(jnp.asarray, values)


def posterior(
    model: Model,
    data: Data,
    supp: Support,
    probs: Float[Array | np.ndarray, " n_supp *n_groups"],
    *,
    groups: Groups = None,
) -> Posterior:
    """Return the posterior of each observation's unobservable, at any theta and F.

    That of a fit is `Fit.posterior`.

    Args:
        model: The model at a value of theta.
        data: A pytree of arrays with leading axis n_obs.
        supp: Support points.
        probs: Their masses; a column for each group where there are.
        groups: Group of each observation, `0 .. n_groups - 1`, where `probs` has
            columns.

    Raises:
        ValueError: `probs` gives no mass for each support point, or `groups` does not
            belong to it.

    Examples:
        >>> found = posterior(model0, data, supp, estimate.probs)
        >>> found.mean().shape
        (60,)
    """
    model, data, supp = read_inputs(model, data, supp)
    lclk = conditional_likelihoods(model, data, supp)
    masses = read_floats("probs", probs, "np.full(5, 0.2)")
    if groups is None or masses.ndim != 2:
        masses = read_masses("probs", masses, lclk.shape[1])
    elif masses.shape[0] != lclk.shape[1]:
        raise ValueError(
            f"probs has shape {masses.shape}; give a row for each of the "
            f"{lclk.shape[1]} support points."
        )
    own = read_own_groups(groups, masses, lclk.shape[0])
    return Posterior(_posterior_weights(lclk, masses, own), supp)


def posterior_of(evidence: Evidence, data: Data | None, groups: Groups) -> Posterior:
    """Return that of a fit's own data, or of other observations. Equation (4).

    Raises:
        ValueError: `groups` does not belong to the data.
    """
    given = evidence.given
    others, own = choose_data(given, evidence.probs, data, groups)
    weights = evidence.weights if others is given.data else None
    args = (evidence.model, others, evidence.supp, evidence.probs, own, weights)
    return Posterior(_compute_posterior(*args), evidence.supp)


@compile_together
def _compute_posterior(
    model: Model,
    data: Data,
    supp: Support,
    probs: Array,
    groups: Array | None,
    weights: Weights | None,
) -> LogCondLik:
    """Return it by support point; `nan` for rows of the sample without weight."""
    lclk = conditional_likelihoods(model, data, supp)
    found = _posterior_weights(lclk, probs, groups)
    if weights is None:
        return found
    return jnp.where(weights[:, None] > 0, found, jnp.nan)


def choose_data(
    given: OuterProblem, probs: Array, data: Data | None, groups: Groups
) -> tuple[Data, Array | None]:
    """Return the data that something is asked of, and the group of each observation.

    Args:
        given: The problem of an estimate, whose own data they are by default.
        probs: Its mixing probabilities.
        data: Other data, or `None`.
        groups: Of other data, where the estimate has groups.

    Raises:
        ValueError: `groups` does not belong to the data.
    """
    if data is None:
        if groups is not None:
            raise ValueError("groups: the fit's own data have theirs; give it `data`.")
        return given.data, given.groups
    check_rows("data", data, "n_obs")
    data = cast_to_float64(data)
    n_obs = jax.tree.leaves(data)[0].shape[0]
    return data, read_own_groups(groups, probs, n_obs)


def read_own_groups(groups: Any, probs: Array, n_obs: int) -> Array | None:
    """Return the group of each observation; not every group needs to be there.

    Raises:
        ValueError: Groups where there are none, none where there are, or others.
    """
    if probs.ndim == 1:
        if groups is not None:
            raise ValueError("groups: this mixing distribution has none; leave it out.")
        return None
    size = probs.shape[1]
    found = np.asarray(groups)
    fits = found.shape == (n_obs,) and found.dtype.kind in "iu"
    if not fits or not ((found >= 0) & (found < size)).all():
        raise ValueError(
            f"groups={show(groups)}: give each of the {n_obs} observations its group, "
            f"a whole number from 0 to {size - 1}."
        )
    return jnp.asarray(found)


def own_masses(probs: Array, groups: Array | None) -> Array:
    """Return the masses that belong to each observation: one row where all agree."""
    return probs[None] if groups is None else probs.T[groups]


def _posterior_weights(
    lclk: LogCondLik, probs: Array, groups: Array | None
) -> LogCondLik:
    if groups is None:
        return posterior_weights(lclk, probs)
    one = jax.vmap(lambda row, probs: posterior_weights(row[None], probs)[0])
    return one(lclk, own_masses(probs, groups))
