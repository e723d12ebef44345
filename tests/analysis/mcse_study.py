"""Simulated studies that show whether each Monte Carlo error is the spread it claims.

One study is N_REPLICATIONS replications. Over N_STUDIES of them, the spread of a
measure is what its Monte Carlo standard error estimates. Estimates are skewed,
standard errors are drawn with them, and two estimators share most of their noise.
`python tests/analysis/mcse_study.py` prints the table of all ratios.
"""

from collections.abc import Callable

import numpy as np
import xarray as xr

from analysis import measures as me
from analysis import measures_intervals as mi
from analysis import measures_paired as mp

N_STUDIES = 2000
N_REPLICATIONS = 400
TRUTH = 1.0
SIZES = (250, 500, 1000)


def draw_studies(*, normal: bool, seed: int) -> tuple[xr.DataArray, ...]:
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
    return tuple(xr.DataArray(x, dims=dims) for x in arrays)


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


def measures() -> dict[str, Callable[[], xr.Dataset]]:
    """Return every measure of the package, each ready to be taken of all studies."""
    a, b, se = draw_studies(normal=False, seed=1)
    normal_a, normal_b, normal_se = draw_studies(normal=True, seed=2)
    lower, upper = mi.wald_limits(a, se)
    few = a.isel(replication=slice(100))
    failed = a > TRUTH + 0.4

    def root(x: xr.DataArray, dim: str) -> xr.DataArray:
        return ((x - TRUTH) ** 2).mean(dim) ** 0.5

    return {
        "bias": lambda: me.bias(a, TRUTH),
        "relative bias": lambda: me.relative_bias(a, TRUTH),
        "variance": lambda: me.variance(a),
        "empirical SE": lambda: me.empirical_se(a),
        "empirical SE, normal theory": lambda: me.empirical_se(
            normal_a, normal_theory=True
        ),
        "MSE": lambda: me.mse(a, TRUTH),
        "RMSE": lambda: me.rmse(a, TRUTH),
        "median bias": lambda: me.median_bias(a, TRUTH),
        "MAE": lambda: me.mae(a, TRUTH),
        "median absolute error": lambda: me.median_absolute_error(a, TRUTH),
        "model SE": lambda: me.mean_model_se(se),
        "average standard error": lambda: me.average_standard_error(se),
        "relative error of model SE": lambda: me.relative_model_se_error(a, se),
        "the same, normal theory": lambda: me.relative_model_se_error(
            normal_a, normal_se, normal_theory=True
        ),
        "jackknife of the RMSE, n = 100": lambda: me.functional(root, few, name="root"),
        "coverage": lambda: mi.coverage(lower, upper, TRUTH),
        "bias-eliminated coverage": lambda: mi.bias_eliminated_coverage(
            *mi.wald_limits(normal_a, normal_se), normal_a
        ),
        "rejection": lambda: mi.rejection(a, se, TRUTH),
        "interval width": lambda: mi.interval_width(lower, upper),
        "interval score": lambda: mi.interval_score(lower, upper, TRUTH),
        "failure rate": lambda: mi.failure_rate(failed, xr.ones_like(failed)),
        "paired difference": lambda: mp.paired_difference(a, b),
        "RMSE ratio": lambda: mp.rmse_ratio(a, b, TRUTH),
        "RMSE difference": lambda: mp.rmse_difference(a, b, TRUTH),
        "ratio of empirical SEs": lambda: mp.empirical_se_ratio(a, b),
        "relative precision gain": lambda: mp.relative_precision_gain(a, b),
        "relative precision gain, normal theory": lambda: mp.relative_precision_gain(
            normal_a, normal_b, normal_theory=True
        ),
        "rate": lambda: mp.convergence_rate(draw_nested(seed=3), 0.0),
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
    for label, take in measures().items():
        spread, claimed = compare(take())
        print(f"| {label} | {spread:.5f} | {claimed:.5f} | {claimed / spread:.3f} |")
