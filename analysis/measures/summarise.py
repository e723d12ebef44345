"""Reduce the replications of a study to its summary: every measure, every count.

Which replications are used is said in `analysis.measures.used`. Paired comparisons
always use the draws in which both sides succeeded, and compare each estimator's default
kind of interval. Bias, RMSE, coverage and width are given without the flagged fits too
(`coverage_unflagged` and so on).
"""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any, get_args

import xarray as xr

from analysis.attributes import describe
from analysis.configuration import read_config
from analysis.dimensions import COMPARED
from analysis.kinds import at_kind, with_default_kind
from analysis.labels import label_dim
from analysis.measures import estimates as me
from analysis.measures import intervals as mi
from analysis.measures import paired as mp
from analysis.measures.comparisons import compare_pairs
from analysis.measures.hypotheses import measure_levels, measure_tests
from analysis.measures.mixing import mixing_measures
from analysis.measures.used import (
    ExclusionRule,
    choose_used,
    count_replications,
    find_outcomes,
)
from analysis.nulls import Hypothesis, list_hypotheses

FITTED = ("probs", "supp")
"""What takes most of the room: read a design point at a time."""

DRAWS_KEPT = 5
"""Replications from the first on whose hashes of data stay, for anybody to check."""

COPIED = ("truth", "true_cdf_at", "true_cdf", "true_mean", "true_variance")


def summarise(
    replications: xr.DataTree, *, exclusion_rule: str = "per_estimator"
) -> xr.DataTree:
    """Reduce every process of `replications` to its measures.

    Args:
        replications: One group per process, as in `replications.nc`.
        exclusion_rule: Which replications are used, see `used`.

    Returns:
        The same groups without the replication dimension: every measure `x` beside its
        Monte Carlo standard error `x_mcse`; counts; the hashes of the first data sets;
        the attributes of the study. What its configuration declares under `tests` and
        `levels` is measured too.
    """
    config = read_config(replications)
    hypotheses = list_hypotheses(config.get("tests") or {})
    levels = tuple(config.get("levels") or ())
    groups = {
        f"/{name}": summarise_process(
            node.to_dataset(),
            exclusion_rule=exclusion_rule,
            hypotheses=hypotheses,
            levels=levels,
        )
        for name, node in replications.children.items()
    }
    if not groups:
        raise ValueError("replications holds no process (no group below its root).")
    summary = xr.DataTree.from_dict(groups)
    summary.attrs = {**replications.attrs, "exclusion_rule": exclusion_rule}
    return summary


def summarise_process(
    process: xr.Dataset,
    *,
    exclusion_rule: str = "per_estimator",
    hypotheses: Sequence[Hypothesis] = (),
    levels: Sequence[float] = (),
) -> xr.Dataset:
    """Reduce the replications of one process; `summarise` for a single group.

    Only `estimate` and `truth` are needed. Measures of what is absent (`code`,
    `standard_error`, `lower` and `upper`, `seconds`) are left out.

    Args:
        process: One group of `replications.nc`.
        exclusion_rule: Which replications are used, see `used`.
        hypotheses: What is tested, see `hypotheses`.
        levels: Confidence levels beside that of the limits.
    """
    rules = get_args(ExclusionRule)
    if exclusion_rule not in rules:
        raise ValueError(
            f"exclusion_rule is {exclusion_rule!r}; choose one of {', '.join(rules)}."
        )
    # All but the fitted distributions, which are read as they are measured.
    process = process.assign(process[[x for x in process if x not in FITTED]].load())
    process = with_default_kind(process)
    coords = process.coords
    # Without labels there is nothing to align, which takes more time than the sums.
    process = process.drop_vars(list(coords))
    parts = _measure(process, coords, exclusion_rule, hypotheses, levels)
    summary = xr.merge(parts, compat="no_conflicts", join="exact")
    summary = summary.assign_coords(
        {x: y for x, y in coords.items() if set(y.dims) <= set(summary.dims)}
    )
    for dim in (x for x in COMPARED if f"other_{x}" in summary.dims and x in coords):
        summary.coords[f"other_{dim}"] = (f"other_{dim}", coords[dim].values)
    return _describe(summary, process).assign_attrs(process.attrs)


def _measure(
    process: xr.Dataset,
    coords: Mapping[Hashable, xr.DataArray],
    exclusion_rule: str,
    hypotheses: Sequence[Hypothesis],
    levels: Sequence[float],
) -> list[xr.Dataset]:
    """Return every measure and every count of one process, without its labels.

    Args:
        process: One group of `replications.nc` without coordinates.
        coords: These coordinates.
        exclusion_rule: Which replications are used.
        hypotheses: What is tested.
        levels: Confidence levels beside that of the limits.
    """
    sizes = (
        xr.DataArray(coords["sample_size"].variable)
        if "sample_size" in coords
        else None
    )
    attempted, succeeded = find_outcomes(process)
    used = choose_used(attempted, succeeded, exclusion_rule)
    parts = [count_replications(process, attempted, succeeded, used)]
    estimate = process["estimate"].where(used)
    parts += _estimate_measures(estimate, process["truth"], sizes)
    if "standard_error" in process:
        parts += _standard_error_measures(process, used)
    if "lower" in process and "upper" in process:
        parts += _interval_measures(process, attempted, used)
    if "flagged" in process:
        parts += _unflagged_measures(process, used)
    if "seconds" in process:
        time = process["seconds"].where(attempted)  # a failure costs time too
        parts.append(me.mean_of(time, name="seconds"))
    if "reported" in process:
        parts += _statistic_measures(process["reported"].where(used))
    parts += _test_measures(process, coords, used, hypotheses, levels)
    parts += mixing_measures(process, used, sizes=sizes)
    parts.append(process[[x for x in COPIED if x in process]])
    if "data_hash" in process:
        first = process[["data_hash"]].isel(replication=slice(DRAWS_KEPT))
        parts.append(first.rename(replication="first_replication"))
    parts += compare_pairs(at_kind(process, coords), succeeded)
    return parts


