"""A small study with known answers, stored as the data contract says."""

import functools

import numpy as np
import xarray as xr
from scipy import stats

from analysis.measures.summarise import summarise_process

PARAMETERS = ("coef[0]", "coef[1]", "log_std_e[0]")
TRUTH = (1.5, 0.3, 0.0)
INTERVAL_KINDS = ("observed", "sandwich")
CODES = ("successful", "max_steps_reached", "zero_likelihood")
CONFIG = """\
study: synthetic
streams: common
dgp:
  linear_factor_discrete:
    label: Linear factor model, discrete F
    mixing: {_target_: experiments.mixing.Discrete, supp: [-1.5, 1.5]}
estimator:
  profile: {_target_: x.Profile, label: Profile likelihood, solver: active_set}
grid:
  uniform: {label: Uniform, low: -3, high: 3}
"""


def make_process(
    *,
    estimators: tuple[str, ...] = ("profile", "em"),
    grids: tuple[str, ...] = ("uniform",),
    sample_sizes: tuple[int, ...] = (500, 1000, 2000),
    n_supp: tuple[int, ...] = (25, 50, 100),
    n_replications: int = 40,
    bias: float = 0.02,
    share_failed: float = 0.05,
    not_run: int = 0,
    seed: int = 1,
) -> xr.Dataset:
    """Simulate one group of `replications`.

    Errors are normal with standard deviation 3/sqrt(n) around `bias` x 25/n_supp, and
    nine tenths of their variance are common to grids and estimators. Standard errors
    are right on average. The true F has mass 0.4 at -1.5 and 0.6 at 1.5; the fitted
    ones have two atoms nearby, with other masses. `not_run` replications at the end are
    missing, as in a study still running.
    """
    rng = np.random.default_rng(seed)
    cell = (len(estimators), len(grids), len(sample_sizes), len(n_supp), n_replications)
    scale = 3 / np.sqrt(np.array(sample_sizes))[None, None, :, None, None, None]
    shift = bias * 25 / np.array(n_supp)[None, None, None, :, None, None]
    estimate = np.array(TRUTH) + shift + scale * _draw_errors(rng, cell)
    spread = rng.chisquare(50, size=(*cell, len(INTERVAL_KINDS), len(PARAMETERS))) / 50
    error = scale[..., None, :] * np.sqrt(spread)

    code = np.where(rng.random(cell) < share_failed, 1, 0)
    if not_run:
        code[..., n_replications - not_run :] = -1
    probs, supp = _draw_distributions(rng, cell, n_supp)
    for values in (estimate, error, probs, supp):
        values[code != 0] = np.nan
    error[..., 0, 1, :] = np.nan  # the first replication has no sandwich
    z = stats.norm.ppf(0.975)
    by_cell = _draw_numbers(rng, code)
    dims = ("estimator", "grid", "sample_size", "n_supp", "replication")
    names = (*dims, "kind", "parameter")
    middle = estimate[..., None, :]
    variables: dict[str, xr.Variable] = {
        "truth": _variable(("parameter",), np.array(TRUTH), "true value"),
        "estimate": _variable((*dims, "parameter"), estimate, "estimate"),
        "standard_error": _variable(names, error, "standard error"),
        "lower": _variable(names, middle - z * error, "lower limit"),
        "upper": _variable(names, middle + z * error, "upper limit"),
        "code": _describe_codes(dims, code),
        "probs": _variable((*dims, "point"), probs, "mixing probability"),
        "supp": _variable((*dims, "point"), supp, "support point"),
        "data_hash": _draw_hashes(rng, len(sample_sizes), n_replications),
    }
    variables |= _describe_truth()
    variables |= {name: _variable(dims, x, name) for name, x in by_cell.items()}
    variables["lower"].attrs["level"] = variables["upper"].attrs["level"] = 0.95
    coords = {
        "estimator": list(estimators),
        "grid": list(grids),
        "sample_size": list(sample_sizes),
        "n_supp": list(n_supp),
        "replication": np.arange(n_replications),
        "parameter": list(PARAMETERS),
        "kind": list(INTERVAL_KINDS),
        "point": np.arange(max(n_supp)),
    }
    attrs = {"label": "Linear factor model, discrete F", "default_kind": "sandwich"}
    return xr.Dataset(variables, coords, attrs)


def _draw_errors(rng: np.random.Generator, cell: tuple[int, ...]) -> np.ndarray:
    """Draw standard normal errors, most of their variance common to estimators."""
    common = rng.standard_normal((1, 1, cell[2], 1, cell[4], len(PARAMETERS)))
    own = rng.standard_normal((*cell, len(PARAMETERS)))
    return np.sqrt(0.9) * common + np.sqrt(0.1) * own


