"""Readable names of everything that appears in tables and figures: the one place.

A name without an entry is shown as it is stored, so a new model or measure needs no
change here to be drawn.
"""

from collections.abc import Mapping
from typing import NamedTuple

import xarray as xr

from analysis.configuration import read_symbols
from analysis.symbols import in_unicode


class Measure(NamedTuple):
    """How a measure is called: in a sentence, over a column, and in what unit."""

    long_name: str
    short: str
    units: str = "1"


PARAMETER_UNIT = "unit of the parameter"

MEASURES = {
    "bias": Measure("bias", "Bias", PARAMETER_UNIT),
    "relative_bias": Measure("relative bias, a proportion", "Rel. bias"),
    "empirical_se": Measure("empirical standard error", "Empirical SE", PARAMETER_UNIT),
    "mse": Measure("mean squared error", "MSE", f"{PARAMETER_UNIT}, squared"),
    "rmse": Measure("root mean squared error", "RMSE", PARAMETER_UNIT),
    "median_bias": Measure("median bias", "Median bias", PARAMETER_UNIT),
    "mae": Measure("mean absolute error", "MAE", PARAMETER_UNIT),
    "mean_model_se": Measure(
        "root mean squared model standard error", "Model SE", PARAMETER_UNIT
    ),
    "relative_model_se_error": Measure(
        "relative error of the model standard error", "Model SE error, %", "percent"
    ),
    "average_standard_error": Measure("mean standard error", "Mean SE", PARAMETER_UNIT),
    "se_ratio": Measure("model standard error over the empirical one", "SE/SD"),
    "coverage": Measure("coverage of the confidence interval", "Coverage"),
    "bias_eliminated_coverage": Measure(
        "coverage of the mean estimate", "Bias-elim. coverage"
    ),
    "coverage_of_attempted": Measure(
        "coverage, replications without an interval counted as not covering",
        "Coverage of attempted",
    ),
    "interval_width": Measure(
        "mean width of the confidence intervals that are not open",
        "Width",
        PARAMETER_UNIT,
    ),
    "median_width": Measure(
        "median width of the confidence interval", "Median width", PARAMETER_UNIT
    ),
    "interval_score": Measure(
        "interval score: width, and a penalty for missing the truth",
        "Interval score",
        PARAMETER_UNIT,
    ),
    "rejection": Measure("share of tests that reject", "Rejected"),
    "size": Measure("share of tests of a true null that reject", "Size"),
    "power": Measure("share of tests of a false null that reject", "Power"),
    "coverage_at": Measure("coverage at a nominal level", "Coverage"),
    "width_at": Measure("mean width at a nominal level", "Width", PARAMETER_UNIT),
    "statistic_mean": Measure("mean of a statistic", "Mean"),
    "statistic_sd": Measure("standard deviation of a statistic", "SD"),
    "open_share": Measure("share of confidence intervals that are open", "Open"),
    "seconds": Measure("mean time of one replication", "Seconds", "s"),
    "failure_rate": Measure("failed over attempted replications", "Failure rate"),
    "flagged_share": Measure(
        "share of the fits used with a degenerate maximum suspected", "Flagged"
    ),
    "rate": Measure("slope of log RMSE on log sample size", "Rate"),
    "bias_difference": Measure("difference in bias", "Bias diff.", PARAMETER_UNIT),
    "rmse_ratio": Measure("ratio of RMSEs", "RMSE ratio"),
    "relative_precision": Measure(
        "relative gain in precision", "Precision gain, %", "percent"
    ),
    "coverage_difference": Measure("difference in coverage", "Coverage diff."),
}

LATENT_UNIT = "unit of the latent variable"

REPORTED = {
    "num_atoms": Measure("number of support points with positive mass", "Atoms"),
    "grid_ripple": Measure(
        "ripple of the log-likelihood with the grid's spacing", "Ripple", "nat"
    ),
    "adequacy": Measure(
        "most that another F could gain at this theta", "To gain", "nat per observation"
    ),
}
"""Numbers that estimators report and of which a summary has, and tables show, the mean.

The names are those of `replications.nc`.
"""

MEASURES.update(REPORTED)
MEASURES.update(
    {
        "edge_mass": Measure("mass on the ends of the support grid", "Edge mass"),
        "latent_mean_bias": Measure(
            "bias of the mean of F", "Bias, mean F", LATENT_UNIT
        ),
        "latent_variance_bias": Measure(
            "bias of the variance of F", "Bias, var. F", f"{LATENT_UNIT}, squared"
        ),
        "latent_quantile_bias": Measure(
            "bias of a quantile of F", "Bias, quantile", LATENT_UNIT
        ),
        "wasserstein": Measure(
            "Wasserstein-1 distance of the fitted from the true F", "W1", LATENT_UNIT
        ),
        "cdf_sup": Measure(
            "sup distance of the fitted from the true cdf", "Sup. dist."
        ),
        "cdf_squared": Measure(
            "integrated squared distance of the fitted from the true cdf",
            "Sq. dist.",
            LATENT_UNIT,
        ),
        "fitted_cdf": Measure("mean of the fitted cdf", "Mean fitted cdf"),
    }
)

