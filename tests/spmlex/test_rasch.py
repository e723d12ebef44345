"""Rasch models: as many atoms as scores, an F that is not unique, a known theta.

Where the distribution of scores is fitted without error, the profile likelihood is the
conditional one given the scores (Lindsay, Clogg and Grego 1991): an estimate and an
information that need neither F nor a grid.
"""

import itertools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from problems import approx

from spmlex import RESULTS, fit

N_ITEMS = 5
PATTERNS = np.array(list(itertools.product([0.0, 1.0], repeat=N_ITEMS)))


class Rasch(eqx.Module):
    """Whether items are solved: their ease beside that of the first, and an ability."""

    ease: jax.Array

    def lclk(self, data, supp):
        index = supp[:, None] + jnp.concatenate([jnp.zeros(1), self.ease])
        y = data["y"][:, None]
        return jnp.sum(y * index - jax.nn.softplus(index), axis=2)


def draw(seed):
    rng = np.random.default_rng(seed)
    index = rng.normal(size=(300, 1)) + np.array([0.0, 0.5, -0.5, 1.0, -1.0])
    return (rng.uniform(size=index.shape) < 1 / (1 + np.exp(-index))).astype(float)


def conditional(y):
    """Return estimate and information of the likelihood given the scores."""
    scores = PATTERNS.sum(axis=1)

    def value(ease):
        full = jnp.concatenate([jnp.zeros(1), ease])
        each = [
            jax.nn.logsumexp(PATTERNS[scores == k] @ full) for k in range(N_ITEMS + 1)
        ]
        return -jnp.mean(y @ full - jnp.stack(each)[y.sum(axis=1).astype(int)])

    theta = jnp.zeros(N_ITEMS - 1)
    for _ in range(20):
        step = jnp.linalg.solve(jax.hessian(value)(theta), jax.grad(value)(theta))
        theta = theta - step
    return theta, jax.hessian(value)(theta)


@pytest.mark.thorough
@pytest.mark.parametrize("seed", [1, 8, 9])
def test_an_f_that_is_not_unique_is_no_failure(seed):
    y = draw(seed)
    theta, information = conditional(y)
    grid = np.linspace(-5.0, 5.0, 21)
    for start in (jnp.zeros(4), theta):
        found = fit(Rasch(start), {"y": y}, grid, support="free", throw=False)
        assert found.result == RESULTS.successful
        # A search may end with a gap in the mean likelihood. What loses as much moves
        # theta, and by the root the curvature: how far differs between processors.
        smallest = float(jnp.linalg.eigvalsh(information)[0])
        off = (2 * max(float(found.gap), 0.0) / smallest) ** 0.5
        assert found.theta == approx(theta, max(1e-6, off))
        off = 1e-6 if jnp.all(start == 0.0) else 10 * max(float(found.gap), 0.0) ** 0.5
        assert found.hessian == approx(information, off)
