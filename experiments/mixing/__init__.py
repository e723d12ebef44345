"""Distributions of the unobservable: draws, distribution function, quantiles, moments.

Every `simulate` draws arrays with leading axis n from one key, so that the first draws
of a larger sample equal a smaller sample. Discrete, normal and uniform draws increase
in the same uniform number each, so they move together for the same key.
"""

from experiments.mixing.base import AbstractMixing, AbstractScalarMixing
from experiments.mixing.continuous import (
    Normal,
    NormalMixture,
    ShiftedGamma,
    StudentT,
    Uniform,
)
from experiments.mixing.discrete import Discrete
from experiments.mixing.joint import GaussianCopula, JointDiscrete

__all__ = [
    "AbstractMixing",
    "AbstractScalarMixing",
    "Discrete",
    "GaussianCopula",
    "JointDiscrete",
    "Normal",
    "NormalMixture",
    "ShiftedGamma",
    "StudentT",
    "Uniform",
]
