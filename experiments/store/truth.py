"""The true mixing distribution, as the merged file stores it for `analysis`."""

import jax.numpy as jnp
import numpy as np

from analysis.conventions import describe
from experiments.mixing import AbstractMixing, AbstractScalarMixing

N_POINTS = 2001
"""Points of the grid beside support points and atoms, twice: evenly spaced values, and
values at evenly spaced levels of the distribution function."""

TAIL = 1e-8
"""Most mass that the grid leaves out on either side."""

Variable = tuple[tuple[str, ...], np.ndarray, dict[str, str]]
UNIT = "unit of the latent variable"


def describe_mixing(
    mixing: AbstractMixing, supports: list[np.ndarray]
) -> dict[str, Variable]:
    """Return distribution function, mean and variance as variables of a dataset.

    The grid holds every support point, and each atom with the value just below it, so
    that distances between step functions are exact. Of several coordinates each has its
    own grid, padded with missing values.

    Args:
        mixing: The true distribution of the latent variable.
        supports: The support grids of the study.

    Returns:
        `true_cdf_at` and `true_cdf` (cdf_point), `true_mean` and `true_variance`; with
        leading dimension `coordinate`, and for each margin alone, if there are several.
    """
    margins = mixing.list_margins()
    columns = [
        [support.reshape(len(support), -1)[:, k] for support in supports]
        for k in range(len(margins))
    ]
    grids = [_make_grid(*pair) for pair in zip(margins, columns, strict=True)]
    at = np.full((len(margins), max(grid.size for grid in grids)), np.nan)
    cdf = np.full_like(at, np.nan)
    for k, (margin, grid) in enumerate(zip(margins, grids, strict=True)):
        at[k, : grid.size] = grid
        cdf[k, : grid.size] = margin.cdf(jnp.asarray(grid))
    found = {
        "true_cdf_at": (at, "values at which the true cdf is given", UNIT),
        "true_cdf": (cdf, "true cdf of the latent variable", "1"),
        "true_mean": (
            np.array([margin.mean() for margin in margins]),
            "true mean of the latent variable",
            UNIT,
        ),
        "true_variance": (
            np.array([margin.variance() for margin in margins]),
            "true variance of the latent variable",
            f"{UNIT}, squared",
        ),
    }
    return {name: _describe(*entry) for name, entry in found.items()}


def _make_grid(margin: AbstractScalarMixing, supports: list[np.ndarray]) -> np.ndarray:
    atoms = np.asarray(margin.atoms())
    # Subnormal numbers count as zero in compiled code: go at least to the smallest
    # normal number below an atom at zero.
    below = np.minimum(np.nextafter(atoms, -np.inf), atoms - np.finfo(float).tiny)
    levels = np.linspace(0.5 * TAIL, 1 - 0.5 * TAIL, N_POINTS)
    quantiles = np.asarray(margin.quantile(jnp.asarray(levels)))
    points = np.concatenate([*supports, atoms, below, quantiles])
    return np.union1d(points, np.linspace(points.min(), points.max(), N_POINTS))


def _describe(value: np.ndarray, long_name: str, units: str) -> Variable:
    dims = ("coordinate", "cdf_point")[: value.ndim]
    if len(value) == 1:
        value, dims = np.asarray(value[0]), dims[1:]
    return dims, value, describe(long_name, units)
