"""Grids in three dimensions: thousands of points, tens of them with mass."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.models.panel_binary import PanelBinary
from spmlex import fit, product_grid, solve_probs
from spmlex._atoms.gradient_atoms import merge_and_climb
from spmlex._atoms.grid_atoms import merge_neighbours
from spmlex._atoms.joint import make_joint
from spmlex._inner import ActiveSet
from spmlex._profile.derivatives import profile_derivatives
from spmlex._profile.outer import OuterProblem
from spmlex._profile.profile import on_face, profile


def draw_choices(seed):
    """Draw choices that three random coefficients explain, with a grid for these."""
    rng = np.random.default_rng(seed)
    covariates = rng.normal(size=(400, 6, 3))
    slopes = 0.5 + 0.7 * rng.normal(size=(400, 3))
    moved = np.concatenate([np.ones((400, 6, 1)), covariates], axis=2)
    slopes = np.concatenate([slopes, np.full((400, 1), -0.5)], axis=1)
    index = np.einsum("itk,ik->it", moved, slopes)
    data = {
        "outcomes": jnp.asarray(index + rng.logistic(size=index.shape) > 0),
        "covariates": jnp.asarray(covariates),
    }
    axis = np.linspace(-3.0, 4.0, 10)
    return (
        PanelBinary(coef=jnp.array([-0.5]), n_random=3),
        data,
        product_grid(*[axis] * 3),
    )


@pytest.fixture(scope="module")
def choices():
    """Return the first of these samples."""
    return draw_choices(0)


@pytest.mark.parametrize("start", [None, "equal masses"])
def test_the_working_set_finds_tens_of_atoms_among_a_thousand_points(choices, start):
    model, data, supp = choices
    lclk = model.lclk(data, supp)
    probs0 = None if start is None else jnp.full(len(supp), 1.0 / len(supp))
    solution = solve_probs(lclk, probs0=probs0)
    assert int(jnp.sum(solution.probs > 0)) > 15
    assert not solution.fell_back
    assert int(solution.num_steps) < 20


@pytest.mark.parametrize(("count", "size"), [(7, 24), (24, 24), (25, 96), (100, 300)])
def test_a_face_has_as_few_columns_as_hold_the_mass(count, size):
    masses = jnp.zeros(300).at[:count].set(1.0 / count)
    probs = jax.random.permutation(jax.random.key(0), masses)
    columns = jax.jit(
        lambda probs: on_face(
            probs, lambda columns: (columns.size, jnp.sum(probs[columns]))
        )
    )(probs)
    assert columns[0] == size
    assert jnp.allclose(columns[1], 1.0)


def test_derivatives_on_a_face_are_those_on_all_points():
    """Copies of the likelihoods far below them add points, and nothing else."""
    rng = np.random.default_rng(1)
    latent = jnp.asarray(rng.normal(size=(300, 1)) * 4.0)
    points = jnp.linspace(-10.0, 10.0, 60)

    def lclk_at(theta, columns, n_supp):
        where = jnp.concatenate([points, jnp.zeros(n_supp - 60)])[columns]
        off = jnp.where(columns < 60, 0.0, -50.0)
        apart = (latent - where - theta[1] * jnp.sin(where)) * jnp.exp(-theta[0])
        return -0.5 * apart**2 - theta[0] + off

    def derive(n_supp):
        theta, columns = jnp.array([-1.5, 0.1]), jnp.arange(n_supp)
        lclk = lclk_at(theta, columns, n_supp)
        weights = jnp.full(300, 1 / 300)
        solution = solve_probs(lclk, weights=weights)
        found = profile_derivatives(
            lambda theta, columns: lclk_at(theta, columns, n_supp),
            theta,
            lclk,
            solution.probs,
            weights,
        )
        by_jax = jax.hessian(lambda theta: profile(lclk_at(theta, columns, n_supp))[0])
        return int(jnp.sum(solution.probs > 0)), found, by_jax(theta)

    few, on_all, hessian = derive(60)
    many, on_some, again = derive(250)
    assert few == many > 24
    for one, other in [
        (on_all.hessian, on_some.hessian),
        (on_all.hessian, again),
        (hessian, again),
        (on_all.scores, on_some.scores),
        (on_all.probs_dot, on_some.probs_dot[:60]),
    ]:
        assert jnp.allclose(one, other, rtol=1e-6, atol=1e-9)


@pytest.mark.thorough
def test_a_search_starts_from_the_best_of_merged_and_climbed_atoms(choices):
    """At this theta those that climb alone are far below the grid."""
    model, data, supp = choices
    problem = OuterProblem(model, data, supp, None, None, (True,), ActiveSet())
    joint = make_joint(problem, jnp.full(400, 1 / 400))
    theta = jnp.array([-0.5])
    on_grid = solve_probs(model.lclk(data, supp))

    def start(kind):
        atoms, fits = kind()
        lclk = jnp.where(atoms.present, joint.lclk(theta, atoms.places), -jnp.inf)
        return bool(fits), float(solve_probs(lclk).value)

    _, merged = start(lambda: merge_neighbours(joint, on_grid.probs, 24))
    fits, best = start(lambda: merge_and_climb(joint, theta, on_grid.probs, 24))
    assert fits
    assert best <= merged - 1e-3


@pytest.mark.slow
def test_atoms_move_from_a_grid_on_which_several_lie_between_points(choices):
    model, data, supp = choices
    estimate = fit(model, data, supp)
    assert estimate.moved
    assert int(estimate.fallbacks) == 0
    assert float(estimate.gap) * 400 <= 0.05
    assert (
        estimate.log_likelihood > fit(model, data, supp, support="grid").log_likelihood
    )


@pytest.mark.slow
def test_maxima_beside_atoms_do_not_stop_the_search():
    """Both once stayed: in the end no step longer than 1e-10 was accepted."""
    estimate = fit(*draw_choices(7))
    assert estimate.moved
    assert int(estimate.num_steps) < 60
