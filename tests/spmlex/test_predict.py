"""What a fit is used for: predictions, partial effects, draws, new data."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from problems import approx, central_differences

import spmlex
from spmlex import average_partial_effects, fit, log_likelihoods, predict, simulate

N_OBS = 60
SUPP = jnp.linspace(-3.0, 3.0, 7)


class Choices(eqx.Module):
    """A panel logit with a random intercept."""

    coef: jax.Array

    def index(self, data, supp):
        return (data["x"] @ self.coef)[:, None] + supp[:, None]

    def expected_outcome(self, data, supp):
        return jax.nn.sigmoid(self.index(data, supp))

    def lclk(self, data, supp):
        index = jnp.asarray(self.index(data, supp))
        signs = jnp.asarray(jnp.where(data["y"], 1.0, -1.0))[:, None]
        seen = jnp.where(data["mask"][:, None], jax.nn.log_sigmoid(signs * index), 0.0)
        return seen.sum(axis=2)

    def simulate(self, data, *, rng):
        index = data["x"] @ self.coef + data["latent"][:, None]
        return {"y": index + jax.random.logistic(rng, index.shape) > 0}


START = Choices(jnp.array([0.3, -0.2]))


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(3)
    x = rng.normal(size=(N_OBS, 4, 2))
    x[:, :, 1] = x[:, :, 1] > 0
    latent = rng.choice([-1.0, 1.0], N_OBS)
    index = x @ [0.8, -0.6] + latent[:, None]
    y = index + rng.logistic(size=index.shape) > 0
    mask = np.arange(4) < rng.integers(2, 5, size=N_OBS)[:, None]
    return {"x": jnp.asarray(x), "y": jnp.asarray(y), "mask": jnp.asarray(mask)}


@pytest.fixture(scope="module")
def grouped(data):
    groups = jnp.arange(N_OBS) % 2
    return groups, fit(START, data, SUPP, groups=groups)


@pytest.fixture(scope="module")
def plain(data):
    return fit(START, data, SUPP, support="grid")


def test_a_prediction_is_a_mean_over_f_or_the_posterior(data, plain):
    made = predict(plain)
    each = plain.model.expected_outcome(data, SUPP)
    assert made.value == approx(jnp.einsum("ijt,j->it", each, plain.probs), 1e-12)
    known = predict(plain, posterior=True)
    weights = plain.posterior().probs
    assert known.value == approx(jnp.einsum("ijt,ij->it", each, weights), 1e-12)
    some = {name: values[5:8] for name, values in data.items()}
    again = predict(plain, data=some)
    assert again.value == approx(made.value[5:8], 1e-12)
    assert again.standard_errors == approx(made.standard_errors[5:8], 1e-12)


def test_errors_of_predictions_are_those_of_the_delta_method(data, plain, grouped):
    groups, estimate = grouped
    for fitted, own in ((plain, None), (estimate, 1)):
        made = predict(fitted)

        def single(model, supp, probs, own=own):
            mass = probs if own is None else probs[:, own]
            return mass @ model.expected_outcome(data, supp)[7]

        by_hand = spmlex.delta_method(fitted, single)
        assert made.value[7] == approx(by_hand.value, 1e-12)
        assert made.standard_errors[7] == approx(by_hand.standard_errors, 1e-10)


@pytest.mark.thorough
def test_effects_and_their_influence_by_brute_force(data, grouped):
    """Refits with other weights, of coefficients, both F and the average itself."""
    groups, estimate = grouped
    mask = np.asarray(data["mask"], float)
    made = average_partial_effects(estimate, "x", columns=[0, 1], where=mask > 0)
    rows = jnp.array([4, 7, 30])

    def effects(shift):
        weights = jnp.ones(N_OBS).at[rows].add(shift)
        there = fit(START, data, SUPP, groups=groups, weights=weights)
        p = there.model.expected_outcome(data, SUPP)
        slope = jnp.einsum("ijt,ji->it", p * (1 - p), there.probs[:, groups])
        share = weights[:, None] * mask
        return (share * slope).sum() / share.sum() * there.model.coef

    assert made.value == approx(effects(jnp.zeros(3)), 1e-8)
    slopes = central_differences(effects, jnp.zeros(3), 1e-3)
    assert made.influence[rows] / N_OBS == approx(slopes.T, 1e-6)


def test_columns_are_called_as_their_coefficients(data):
    """By name or by number, with names in what is printed and in the frame."""
    named = fit(START, data, SUPP, names={"coef": ["wage", "married"]})
    made = average_partial_effects(named, "x", columns=["married", "wage"])
    by_number = average_partial_effects(named, "x", columns=[1, 0])
    assert made.value.tolist() == by_number.value.tolist()
    assert made.names == ("married", "wage")
    # By number they are columns: another field may have as many parameters.
    assert by_number.names == ("x[1]", "x[0]")
    assert "married" in str(made)
    frame = made.intervals(0.9).to_frame()
    assert list(frame["term"]) == ["married", "wage"]
    assert frame["std_error"].to_numpy() == approx(made.standard_errors, 1e-12)
    width = frame["conf_high"] - frame["conf_low"]
    assert width.to_numpy() == approx(
        2 * 1.6448536269514722 * made.standard_errors, 1e-12
    )
    with pytest.raises(
        ValueError, match="'mask': for the 2 columns of x there are wage, married"
    ):
        average_partial_effects(named, "x", columns=["mask"])
    alone = data | {"z": data["x"][:, 0, 0]}
    with pytest.raises(ValueError, match="z has no columns"):
        average_partial_effects(fit(START, alone, SUPP), "z", columns=[0])
    assert average_partial_effects(named, "x").names == ("x",)


def test_a_change_is_a_difference_and_other_data_are_given(data, plain):
    made = average_partial_effects(plain, "x", columns=[1], change=(0.0, 1.0))
    off, on = (
        predict(plain, data=data | {"x": data["x"].at[:, :, 1].set(value)}).value
        for value in (0.0, 1.0)
    )
    assert made.value == approx([jnp.mean(on - off)], 1e-12)
    given = average_partial_effects(
        plain, "x", data=data, columns=[1], change=(0.0, 1.0)
    )
    assert given.value == approx(made.value, 1e-12)
    # The sample's covariates are no source of error where they are given.
    by_hand = spmlex.delta_method(
        plain,
        lambda model, supp, probs: jnp.mean(
            jnp.einsum(
                "ijt,j->it",
                model.expected_outcome(
                    data | {"x": data["x"].at[:, :, 1].set(1.0)}, supp
                )
                - model.expected_outcome(
                    data | {"x": data["x"].at[:, :, 1].set(0.0)}, supp
                ),
                probs,
            )
        ),
    )
    assert given.standard_errors == approx(by_hand.standard_errors, 1e-12)


@pytest.mark.thorough
def test_the_efficient_estimate_predicts_too(data, plain):
    class Able(Choices):
        def outcomes(self, data):
            chosen = (jnp.arange(16)[:, None] >> jnp.arange(4)) % 2 == 1
            shape = (16, *data["y"].shape)
            every = {
                name: jnp.broadcast_to(values, (16, *values.shape))
                for name, values in data.items()
            }
            return every | {"y": jnp.broadcast_to(chosen[:, None], shape)}

    full = data | {"mask": jnp.ones((N_OBS, 4), bool)}
    found = spmlex.efficient_estimate(Able(START.coef), full, SUPP)
    made = average_partial_effects(found, "x", columns=[0])
    likely = average_partial_effects(fit(START, full, SUPP), "x", columns=[0])
    error = float(made.standard_errors[0])
    assert abs(float(made.value[0] - likely.value[0])) < error
    assert error == pytest.approx(float(likely.standard_errors[0]), rel=0.2)
    assert predict(found).standard_errors.shape == (N_OBS, 4)


def test_draws_depend_on_the_key_and_follow_the_model(data, plain, grouped):
    key = jax.random.key(5)
    drawn = simulate(plain, key, shape=(400,))
    assert drawn["y"].shape == (400, N_OBS, 4)
    assert (drawn["x"][0] == data["x"]).all()
    again = simulate(plain, key, shape=(400,))
    assert (drawn["y"] == again["y"]).all()
    assert (drawn["y"][0] != drawn["y"][1]).any()
    expected = predict(plain).value
    apart = (drawn["y"].mean(axis=0) - expected) / jnp.sqrt(
        expected * (1 - expected) / 400
    )
    assert 0.85 < float(jnp.std(apart)) < 1.15
    assert float(jnp.max(jnp.abs(apart))) < 5
    groups, estimate = grouped
    one = simulate(estimate, key, data, groups=jnp.ones(N_OBS, int))
    assert one["y"].shape == (N_OBS, 4)


def test_likelihoods_of_new_data(data, plain, grouped):
    each = log_likelihoods(plain)
    assert each.sum() == approx(plain.log_likelihood, 1e-9)
    some = {name: values[:9] for name, values in data.items()}
    assert log_likelihoods(plain, some) == approx(each[:9], 1e-12)
    groups, estimate = grouped
    assert log_likelihoods(estimate).sum() == approx(estimate.log_likelihood, 1e-9)
    first = log_likelihoods(estimate, some, groups=np.asarray(groups[:9]))
    assert first == approx(log_likelihoods(estimate)[:9], 1e-12)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda e: average_partial_effects(e, "z"),
            "variable='z': the data have",
        ),
        (lambda e: average_partial_effects(e, "x", columns=[2]), "columns holds 2"),
        (
            lambda e: average_partial_effects(e, "x", where=np.ones(3) > 0),
            "where has shape",
        ),
        (lambda e: predict(e, lambda m, d, s: s), "function returned shape"),
        (lambda e: simulate(e, jax.random.key(0), shape=(0,)), "shape="),
    ],
)
def test_wrong_calls_name_the_argument(plain, call, message):
    with pytest.raises((ValueError, TypeError), match=message):
        call(plain)
