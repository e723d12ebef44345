"""Starting values of the learning model: its estimates as if the factor were normal."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float

from experiments.models.parts.starts import climb_by_scoring

_N_NODES = 7
"""Gauss-Hermite nodes for each observation."""

_MAX_STEPS = 30
"""Limit on the steps of scoring."""


def start_from_normal(model: Any, data: dict[str, Array]) -> Any:
    """Estimate the parameters of a `Learning` model with `k ~ N(mu, tau^2)`.

    The maximum likelihood estimate, by steps of scoring from the means and covariances
    of the outcomes. The outcomes' part of the likelihood is a normal density in k, so
    that it integrates in closed form and the choices by Gauss-Hermite nodes around
    each observation's own posterior mean.

    Args:
        model: The model; only its structure is used.
        data: `choices` and `outcomes`, (n_obs, n_periods).

    Returns:
        A model of the same kind, at the estimates, which are always finite.
    """
    choices, outcomes = data["choices"], data["outcomes"]
    # In units of the outcomes' standard deviation, so that steps mean the same.
    centre = outcomes.mean()
    tiny = jnp.finfo(outcomes.dtype).tiny ** 0.5
    unit = jnp.sqrt(((outcomes - centre) ** 2).mean()) + tiny
    scaled = {"choices": choices, "outcomes": (outcomes - centre) / unit}
    start, location = _start_from_moments(model, scaled)
    theta0, unravel = ravel_pytree((start, location, jnp.log(0.7)))

    def log_density(theta: Float[Array, " p"]) -> Float[Array, " n_obs"]:
        model, location, log_scale = unravel(theta)
        return _integrate_normal(model, scaled, location, jnp.exp(log_scale))

    theta = climb_by_scoring(log_density, theta0, _MAX_STEPS)
    model, _, _ = unravel(jnp.clip(theta, -20.0, 20.0))
    # Back to the units of the data: k is measured in those of the outcomes, and
    # its location is that of period 1's outcome in alternative 1.
    constant, known, taught = model.choice
    return dataclasses.replace(
        model,
        intercept_0=unit * model.intercept_0 + (1 - model.loading_0) * centre,
        intercept_1=unit * model.intercept_1 + (1 - model.loading_1) * centre,
        log_std_u=model.log_std_u + jnp.log(unit),
        log_std_e=model.log_std_e + jnp.log(unit),
        choice=jnp.stack(
            [constant - known * centre / unit, known / unit, taught / unit]
        ),
    )


def _integrate_normal(
    model: Any,
    data: dict[str, Array],
    location: Float[Array, ""],
    scale: Float[Array, ""],
) -> Float[Array, " n_obs"]:
    """Integrate the likelihood over a normal distribution of k."""
    forms = model.linear_forms(data)
    precision = forms.quadratic + scale**-2
    mean = (location * scale**-2 - forms.linear) / precision
    outcomes = -0.5 * (
        forms.constant
        + (location / scale) ** 2
        - precision * mean**2
        + jnp.log(precision * scale**2)
    )
    nodes, masses = np.polynomial.hermite_e.hermegauss(_N_NODES)
    points = mean[:, None] + nodes / jnp.sqrt(precision)[:, None]
    index = forms.offset[:, :, None] + forms.slope[:, :, None] * points[:, None, :]
    sign = 2.0 * data["choices"] - 1.0
    choices = jax.nn.log_sigmoid(sign[:, :, None] * index).sum(axis=1)
    log_masses = np.log(masses / masses.sum())
    return outcomes + jax.nn.logsumexp(choices + log_masses, axis=1)


def _start_from_moments(
    model: Any, data: dict[str, Array]
) -> tuple[Any, Float[Array, ""]]:
    """Return rough values for outcomes with unit variance, and the mean of k."""
    choices, outcomes = data["choices"], data["outcomes"]
    # Means by alternative and period, shrunk towards zero where few chose it.
    chosen = jnp.stack([choices == 0, choices == 1]).astype(float)
    means = (chosen * outcomes).sum(axis=1) / (1.0 + chosen.sum(axis=1))
    location = means[1, 0]
    half = jnp.log(0.5)
    start = dataclasses.replace(
        model,
        intercept_0=means[0] - location,
        intercept_1=means[1, 1:] - location,
        loading_0=jnp.ones_like(model.loading_0),
        loading_1=jnp.ones_like(model.loading_1),
        ability_0=jnp.ones(()),
        log_std_u=half,
        log_std_e=jnp.stack([half, half]),
        choice=jnp.zeros(3),
    )
    return start, location
