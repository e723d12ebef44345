"""Which derivatives a model needs, and what a fit says where there are none."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from problems import approx

from spmlex import RESULTS, adequacy, fit

RNG = np.random.default_rng(0)
X = RNG.normal(size=60)
Y = 0.5 * X + RNG.choice([-1.5, 1.5], size=60) + 0.7 * RNG.normal(size=60)
DATA, SUPP = {"x": X, "y": Y}, np.linspace(-3.0, 3.0, 21)


@jax.custom_jvp
def own_forward(x):
    return jnp.exp(x)


@own_forward.defjvp
def _own_forward_jvp(primals, tangents):
    value = own_forward(primals[0])
    return value, value * tangents[0]


@jax.custom_vjp
def own_reverse(x):
    return jnp.exp(x)


own_reverse.defvjp(
    lambda x: (own_reverse(x), x), lambda x, bar: (own_reverse(x) * bar,)
)


def looped(x):
    """Return the exponential by its series, in a loop with an open end."""

    def is_running(state):
        number, term, _ = state
        return (jnp.max(jnp.abs(term)) > 1e-17) & (number < 60.0)

    def add(state):
        number, term, total = state
        term = term * x / number
        return number + 1.0, term, total + term

    one = jnp.ones_like(x)
    return jax.lax.while_loop(is_running, add, (1.0, one, one))[2]


class Line(eqx.Module):
    """A regression with a random intercept; its noise by some exponential."""

    slope: jax.Array
    log_precision: jax.Array
    exp: Any = eqx.field(static=True, default=jnp.exp)

    def lclk(self, data, supp):
        rest = data["y"][:, None] - self.slope * data["x"][:, None] - supp
        return 0.5 * (self.log_precision - self.exp(self.log_precision) * rest**2)


class Bent(Line):
    """Has no second derivative in the slope for observations with x above one."""

    def lclk(self, data, supp):
        zero = self.slope - jax.lax.stop_gradient(self.slope)
        bent = jnp.where(data["x"] > 1.0, jnp.abs(zero) ** 1.5, 0.0)
        return super().lclk(data, supp) + bent[:, None]


class Edged(Line):
    """Is undefined for slopes above 0.4."""

    def lclk(self, data, supp):
        inside = jnp.sqrt(0.4 - self.slope)
        return super().lclk(data, supp) + 0.0 * inside


def line(kind, exp=jnp.exp):
    return kind(jnp.array(0.3), jnp.array(0.5), exp)


@pytest.fixture(scope="module")
def plain():
    return fit(line(Line), DATA, SUPP, support="grid", throw=False)


@pytest.mark.parametrize("exp", [looped, own_forward])
def test_forward_derivatives_are_enough(plain, exp):
    estimate = fit(line(Line, exp), DATA, SUPP, support="grid", throw=False)
    assert estimate.result == RESULTS.successful
    assert estimate.theta == approx(plain.theta, 1e-9)
    assert estimate.hessian == approx(plain.hessian, 1e-9)
    assert estimate.scores == approx(plain.scores, 1e-9)


def test_loops_are_no_obstacle_where_the_support_moves():
    class Count(eqx.Module):
        slope: jax.Array
        exp: Any = eqx.field(static=True)

        def lclk(self, data, supp):
            index = self.slope * data["x"][:, None] + supp
            return data["y"][:, None] * index - self.exp(index)

    rng = np.random.default_rng(1)
    y = rng.poisson(np.exp(0.4 * X + rng.choice([-0.5, 0.8], size=60)))
    data = {"x": X, "y": y.astype(float)}
    free = [
        fit(Count(jnp.array(0.3), exp), data, np.linspace(-2, 2, 9), support="free")
        for exp in (jnp.exp, looped)
    ]
    assert free[1].theta == approx(free[0].theta, 1e-7)
    certificate = free[1].certificate
    assert certificate is not None
    assert certificate.gap <= 1e-9


def test_a_model_with_reverse_derivatives_alone_is_refused_in_words(plain):
    class Shifted(Line):
        def lclk(self, data, supp):
            return super().lclk(data, supp) + 0.0 * own_reverse(0.1 * supp)

    model = line(Shifted)
    estimate = eqx.tree_at(lambda f: f.model, plain, model)
    words = "holds a jax.custom_vjp.*jax.custom_jvp"
    with pytest.raises(ValueError, match=words):
        fit(line(Line, own_reverse), DATA, SUPP)
    with pytest.raises(ValueError, match=words):
        adequacy(estimate, {"x": jnp.asarray(X), "y": jnp.asarray(Y)}, -3.0, 3.0)


def test_a_second_derivative_that_is_missing_is_named():
    assert fit(line(Bent), DATA, SUPP, throw=False).result == RESULTS.non_finite
    count = int(np.sum(X > 1.0))
    said = f"the second in slope is nan or infinite in {count} of 60 observations"
    with pytest.raises(RuntimeError, match=said):
        fit(line(Bent), DATA, SUPP)


def test_the_edge_of_the_domain_is_named():
    with pytest.raises(RuntimeError, match="slope = 0.4, .* not a step further"):
        fit(line(Edged), DATA, SUPP, support="grid")
