"""What a study estimates beside theta: functions of theta and F, each a class."""

from experiments.estimands.base import Estimand, list_estimands, stack
from experiments.estimands.distribution import Mean, Quantile, Share, Variance
from experiments.estimands.model import Average, Ratio

__all__ = [
    "Average",
    "Estimand",
    "Mean",
    "Quantile",
    "Ratio",
    "Share",
    "Variance",
    "list_estimands",
    "stack",
]
