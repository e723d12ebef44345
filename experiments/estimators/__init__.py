"""Every estimator behind one call: model, data, grid in, an `Outcome` out."""

from experiments.estimators.base import RAISED, Estimator, grid_use
from experiments.estimators.efficient import EfficientScore
from experiments.estimators.finite_mixture import FiniteMixture
from experiments.estimators.from_model import FromModel
from experiments.estimators.joint_em import JointEM
from experiments.estimators.normal import NormalRandomEffects
from experiments.estimators.oracle import Oracle
from experiments.estimators.outcome import (
    OWN,
    QUANTITIES,
    SCALARS,
    Outcome,
    Quantity,
    as_arrays,
    find_own,
)
from experiments.estimators.profile import Profile

__all__ = [
    "OWN",
    "QUANTITIES",
    "RAISED",
    "SCALARS",
    "EfficientScore",
    "Estimator",
    "FiniteMixture",
    "FromModel",
    "JointEM",
    "NormalRandomEffects",
    "Oracle",
    "Outcome",
    "Profile",
    "Quantity",
    "as_arrays",
    "find_own",
    "grid_use",
]
