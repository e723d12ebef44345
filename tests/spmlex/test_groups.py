"""A mixing distribution for each group of observations."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from problems import (
    LinearFactor,
    approx,
    central_differences,
    flat,
    linear_factor,
    said,
)

from spmlex import fit, profile_ll


@pytest.fixture(scope="module")
def grouped():
    """Two groups of unequal size, each with its own distribution, and their fit."""
    model, data, supp = linear_factor()
    groups = jnp.asarray(np.random.default_rng(5).binomial(1, 0.4, 200))
    outcomes = data["outcomes"] + 0.5 * groups[:, None] * jnp.array([1.0, 1.5, 0.3])
    data = {"outcomes": outcomes}
    return fit(model, data, supp, groups=groups), model, data, supp, groups


def evaluate(model, data, supp, **options):
    """Return the fit's evaluation at the model itself."""
    return fit(model, data, supp, max_steps=1, throw=False, **options)


@pytest.mark.thorough
def test_derivatives_are_those_of_the_primitive(grouped):
    estimate, model, data, supp, groups = grouped
    _, build = flat(model)
    weights = jnp.linspace(0.5, 1.5, 200)

    def value(theta):
        return profile_ll(build(theta), data, supp, groups=groups, weights=weights)[0]

    gradient = jax.jit(jax.value_and_grad(value))
    for start in (model, estimate.model):
        there = evaluate(start, data, supp, groups=groups, weights=weights)
        theta, _ = flat(start)
        expected, slope = gradient(theta)
        assert there.log_likelihood == approx(-200 * expected, 1e-9)
        assert there.gradient == approx(slope, 1e-10)
        curvature = central_differences(lambda theta: gradient(theta)[1], theta)
        assert there.hessian == approx(curvature, 1e-6)
        assert there.weights @ there.scores == approx(-there.gradient, 1e-10)


@pytest.mark.thorough
def test_each_group_has_a_certified_distribution_of_its_own(grouped):
    estimate, model, data, supp, groups = grouped
    assert estimate.probs.shape == (30, 2)
    assert estimate.probs.sum(axis=0) == approx([1.0, 1.0], 1e-12)
    assert estimate.gap <= 1e-9
    assert estimate.residual <= 1e-9
    assert estimate.gradient_norm <= 1e-6
    assert estimate.num_atoms == jnp.sum(estimate.probs > 0)
    assert not estimate.flagged
    _, probs = profile_ll(estimate.model, data, supp, groups=groups)
    assert estimate.probs == approx(probs, 1e-6)


@pytest.mark.thorough
def test_scores_are_those_of_each_group_alone(grouped):
    estimate, _, data, supp, groups = grouped
    for group in range(2):
        own = groups == group
        alone = evaluate(estimate.model, data, supp, weights=own.astype(float))
        assert estimate.scores[own] == approx(alone.scores[own], 1e-6)


@pytest.mark.thorough
def test_one_group_is_no_groups(grouped):
    _, model, data, supp, _ = grouped
    without = evaluate(model, data, supp)
    one = evaluate(model, data, supp, groups=jnp.zeros(200, int))
    assert one.log_likelihood == approx(without.log_likelihood, 1e-9)
    assert one.hessian == approx(without.hessian, 1e-10)
    assert one.scores == approx(without.scores, 1e-9)
    assert one.probs == approx(without.probs[:, None], 1e-10)


@pytest.mark.thorough
def test_groups_fit_better_than_a_common_distribution(grouped):
    estimate, _, data, supp, _ = grouped
    common = evaluate(estimate.model, data, supp)
    assert estimate.log_likelihood > common.log_likelihood


@pytest.mark.thorough
def test_groups_can_be_traced_and_one_may_be_empty(grouped):
    estimate, model, data, supp, groups = grouped
    run = jax.jit(
        lambda groups: fit(model, data, supp, groups=groups, n_groups=3, throw=False)
    )
    with_empty = run(groups)
    assert with_empty.theta == approx(estimate.theta, 1e-9)
    assert with_empty.scores == approx(estimate.scores, 1e-7)
    assert jnp.all(jnp.isfinite(with_empty.probs))


@pytest.mark.thorough
def test_summary_counts_support_points_by_group(grouped):
    estimate, model, data, _, groups = grouped
    first, second = np.sum(np.asarray(estimate.probs) > 0, axis=0)
    text = estimate.summary()
    assert f"grid of 30 points, {first}, {second} (by group) with positive mass" in text
    narrow = jnp.linspace(-3.0, 3.0, 30)
    cut = fit(model, data, narrow, groups=groups, throw=False)
    assert "of the mass of a group sits on the upper end" in said(cut.summary())


def test_wrong_groups_are_refused(grouped):
    _, model, data, supp, groups = grouped
    with pytest.raises(ValueError, match="groups has shape"):
        fit(model, data, supp, groups=groups[:10])
    with pytest.raises(ValueError, match="with at least one observation each"):
        fit(model, data, supp, groups=2 * groups)


@pytest.mark.thorough
def test_a_degenerate_group_is_flagged(grouped):
    _, model, data, supp, groups = grouped
    narrow = LinearFactor(coef=model.coef, log_std_e=model.log_std_e - 3.0)
    assert evaluate(narrow, data, supp, groups=groups).flagged
