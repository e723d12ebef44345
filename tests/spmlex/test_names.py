"""Parameters carry the user's names, everywhere; names that don't fit are refused."""

import jax.numpy as jnp
import pytest
from small_fits import NAMES, SUPP, Logit, data, efficient, named

from spmlex import fit, likelihood_ratio_test, parameter_names

MODEL = Logit(jnp.zeros(2))


def test_names_are_told_everywhere():
    estimate = named()
    assert estimate.names == NAMES["coef"]
    assert estimate.evidence.names == NAMES["coef"]
    text = estimate.summary(kind="sandwich")
    assert "union" in text
    assert "a_b & c" in text
    assert "coef[" not in text
    test = likelihood_ratio_test(estimate, {"union": 0.0})
    assert float(test.theta[0]) == 0.0
    with pytest.raises(ValueError, match="this model has union, a_b & c"):
        likelihood_ratio_test(estimate, "coef[0]", 0.0)


@pytest.mark.thorough
def test_the_efficient_estimate_has_them_too():
    assert efficient().names == NAMES["coef"]


def test_names_change_no_number():
    plain = fit(MODEL, data(), SUPP, support="grid")
    assert plain.names == ["coef[0]", "coef[1]"]
    assert jnp.all(plain.theta == named().theta)


def test_names_by_field_or_all_in_a_list():
    pair = (MODEL, {"deep": Logit(jnp.zeros((2, 2)))})
    free = (True, True)
    nested = {"1.deep.coef": [["a", "b"], ["c", "d"]]}
    found = parameter_names(pair, free, nested)
    assert found == ["0.coef[0]", "0.coef[1]", "a", "b", "c", "d"]
    assert parameter_names(pair, free, list("uvwxyz")) == list("uvwxyz")
    held = parameter_names(pair, (False, True), {"0.coef": ["left", "out"]} | nested)
    assert held == ["a", "b", "c", "d"]


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ({"slope": "union"}, "the model has no parameter 'slope'. Give names by field"),
        ({"coef": ["union"]}, r"names\['coef'\]=.* has shape \(1,\).* have \(2,\)"),
        ({"coef": "union"}, r"names\['coef'\]='union' has shape \(\)"),
        ({"coef": ["union", "union"]}, "'union' stands for more than one parameter"),
        ({"coef": ["union", 1]}, "1 is no name on one line"),
        ({"coef": ["union", " "]}, "' ' is no name on one line"),
        ({"coef": ["union", "a\nb"]}, "is no name on one line"),
        ({"coef": 1}, r"names\['coef'\]=1: give text"),
        (["union"], r"names=\['union'\] has shape \(1,\)"),
        ("union", r"names='union' has shape \(\)"),
    ],
)
def test_names_that_do_not_fit_are_refused_in_words(names, words):
    with pytest.raises(ValueError, match=words):
        parameter_names(MODEL, None, names)


class Named(Logit):
    """Says itself what its parameters are called."""

    names = {"coef": ["union", "black"]}


class Misnamed(Logit):
    names = ("black",)


def test_a_model_may_name_its_parameters_itself():
    how = {"support": "grid", "max_steps": 1, "throw": False}
    assert fit(Named(jnp.zeros(2)), data(), SUPP, **how).names == ["union", "black"]
    told = fit(Named(jnp.zeros(2)), data(), SUPP, names=["a", "b"], **how)
    assert told.names == ["a", "b"]
    with pytest.raises(ValueError, match="Misnamed has an attribute `names`.*black"):
        fit(Misnamed(jnp.zeros(2)), data(), SUPP, **how)
