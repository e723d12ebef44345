"""The true mixing distribution, as the merged file stores it for `analysis`."""

from typing import Any

import jax.numpy as jnp
import numpy as np

from experiments.mixing import AbstractMixing

N_POINTS = 2001
"""Evenly spaced points of the grid, beside support points and atoms."""

TAIL = 1e-8
"""Most mass that the grid leaves out on either side."""

Variable = tuple[tuple[str, ...], np.ndarray, dict[str, str]]
UNIT = "unit of the latent variable"


def describe_mixing(
    mixing: AbstractMixing, supports: list[np.ndarray]
) -> dict[str, Variable]:
    """Return distribution function, mean and variance as variables of a dataset.

    The grid holds every support point, and each atom with the value just below it, so
    that distances between step functions are exact.

    Args:
        mixing: The true distribution of the latent variable.
        supports: The support grids of the study.

    Returns:
        `true_cdf_at` and `true_cdf` (cdf_point), `true_mean` and `true_variance`.
    """
    mean, variance = float(mixing.mean()), float(mixing.variance())
    atoms = np.asarray(mixing.atoms())
    # Subnormal numbers count as zero in compiled code: go at least to the smallest
    # normal number below an atom at zero.
    below = np.minimum(np.nextafter(atoms, -np.inf), atoms - np.finfo(float).tiny)
    points = np.concatenate([*supports, atoms, below])
    low, high = _bracket(mixing, mean, np.sqrt(variance))
    low, high = min(low, points.min()), max(high, points.max())
    at = np.union1d(points, np.linspace(low, high, N_POINTS))
    return {
        "true_cdf_at": _describe(
            at, "values at which the true cdf is given", UNIT, "cdf_point"
        ),
        "true_cdf": _describe(
            _cdf(mixing, at), "true cdf of the latent variable", "1", "cdf_point"
        ),
        "true_mean": _describe(mean, "true mean of the latent variable", UNIT),
        "true_variance": _describe(
            variance, "true variance of the latent variable", f"{UNIT}, squared"
        ),
    }


def _bracket(mixing: AbstractMixing, mean: float, std: float) -> tuple[float, float]:
    """Return an interval around the mean with all mass but `TAIL` on either side."""
    low = high = 4.0 * std + np.spacing(abs(mean) + 1)
    while _cdf(mixing, np.array([mean - low]))[0] > TAIL:
        low *= 1.25
    while _cdf(mixing, np.array([mean + high]))[0] < 1 - TAIL:
        high *= 1.25
    return mean - low, mean + high


def _cdf(mixing: AbstractMixing, at: np.ndarray) -> np.ndarray:
    return np.asarray(mixing.cdf(jnp.asarray(at)))


def _describe(value: Any, long_name: str, units: str, *dims: str) -> Variable:
    return dims, np.asarray(value), {"long_name": long_name, "units": units}
