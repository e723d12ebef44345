"""Attributes of every variable of `summary.nc`: its long name and its units."""

from analysis import conventions
from analysis.dimensions import COMPARED
from analysis.labels import DIMENSION_NAMES, LATENT_UNIT, MEASURES, PARAMETER_UNIT

OTHERS = {
    "truth": ("true value", PARAMETER_UNIT),
    "true_cdf_at": ("values at which the true cdf is given", LATENT_UNIT),
    "true_cdf": ("true cdf of the latent variable", "1"),
    "true_mean": ("true mean of the latent variable", LATENT_UNIT),
    "true_variance": ("true variance of the latent", f"{LATENT_UNIT}, squared"),
    "data_hash": ("hash of the simulated data, 0 where not run", "1"),
    "cdf_band": ("quantiles of the fitted cdf over replications", "1"),
}

COUNT_NAMES = {
    "by_code": "replications by result code",
    "attempted": "replications attempted",
    "used": "replications used",
    "failed": "replications that failed",
    "flagged": "replications used with a degenerate maximum suspected",
    "used_estimate": "replications used with an estimate",
    "used_standard_error": "replications used with a standard error",
    "used_interval": "replications used with both limits",
    "used_interval_unflagged": "replications used with both limits and no flag",
}
for _dim in COMPARED:
    COUNT_NAMES[f"pairs_over_{_dim}"] = "replications in which both have an estimate"
    COUNT_NAMES[f"pairs_interval_over_{_dim}"] = (
        "replications in which both have limits"
    )


def describe(name: str) -> dict[str, str]:
    """Return the attributes of a variable of `summary.nc`: words, and a unit."""
    return conventions.describe(*_describe(name))


def _describe(name: str) -> tuple[str, str]:
    if name in COUNT_NAMES:
        return COUNT_NAMES[name], "1"
    if name in OTHERS:
        return OTHERS[name]
    for ending, words in (
        ("_mcse_normal", "Monte Carlo standard error, by normal theory, of the "),
        ("_mcse", "Monte Carlo standard error of the "),
        ("_lower", "lower Wilson limit of the "),
        ("_upper", "upper Wilson limit of the "),
    ):
        if name.endswith(ending):
            inner, unit = _describe(name.removesuffix(ending))
            return words + inner, unit
    for dim in DIMENSION_NAMES:
        if name.endswith(f"_over_{dim}"):
            inner, unit = _describe(name.removesuffix(f"_over_{dim}"))
            return f"{inner}, {dim} against other_{dim}, paired", unit
    entry = MEASURES.get(name)
    if entry is None:
        return name.replace("_", " "), "1"
    return entry.long_name, entry.units
