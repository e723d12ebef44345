"""Large samples, in blocks of rows: the same results, with the same bits."""

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.scipy.stats import norm
from problems import linear_factor, published_example

import spmlex
from spmlex._inner.in_blocks import solve_in_blocks
from spmlex._profile.memory import check_room, plan_rows, read_memory
from spmlex._profile.problem import pose_problem
from spmlex._programs.rows import GRAIN, RowPlan, put_in_blocks

N_OBS = 2 * GRAIN + 77


def sums_of(data, weights):
    """Return sums of every kind that a fit takes."""
    wide = jnp.exp(data["x"][:, None] * jnp.linspace(0.0, 1.0, 24))
    return weights @ wide, (weights[:, None] * wide).T @ wide, jnp.sum(weights)


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(1)
    data = {"x": jnp.asarray(rng.normal(size=N_OBS))}
    return data, jnp.asarray(rng.dirichlet(np.ones(N_OBS)))


def test_sums_have_the_same_bits_whatever_the_block(rows):
    found = []
    for per_block in (2, 3, 8):
        blocks = put_in_blocks(RowPlan(per_block), *rows)
        found.append(jax.jit(lambda blocks: blocks.add_up(sums_of))(blocks))
    for other in found[1:]:
        jax.tree.map(np.testing.assert_array_equal, other, found[0])
    for one, plain in zip(found[0], sums_of(*rows), strict=True):
        np.testing.assert_allclose(one, plain, rtol=1e-13)


def test_rows_come_back_in_order(rows):
    blocks = put_in_blocks(RowPlan(2), *rows)
    found = blocks.in_order(blocks.for_each(lambda data: data["x"][:, None]))
    np.testing.assert_array_equal(found[:, 0], rows[0]["x"])


def test_a_sample_is_the_same_whatever_the_block(rows):
    found = []
    for per_block in (2, 8):
        some = put_in_blocks(RowPlan(per_block), *rows).sampled(2)
        mean, _, total = some.add_up(sums_of)
        assert float(total) == pytest.approx(1.0, abs=1e-14)
        found.append(mean)
    np.testing.assert_array_equal(*found)
    every = put_in_blocks(RowPlan(2), *rows).sampled(1)
    np.testing.assert_allclose(every.add_up(sums_of)[0], sums_of(*rows)[0], rtol=1e-13)


@pytest.mark.parametrize(
    ("deviation", "n_atoms"), [(0.5, range(2, 24)), (0.02, range(30, 41))]
)
def test_the_inner_problem_has_its_certificate_in_blocks(deviation, n_atoms):
    supp = jnp.linspace(-2.0, 2.0, 40)
    values = np.random.default_rng(0).uniform(-2.0, 2.0, 3 * GRAIN)
    data, weights = jnp.asarray(values), jnp.full(values.size, 1 / values.size)

    def lclk(data, columns):
        points = supp if columns is None else supp[columns]
        return norm.logpdf(data[:, None], points, deviation)

    blocks = put_in_blocks(RowPlan(2), data, weights)
    equal = jnp.full(40, 1 / 40)
    found = jax.jit(lambda blocks: solve_in_blocks(blocks, lclk, equal))(blocks)
    whole = spmlex.solve_probs(lclk(data, None))
    assert max(float(found.gap), float(found.residual)) < 1e-9
    assert float(found.value) == pytest.approx(float(whole.value), abs=1e-9)
    assert int(jnp.sum(found.probs > 0)) in n_atoms


def test_a_row_without_likelihood_is_reported():
    data = jnp.zeros(GRAIN).at[3].set(1.0)
    blocks = put_in_blocks(RowPlan(2), data, jnp.full(GRAIN, 1 / GRAIN))

    def lclk(data, columns):
        points = jnp.zeros(5 if columns is None else columns.size)
        return jnp.where(data[:, None] > 0, -jnp.inf, points)

    found = solve_in_blocks(blocks, lclk, jnp.full(5, 0.2))
    assert bool(found.zero_likelihood)
    assert np.isinf(found.value)


