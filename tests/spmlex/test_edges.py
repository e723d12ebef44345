"""Mass on the ends of the range, and coarse grids, in one dimension and in several."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from problems import approx, said

from spmlex import fit, product_grid
from spmlex._adequacy.edges import find_loaded_faces
from spmlex._support.degenerate import grid_resolution


class Moves(eqx.Module):
    """Who moves in each of four years: never-movers have an intercept of -infinity."""

    slope: jax.Array

    def lclk(self, data, supp):
        index = self.slope * data["x"][:, :, None] + supp
        return jax.nn.log_sigmoid(data["sign"][:, :, None] * index).sum(axis=1)


class Plane(eqx.Module):
    """Two normal outcomes at a point of the plane, given as rows or by name."""

    def lclk(self, data, supp):
        if isinstance(supp, dict):
            supp = jnp.stack([supp["a"], supp["b"]], axis=1)
        apart = data["y"][:, None] - supp
        return -0.5 * jnp.sum((apart / data["error"][:, None]) ** 2, axis=2)


@pytest.fixture(scope="module")
def movers():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 4))
    chosen = rng.uniform(size=(200, 4)) < 1 / (1 + np.exp(-(x + 1.5)))
    chosen &= (rng.uniform(size=200) < 0.6)[:, None]
    return {"x": x, "sign": np.where(chosen, 1.0, -1.0)}


@pytest.fixture(scope="module")
def plane():
    rng = np.random.default_rng(1)
    centres = rng.choice([-1.0, 1.0], size=(80, 2))
    return {
        "y": centres + 0.5 * rng.normal(size=(80, 2)),
        "error": np.full((80, 2), 0.5),
    }


def on(grid, data, support: str | None = "grid"):
    return fit(Moves(jnp.array(1.0)), data, grid, support=support)


def test_an_atom_at_infinity_is_recognised(movers):
    wide = on(np.linspace(-9.5, 14.0, 48), movers)
    face = find_loaded_faces(wide.evidence)[0]
    assert face.saturates
    assert not face.is_upper
    assert 0.2 < face.mass < 0.5
    assert face.gain < 0.05
    text = said(wide.summary(kind="sandwich"))
    assert "lower end of the range, beyond which the likelihood no longer" in text
    assert "widen" not in text
    assert "moves theta by at most about" in text
    # Indeed: a range twice as wide changes nothing.
    wider = on(np.linspace(-19.5, 14.0, 68), movers)
    error = float(wide.standard_errors("sandwich").slope)
    moved = abs(float(wider.theta[0] - wide.theta[0])) / error
    assert moved < 0.01
    # As the bound says, on narrower ranges too.
    assert moved <= np.sqrt(2 * face.gain)
    for low in (-4.0, -6.0, -7.5):
        narrow = on(np.arange(low, 14.1, 0.5), movers)
        bound = np.sqrt(2 * find_loaded_faces(narrow.evidence)[0].gain)
        assert abs(float(wider.theta[0] - narrow.theta[0])) / error <= bound
    assert wider.log_likelihood == approx(wide.log_likelihood, 0.05)


def test_a_range_that_binds_is_to_be_widened(movers):
    narrow = on(np.linspace(-1.0, 14.0, 31), movers)
    face = find_loaded_faces(narrow.evidence)[0]
    assert not face.saturates
    assert face.gain > 1.0
    assert "end of the range; widen it." in said(narrow.summary(kind="sandwich"))


@pytest.mark.thorough
def test_points_that_moved_are_looked_at_in_the_range_given(movers):
    moved = on(np.linspace(-9.5, 14.0, 48), movers, support=None)
    assert find_loaded_faces(moved.evidence)[0].saturates


def test_mass_on_the_faces_of_a_box_is_warned_of(plane):
    rows = product_grid(np.linspace(-0.8, 3, 9), np.linspace(-3, 3, 13))
    for supp, name in (
        (rows, "supp[:,0]"),
        ({"a": rows[:, 0], "b": rows[:, 1]}, "supp['a']"),
    ):
        estimate = fit(Plane(), plane, supp, support="grid")
        (face,) = find_loaded_faces(estimate.evidence)
        assert face.name == name
        assert 0.2 < face.mass
        assert not face.saturates
        assert f"end of the range of {name}; widen it" in said(estimate.summary())
    labels = {"a": rows[:, 0], "b": jnp.round(rows[:, 1]).astype(int)}
    estimate = fit(Plane(), plane, labels, support="grid")
    assert {face.name for face in find_loaded_faces(estimate.evidence)} == {"supp['a']"}


def test_scattered_points_near_a_face_are_on_it():
    rng = np.random.default_rng(0)
    supp = jnp.asarray(rng.uniform(-1, 1, (40, 2)))
    data = {"y": np.tile([[4.0, 0.0]], (30, 1)), "error": np.ones((30, 2))}
    estimate = fit(Plane(), data, supp, support="grid")
    assert any(
        face.name == "supp[:,0]" for face in find_loaded_faces(estimate.evidence)
    )


@pytest.mark.parametrize("step", [0.25, 0.5, 1.0])
def test_kernels_are_measured_in_steps_of_every_coordinate(step):
    axes = np.arange(-4, 4, step), np.arange(-4, 4.1, 0.2)
    rng = np.random.default_rng(2)
    data = {"y": rng.uniform(-2, 2, (200, 2)), "error": np.full((200, 2), 0.5)}
    weights = jnp.full(200, 1 / 200)
    rows = product_grid(*axes)
    width = grid_resolution(Plane().lclk(data, rows), weights, rows)
    assert width == approx(0.5 / step, 0.1 / step)
    # The same as in the only dimension.
    line = jnp.asarray(axes[0])[:, None]
    apart = data["y"][:, :1] - axes[0]
    alone = grid_resolution(-2.0 * jnp.asarray(apart) ** 2, weights, line)
    assert width == approx(alone, 1e-6)


def test_a_coarse_grid_is_warned_of_in_two_dimensions(plane):
    fine, coarse = np.linspace(-3, 3, 25), np.linspace(-3, 3, 7)
    estimate = fit(Plane(), plane, product_grid(coarse, fine), support="grid")
    assert float(estimate.resolution) == approx(0.5, 0.15)
    assert "grid is coarse" in said(estimate.summary())
    better = fit(Plane(), plane, product_grid(fine, fine), support="grid")
    assert float(better.resolution) > 1.5
    assert "coarse" not in better.summary()


def test_a_coordinate_of_labels_has_no_spacing():
    rows = product_grid(np.linspace(-4, 4, 17), np.array([-1.0, 0.0, 1.0]))
    rng = np.random.default_rng(2)
    data = {
        "y": rng.choice([-1.0, 1.0], (50, 2)),
        "error": np.array([[1.0, 0.01]] * 50),
    }
    lclk = Plane().lclk(data, rows)
    weights = jnp.full(50, 0.02)
    labels = grid_resolution(lclk, weights, rows, (True, False))
    assert labels == approx(2.0, 0.05)
    assert float(grid_resolution(lclk, weights, rows)) < 0.3
