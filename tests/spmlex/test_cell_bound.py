"""The bound on the gradient function over a cell holds, and is close around atoms."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from problems import approx

from spmlex import RESULTS, fit, product_grid
from spmlex._adequacy.cell_bound import bound_cells
from spmlex._support.continuum import log_gradient, log_ratios, make_box


class Coefficients(eqx.Module):
    """Six binary choices, intercept and slope random."""

    def lclk(self, data, supp):
        index = supp[:, 0] + supp[:, 1] * data["x"][:, :, None]
        return jax.nn.log_sigmoid(data["sign"][:, :, None] * index).sum(axis=1)


class Counts(Coefficients):
    """Six Poisson counts, intercept and slope random."""

    def lclk(self, data, supp):
        index = supp[:, 0] + supp[:, 1] * data["x"][:, :, None]
        counts = data["sign"][:, :, None] + 1.0
        return (counts * index - jnp.exp(index)).sum(axis=1)


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    atoms = np.array([[-1.0, 1.0], [1.0, -1.0], [2.0, 0.5]])[rng.choice(3, 150)]
    x = rng.normal(size=(150, 6))
    index = atoms[:, :1] + atoms[:, 1:] * x
    chosen = rng.uniform(size=index.shape) < 1 / (1 + np.exp(-index))
    return {"x": x, "sign": np.where(chosen, 1.0, -1.0)}


@pytest.mark.parametrize("model", [Coefficients(), Counts()])
def test_no_point_of_a_cell_is_above_its_bound(data, model):
    rng = np.random.default_rng(1)
    box = make_box(np.full(2, -4.0), np.full(2, 4.0))
    supp = jnp.asarray(rng.uniform(-2, 2, (4, 2)))
    weights = jnp.full(150, 1 / 150)
    log_ratio = log_ratios(model, data, supp, jnp.full(4, 0.25), weights)
    centres = jnp.asarray(rng.uniform(-2, 2, (40, 2)))
    sizes = 10.0 ** rng.uniform(-4, 0, (40, 2))
    upper, values, concave = bound_cells(
        model, data, box, log_ratio, centres, jnp.asarray(sizes)
    )
    assert concave.all()
    inside = rng.uniform(-1, 1, (30, 1, 2))
    inside[:4, 0] = [[1, 1], [1, -1], [-1, 1], [-1, -1]]
    points = (centres + inside * sizes).reshape(-1, 2)
    there = log_gradient(model, data, box, log_ratio, points).reshape(30, 40)
    assert (there <= upper + 1e-12).all()
    # Of small cells to third order: the value at the best of these points nearly.
    small = sizes.max(axis=1) < 1e-2
    assert small.sum() > 10
    apart = (upper - jnp.maximum(there.max(axis=0), values))[small]
    assert (apart < 50 * sizes[small].max(axis=1) ** 2).all()


@pytest.mark.thorough
def test_two_coefficients_are_certified_with_few_cells(data):
    grid = product_grid(np.linspace(-4, 5, 13), np.linspace(-4, 4, 13))
    estimate: Any = fit(Coefficients(), data, grid, support="free")
    assert estimate.result == RESULTS.successful
    assert bool(estimate.certificate.is_proof)
    assert float(estimate.certificate.gap) < 1e-9
    # The bound of first order needed more than 100,000 and proved nothing.
    assert int(estimate.certificate.num_cells) < 10_000
    assert estimate.probs.sum() == approx(1.0, 1e-12)
