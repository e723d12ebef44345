"""A small logit with two covariates and its fits, made once in a process."""

import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import spmlex

N_OBS = 60
SUPP = np.linspace(-3.0, 3.0, 7)
NAMES = {"coef": ["union", "a_b & c"]}


class Logit(eqx.Module):
    """Three binary outcomes a unit, two covariates, a random intercept."""

    coef: jax.Array

    def lclk(self, data, supp):
        index = (data["x"] @ self.coef)[:, :, None] + supp
        return jax.nn.log_sigmoid(data["sign"][:, :, None] * index).sum(axis=1)


class AbleLogit(Logit):
    """The same, which draws outcomes."""

    def outcomes(self, data):
        n_obs = data["sign"].shape[0]
        every = 2.0 * jnp.array(list(np.ndindex(2, 2, 2))) - 1.0
        shape = (8, n_obs, 3)
        x = jnp.broadcast_to(data["x"], (8, *data["x"].shape))
        return {"x": x, "sign": jnp.broadcast_to(every[:, None], shape)}


@functools.cache
def data():
    """Return a panel of 60 units."""
    rng = np.random.default_rng(3)
    x = rng.normal(size=(N_OBS, 3, 2))
    latent = rng.choice([-1.0, 1.0], size=(N_OBS, 1))
    index = x @ np.array([1.0, -0.5]) + latent
    return {"x": x, "sign": np.sign(index + rng.logistic(size=index.shape))}


@functools.cache
def named(**changes):
    """Return a fit on the grid with names of the user's."""
    given = {"support": "grid", "names": NAMES} | changes
    start = Logit(jnp.zeros(2))
    return spmlex.fit(start, data(), SUPP, **given)


@functools.cache
def one_slope():
    """Return a fit with one slope alone, named as in the other."""
    short = data() | {"x": data()["x"][:, :, :1]}
    names = {"coef": ["union"]}
    start = Logit(jnp.zeros(1))
    return spmlex.fit(start, short, SUPP, support="grid", names=names)


@functools.cache
def efficient():
    """Return the efficient-score estimate, with names of the user's."""
    start = AbleLogit(jnp.zeros(2))
    return spmlex.efficient_estimate(start, data(), SUPP, names=NAMES)
