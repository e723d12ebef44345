"""Student's t distribution against SciPy, in the centre and far out."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from problems import approx
from scipy import stats

from spmlex._evidence.student import student_p_value, student_quantile
from spmlex._inference.intervals import Intervals

FREEDOM = np.array([0.7, 1.0, 2.0, 3.5, 9.0, 100.0, 2999.0, 3001.0, 1e6, np.inf])
LEVELS = np.array([1e-4, 0.02, 0.5, 0.5 + 1e-7, 0.6, 0.975, 0.99, 0.995, 0.9999])


def test_student_quantiles_are_exact():
    exact = stats.t.ppf(LEVELS[:, None], FREEDOM)
    found = student_quantile(LEVELS[:, None], FREEDOM)
    assert found / np.maximum(1.0, np.abs(exact)) == approx(
        exact / np.maximum(1.0, np.abs(exact)), 1e-11
    )
    assert student_quantile(0.975, 1.0) == approx(12.706204736174694, 1e-10)


def test_student_p_values_are_exact_far_out_too():
    statistic = np.array([-3.0, 0.0, 1e-6, 0.3, 1.0, 2.5, 10.0])[:, None]
    exact = 2.0 * stats.t.sf(np.abs(statistic), FREEDOM)
    assert student_p_value(statistic, FREEDOM) / exact == approx(
        np.ones_like(exact), 1e-8
    )


def test_a_p_value_is_the_level_that_its_quantile_leaves():
    quantile = student_quantile(0.5 + 0.5 * LEVELS[:, None], FREEDOM)
    left = np.broadcast_to(1.0 - LEVELS[:, None], quantile.shape)
    assert student_p_value(quantile, FREEDOM) == approx(left, 1e-9)


def test_quantiles_go_through_jit_and_vmap():
    freedom = jnp.asarray(FREEDOM)
    mapped = jax.jit(jax.vmap(student_quantile, in_axes=(None, 0)))(0.975, freedom)
    assert mapped == approx(stats.t.ppf(0.975, FREEDOM), 1e-11)
    assert mapped == approx(student_quantile(jnp.array(0.975), freedom), 1e-12)


def test_what_has_no_quantile_is_infinite_or_nan():
    ends = student_quantile(np.array([0.0, 1.0]), 2.0)
    assert ends.tolist() == [-np.inf, np.inf]
    assert jnp.isnan(student_quantile(0.9, jnp.nan))
    assert jnp.isnan(student_p_value(jnp.nan, 3.0))


@pytest.mark.parametrize(("freedom", "critical"), [(1.0, 12.7062), (9.0, 2.2622)])
def test_intervals_take_the_exact_quantile(freedom, critical):
    made = Intervals.symmetric(jnp.zeros(1), jnp.ones(1), 0.95, freedom)
    assert made.upper == approx([critical], 1e-4)