def _describe(summary: xr.Dataset, process: xr.Dataset) -> xr.Dataset:
    """Give every variable its long name, its units and, where it has one, its level."""
    for name, variable in summary.data_vars.items():
        variable.attrs = describe(str(name))
    for name, variable in summary.coords.items():
        variable.attrs = variable.attrs or {"long_name": label_dim(str(name))}
    if "by_code" in summary:
        summary["code"].attrs = process["code"].attrs
    if "coverage" in summary:
        level = _level_of(process)
        for name in (
            "coverage",
            "coverage_of_attempted",
            "bias_eliminated_coverage",
            "coverage_unflagged",
        ):
            if name in summary:
                summary[name].attrs["level"] = level
    return summary


def _estimate_measures(
    estimate: xr.DataArray, truth: xr.DataArray, sizes: xr.DataArray | None
) -> Iterator[xr.Dataset]:
    for measure in me.OF_ESTIMATES:
        yield measure(estimate, truth)
    yield me.empirical_se(estimate)
    yield _normal_theory(me.empirical_se(estimate, normal_theory=True))
    if estimate.sizes.get("sample_size", 1) > 1:
        yield mp.convergence_rate(estimate, truth, sizes=sizes)


def _normal_theory(found: xr.Dataset) -> xr.Dataset:
    """Keep the error of normal theory alone, `x_mcse_normal`."""
    (name,) = (str(x) for x in found if str(x).endswith("_mcse"))
    return found[[name]].rename({name: f"{name}_normal"})


def _standard_error_measures(
    process: xr.Dataset, used: xr.DataArray
) -> Iterator[xr.Dataset]:
    error = process["standard_error"].where(used)
    yield me.mean_model_se(error)
    yield me.average_standard_error(error)
    estimate = process["estimate"].where(used)
    yield me.relative_model_se_error(estimate, error)
    yield _normal_theory(
        me.relative_model_se_error(estimate, error, normal_theory=True)
    )


def _interval_measures(
    process: xr.Dataset, attempted: xr.DataArray, used: xr.DataArray
) -> Iterator[xr.Dataset]:
    lower, upper = process["lower"], process["upper"]
    known = attempted & lower.notnull() & upper.notnull()
    kinds = ("estimator", "kind", "parameter")
    # A kind that an estimator does not have is none that it failed to give.
    offered = known.any([x for x in known.dims if x not in kinds])
    yield mi.coverage_of_attempted(lower, upper, process["truth"], attempted & offered)
    lower, upper = process["lower"].where(used), process["upper"].where(used)
    yield mi.coverage(lower, upper, process["truth"])
    estimate = process["estimate"].where(used)
    yield mi.bias_eliminated_coverage(lower, upper, estimate)
    level = _level_of(process)
    yield mi.interval_score(lower, upper, process["truth"], level=level)
    for measure in mi.OF_INTERVALS:
        yield measure(lower, upper)


def _level_of(process: xr.Dataset) -> float:
    """Return the level of the limits stored."""
    return (
        float(process["lower"].attrs.get("level", 0.95)) if "lower" in process else 0.95
    )


def _statistic_measures(statistic: xr.DataArray) -> Iterator[xr.Dataset]:
    """Measure what estimators reported of their own: mean and spread."""
    yield me.mean_of(statistic, name="statistic_mean")
    spread = me.empirical_se(statistic)
    yield spread.rename(
        {x: str(x).replace("empirical_se", "statistic_sd") for x in spread}
    )


def _test_measures(
    process: xr.Dataset,
    coords: Mapping[Hashable, Any],
    used: xr.DataArray,
    hypotheses: Sequence[Hypothesis],
    levels: Sequence[float],
) -> Iterator[xr.Dataset]:
    """Measure tests, and coverage at further levels, of the default kinds."""
    process = at_kind(process, coords)
    own = _level_of(process)
    every = (own, *(x for x in levels if x != own))
    names = (
        [str(x) for x in coords["parameter"].values] if "parameter" in coords else []
    )
    tests = (
        [str(x) for x in coords["reported_test"].values]
        if "reported_test" in coords
        else []
    )
    yield measure_tests(process, used, names, hypotheses, every, tests)
    if every[1:]:
        yield measure_levels(process, used, every)


def _unflagged_measures(
    process: xr.Dataset, used: xr.DataArray
) -> Iterator[xr.Dataset]:
    """Measure the fits that are used and not flagged; `x_unflagged` for `x`."""
    kept = used & (process["flagged"] != 1)
    estimate = process["estimate"].where(kept)
    found = [me.bias(estimate, process["truth"]), me.rmse(estimate, process["truth"])]
    if "lower" in process and "upper" in process:
        lower, upper = process["lower"].where(kept), process["upper"].where(kept)
        found.append(mi.coverage(lower, upper, process["truth"]))
        found.append(mi.interval_width(lower, upper))
    for measure in found:
        name = str(next(iter(measure)))
        yield measure.rename(
            {x: str(x).replace(name, f"{name}_unflagged", 1) for x in measure}
        )
