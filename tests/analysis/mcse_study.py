"""Simulated studies that show whether each Monte Carlo error is the spread it claims.

One study is N_REPLICATIONS replications. Over N_STUDIES of them, the spread of a
measure is what its Monte Carlo standard error estimates. Estimates are skewed,
standard errors are drawn with them, and two estimators share most of their noise.
`python tests/analysis/mcse_study.py` prints the table of all ratios.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import xarray as xr

from analysis.measures import estimates as me
from analysis.measures import intervals as mi
from analysis.measures import paired as mp

N_STUDIES = 2000
N_REPLICATIONS = 500
TRUTH = 1.0
SIZES = (250, 500, 1000)


def draw_studies(
    *, normal: bool, seed: int
) -> tuple[xr.DataArray, xr.DataArray, xr.DataArray]:
    """Draw estimates of two estimators and the standard errors of the first.

    Normal: standard errors are independent of the estimates, as normal theory assumes.
    Else estimates are skewed (a gamma of shape 20), and a large error comes with a
    large standard error.
    """
    rng = np.random.default_rng(seed)
    shape = (N_STUDIES, N_REPLICATIONS)
    own = rng.standard_normal(shape)
    if normal:
        error = rng.standard_normal(shape)
        spread = rng.chisquare(50, shape) / 50
    else:
        error = (rng.gamma(20, 1, shape) - 20) / np.sqrt(20)
        spread = np.exp(0.1 * error + 0.1 * rng.standard_normal(shape))
    other = 0.9 * error + 0.5 * own
    arrays = (TRUTH + 0.1 + 0.2 * error, TRUTH + 0.2 * other, 0.2 * np.sqrt(spread))
    dims = ("study", "replication")
    a, b, se = (xr.DataArray(x, dims=dims) for x in arrays)
    return a, b, se


def draw_nested(*, seed: int) -> xr.DataArray:
    """Draw estimates at three sample sizes whose samples are nested."""
    rng = np.random.default_rng(seed)
    shape = (N_STUDIES, N_REPLICATIONS, max(SIZES) // 50)
    sums = np.cumsum(rng.standard_normal(shape), axis=2)
    means = [sums[:, :, n // 50 - 1] / (n // 50) for n in SIZES]
    return xr.DataArray(
        np.stack(means),
        dims=("sample_size", "study", "replication"),
        coords={"sample_size": list(SIZES)},
    )


class Studies(NamedTuple):
    """Estimates of two estimators, standard errors and limits of the first."""

    a: xr.DataArray
    b: xr.DataArray
    se: xr.DataArray
    lower: xr.DataArray
    upper: xr.DataArray
    normal_a: xr.DataArray
    normal_b: xr.DataArray
    normal_se: xr.DataArray
    nested: xr.DataArray


def draw() -> Studies:
    """Draw everything the measures need."""
    a, b, se = draw_studies(normal=False, seed=1)
    limits = mi.wald_limits(a, se)
    normal = draw_studies(normal=True, seed=2)
    return Studies(a, b, se, *limits, *normal, draw_nested(seed=3))


def _root(x: xr.DataArray, dim: str) -> xr.DataArray:
    return ((x - TRUTH) ** 2).mean(dim) ** 0.5


MEASURES: dict[str, Callable[[Studies], xr.Dataset]] = {
    "bias": lambda s: me.bias(s.a, TRUTH),
    "relative bias": lambda s: me.relative_bias(s.a, TRUTH),
    "variance": lambda s: me.variance(s.a),
    "empirical SE": lambda s: me.empirical_se(s.a),
    "empirical SE, normal theory": lambda s: me.empirical_se(
        s.normal_a, normal_theory=True
    ),
    "MSE": lambda s: me.mse(s.a, TRUTH),
    "RMSE": lambda s: me.rmse(s.a, TRUTH),
    "median bias": lambda s: me.median_bias(s.a, TRUTH),
    "MAE": lambda s: me.mae(s.a, TRUTH),
    "median absolute error": lambda s: me.median_absolute_error(s.a, TRUTH),
    "model SE": lambda s: me.mean_model_se(s.se),
    "average standard error": lambda s: me.average_standard_error(s.se),
    "relative error of model SE": lambda s: me.relative_model_se_error(s.a, s.se),
    "the same, normal theory": lambda s: me.relative_model_se_error(
        s.normal_a, s.normal_se, normal_theory=True
    ),
    "jackknife of the RMSE, n = 100": lambda s: me.functional(
        _root, s.a.isel(replication=slice(100)), name="root"
    ),
    "coverage": lambda s: mi.coverage(s.lower, s.upper, TRUTH),
    "bias-eliminated coverage": lambda s: mi.bias_eliminated_coverage(
        *mi.wald_limits(s.normal_a, s.normal_se), s.normal_a
    ),
    "rejection": lambda s: mi.rejection(s.a, s.se, TRUTH),
    "interval width": lambda s: mi.interval_width(s.lower, s.upper),
    "interval score": lambda s: mi.interval_score(s.lower, s.upper, TRUTH),
    "failure rate": lambda s: mi.failure_rate(s.a > TRUTH + 0.4, xr.ones_like(s.a)),
    "paired difference": lambda s: mp.paired_difference(s.a, s.b),
    "RMSE ratio": lambda s: mp.rmse_ratio(s.a, s.b, TRUTH),
    "RMSE difference": lambda s: mp.rmse_difference(s.a, s.b, TRUTH),
    "ratio of empirical SEs": lambda s: mp.empirical_se_ratio(s.a, s.b),
    "relative precision gain": lambda s: mp.relative_precision_gain(s.a, s.b),
    "relative precision gain, normal theory": lambda s: mp.relative_precision_gain(
        s.normal_a, s.normal_b, normal_theory=True
    ),
    "rate": lambda s: mp.convergence_rate(s.nested, 0.0),
    "rate of a mean distance": lambda s: mp.rate_of(abs(s.nested)),
}


def compare(result: xr.Dataset) -> tuple[float, float]:
    """Return the spread of a measure over studies and its claimed error.

    The claimed error is the root of the mean square of the Monte Carlo standard errors.
    """
    name = next(str(x) for x in result.data_vars)
    spread = float(result[name].std("study", ddof=1))
    claimed = float((result[f"{name}_mcse"] ** 2).mean("study") ** 0.5)
    return spread, claimed


if __name__ == "__main__":
    print("| measure | spread over studies | MCSE | MCSE/spread |")
    print("|---|---:|---:|---:|")
    studies = draw()
    for label, take in MEASURES.items():
        spread, claimed = compare(take(studies))
        print(f"| {label} | {spread:.5f} | {claimed:.5f} | {claimed / spread:.3f} |")