def _draw_numbers(rng: np.random.Generator, code: np.ndarray) -> dict[str, np.ndarray]:
    """Draw what is one number a replication, missing where one was not run."""

    def drawn(low: float, high: float) -> np.ndarray:
        return np.where(code == -1, np.nan, rng.uniform(low, high, code.shape))

    flagged = np.where(code == -1, -1, rng.random(code.shape) < 0.1)
    return {
        "flagged": flagged.astype(np.int8),
        "gap": drawn(0, 1e-10),
        "gradient_norm": drawn(0, 1e-9),
        "log_likelihood": drawn(-4000, -3000),
        "seconds": drawn(0.1, 0.2),
        "num_steps": np.where(code == -1, -1, 7).astype(np.int32),
        "num_atoms": np.where(code == -1, -1, 2).astype(np.int32),
    }


def _describe_codes(dims: tuple[str, ...], code: np.ndarray) -> xr.Variable:
    found = _variable(dims, code.astype(np.int8), "result code")
    found.attrs |= {
        "flag_values": np.arange(len(CODES), dtype=np.int8),
        "flag_meanings": " ".join(CODES),
        "flag_sentences": "\n".join(f"Sentence of {name}." for name in CODES),
    }
    return found


def _draw_hashes(rng: np.random.Generator, *shape: int) -> xr.Variable:
    hashes = rng.integers(0, 2**60, shape)
    dims = ("sample_size", "replication")
    return _variable(dims, hashes, "hash of the simulated data")


def _draw_distributions(
    rng: np.random.Generator, cell: tuple[int, ...], n_supp: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """Draw fitted distributions, with two atoms each: masses and support points."""
    points = max(n_supp)
    probs = np.full((*cell, points), np.nan)
    supp = np.full((*cell, points), np.nan)
    for k, number in enumerate(n_supp):
        supp[:, :, :, k, :, :number] = np.linspace(-3, 3, number)
        share = 0.4 + rng.uniform(-0.1, 0.1, cell[:3] + cell[-1:])
        probs[:, :, :, k, :, :number] = 0.0
        probs[:, :, :, k, :, number // 4] = share
        probs[:, :, :, k, :, 3 * number // 4] = 1 - share
    return probs, supp


def _describe_truth() -> dict[str, xr.Variable]:
    at = np.linspace(-3, 3, 2001)
    cdf = 0.4 * (at >= -1.5) + 0.6 * (at >= 1.5)
    return {
        "true_cdf_at": _variable(("cdf_point",), at, "latent value"),
        "true_cdf": _variable(("cdf_point",), cdf, "true cdf"),
        "true_mean": _variable((), np.array(0.3), "true mean"),
        "true_variance": _variable((), np.array(2.16), "true variance"),
    }


def make_replications(
    process: str = "linear_factor_discrete", *, complete: bool = True, **design
) -> xr.DataTree:
    """Simulate `replications` with one process."""
    tree = xr.DataTree.from_dict({f"/{process}": make_process(**design)})
    tree.attrs = _describe(complete)
    return tree


def summarise_study(
    process: str = "linear_factor_discrete", *, complete: bool = True, **design
) -> xr.DataTree:
    """Summarise what `make_replications` simulates, the process once for all tests."""
    tree = xr.DataTree.from_dict({f"/{process}": summarise_synthetic(**design)})
    tree.attrs = {**_describe(complete), "exclusion_rule": "per_estimator"}
    return tree


def _describe(complete: bool) -> dict[str, str | int]:
    return {
        "study": "synthetic",
        "title": "Does the analysis read what the study wrote?",
        "spmlex_version": "0.1.0",
        "git_commit": "0" * 40,
        "git_dirty": 0,
        "seed": 1,
        "created": "2025-01-01T00:00:00+00:00",
        "packages": '{"python": "3.12", "jax": "0.9.2"}',
        "jax_flags": '{"backend": "cpu", "xla_flags": ""}',
        "config": CONFIG,
        "complete": int(complete),
    }


@functools.cache
def summarise_synthetic(**design) -> xr.Dataset:
    """Summarise `make_process` once for all tests; they must not change it."""
    return summarise_process(make_process(**design))


def _variable(dims: tuple[str, ...], values: np.ndarray, name: str) -> xr.Variable:
    return xr.Variable(dims, values, {"long_name": name, "units": "1"})
