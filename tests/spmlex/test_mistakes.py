"""Every mistake of a newcomer is answered in words that name it; what is none works."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest
from alone import run_alone
from mistaken_models import Logit
from mistaken_setting import DATA, FITS, MODEL, SUPP, N
from mistakes import MISTAKES
from problems import approx

from spmlex import fit
from spmlex._support.degenerate import grid_resolution


@pytest.fixture(scope="module")
def said(request):
    """What a user reads after each mistake."""
    return run_alone("mistakes.py", request.config)


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_answered_in_words(said, name):
    _, *expected = MISTAKES[name]
    for words in expected:
        assert words in said[name]


def test_there_are_many_and_each_is_an_error():
    assert len(MISTAKES) >= 70


@pytest.mark.thorough
def test_the_order_of_the_grid_does_not_matter():
    order = np.array([3, 0, 4, 1, 2])
    shuffled = fit(MODEL, DATA, SUPP[order], support="grid")
    assert shuffled.theta == approx(FITS.on_grid.theta, 1e-12)
    assert shuffled.probs == approx(FITS.on_grid.probs[order], 1e-12)
    narrow = fit(MODEL, DATA, 0.1 * SUPP[order] - 2.0)
    assert float(narrow.probs[2]) > 0.9
    assert "end of the range" in " ".join(narrow.summary(kind="sandwich").split())


@pytest.mark.thorough
def test_float32_is_cast_up_and_whole_numbers_are_data():
    low = {name: x.astype(np.float32) for name, x in DATA.items()}
    start = Logit(jnp.array(0.5, jnp.float32))
    supp = SUPP.astype(np.float32)
    estimate = fit(start, low, supp, support="grid")
    assert estimate.theta.dtype == jnp.float64
    assert estimate.theta == approx(FITS.on_grid.theta, 1e-6)
    whole = DATA | {"sign": DATA["sign"].astype(int)}
    again = fit(MODEL, whole, SUPP, support="grid")
    assert again.theta == approx(FITS.on_grid.theta, 1e-9)


@pytest.mark.thorough
def test_one_point_is_no_degenerate_maximum():
    one = jnp.ones(1)
    width = grid_resolution(MODEL.lclk(DATA, one), jnp.full(N, 1 / N), one[:, None])
    single = eqx.tree_at(
        lambda f: (f.probs, f.supp, f.resolution), FITS.on_grid, (one, one, width)
    )
    assert not single.flagged
    assert "grid of 1 points, 1 with positive mass" in single.summary(kind="sandwich")
    assert "Warning" not in single.summary(kind="sandwich")
