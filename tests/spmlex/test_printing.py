"""Whatever is printed shows its numbers, in 80 columns, and printing never raises."""

import re
import xml.etree.ElementTree as ET

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_fits import SUPP, data, efficient, named

import spmlex
from spmlex._result.summary import describe_conflicts

NUMBER = re.compile(r"-?\d+\.\d+")


@pytest.fixture(scope="module")
def printed():
    """Results of every class that are made quickly, by name."""
    fit = named(starts=1)
    return {
        "Fit": fit,
        "Evidence": fit.evidence,
        "Intervals": fit.intervals(kind="opg"),
        "Optima": fit.optima,
        "LikelihoodRatio": spmlex.likelihood_ratio_test(fit, "union", 0.5),
        "Resamples": spmlex.jackknife(fit, n_groups=3),
        "Functional": spmlex.delta_method(fit, lambda _, supp, probs: probs @ supp),
        "Adequacy": spmlex.adequacy(fit, data(), -3.0, 3.0),
        "WaldTest": spmlex.wald_test(fit, "union", 0.5, kind="opg"),
        "MixingTest": spmlex.MixingTest(
            statistic=jnp.array(12.5),
            p_value=jnp.array(0.05),
            p_value_mcse=jnp.array(0.02),
            model=fit.model,
            draws=jnp.array([1.5, jnp.nan]),
        ),
        "PointCounts": spmlex.PointCounts(
            num_points=np.array([1, 2]),
            log_likelihood=np.array([-20.5, -18.25]),
            num_parameters=np.array([2, 4]),
            aic=np.array([45.0, 44.5]),
            bic=np.array([46.0, 47.5]),
            theta=np.zeros((2, 1)),
            converged=np.array([True, False]),
        ),
        "MixingSolution": spmlex.solve_probs(fit.model.lclk(data(), SUPP)),
        "Prediction": spmlex.Prediction(jnp.linspace(0, 1, 30), jnp.full(30, 0.1)),
    }


NAMES = ("Fit", "Evidence", "Intervals", "Optima", "LikelihoodRatio", "Resamples")
NAMES = (*NAMES, "Functional", "Adequacy", "WaldTest", "MixingTest", "PointCounts")
NAMES = (*NAMES, "MixingSolution")
ALL = (*NAMES, "Prediction")  # of which a batch is one of more axes


@pytest.mark.thorough
@pytest.mark.parametrize("name", ALL)
def test_numbers_are_shown_in_80_columns(printed, name):
    text = repr(printed[name])
    assert len(NUMBER.findall(text)) >= (1 if name == "Evidence" else 2)
    assert max(map(len, text.splitlines())) <= 80
    assert "f64[" not in text


@pytest.mark.thorough
@pytest.mark.parametrize("name", NAMES)
def test_batched_results_and_traced_ones_are_told_by_their_shapes(printed, name):
    thing = printed[name]
    batch = jax.tree.map(lambda x: jnp.stack([x, x]), eqx.filter(thing, eqx.is_array))
    assert "[2" in repr(batch)
    said = []
    eqx.filter_jit(lambda thing: said.append(repr(thing)))(thing)
    assert ", traced by JAX: " in said[0]
    repr(jax.tree.map(lambda _: None, thing))


def test_a_fit_shows_names_estimates_and_warnings():
    text = repr(named())
    assert re.search(rf"^union +{float(named().theta[0]):.5f} ", text, re.M)
    assert "observations 60, log-likelihood" in text
    assert "Warning: " in text


def test_notebooks_get_an_accessible_table():
    html = named()._repr_html_()
    block = ET.fromstring(f"<div>{html}</div>")
    assert str(block.findtext("table/caption")).startswith("Logit: ")
    scopes = {cell.get("scope") for cell in block.iter("th")}
    assert scopes == {"col", "row"}
    assert "a_b &amp; c" in html
    assert named().intervals(kind="opg")._repr_html_().count("<tr>") == 3


def test_the_summary_says_where_an_interval_and_its_z_disagree():
    made = spmlex.Intervals(
        centre=jnp.array([-0.8, 0.8, 2.0, 0.1, 0.5]),
        standard_error=jnp.array([0.44, 0.35, 0.5, 0.5, 0.3]),
        lower=jnp.array([-1.5, -0.1, 1.0, -0.9, -jnp.inf]),
        upper=jnp.array([-0.1, 1.5, 3.0, 1.1, -0.1]),
    )
    lines = describe_conflicts(["a", "b", "c", "d", "e"], made, 0.95)
    assert [line.partition(" although")[0] for line in lines] == [
        "the interval of a is without zero",
        "the interval of b is with zero",
    ]
    # At 90% the first two agree.
    assert not describe_conflicts(["a"], jax.tree.map(lambda x: x[:1], made), 0.9)
    assert all("below 0.05" in line for line in lines)


@pytest.mark.thorough
def test_the_efficient_estimate_is_printed_with_its_names():
    text = repr(efficient())
    assert re.search(rf"^union +{float(efficient().theta[0]):.5f} ", text, re.M)
    assert "efficient-score estimate" in text
