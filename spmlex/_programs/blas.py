"""Factorisations on one thread while a program runs.

XLA leaves them to the OpenBLAS of SciPy, which shares each of them among all the cores.
Ours are small, tens of rows, and gain nothing; where other processes want the cores as
well, or a container has fewer than it sees, its threads wait for each other, and a
factorisation can take a hundred times as long.
"""

import functools
from contextlib import AbstractContextManager
from typing import Any

from threadpoolctl import ThreadpoolController


def on_one_thread() -> AbstractContextManager[Any]:
    """Limit BLAS to one thread; afterwards what was set before holds again.

    It is a setting of the process: only for the main thread. Of two threads that are
    inside at a time the second would restore what it found, the limit of the first.
    """
    return _find_blas().limit(limits=1)


@functools.cache
def _find_blas() -> ThreadpoolController:
    # JAX loads it when the first factorisation is compiled: too late to be found here.
    import scipy.linalg.cython_lapack  # noqa: F401

    return ThreadpoolController().select(user_api="blas")
