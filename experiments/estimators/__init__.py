"""Every estimator behind one call: model, data, grid in, a dictionary of arrays out."""

from experiments.estimators.base import RAISED, Estimator
from experiments.estimators.profile import Profile

__all__ = ["RAISED", "Estimator", "Profile"]
