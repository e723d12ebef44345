"""Makers of support grids."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from spmlex._support.grid import (
    data_range,
    halton_grid,
    most_likely_points,
    product_grid,
    quantile_grid,
    uniform_grid,
)


class Location(eqx.Module):
    """Normal with known scale around the latent, in one or several dimensions."""

    scale: jax.Array

    def lclk(self, data, supp):
        points = supp[:, None] if supp.ndim == 1 else supp
        gap = (data[:, None, :] - points[None]) / self.scale
        return -0.5 * jnp.sum(gap**2, axis=2) - points.shape[1] * jnp.log(self.scale)


def test_uniform_grid_includes_both_ends_and_is_equally_spaced():
    grid = np.asarray(uniform_grid(-4, 1, 11))
    assert grid[0] == -4
    assert grid[-1] == 1
    assert np.diff(grid) == pytest.approx(0.5)


def test_quantile_grid_of_even_values_is_uniform():
    values = np.random.default_rng(0).permutation(np.linspace(-1, 1, 201))
    grid = np.asarray(quantile_grid(values, 21))
    assert grid == pytest.approx(np.linspace(-1, 1, 21))


def test_quantile_grid_is_denser_where_the_pilot_has_more_mass():
    values = np.random.default_rng(0).normal(size=2000)
    grid = np.asarray(quantile_grid(values, 41))
    assert (np.diff(grid) > 0).all()
    assert np.diff(grid)[19:21].max() < 0.2 * np.diff(grid)[[0, -1]].min()


def test_quantile_grid_weights_equal_repeated_values():
    values = np.array([-1.0, 0.5, 2.0, 2.5])
    repeated = quantile_grid(np.repeat(values, [1, 3, 2, 4]), 9)
    weighted = quantile_grid(values, 9, weights=np.array([1.0, 3.0, 2.0, 4.0]))
    assert np.asarray(weighted) == pytest.approx(np.asarray(repeated))


def test_product_grid_holds_every_combination_once():
    grid = product_grid(jnp.array([0.0, 1.0]), jnp.array([5.0, 6.0, 7.0]))
    assert grid.shape == (6, 2)
    assert {(float(a), float(b)) for a, b in grid} == {
        (a, b) for a in (0.0, 1.0) for b in (5.0, 6.0, 7.0)
    }
    assert grid[1].tolist() == [0.0, 6.0]


def test_halton_grid_starts_as_published():
    unit = halton_grid(jnp.zeros(2), jnp.ones(2), 4)
    first = [[1 / 2, 1 / 3], [1 / 4, 2 / 3], [3 / 4, 1 / 9], [1 / 8, 4 / 9]]
    assert np.asarray(unit) == pytest.approx(np.array(first))


def test_halton_grid_fills_the_box_evenly():
    low, high = jnp.array([-2.0, 0.0, 10.0]), jnp.array([2.0, 1.0, 20.0])
    grid = np.asarray(halton_grid(low, high, 512))
    assert grid.shape == (512, 3)
    unit = (grid - np.asarray(low)) / np.asarray(high - low)
    cells = np.unique((unit * 2).astype(int) @ [4, 2, 1], return_counts=True)[1]
    assert len(cells) == 8
    assert np.abs(cells - 64).max() <= 8


def test_observations_are_located_where_their_likelihood_peaks():
    data = jnp.array([[-1.0], [0.52], [2.0]])
    supp = jnp.linspace(-3.0, 3.0, 61)
    found = most_likely_points(Location(jnp.array(0.5)), data, supp)
    assert np.asarray(found) == pytest.approx(np.array([-1.0, 0.5, 2.0]))


def test_data_range_is_the_span_of_the_data_and_some_kernel_widths():
    data = jnp.linspace(-1.0, 2.0, 31)[:, None]
    low, high = data_range(Location(jnp.array(0.2)), data, -10, 10, widths=3.0)
    assert isinstance(low, float)
    assert low == pytest.approx(-1.0 - 0.6, abs=0.06)
    assert high == pytest.approx(2.0 + 0.6, abs=0.06)


def test_data_range_stays_within_the_trial_range():
    data = jnp.array([[-30.0], [0.0]])
    low, _ = data_range(Location(jnp.array(1.0)), data, -5.0, 5.0)
    assert low == -5.0


def test_data_range_has_one_end_for_each_coordinate():
    data = jnp.asarray(np.random.default_rng(0).uniform(size=(50, 2)) * [1.0, 4.0])
    low, high = data_range(
        Location(jnp.array(0.1)), data, jnp.full(2, -8.0), jnp.full(2, 8.0)
    )
    assert np.shape(low) == np.shape(high) == (2,)
    assert (np.asarray(low) <= np.asarray(data).min(axis=0)).all()
    assert (np.asarray(high) >= np.asarray(data).max(axis=0)).all()
    assert (np.asarray(high) < 8.0).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: uniform_grid(1.0, 1.0, 5), "low=1.0, high=1.0 is not a range"),
        (lambda: uniform_grid(0.0, 1.0, 1), "n=1 points make no grid"),
        (lambda: quantile_grid(np.ones(5), 3), "values has 1 distinct value"),
        (lambda: quantile_grid(np.array([0.0, np.nan]), 3), "values holds nan"),
        (
            lambda: quantile_grid(np.arange(3.0), 3, weights=-np.ones(3)),
            "weights has shape",
        ),
        (product_grid, "axes have shapes"),
        (lambda: halton_grid(jnp.zeros(9), jnp.ones(9), 5), "low has 9 coordinates"),
        (
            lambda: halton_grid(jnp.zeros(2), jnp.ones(3), 5),
            "2 and 3 coordinates|mismatch|type",
        ),
    ],
)
def test_wrong_calls_name_the_argument(call, message):
    with pytest.raises((ValueError, TypeError), match=message):
        call()
