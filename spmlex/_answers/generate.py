"""What an estimate says of data: draws of it, and how likely some are."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float, PRNGKeyArray

from spmlex._answers.posterior import Groups, choose_data, own_masses
from spmlex._evidence.evidence import Estimated, evidence_of
from spmlex._inner.mixture import log_mixture
from spmlex._words.arguments import show
from spmlex._words.inputs import conditional_likelihoods
from spmlex._words.types import Data, Model, Support


def simulate(
    estimate: Estimated,
    key: PRNGKeyArray,
    data: Data | None = None,
    *,
    groups: Groups = None,
    shape: tuple[int, ...] = (),
) -> Data:
    """Draw outcomes from a fitted model, unobservables from its F.

    Args:
        estimate: A fit whose model has `simulate`.
        key: Random key: the same one gives the same draws.
        data: Gives the covariates, a dictionary; by default those of the fit.
        groups: Group of each observation of `data`, where the fit has groups.
        shape: Of the leading axes: how many data sets to draw; one by default.

    Returns:
        A dictionary with the names of the data, `shape` before the axis of
        observations.

    Raises:
        ValueError: The model can't generate data, or `key` is no random key.

    Examples:
        >>> drawn = simulate(estimate, jax.random.key(1), shape=(10,))
        >>> drawn["y"].shape
        (10, 60, 3)
    """
    evidence = evidence_of("estimate", estimate)
    model, supp = evidence.model, evidence.supp
    given: Any
    given, own = choose_data(evidence.given, evidence.probs, data, groups)
    check_can_simulate(model, given)
    check_key(key)
    whole = isinstance(shape, tuple) and all(
        isinstance(size, int) and not isinstance(size, bool) and size > 0
        for size in shape
    )
    if not whole:
        raise ValueError(f"shape={show(shape)}: give whole numbers, such as (10,).")
    masses = own_masses(evidence.probs, own)
    if not shape:
        return draw_outcomes(model, given, supp, masses, key)
    # One data set after the other: drawn at once they may not fit in memory.
    keys = jr.split(key, shape)
    flat = keys.reshape(-1)
    drawn = jax.lax.map(lambda k: draw_outcomes(model, given, supp, masses, k), flat)
    return jax.tree.map(lambda leaf: leaf.reshape(*shape, *leaf.shape[1:]), drawn)


def draw_outcomes(
    model: Model,
    data: dict[str, Array],
    supp: Support,
    masses: Float[Array, "k n_supp"],
    key: PRNGKeyArray,
) -> dict[str, Array]:
    """Draw an unobservable and outcomes for each observation.

    Args:
        model: Has `simulate`.
        data: Gives the covariates.
        supp: Support points.
        masses: Of each observation's distribution, or of all in one row.
        key: Random key.
    """
    for_latent, for_outcomes = jr.split(key)
    n_obs = jax.tree.leaves(data)[0].shape[0]
    # Points without mass become -inf, which is never drawn.
    log_mass = jnp.broadcast_to(jnp.log(masses), (n_obs, masses.shape[1]))
    drawn = jr.categorical(for_latent, log_mass)
    latent = jax.tree.map(lambda leaf: leaf[drawn], supp)
    rows = data | model.simulate(data | {"latent": latent}, rng=for_outcomes)
    return {name: rows[name] for name in data}


def check_can_simulate(model: Model, data: Data) -> None:
    """Refuse models and data that nothing can be drawn with.

    Raises:
        ValueError: There is no `simulate`, or the data are no dictionary.
    """
    if not hasattr(model, "simulate"):
        raise ValueError(
            f"estimate: {type(model).__name__} can't generate data: give it a method "
            "`simulate(data, *, rng)` that draws outcomes given data['latent']."
        )
    if not isinstance(data, dict):
        raise ValueError("data is no dictionary, which `simulate` needs.")


def check_key(key: Any) -> None:
    """Refuse what is no single random key of JAX.

    Raises:
        ValueError: It is none.
    """
    is_key = isinstance(key, jax.Array) and jnp.issubdtype(
        key.dtype, jax.dtypes.prng_key
    )
    if not is_key or key.shape != ():
        raise ValueError(f"key={show(key)}: give one as `jax.random.key(0)` makes.")


def log_likelihoods(
    estimate: Estimated, data: Data | None = None, *, groups: Groups = None
) -> Float[Array, " n_obs"]:
    """Return the log-likelihood of each observation under a fitted model.

    Of new data it says how well the fit predicts: F is that of the fit.

    Args:
        estimate: A fit.
        data: Of other observations; by default those of the fit.
        groups: Group of each of them, where the fit has groups.

    Returns:
        Nats; `-inf` where no support point makes an observation possible.

    Raises:
        ValueError: `groups` does not belong to the data.

    Examples:
        >>> total = log_likelihoods(estimate).sum()
        >>> bool(jnp.isclose(total, estimate.log_likelihood))
        True
    """
    evidence = evidence_of("estimate", estimate)
    data, own = choose_data(evidence.given, evidence.probs, data, groups)
    return _log_likelihoods(evidence.model, data, evidence.supp, evidence.probs, own)


@eqx.filter_jit
def _log_likelihoods(
    model: Model, data: Data, supp: Support, probs: Array, own: Array | None
) -> Array:
    lclk = conditional_likelihoods(model, data, supp)
    if own is None:
        return log_mixture(lclk, probs)
    one = jax.vmap(lambda row, masses: log_mixture(row[None], masses)[0])
    return one(lclk, own_masses(probs, own))
