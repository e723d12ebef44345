"""What a failed fit can say beyond its code: which observations, which data."""

import numpy as np

from spmlex._inputs import conditional_likelihoods, describe_non_finite
from spmlex._result import Fit
from spmlex._solution import RESULTS
from spmlex._types import Data


def explain_failure(estimate: Fit, data: Data) -> str:
    """Say where the likelihood of a failed fit is zero or not finite; else nothing.

    Args:
        estimate: A fit that is not successful.
        data: What it was fitted to.
    """
    if estimate.result not in (RESULTS.zero_likelihood, RESULTS.non_finite):
        return ""
    parameters = describe_non_finite("model", estimate.model)
    if parameters:
        return " ".join(parameters)
    lclk = np.asarray(conditional_likelihoods(estimate.model, data, estimate.supp))
    if estimate.result == RESULTS.zero_likelihood:
        wrong = np.all(lclk == -np.inf, axis=1)
        sentences = [f"That is so in {_list_rows(wrong)}."]
    else:
        wrong = np.any(np.isnan(lclk) | (lclk == np.inf), axis=1)
        sentences = [f"`lclk` is nan or infinite in {_list_rows(wrong)}."]
        if not wrong.any():
            return (
                "`lclk` itself is finite, its derivatives are not: look for a root or "
                "a logarithm of zero, also in the branch that a `where` does not take."
            )
    return " ".join([*sentences, *describe_non_finite("data", data)])


def _list_rows(wrong: np.ndarray) -> str:
    rows = np.flatnonzero(wrong)
    word = "row" if rows.size == 1 else "rows"
    listed = ", ".join(map(str, rows[:5])) + (", ..." if rows.size > 5 else "")
    return f"{rows.size} of {wrong.size} observations ({word} {listed})"
