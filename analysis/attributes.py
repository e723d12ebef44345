"""Attributes of every variable of `summary.nc`: its long name and its units."""

from analysis.dimensions import COMPARED
from analysis.labels import DIMENSION_NAMES, LATENT_UNIT, MEASURES, PARAMETER_UNIT

OTHERS = {
    "truth": ("true value", PARAMETER_UNIT),
    "true_cdf_at": ("values at which the true cdf is given", LATENT_UNIT),
    "true_cdf": ("true cdf of the latent variable", "1"),
    "true_mean": ("true mean of the latent variable", LATENT_UNIT),
    "true_variance": ("true variance of the latent", f"{LATENT_UNIT}, squared"),
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
    """Return `long_name` and `units` for a variable of `summary.nc`."""
    if name in COUNT_NAMES:
        return {"long_name": COUNT_NAMES[name], "units": "1"}
    if name in OTHERS:
        long_name, units = OTHERS[name]
        return {"long_name": long_name, "units": units}
    for ending, words in (
        ("_mcse_normal", "Monte Carlo standard error, by normal theory, of the "),
        ("_mcse", "Monte Carlo standard error of the "),
        ("_lower", "lower Wilson limit of the "),
        ("_upper", "upper Wilson limit of the "),
    ):
        if name.endswith(ending):
            inner = describe(name.removesuffix(ending))
            return {"long_name": words + inner["long_name"], "units": inner["units"]}
    for dim in DIMENSION_NAMES:
        if name.endswith(f"_over_{dim}"):
            inner = describe(name.removesuffix(f"_over_{dim}"))
            words = f"{inner['long_name']}, {dim} against other_{dim}, paired"
            return {"long_name": words, "units": inner["units"]}
    entry = MEASURES.get(name)
    if entry is None:
        return {"long_name": name.replace("_", " "), "units": "1"}
    return {"long_name": entry.long_name, "units": entry.units}