# Where the latent variable has several coordinates, each margin is measured.
MEASURES.update(
    {
        f"margin_{name.removeprefix('latent_')}": MEASURES[name]._replace(
            long_name=f"{MEASURES[name].long_name}, margin"
        )
        for name in (
            *("latent_mean_bias", "latent_variance_bias", "latent_quantile_bias"),
            *("wasserstein", "cdf_sup", "cdf_squared"),
        )
    }
)

MEASURES.update(
    {
        f"{name}_rate": Measure(
            f"slope of the log of the {words} on log sample size", "Rate"
        )
        for name, words in (
            ("wasserstein", MEASURES["wasserstein"].long_name),
            ("cdf_sup", MEASURES["cdf_sup"].long_name),
            ("cdf_squared", f"root of the {MEASURES['cdf_squared'].long_name}"),
        )
    }
)

# Measures of the fits that are used and not flagged.
MEASURES.update(
    {
        f"{name}_unflagged": MEASURES[name]._replace(
            long_name=f"{MEASURES[name].long_name}, fits without a flag",
            short=f"{MEASURES[name].short}, unflagged",
        )
        for name in ("bias", "rmse", "coverage", "interval_width")
    }
)


DIMENSION_NAMES = {
    "process": "DGP",
    "estimator": "Estimator",
    "grid": "Grid",
    "sample_size": "Sample size",
    "n_supp": "Grid points",
    "replication": "Replication",
    "first_replication": "Replication, of the first ones",
    "parameter": "Parameter",
    "kind": "Interval",
    "test": "Null",
    "holds": "It is true or not",
    "nominal": "Level",
    "statistic": "Statistic",
    "point": "Support point",
    "coordinate": "Coordinate",
}

INTERVAL_NAMES = {
    "observed": "observed information",
    "opg": "outer product",
    "sandwich": "sandwich",
    "jackknife": "jackknife",
    "likelihood_ratio": "likelihood ratio",
    "efficient": "efficient score, inverted",
    "efficient_wald": "efficient score, Wald",
    "bootstrap_multinomial": "multinomial bootstrap",
    "bootstrap_exponential": "exponential bootstrap",
}

SYMBOLS = {"sample_size": "n", "n_supp": "n_supp"}


def label_measure(name: str) -> str:
    """Name a measure for the head of a column or an axis."""
    entry = MEASURES.get(name)
    return entry.short if entry else name.replace("_", " ")


def label_column(name: str) -> str:
    """Name a column of numbers: a measure, or a parameter."""
    return label_measure(name) if name in MEASURES else in_unicode(name)


def label_dim(name: str) -> str:
    """Name a dimension for an axis or a legend."""
    return DIMENSION_NAMES.get(name, name.replace("_", " "))


def name_entries(
    process: xr.Dataset, symbols: Mapping[str, str] | None = None
) -> xr.Dataset:
    """Name estimators, grids, intervals and parameters as a reader should see them.

    The labels are those of the study (`estimator_label`, `grid_label`); an entry whose
    label is missing or not its own keeps its name. The names stay beside the labels as
    `estimator_name`, `grid_name`, `kind_name`, `parameter_name`.

    Args:
        process: One group of a study's file, or what `summarise` makes of it.
        symbols: Symbols by the name of the parameter, see `configuration.read_symbols`;
            they are then between dollars, see `analysis.symbols`.
    """
    for dim in ("estimator", "grid", "kind"):
        if dim not in process.indexes:
            continue
        names = [str(x) for x in process[dim].values]
        labels = [INTERVAL_NAMES.get(x, x) for x in names]
        if f"{dim}_label" in process.coords:
            labels = [str(x) for x in process[f"{dim}_label"].values]
        words = {
            name: label if labels.count(label) == 1 and label else name
            for name, label in zip(names, labels, strict=True)
        }
        process = process.assign_coords(
            {dim: list(words.values()), f"{dim}_name": (dim, names)}
        )
        for other in {f"other_{dim}", f"default_{dim}"} & set(process.coords):
            found = process[other]
            renamed = [words[str(x)] for x in found.values.ravel()]
            process = process.assign_coords({other: (found.dims, renamed)})
    return _name_parameters(process, symbols or {})


def _name_parameters(process: xr.Dataset, symbols: Mapping[str, str]) -> xr.Dataset:
    if "parameter" not in process.indexes:
        return process
    names = [str(x) for x in process["parameter"].values]
    words = [f"${symbols[x]}$" if x in symbols else x for x in names]
    if "test_parameter" in process.coords:
        tested = zip(
            process["test"].values, process["test_parameter"].values, strict=True
        )
        nulls = [
            f"${symbols[y]} = {str(x).rpartition(' = ')[2]}$"
            if y in symbols
            else str(x)
            for x, y in tested
        ]
        process = process.assign_coords(test=nulls)
    return process.assign_coords(
        parameter=words if len(set(words)) == len(words) else names,
        parameter_name=("parameter", names),
    )


def name_groups(tree: xr.DataTree) -> xr.DataTree:
    """Apply `name_entries` to every process."""
    groups = {
        x: name_entries(node.to_dataset(), read_symbols(tree, x))
        for x, node in tree.children.items()
    }
    named = xr.DataTree.from_dict({f"/{x}": y for x, y in groups.items()})
    named.attrs = tree.attrs
    return named
