"""A fit as a person reads it."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from spmlex._degenerate import MAX_RIPPLE
from spmlex._intervals import corrected_centre
from spmlex._parameters import parameter_names
from spmlex._solution import RESULT_CODES, RESULTS
from spmlex._student import student_p_value

_EDGE_MASS = 1e-3
"""More at an end of the range is warned of, whatever the number of observations."""

_MOST_ATOMS = 20
"""Support points listed by `summary`."""


def format_fit(fit, level: float | int, kind: str) -> str:
    """Return a regression-style table of a fit.

    Args:
        fit: A `Fit` of concrete arrays.
        level: Confidence level of the intervals.
        kind: Kind of interval.
    """
    if kind.startswith("corrected"):
        fit = dataclasses.replace(fit, correction=corrected_centre(fit))
    names = parameter_names(fit.model, fit.free)
    made = jax.tree.map(np.asarray, fit.intervals(level, kind))
    width = max(10, *(len(name) for name in names))
    n_obs, n_supp = fit.scores.shape[0], fit.probs.shape[0]
    support = f"grid of {n_supp} points, {_count_atoms(fit)} with mass"
    if fit.support == "free":
        support = f"free support, {int(fit.num_atoms)} atoms"
    columns = {"estimate": np.asarray(fit.theta)}
    if kind.startswith("corrected"):
        columns["corrected"] = made.centre
    if kind == "likelihood_ratio":
        tests = {}
    else:
        z = made.centre / made.standard_error
        columns["std. error"] = made.standard_error
        tests = {"z": z, "P>|z|": np.asarray(student_p_value(z, float("inf")))}
    head = "".join(f" {name:>10}" for name in columns)
    head += "".join(f" {name:>8}" for name in tests)
    percent = f"{100 * level:g}% interval"
    lines = [f"{'':{width}}{head} {percent:>21}"]
    for i, name in enumerate(names):
        line = "".join(f" {column[i]:10.5f}" for column in columns.values())
        line += "".join(
            f" {column[i]:8.{digits}f}"
            for column, digits in zip(tests.values(), (2, 3), strict=False)
        )
        lines.append(
            f"{name:{width}}{line} {made.lower[i]:10.5f} {made.upper[i]:10.5f}"
        )
    rule = "-" * max(map(len, lines))
    title = f"{type(fit.model).__name__}: semiparametric maximum likelihood"
    lines = [title, rule, *lines]
    lines += [
        rule,
        f"observations {n_obs}, log-likelihood {float(fit.log_likelihood):.4f}, "
        f"intervals: {kind.replace('_', ' ')}",
        f"{support}; gap {max(float(fit.gap), 0.0):.1e} nats per observation",
        f"{int(fit.num_steps)} steps, gradient {float(fit.gradient_norm):.1e}",
    ]
    if kind.startswith("corrected"):
        lines.append(_describe_correction(fit.correction))
    if fit.optima is not None:
        lines += _list_optima(fit.optima)
    if fit.certificate is not None:
        lines.append(_describe_certificate(fit.certificate))
    lines += _list_atoms(fit)
    lines += [f"Warning: {text}" for text in _warnings(fit)]
    return "\n".join(lines)


def _describe_correction(correction) -> str:
    if correction.maximum is None:
        return "corrected centre: one step"
    if correction.bandwidth is None:
        return "corrected centre: iterated"
    bandwidth = float(correction.bandwidth)
    if bandwidth == 0.0:
        return "corrected centre: no smoothing of F"
    return f"corrected centre: F smoothed by {bandwidth:g} of its standard deviation"


def _describe_certificate(certificate) -> str:
    proof = "proved" if bool(certificate.is_proof) else "numerical"
    return (
        "no distribution on the range gains more than "
        f"{max(float(certificate.gap), 0.0):.1e} nats per observation ({proof})"
    )


def _list_atoms(fit) -> list[str]:
    """Return a line for each support point with mass, the largest where many."""
    probs = np.asarray(fit.probs)
    if probs.ndim == 2:
        return []
    kept = np.flatnonzero(probs > 0)
    largest = kept[np.argsort(-probs[kept])[:_MOST_ATOMS]]
    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(fit.supp)]
    lines = ["support point          mass"]
    for k in np.sort(largest):
        point = np.concatenate([np.ravel(leaf[k]) for leaf in leaves])
        place = " ".join(f"{value:.5f}" for value in point)
        lines.append(f"{place:>13} {probs[k]:13.5f}")
    if len(kept) > len(largest):
        rest = 1.0 - float(np.sum(probs[largest]))
        lines.append(f"{len(kept) - len(largest):>6} others {rest:13.5f}")
    return lines


def describe_degeneracy(fit) -> str:
    """Return what a person should know about a flagged fit."""
    return (
        "this looks like a degenerate maximum: the kernels are "
        f"{float(fit.resolution):.2f} grid steps wide and {_count_atoms(fit)} of "
        f"{fit.probs.shape[0]} support points carry mass. Do not trust the estimate, "
        "nor intervals around it; take the corrected centre with "
        "correction='smoothed' and a consistent start, a coarser grid or, where no "
        "noise scale is free, support='free'."
    )


def _count_atoms(fit) -> str:
    counts = np.sum(np.asarray(fit.probs) > 0, axis=0)
    if counts.ndim == 0:
        return str(counts)
    each = ", ".join(map(str, counts[:10])) + (", ..." if counts.size > 10 else "")
    return f"{each} (by group)"


def _list_optima(optima) -> list[str]:
    """Return a line for each distinct local optimum, best first, and the failures."""
    number = np.asarray(optima.optimum)
    chosen = number[int(optima.chosen)]
    plural = "optimum" if int(optima.num_optima) == 1 else "optima"
    lines = [
        f"{number.size} starts, {int(optima.num_optima)} local {plural} "
        "(log-likelihood, points with mass, starts that led there):"
    ]
    criterion = np.asarray(optima.criterion)
    for i in sorted(set(number[number >= 0]), key=lambda i: -criterion[i]):
        marks = ["chosen"] * bool(i == chosen)
        marks += ["degenerate"] * bool(optima.flagged[i])
        lines.append(
            f"  {float(optima.log_likelihood[i]):14.4f} {int(optima.num_atoms[i]):5d} "
            f"{int(np.sum(number == i)):5d}  {', '.join(marks)}".rstrip()
        )
    failed = np.asarray(optima.code)[number < 0]
    for code, name, _ in RESULT_CODES:
        if np.any(failed == code):
            lines.append(f"  {int(np.sum(failed == code))} ended as {name}")
    return lines


def _warnings(fit) -> list[str]:
    found = []
    if fit.result != RESULTS.successful:
        found.append(RESULTS[fit.result])
    if fit.correction is not None:
        if not bool(fit.correction.converged):
            found.append("the search for the corrected centre did not converge.")
        if fit.correction.flagged is not None and bool(fit.correction.flagged):
            found.append("the corrected centre is degenerate too.")
    if bool(fit.flagged):
        found.append(describe_degeneracy(fit))
    elif float(fit.grid_ripple) > MAX_RIPPLE:
        found.append(
            "the grid is coarse for these kernels: by its spacing alone the "
            f"log-likelihood can rise and fall by {float(fit.grid_ripple):.1f} nats, "
            "and noise scales are estimated too small. Use more points."
        )
    if fit.moved is not None and not bool(fit.moved):
        found.append(
            "no maximum with the support points free to move was found near the one on "
            "the grid: the estimate, and more so its standard errors, depend on where "
            "the grid lies."
        )
    edge = 0.0
    if fit.certificate is not None:
        edge = float(fit.certificate.edge_mass)
    elif jnp.ndim(fit.supp) == 1 and fit.supp.size > 1:
        ends = np.array([np.argmin(fit.supp), np.argmax(fit.supp)])
        edge = float(np.max(np.sum(np.asarray(fit.probs)[ends], axis=0)))
    of_group = " of a group" if fit.probs.ndim == 2 else ""
    # One observation beyond the range is enough to move theta.
    if edge > min(_EDGE_MASS, 1.0 / fit.scores.shape[0]):
        found.append(
            f"{100 * edge:.2g}% of the mass{of_group} sits on the ends of the range; "
            "widen it."
        )
    return found