def problem_of(n_obs, n_supp):
    model, data, _ = linear_factor(2, 2)
    long = {"outcomes": jnp.broadcast_to(data["outcomes"][:1], (n_obs, 3))}
    supp = jnp.linspace(-6.0, 6.0, n_supp)
    return pose_problem(model, long, supp, None, None, None, "active_set")


def test_rows_are_in_blocks_where_the_matrices_take_too_much():
    assert plan_rows(problem_of(100_000, 100), None, None) is None
    large = plan_rows(problem_of(1_000_000, 100), None, None)
    assert large is not None
    assert large.per_block * GRAIN * 100 <= 2**18
    assert plan_rows(problem_of(1_000_000, 100), None, "10 GB") is None
    little = plan_rows(problem_of(100_000, 100), None, "5 MB")
    assert little is not None
    assert 2 <= little.per_block < large.per_block


@pytest.mark.parametrize(
    ("memory", "size"), [(2e9, 2e9), (10**6, 1e6), ("1.5 GB", 1.5e9), ("20mb", 2e7)]
)
def test_memory_is_in_bytes_or_in_words(memory, size):
    assert read_memory(memory) == pytest.approx(size)


@pytest.mark.parametrize("memory", ["much", "2", "2 XB", -1, 0, np.nan, True, [1]])
def test_memory_that_is_none_is_refused(memory):
    with pytest.raises(ValueError, match=r"memory=.*such as 2e9"):
        read_memory(memory)


def test_what_needs_all_rows_is_refused():
    problem = problem_of(10_000, 100)
    with pytest.raises(ValueError, match="too little for blocks of 512 rows"):
        plan_rows(problem, None, "1 MB")
    with pytest.raises(ValueError, match="not possible with support='free'"):
        plan_rows(problem, "free", "5 MB")
    grouped = dataclasses.replace(problem, groups=jnp.zeros(10_000, int), n_groups=2)
    with pytest.raises(ValueError, match="not possible with groups"):
        plan_rows(grouped, None, "5 MB")
    assert plan_rows(grouped, None, None) is None


def test_what_the_machine_has_no_room_for_is_refused():
    check_room(problem_of(1000, 100), "kind='efficient'")
    huge = problem_of(1000, 100)
    points = jax.ShapeDtypeStruct((10**12,), float)
    huge = dataclasses.replace(huge, supp=points)
    with pytest.raises(ValueError, match=r"all 1000 rows.*use\s+kind='sandwich'"):
        check_room(huge, "kind='efficient'")


@pytest.mark.thorough
@pytest.mark.parametrize("support", [None, "grid"])
def test_a_fit_in_blocks_is_the_fit(support):
    start, data, supp = published_example()
    whole = spmlex.fit(start, data, supp, support=support)
    few, more = (
        spmlex.fit(start, data, supp, support=support, memory=memory)
        for memory in ("2.5 MB", "6 MB")
    )
    for name in ("theta", "probs", "supp", "hessian", "scores", "log_likelihood"):
        np.testing.assert_array_equal(getattr(few, name), getattr(more, name))
    np.testing.assert_allclose(few.theta, whole.theta, rtol=0, atol=1e-8)
    np.testing.assert_allclose(few.scores, whole.scores, rtol=0, atol=1e-6)
    assert float(few.log_likelihood) == pytest.approx(
        float(whole.log_likelihood), abs=1e-6
    )
    assert float(few.gap) < 1e-9
    assert few.support == whole.support
    assert float(few.resolution) == pytest.approx(float(whole.resolution), rel=1e-6)
    np.testing.assert_allclose(
        few.covariance("sandwich"), whole.covariance("sandwich"), rtol=1e-6
    )


@pytest.mark.thorough
def test_two_devices_share_the_rows():
    flags = "--xla_force_host_platform_device_count=2"
    script = Path(__file__).parent / "two_devices.py"
    done = subprocess.run(
        [sys.executable, str(script)],
        env=os.environ | {"XLA_FLAGS": flags},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["2", "devices,", "the", "same", "fit"]
