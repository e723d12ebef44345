"""Programs of calls that stand alone are compiled in little time, all others to run."""

import gc
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import pytest
from problems import approx, linear_factor

from experiments.models.linear_factor import LinearFactor
from spmlex import fit
from spmlex._programs import compile as _compile
from spmlex._programs.compile import compile_for_one_call


class Numbers(eqx.Module):
    """Some numbers, said to cost so much."""

    values: jax.Array
    said: int = eqx.field(static=True)
    verbose: bool = eqx.field(static=True, default=False)

    def cost(self, n_made: int) -> int:
        return self.said + n_made


@pytest.fixture
def counted():
    """Return a compiled sum and a list with one entry for each time it was traced."""
    traced = []

    @compile_for_one_call
    def total(numbers: Numbers, factor: float = 1.0) -> jax.Array:
        traced.append(numbers.values.shape)
        return factor * jnp.sum(jnp.exp(numbers.values))

    return total, traced


def test_few_calls_of_a_shape_share_one_program_and_many_a_second(counted):
    total, traced = counted
    expected = jnp.sum(jnp.exp(jnp.arange(3.0)))
    times = _compile._BUDGET // _compile._LARGE + 1
    cost = _compile._BUDGET // times
    for _ in range(times):
        assert total(Numbers(jnp.arange(3.0), cost)) == approx(expected, 1e-14)
    assert traced == [(3,)]
    total(Numbers(jnp.arange(4.0), cost))
    assert traced == [(3,), (4,)]
    for _ in range(times):
        assert total(Numbers(jnp.arange(3.0), cost)) == approx(expected, 1e-14)
    assert traced == [(3,), (4,), (3,)]


def test_a_large_problem_is_compiled_once_to_run_fast(counted):
    total, traced = counted
    for _ in range(4):
        total(Numbers(jnp.arange(3.0), _compile._LARGE + 1))
    assert traced == [(3,)]


def test_rows_that_a_call_makes_count_as_well():
    traced = []

    def total(numbers: Numbers) -> jax.Array:
        traced.append(numbers.values.shape)
        return jnp.sum(numbers.values)

    made = compile_for_one_call(total, n_made=_compile._LARGE)
    for _ in range(4):
        made(Numbers(jnp.arange(3.0), 1))
    assert traced == [(3,)]


def test_it_is_a_part_of_larger_programs(counted):
    total, _ = counted
    rows = jnp.arange(6.0).reshape(2, 3)
    here = Numbers(rows[0], 3)
    alone = [total(Numbers(row, 3), factor=2.0) for row in rows]
    inside = jax.jit(lambda row: total(Numbers(row, 3), factor=2.0))(rows[0])
    assert inside == approx(alone[0], 1e-14)
    # Of constants as well, which no tracer is among.
    assert jax.jit(lambda: total(here, factor=2.0))() == approx(alone[0], 1e-14)
    each = jax.vmap(lambda row: total(Numbers(row, 3), factor=2.0))(rows)
    assert each == approx(jnp.stack(alone), 1e-14)
    slope = jax.grad(lambda row: total(Numbers(row, 3), factor=2.0))(rows[0])
    assert slope == approx(2.0 * jnp.exp(rows[0]), 1e-14)


def test_what_follows_is_traced_once_and_gets_what_was_found():
    traced = []

    def double(numbers: Numbers, factor: float) -> dict[str, Any]:
        traced.append("double")
        return {"twice": 2.0 * numbers.values, "one": 1.0, "factor": factor}

    def add(found: dict[str, Any], numbers: Numbers, factor: float) -> jax.Array:
        traced.append("add")
        return found["one"] + found["twice"] + factor * numbers.values

    both = compile_for_one_call(double, then=add)
    numbers = Numbers(jnp.arange(3.0), 1)
    for _ in range(2):
        assert both(numbers, 10.0) == approx(1.0 + 12.0 * numbers.values, 1e-14)
    assert traced == ["double", "add"]
    inside = jax.jit(lambda numbers: both(numbers, 10.0))(numbers)
    assert inside == approx(1.0 + 12.0 * numbers.values, 1e-14)
    with jax.disable_jit():
        fresh = compile_for_one_call(double, then=add)(numbers, 10.0)
    assert fresh == approx(1.0 + 12.0 * numbers.values, 1e-14)


@pytest.mark.parametrize("wrong", ["one", "other"])
def test_what_either_of_two_programs_raises_is_raised(wrong):
    def double(numbers: Numbers) -> jax.Array:
        if wrong == "one":
            raise ValueError("the one")
        return 2.0 * numbers.values

    def add(found: jax.Array, numbers: Numbers) -> jax.Array:
        if wrong == "other":
            raise ValueError("the other")
        return found + numbers.values

    both = compile_for_one_call(double, then=add)
    for _ in range(2):
        with pytest.raises(ValueError, match=f"the {wrong}"):
            both(Numbers(jnp.arange(3.0), 1))


def test_no_garbage_is_collected_while_a_program_is_made():
    seen = []

    @compile_for_one_call
    def total(numbers: Numbers) -> jax.Array:
        seen.append(gc.isenabled())
        return jnp.sum(numbers.values)

    assert gc.isenabled()
    total(Numbers(jnp.arange(3.0), 1))
    assert seen == [False]
    assert gc.isenabled()


def test_a_summary_is_a_fit_one_search_and_few_small_programs(caplog):
    shape, data, supp = linear_factor(n_obs=83, n_supp=17)
    model = LinearFactor(coef=shape.coef, log_std_e=shape.log_std_e)
    with caplog.at_level("WARNING", logger="jax"), jax.log_compiles():
        fit(model, data, supp, throw=False).summary()
    found = [
        record.getMessage().split()[1]
        for record in caplog.records
        if record.getMessage().startswith("Compiling ")
    ]
    # Root and limits of the efficient score share its evaluation.
    assert found.count("jit(search_score)") == 1
    # Traced once, though one is traced ahead while the other is compiled.
    assert found.count("jit(search_grid)") == 1
    assert found.count("jit(move_support)") == 1
    # Before they were put together there were a hundred, 40 ms each.
    assert len(found) <= 25, found
