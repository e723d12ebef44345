"""Small inner problems and models with known answers, shared by the tests."""

from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

DATA = Path(__file__).parents[1] / "data"

SOLVERS = ("active_set", "interior_point", "mixsqp")
"""Solvers that reach the certificate; EM is compared at its own, looser, tolerance."""


def said(text):
    """Return a printed text as one line, however it was broken."""
    return " ".join(text.split())


class LinearFactor(eqx.Module):
    """The specification's example model, with its constant: log(2 pi) once."""

    coef: jax.Array
    log_std_e: jax.Array

    def lclk(self, data, supp):
        coef = jnp.concat([jnp.array([1.0]), self.coef])
        residual = (
            data["outcomes"][:, :, None] - supp[None, None, :] * coef[None, :, None]
        )
        square = ((residual / jnp.exp(self.log_std_e)[None, :, None]) ** 2).sum(axis=1)
        return -0.5 * (jnp.log(2 * jnp.pi) + 2 * self.log_std_e.sum() + square)


def approx(expected, abs):  # noqa: A002
    """Compare arrays within an absolute tolerance; JAX's own lack what pytest needs."""
    return pytest.approx(np.asarray(expected), rel=0, abs=abs)


def published_example():
    """Return the specification's data, grid and starting values."""
    table = np.loadtxt(DATA / "readme_example.csv", delimiter=",", skiprows=1)
    data = {"outcomes": jnp.asarray(table[:, 1:].astype(np.float32), jnp.float64)}
    start = LinearFactor(
        coef=jnp.array([0.59338981, 0.67029804]),
        log_std_e=jnp.array([0.04235583, 0.15424864, -0.52202678]),
    )
    return start, data, jnp.linspace(-6.0, 6.0, 75)


def linear_factor(n_obs=200, n_supp=30, seed=0):
    """Return a model at the truth, data and a grid; three atoms."""
    rng = np.random.default_rng(seed)
    latent = rng.choice([-3.0, 0.0, 5.0], size=n_obs, p=[0.3, 0.5, 0.2])
    std = np.exp([0.0, 0.2, -0.3])
    noise = rng.normal(size=(n_obs, 3)) * std
    outcomes = latent[:, None] * np.array([1.0, 1.5, 0.3]) + noise
    model = LinearFactor(
        coef=jnp.array([1.5, 0.3]), log_std_e=jnp.array([0.0, 0.2, -0.3])
    )
    supp = jnp.linspace(-6.0, 6.0, n_supp)
    return model, {"outcomes": jnp.asarray(outcomes)}, supp


def flat(model):
    """Return the model's parameters as a vector, and the way back."""
    return ravel_pytree(model)


def random_lclk(n_obs, n_supp, seed=0, spread=1.0):
    """Return log densities of normal kernels at normal data."""
    rng = np.random.default_rng(seed)
    points = np.linspace(-3, 3, n_supp)
    centres = rng.normal(size=n_obs) * 1.5
    return jnp.asarray(-0.5 * ((centres[:, None] - points) / spread) ** 2)


def central_differences(function, theta, step=1e-5):
    """Return the derivative of `function` at theta, last axis theta."""
    columns = [
        (function(theta + step * unit) - function(theta - step * unit)) / (2 * step)
        for unit in jnp.eye(theta.size)
    ]
    return jnp.stack(columns, axis=-1)


def run_em(lclk, weights, steps=200_000, tol=1e-11):
    """Run EM in plain NumPy: the independent slow method."""
    lclk = np.asarray(lclk)
    scaled = np.exp(lclk - lclk.max(axis=1, keepdims=True))
    weights = np.asarray(weights) / np.sum(weights)
    probs = np.full(lclk.shape[1], 1 / lclk.shape[1])
    for _ in range(steps):
        gradient = (weights / (scaled @ probs)) @ scaled
        if np.log(gradient.max()) < tol:
            break
        probs = probs * gradient
    return probs
