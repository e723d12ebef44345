"""Inner solvers: every one ends with a certificate or says why not."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from problems import SOLVERS, approx, random_lclk, run_em

import spmlex
from spmlex import RESULTS, solve_probs
from spmlex._inner import EM, ActiveSet, get_solver
from spmlex._inner.nonnegative_qp import solve_nonnegative_qp

PROBLEMS = {
    "smooth": random_lclk(80, 15, seed=1, spread=0.8),
    "sharp": random_lclk(80, 15, seed=2, spread=0.15),
    "flat": random_lclk(80, 15, seed=3, spread=5.0),
}


@pytest.mark.thorough
@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize("solver", SOLVERS)
def test_solvers_are_certified_and_agree_with_a_long_run_of_em(problem, solver):
    lclk = PROBLEMS[problem]
    solution = solve_probs(lclk, solver=solver, throw=False)
    slow = run_em(lclk, np.ones(lclk.shape[0]), steps=20_000)
    value = -np.mean(np.log(np.exp(np.asarray(lclk)) @ slow))
    assert solution.gap <= 1e-9
    assert solution.residual <= 1e-9 or solver == "mixsqp"
    assert jnp.sum(solution.probs) == approx(1.0, 1e-12)
    assert jnp.all(solution.probs >= 0)
    assert solution.value <= value + 1e-12
    assert solution.value == approx(value, 1e-6)


@pytest.mark.thorough
@pytest.mark.parametrize("problem", PROBLEMS)
def test_solvers_agree_on_the_objective(problem):
    values = [
        float(solve_probs(PROBLEMS[problem], solver=solver, throw=False).value)
        for solver in SOLVERS
    ]
    assert np.ptp(values) < 1e-9


def test_em_stops_at_its_gap():
    solver = EM(atol=1e-4)
    solution = solve_probs(PROBLEMS["smooth"], solver=solver, throw=False)
    best = solve_probs(PROBLEMS["smooth"])
    assert solution.gap <= 1.001e-4
    assert solution.value - best.value <= solution.gap


def test_a_warm_start_ends_at_the_same_solution_in_fewer_steps():
    lclk = PROBLEMS["smooth"]
    cold = solve_probs(lclk)
    again = solve_probs(lclk, probs0=cold.probs)
    near = solve_probs(1.001 * lclk, probs0=cold.probs)
    afresh = solve_probs(1.001 * lclk)
    assert again.num_steps == 0
    assert near.num_steps < afresh.num_steps
    assert near.value == approx(afresh.value, 1e-10)


def test_a_start_without_density_for_an_observation_recovers():
    lclk = PROBLEMS["sharp"] * 30
    corner = jnp.zeros(15).at[0].set(1.0)
    solution = solve_probs(lclk, probs0=corner)
    assert solution.value == approx(solve_probs(lclk).value, 1e-10)


@pytest.mark.thorough
@pytest.mark.parametrize("solver", SOLVERS)
def test_vmap_solves_each_problem(solver):
    batch = jnp.stack(list(PROBLEMS.values()))
    together = jax.vmap(lambda lclk: solve_probs(lclk, solver=solver, throw=False))(
        batch
    )
    for i, lclk in enumerate(batch):
        alone = solve_probs(lclk, solver=solver, throw=False)
        assert together.value[i] == approx(alone.value, 1e-10)


@pytest.mark.thorough
def test_the_safety_net_takes_over_where_atoms_outnumber_the_working_set():
    # Kernels much narrower than the grid: every point near an observation has mass.
    lclk = random_lclk(400, 60, seed=4, spread=0.02)
    small = ActiveSet(working_sizes=(8,), max_steps=15)
    solution = solve_probs(lclk, solver=small)
    assert solution.fell_back
    assert jnp.sum(solution.probs > 0) > 8
    assert solution.gap <= 1e-9
    assert solve_probs(lclk).value == approx(solution.value, 1e-9)


@pytest.mark.thorough
@pytest.mark.parametrize("solver", ["active_set", "interior_point"])
@pytest.mark.parametrize(
    "lclk",
    [
        pytest.param(jnp.zeros((6, 1)), id="one support point"),
        pytest.param(jnp.zeros((1, 4)), id="one observation"),
        pytest.param(jnp.zeros((6, 4)), id="identical columns"),
        pytest.param(random_lclk(4, 40, spread=0.2), id="more points than rows"),
        pytest.param(
            jnp.concatenate([PROBLEMS["smooth"]] * 2, axis=1), id="duplicated"
        ),
        pytest.param(
            PROBLEMS["smooth"].at[:, 1].set(PROBLEMS["smooth"][:, 0] + 1e-7),
            id="nearly duplicated",
        ),
        pytest.param(PROBLEMS["smooth"] * 1e4, id="tiny variance"),
        pytest.param(PROBLEMS["smooth"] * 1e-6, id="huge variance"),
        pytest.param(PROBLEMS["smooth"].at[3:9, 2:].set(-jnp.inf), id="minus infinity"),
        pytest.param(PROBLEMS["smooth"] - 1e5, id="very unlikely rows"),
    ],
)
def test_nasty_problems_end_certified(lclk, solver):
    solution = solve_probs(lclk, solver=solver, throw=False)
    assert jnp.all(jnp.isfinite(solution.probs))
    assert solution.gap <= 1e-9
    assert solution.result == RESULTS.successful


def test_a_row_without_likelihood_is_reported_and_the_rest_is_solved():
    lclk = PROBLEMS["smooth"].at[5].set(-jnp.inf)
    solution = solve_probs(lclk, throw=False)
    rest = solve_probs(jnp.delete(PROBLEMS["smooth"], 5, axis=0))
    assert solution.result == RESULTS.zero_likelihood
    assert solution.probs == approx(rest.probs, 1e-8)
    with pytest.raises(RuntimeError, match="Widen `supp`"):
        solve_probs(lclk)


def test_nan_is_reported_and_ends_at_once():
    solution = solve_probs(PROBLEMS["smooth"].at[5, 2].set(jnp.nan), throw=False)
    assert solution.result == RESULTS.non_finite
    assert solution.num_steps < 200


@pytest.mark.thorough
def test_rows_without_weight_do_not_matter():
    lclk = PROBLEMS["smooth"]
    weights = jnp.ones(80).at[10:].set(0.0)
    solution = solve_probs(lclk.at[20].set(-jnp.inf), weights=weights)
    assert solution.probs == approx(solve_probs(lclk[:10]).probs, 1e-8)


def test_a_misspelt_solver_names_the_nearest():
    with pytest.raises(ValueError, match="Did you mean 'mixsqp'"):
        get_solver("mixspq")


@pytest.mark.thorough
def test_nonnegative_qp_satisfies_its_optimality_conditions():
    rng = np.random.default_rng(5)
    for size in (1, 3, 10):
        root = rng.normal(size=(size + 2, size))
        hessian, linear = jnp.asarray(root.T @ root), jnp.asarray(rng.normal(size=size))
        start = jnp.asarray(np.maximum(rng.normal(size=size), 0))
        y, _ = solve_nonnegative_qp(hessian, linear, start)
        gradient = hessian @ y - linear
        assert jnp.all(y >= 0)
        assert jnp.all(gradient >= -1e-10)
        assert jnp.sum(jnp.abs(gradient * y)) <= 1e-10


@pytest.mark.thorough
def test_importing_the_package_sets_nothing_but_float64(tmp_path):
    import subprocess
    import sys

    code = (
        "import jax; before = {k: v for k, v in jax.config.values.items()}\n"
        "import spmlex; after = {k: v for k, v in jax.config.values.items()}\n"
        "print(sorted(k for k in after if before.get(k) != after[k]))\n"
        "import jax.numpy as jnp, sys; print('mixsqpx' in sys.modules)\n"
        "platform = jax.config.read('jax_platform_name')\n"
        "spmlex.solve_probs(jnp.zeros((3, 2)), solver='mixsqp', throw=False)\n"
        "print(jax.config.read('jax_platform_name') == platform)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.split("\n")[:3] == ["['jax_enable_x64']", "False", "True"]
    assert spmlex.__doc__ is not None


def test_an_observation_far_off_the_grid_is_no_trouble():
    # A first step that left it no density but rounding made some of these nan, and
    # more than a third of them fall back.
    def far_off(seed):
        rng = np.random.default_rng(seed)
        latent = 1.15 * rng.standard_t(3, size=100)
        latent[-1] = -30.0
        centres = latent + 0.6 * rng.normal(size=100)
        return -0.5 * ((centres[:, None] - np.linspace(-12, 11, 60)) / 0.6) ** 2

    def solve(lclk):
        equal = jnp.full(60, 1 / 60)
        found = solve_probs(lclk, probs0=equal, throw=False)
        return found.gap, found.residual, found.fell_back

    problems = jnp.asarray(np.stack([far_off(seed) for seed in range(220, 250)]))
    gap, residual, fell_back = jax.jit(lambda ps: jax.lax.map(solve, ps))(problems)
    assert jnp.all((gap <= 1e-9) & (residual <= 1e-9))
    assert jnp.sum(fell_back) <= 1
