"""The problem in which mistakes are made: a logit of twenty observations."""

import jax.numpy as jnp
import numpy as np
from mistaken_models import Logit

from spmlex import fit

N = 20
RNG = np.random.default_rng(0)
X = RNG.normal(size=N)
DATA = {"x": X, "sign": np.sign(X + 2.0 * RNG.normal(size=N))}
SEPARATED = {"x": X, "sign": np.sign(X)}
SUPP = np.linspace(-3.0, 3.0, 5)


class Frame:
    """What a table of another package looks like to JAX."""

    def __getitem__(self, name):
        return DATA[name]


MODEL = Logit(jnp.array(0.5))


def but(**changes):
    """Return the data with other arrays for some."""
    return DATA | changes


def with_value(value, at=3):
    x = X.copy()
    x[at] = value
    return but(x=x)


class Fits:
    """One fit on a grid, made when first asked for."""

    @property
    def on_grid(self):
        if not hasattr(self, "_fit"):
            self._fit = fit(MODEL, DATA, SUPP, support="grid")
        return self._fit


FITS = Fits()
