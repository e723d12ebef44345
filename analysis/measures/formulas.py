"""What a measure is, in plain arithmetic on arrays of any kind.

Each is defined here alone: for the measures, on labelled arrays that may lack values;
for the figures; and for the program that runs a study and counts what it still needs,
on NumPy's. Nothing but the standard library is imported, so that asking for one costs
a run nothing.
"""

from statistics import NormalDist
from typing import Any


def normal_quantile(level: float | int = 0.95) -> float:
    """Return c of a normal interval estimate -/+ c error with this level."""
    return NormalDist().inv_cdf((1 + level) / 2)


Z = normal_quantile()
"""Of the intervals drawn and told around Monte Carlo means: they are at 95 percent."""


def covers(lower: Any, upper: Any, truth: Any) -> Any:
    """Tell which closed intervals hold the truth; one with a missing limit does not."""
    return (lower <= truth) & (truth <= upper)


def wilson_interval(share: Any, n: Any, level: float | int = 0.95) -> tuple[Any, Any]:
    """Return centre and half width of Wilson's score interval (Wilson 1927, JASA 22).

    Unlike the plug-in standard error it keeps a width at proportions of 0 and 1.
    """
    z = normal_quantile(level)
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    inside = share * (1 - share) / n + z**2 / (4 * n**2)
    return centre, z * inside**0.5 / (1 + z**2 / n)


def error_of_root(root: Any, error_of_square: Any) -> Any:
    """Return the standard error of a root, such as the RMSE, from that of its square.

    The delta method: that of the MSE over 2 RMSE (Boos and Osborne 2015, International
    Statistical Review 83).
    """
    return error_of_square / (2 * root)
