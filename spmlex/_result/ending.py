"""How the search for a maximum ended, in words: what to know before trusting it."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Array, Int

from spmlex._adequacy.adequacy import Adequacy
from spmlex._adequacy.edges import describe_faces
from spmlex._climb.optima import Optima
from spmlex._evidence.evidence import Evidence
from spmlex._support.degenerate import MAX_RIPPLE
from spmlex._words.codes import RESULT_CODES, RESULTS, is_successful
from spmlex._words.types import Scalar


class Ending(NamedTuple):
    """How the search for a maximum ended.

    Attributes:
        result: Result code.
        num_steps: Evaluations of the profile likelihood.
        num_atoms: Support points with positive mass.
        gradient_norm: Largest entry of the gradient.
        gap: Bound on what other mixing probabilities could gain.
        grid_ripple: Ripple of the log-likelihood with the spacing of the grid, nats.
        support: "grid" or "free".
        optima: Where each start led; `None` where there was one.
        certificate: Of free support; else `None`.
    """

    result: RESULTS  # pyright: ignore[reportInvalidTypeForm]
    num_steps: Int[Array, ""]
    num_atoms: Int[Array, ""]
    gradient_norm: Scalar
    gap: Scalar
    grid_ripple: Scalar
    support: str
    optima: Optima | None
    certificate: Adequacy | None


def describe_support(evidence: Evidence, ending: Ending) -> str:
    """Say where F has its points, and how many have mass."""
    if ending.support == "free":
        return f"free support, {int(ending.num_atoms)} atoms"
    counted = _count_atoms(evidence.probs)
    return f"grid of {evidence.probs.shape[0]} points, {counted} with positive mass"


def describe_certificate(certificate: Adequacy) -> str:
    """Say what free support leaves to be gained, and how sure that is."""
    proof = "numerical"
    if bool(certificate.is_proof):
        proof = "proved, if third derivatives at most double within a cell"
    return (
        "no distribution on the range gains more than "
        f"{max(float(certificate.gap), 0.0):.1e} nats per observation ({proof})"
    )


def list_optima(optima: Optima) -> list[str]:
    """Return a line for each distinct local optimum, best first, and the failures."""
    number = np.asarray(optima.optimum)
    chosen = number[int(optima.chosen)]
    plural = "optimum" if int(optima.num_optima) == 1 else "optima"
    lines = [
        f"{number.size} starts, {int(optima.num_optima)} local {plural} "
        "(log-likelihood, support points with positive mass, starts that led there):"
    ]
    criterion, flagged = np.asarray(optima.criterion), np.asarray(optima.flagged)
    heights, atoms = np.asarray(optima.log_likelihood), np.asarray(optima.num_atoms)
    for i in sorted(set(number[number >= 0]), key=lambda i: -criterion[i]):
        marks = ["chosen"] * bool(i == chosen)
        marks += ["degenerate"] * bool(flagged[i])
        lines.append(
            f"  {float(heights[i]):14.4f} {int(atoms[i]):5d} "
            f"{int(np.sum(number == i)):5d}  {', '.join(marks)}".rstrip()
        )
    failed = np.asarray(optima.code)[number < 0]
    for code, name, _ in RESULT_CODES:
        if np.any(failed == code):
            lines.append(f"  {int(np.sum(failed == code))} ended as {name}")
    return lines


def list_warnings(evidence: Evidence, ending: Ending) -> list[str]:
    """Return what a reader has to be warned of, a sentence each."""
    found = []
    if not is_successful(ending.result):
        found.append(RESULTS[ending.result])
    if bool(evidence.flagged):
        found.append(describe_degeneracy(evidence))
    elif float(ending.grid_ripple) > MAX_RIPPLE:
        found.append(
            "the grid is coarse for these kernels: by its spacing alone the log-"
            f"likelihood can rise and fall by {float(ending.grid_ripple):.1f} nats, "
            "and noise scales are estimated too small. Use more points."
        )
    if _is_one_point(evidence):
        found.append(
            "F is a single point at this maximum: no heterogeneity. A search whose "
            "noise starts wider than the data can end so beside a higher maximum: "
            "try `starts` with narrower noise; `mixing_test` tests for heterogeneity."
        )
    if evidence.moved is not None and not bool(evidence.moved):
        found.append(
            "no maximum with the support points free to move was found near the one on "
            "the grid: the estimate, and more so its standard errors, depend on where "
            "the grid lies."
        )
    return found + describe_faces(evidence)


def describe_degeneracy(evidence: Evidence) -> str:
    """Return what a person should know about a flagged estimate."""
    width, probs = float(evidence.resolution), evidence.probs
    return (
        "this looks like a degenerate maximum: the kernels are "
        f"{width:.2f} grid steps wide and {_count_atoms(probs)} of "
        f"{probs.shape[0]} support points have positive mass. Do not trust the "
        "estimate, nor intervals around it: take the efficient score's, from a "
        "consistent start (`starting_values`), a coarser grid or, where no noise "
        "scale is free, support='free'."
    )


def _is_one_point(evidence: Evidence) -> bool:
    """Tell whether F, which might have been more, is one point in every group."""
    n_supp, counts = evidence.probs.shape[0], np.sum(np.asarray(evidence.probs) > 0, 0)
    return n_supp > 1 and evidence.theta.size > 0 and bool(np.all(counts == 1))


def _count_atoms(probs: Array) -> str:
    counts = np.sum(np.asarray(probs) > 0, axis=0)
    if counts.ndim == 0:
        return str(counts)
    each = ", ".join(map(str, counts[:10])) + (", ..." if counts.size > 10 else "")
    return f"{each} (by group)"
