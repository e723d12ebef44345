"""Data-generating processes: a model at the truth and a mixing distribution."""

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import equinox as eqx
import jax.random as jr
from jaxtyping import Array, Float, PRNGKeyArray

import spmlex
from experiments.covariates import NormalCovariates
from experiments.mixing import AbstractMixing

Data = Any
"""A pytree of arrays with leading axis n_obs."""


@runtime_checkable
class Model(Protocol):
    """What a study needs of a model, any pytree; its float leaves are theta."""

    def simulate(self, data: Data, *, rng: PRNGKeyArray) -> Data:
        """Draw outcomes given the latent variable."""
        ...

    def lclk(self, data: Data, supp: Any) -> Float[Array, "n_obs n_supp"]:
        """Evaluate the log-density of each observation at each support point."""
        ...

    def starting_values(self, data: Data) -> "Model":
        """Return a model at rough estimates computed from the data."""
        ...


def _list_pairs(named: Any) -> tuple[tuple[str, Any], ...]:
    """List what a configuration names, so that it can be hashed."""
    return tuple(named.items() if isinstance(named, Mapping) else named)


def _list_symbols(symbols: Any) -> tuple[tuple[str, str], ...]:
    """List symbols by parameter; those of a field may be a list."""
    pairs = symbols.items() if isinstance(symbols, Mapping) else symbols
    return tuple(
        pair
        for name, given in pairs
        for pair in (
            [(name, given)]
            if isinstance(given, str)
            else [(f"{name}[{i}]", x) for i, x in enumerate(given)]
        )
    )


class Process(eqx.Module):
    """Draws data sets from a model at the truth.

    Attributes:
        truth: The model at the true parameters.
        mixing: The distribution of the latent variable.
        covariates: Observed covariates, for models that have some.
        label: How tables and figures call the process.
        symbol: How they write its parameters, in LaTeX: by the name of a parameter, or
            a list by that of a field of the model with several entries.
        estimands: What is estimated of this process beside theta, by name; see
            `experiments.estimands`.
    """

    truth: Model
    mixing: AbstractMixing
    covariates: NormalCovariates | None = None
    label: str = eqx.field(static=True, default="")
    symbol: tuple[tuple[str, str], ...] = eqx.field(
        static=True, default=(), converter=_list_symbols
    )
    estimands: tuple[tuple[str, Any], ...] = eqx.field(
        static=True, default=(), converter=_list_pairs
    )

    def __check_init__(self):
        """Refuse a symbol of what is no parameter."""
        names = spmlex.parameter_names(self.truth)
        for name, _ in self.symbol:
            if name not in names:
                raise ValueError(
                    f"symbol: {name} is no parameter; they are {', '.join(names)}."
                )

    def simulate(self, key: PRNGKeyArray, n: int) -> Data:
        """Draw n observations; the first ones don't depend on n.

        One key is folded per purpose, so that a process with another mixing
        distribution shares the covariates and the outcomes' noise.

        Args:
            key: The replication's key.
            n: Number of observations.

        Returns:
            The data as the estimator sees them, without the latent variable.
        """
        data = self.mixing.simulate(rng=jr.fold_in(key, 0), n=n)
        if self.covariates is not None:
            rng = jr.fold_in(key, 2)
            data |= self.covariates.simulate(data["latent"], rng=rng)
        return self.truth.simulate(data, rng=jr.fold_in(key, 1))
