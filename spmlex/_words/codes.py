"""Result codes: how a solve or a fit ended, each with what to try next."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Int


class RESULTS(eqx.Enumeration):
    """How a solve ended. The sentence is what a person needs to read."""

    successful = ""
    max_steps_reached = (
        "The fit ran out of steps before the gradient vanished. Raise `max_steps`, or "
        "start closer, for example at the moment estimate."
    )
    inner_not_certified = (
        "The mixing probabilities are not certified optimal: the gap or the residual "
        "on the support is above 1e-9. Try solver='interior_point'; if it stays, the "
        "log conditional likelihoods are probably close to the limits of float64."
    )
    zero_likelihood = (
        "An observation has zero likelihood at every support point. Widen `supp`, "
        "or look for an outlying or miscoded observation."
    )
    non_finite = (
        "The likelihood or a derivative is nan or infinite. Look for nan in the data, "
        "and for parameters at which `lclk` is undefined, such as a variance of zero."
    )
    singular_hessian = (
        "The profile Hessian is singular at the estimate: some combination of the "
        "parameters is not identified by these data. Hold a parameter fixed, or use "
        "more data; standard errors are not available."
    )
    parameter_diverging = (
        "A parameter runs off towards infinity while the likelihood still rises: it is "
        "not identified by these data, or the start was in the wrong basin. Try "
        "another start, or hold it fixed."
    )
    stalled = (
        "No step improves the likelihood although its gradient is not zero. Two local "
        "maxima on the grid are probably closer than a step; try a finer grid or "
        "another start."
    )
    variance_collapsed = (
        "The search did not end, and every observation sees a single support point. "
        "Either a noise scale runs to zero, since an outcome is reproduced exactly by "
        "points of the grid: hold the scale fixed, or move the grid off these values. "
        "Or it started far below the spacing of the grid: start it there."
    )
    simulation_disagrees = (
        "What `simulate` draws does not have the distribution that `lclk` says. Look "
        "for a missing term in one of them: also one that depends on the unobservable "
        "or on the parameters alone counts."
    )


RESULT_CODES: tuple[tuple[int, str, str], ...] = tuple(
    (code, name, RESULTS[getattr(RESULTS, name)])
    for code, name in enumerate(
        (
            "successful",
            "max_steps_reached",
            "inner_not_certified",
            "zero_likelihood",
            "non_finite",
            "singular_hessian",
            "parameter_diverging",
            "stalled",
            "variance_collapsed",
            "simulation_disagrees",
        )
    )
)
"""Every result code as (integer, name, sentence); the integers are what is stored."""


def result_code(result: Any) -> Int[Array, "..."]:
    """Return the integer of a result code, as an array, also under `jit`.

    Args:
        result: A member of `RESULTS`.

    Raises:
        ValueError: It is none.

    Examples:
        >>> int(result_code(estimate.result))
        0
    """
    if not isinstance(result, RESULTS):
        raise ValueError(
            f"result={result!r}: give a member of RESULTS, such as `estimate.result`."
        )
    return jnp.asarray(result._value, dtype=jnp.int32)  # pyright: ignore[reportPrivateUsage]


def is_successful(result: Any) -> Any:
    """Tell whether a result code is that of success.

    Compiles nothing outside `jit`, as `result == RESULTS.successful` does.
    """
    code = result_code(result)
    return (code if isinstance(code, Tracer) else np.asarray(code)) == 0


def raise_if_failed[Value](
    value: Value, result: Any, explain: Callable[[], str] = lambda: ""
) -> Value:
    """Return `value`, or raise with the sentence of the result code.

    Under `jit` the check happens when the compiled code runs.

    Args:
        value: Any pytree.
        result: A member of `RESULTS`.
        explain: Says what is known beside the sentence; not asked under `jit`.

    Raises:
        RuntimeError: The result is not successful.
    """
    succeeded = is_successful(result)
    if isinstance(succeeded, Tracer):
        return result.error_if(value, ~succeeded)
    if not succeeded:
        raise RuntimeError(f"{RESULTS[result]} {explain()}".rstrip())
    return value


__all__ = ["RESULTS", "RESULT_CODES", "is_successful", "raise_if_failed", "result_code"]
