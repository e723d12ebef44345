"""Solvers of the inner problem, one a file, and the one call around them."""

from spmlex._inner.active_set import ActiveSet
from spmlex._inner.em import EM
from spmlex._inner.interior_point import InteriorPoint
from spmlex._inner.mixsqp import MixSQP
from spmlex._inner.solve import (
    CERTIFICATE_TOL,
    SOLVERS,
    InnerSolver,
    MixingSolution,
    get_solver,
    solve_probs,
)

__all__ = [
    "CERTIFICATE_TOL",
    "EM",
    "SOLVERS",
    "ActiveSet",
    "InnerSolver",
    "InteriorPoint",
    "MixSQP",
    "MixingSolution",
    "get_solver",
    "solve_probs",
]
