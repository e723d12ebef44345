"""Steps of moving atoms that would lose masses, against the quadratic programme."""

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize as opt
from problems import approx

from spmlex._climb.lost_masses import keep_masses
from spmlex._climb.trust_region import solve_trust_region
from spmlex._profile.evaluation import nowhere

N_THETA, N_ATOMS = 4, 5
ONE = jnp.ones(N_THETA)


def pose(seed, least):
    """Return an evaluation whose Newton step loses masses, and its quadratic model."""
    rng = np.random.default_rng(seed)
    factor = rng.standard_normal((12, N_THETA + N_ATOMS))
    whole = factor.T @ factor / 12 + 0.1 * np.eye(N_THETA + N_ATOMS)
    second, across = whole[:N_THETA, :N_THETA], whole[:N_THETA, N_THETA:]
    system = whole[N_THETA:, N_THETA:]
    response = np.linalg.inv(system)
    probs = rng.uniform(least, 1.0, N_ATOMS) * np.where(np.arange(N_ATOMS) < 2, 0.05, 1)
    here = nowhere(1, ONE, jnp.asarray(probs), atoms_move=True)._replace(
        value=jnp.array(0.0),
        gradient=jnp.asarray(rng.standard_normal(N_THETA)),
        hessian=jnp.asarray(second - across @ response @ across.T),
        probs_dot=jnp.asarray(-response @ across.T),
        response=jnp.asarray(response),
    )
    return here, whole


def free_step(here, radius=1e3):
    """Return the step if masses could be negative."""
    return solve_trust_region(here.gradient, here.hessian, jnp.array(radius))[:2]


@pytest.mark.parametrize("seed", range(12))
def test_no_mass_is_negative_and_the_promise_is_that_of_the_model(seed):
    here, whole = pose(seed, 0.0)
    found = keep_masses(here, *free_step(here), ONE, jnp.array(1e3))
    assert np.all(np.asarray(here.probs + found.change) > -1e-9)
    moved = np.concatenate([found.step, found.change])
    slope = np.concatenate([here.gradient, np.zeros(N_ATOMS)])
    assert -(slope @ moved + 0.5 * moved @ whole @ moved) == approx(
        found.promised, 1e-8
    )

    # The best of all steps that keep masses, by another method.
    best = opt.minimize(
        lambda x: slope @ x + 0.5 * x @ whole @ x,
        np.zeros(slope.size),
        jac=lambda x: slope + whole @ x,
        bounds=[(None, None)] * N_THETA + [(-p, None) for p in np.asarray(here.probs)],
        method="L-BFGS-B",
        options={"ftol": 1e-15, "gtol": 1e-10},
    )
    assert 0.9 * -best.fun <= found.promised <= -best.fun + 1e-8


def test_without_a_mass_to_lose_it_is_the_step_of_newton():
    here, _ = pose(0, 0.5)
    here = here._replace(probs=1e3 * jnp.ones(N_ATOMS))
    step, promised = free_step(here)
    found = keep_masses(here, step, promised, ONE, jnp.array(1e3))
    assert found.step == approx(step, abs=0)
    assert found.promised == approx(promised, abs=0)
    assert found.change == approx(here.probs_dot @ step, abs=0)


def test_steps_do_not_depend_on_units_and_stay_within_the_radius():
    here, _ = pose(3, 0.0)
    units = jnp.array([100.0, 0.01, 1.0, 7.0])
    radius = 0.5
    plain = keep_masses(here, *free_step(here, radius), ONE, jnp.array(radius))
    scaled = here._replace(
        gradient=here.gradient * units,
        hessian=here.hessian * units * units[:, None],
        probs_dot=here.probs_dot * units,
    )
    step, promised = free_step(here, radius)
    found = keep_masses(scaled, step / units, promised, units, jnp.array(radius))
    assert found.step * units == approx(plain.step, 1e-8)
    assert found.promised == approx(plain.promised, 1e-8)
    assert np.linalg.norm(plain.step) <= radius * (1 + 1e-9)
