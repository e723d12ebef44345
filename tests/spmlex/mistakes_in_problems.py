"""Mistakes in what is estimated: model, data, start, grid, weights, groups, names."""
# pyright: reportArgumentType=false

import jax.numpy as jnp
import numpy as np
from mistaken_models import (
    InNumpy,
    Logit,
    NoLikelihood,
    NoPytree,
    Pair,
    Settings,
    Sideways,
    Silent,
    Summed,
    SwappedArguments,
    Unnormed,
)
from mistaken_setting import (
    DATA,
    MODEL,
    SEPARATED,
    SUPP,
    Frame,
    N,
    X,
    but,
    with_value,
)

import spmlex
from spmlex import fit, profile_ll, solve_probs, uniform_grid

IN_PROBLEMS = {
    # name: (what is called, what the message has to hold, one or more)
    "model: no lclk": (
        lambda: fit(NoLikelihood(jnp.array(0.5)), DATA, SUPP),
        "model=NoLikelihood has no method `lclk`",
    ),
    "model: a class": (lambda: fit(Logit, DATA, SUPP), "make an instance of it"),
    "model: no pytree": (
        lambda: fit(NoPytree(), DATA, SUPP),
        "derive the class from equinox.Module",
    ),
    "model: an array": (lambda: fit(jnp.ones(2), DATA, SUPP), "has no method `lclk`"),
    "model: integers for parameters": (
        lambda: fit(Logit(jnp.array(1)), DATA, SUPP),
        "model0=Logit has no free floating-point array",
        "jnp.array([1.0, 0.5])",
    ),
    "model: a list for parameters": (
        lambda: fit(Logit([0.5]), DATA, SUPP),
        "has no free floating-point array",
    ),
    "model: complex parameters": (
        lambda: fit(Logit(jnp.array(1j)), DATA, SUPP),
        "slope is complex",
    ),
    "model: one number is no parameter": (
        lambda: fit(Settings(jnp.array(0.5)), DATA, SUPP, solver="none"),
        "not estimated, being no array of floats: scale",
        "field(static=True)",
    ),
    "lclk: transposed": (
        lambda: fit(Sideways(jnp.array(0.5)), DATA, SUPP),
        "Sideways.lclk returned shape (5, 20)",
        "(n_obs, n_supp) = (20, 5)",
        "Transpose it.",
    ),
    "lclk: summed": (
        lambda: profile_ll(Summed(jnp.array(0.5)), DATA, SUPP),
        "returned shape (20,)",
        "a column for each support point",
    ),
    "lclk: without return": (
        lambda: fit(Silent(jnp.array(0.5)), DATA, SUPP),
        "Silent.lclk returned None",
    ),
    "lclk: two values": (
        lambda: fit(Pair(jnp.array(0.5)), DATA, SUPP),
        "Pair.lclk returned a tuple",
    ),
    "lclk: complex": (
        lambda: fit(Unnormed(jnp.array(0.5)), DATA, SUPP),
        "returned complex numbers",
    ),
    "lclk: in NumPy": (
        lambda: fit(InNumpy(jnp.array(0.5)), DATA, SUPP),
        "has to be written in jax.numpy",
        "model.slope ()",
    ),
    "lclk: arguments swapped": (
        lambda: fit(SwappedArguments(jnp.array(0.5)), DATA, SUPP),
        "SwappedArguments.lclk(data, supp)",
        "data['sign'] (20,), data['x'] (20,); supp (5,)",
    ),
    "call: arguments swapped": (
        lambda: fit(MODEL, SUPP, DATA),
        "Raised by Logit.lclk(data, supp)",
        "data (5,)",
    ),
    "data: a list": (
        lambda: fit(MODEL, but(x=list(X)), SUPP),
        "data['x'] is a list of numbers",
        "np.asarray",
    ),
    "data: a table": (
        lambda: fit(MODEL, Frame(), SUPP),
        "data is of type Frame; give a NumPy",
    ),
    "data: a number": (
        lambda: fit(MODEL, but(wave=3), SUPP),
        "data['wave'] is of type int",
    ),
    "data: text": (
        lambda: fit(MODEL, but(x=X.astype(str)), SUPP),
        "data['x'] has dtype <U",
    ),
    "data: objects": (
        lambda: fit(MODEL, but(x=X.astype(object)), SUPP),
        "data['x'] has dtype object",
    ),
    "data: structured": (
        lambda: fit(MODEL, but(x=np.zeros(N, [("a", float), ("b", int)])), SUPP),
        "data['x'] is a structured array with the fields a, b: make a dictionary",
    ),
    "data: masked": (
        lambda: fit(MODEL, but(x=np.ma.masked_less(X, 0)), SUPP),
        "data['x'] is a masked array",
    ),
    "data: other lengths": (
        lambda: fit(MODEL, but(x=X[:-1]), SUPP),
        "data has arrays of different lengths: data['sign'] (20,), data['x'] (19,)",
    ),
    "data: none": (lambda: fit(MODEL, {}, SUPP), "data holds no array"),
    "data: empty": (
        lambda: fit(MODEL, {"x": X[:0], "sign": X[:0]}, SUPP),
        "data is empty: n_obs is 0",
    ),
    "data: nan": (
        lambda: fit(MODEL, with_value(np.nan), SUPP),
        "`lclk` is nan or infinite in 1 of 20 observations (row 3)",
        "data['x'] holds 1 nan or infinite value, the first at [3]",
    ),
    "data: infinite": (
        lambda: fit(MODEL, but(x=np.where(X < 0, -np.inf, X)), SUPP),
        "data['x'] holds",
    ),
    "start: nan": (
        lambda: fit(Logit(jnp.array(jnp.nan)), DATA, SUPP),
        "model.slope holds 1 nan or infinite value",
    ),
    "start: lclk undefined": (
        lambda: fit(Logit(jnp.array(-0.5)), DATA, SUPP),
        "`lclk` is nan or infinite in 20 of 20 observations (rows 0, 1, 2, 3, 4, ...)",
    ),
    "start: derivative undefined": (
        lambda: fit(Logit(jnp.array(0.0)), DATA, SUPP),
        "its derivatives are not",
    ),
    "grid: too narrow": (
        lambda: fit(MODEL, but(x=20.0 + X), SUPP),
        "zero likelihood at every support point. Widen `supp`",
        "That is so in 20 of 20 observations (rows 0, 1",
    ),
    "grid: a list": (
        lambda: fit(MODEL, DATA, [-1.0, 0.0, 1.0]),
        "supp is a list of numbers",
    ),
    "grid: a number": (lambda: fit(MODEL, DATA, 3.0), "supp is of type float"),
    "grid: masses of groups": (
        lambda: spmlex.posterior(MODEL, DATA, SUPP, np.ones((5, 2)) / 5),
        "probs has shape (5, 2); give one mass for each of the 5 support points",
    ),
    "grid: empty": (lambda: fit(MODEL, DATA, np.zeros(0)), "supp is empty"),
    "grid: nan": (
        lambda: fit(MODEL, DATA, np.array([0.0, np.nan])),
        "supp holds nan",
    ),
    "grid: other lengths": (
        lambda: fit(MODEL, DATA, {"a": np.zeros(3), "b": np.zeros(4)}),
        "supp has arrays of different lengths: supp['a'] (3,), supp['b'] (4,)",
    ),
    "grid: the wrong way round": (
        lambda: uniform_grid(6.0, -6.0, 75),
        "low=6.0, high=-6.0 is not a range",
    ),
    "grid: a float for a count": (
        lambda: uniform_grid(-6.0, 6.0, 75.0),
        "n=75.0 points make no grid; give an integer",
    ),
    "weights: too few": (
        lambda: fit(MODEL, DATA, SUPP, weights=np.ones(3)),
        "weights has shape (3,); it must give one weight for each of the 20 "
        "observations.",
    ),
    "weights: text": (
        lambda: fit(MODEL, DATA, SUPP, weights=np.full(N, "1")),
        "weights has dtype <U1, such as ",
    ),
    "weights: negative": (
        lambda: fit(MODEL, DATA, SUPP, weights=np.where(X > 0, 1.0, -1.0)),
        "weights holds -1.0 at position",
        "nonnegative",
    ),
    "weights: nan": (
        lambda: profile_ll(MODEL, DATA, SUPP, weights=np.full(N, np.nan)),
        "weights holds nan at position 0",
    ),
    "weights: all zero": (
        lambda: solve_probs(jnp.zeros((3, 2)), weights=np.zeros(3)),
        "weights are all zero",
    ),
    "groups: too few": (
        lambda: fit(MODEL, DATA, SUPP, groups=[0, 1]),
        "groups has shape (2,)",
    ),
    "groups: not numbered": (
        lambda: fit(MODEL, DATA, SUPP, groups=np.repeat([3, 7], N // 2)),
        "groups holds [3, 7]; they must be whole numbers from 0 to 1",
        "np.unique",
    ),
    "groups: text": (
        lambda: fit(MODEL, DATA, SUPP, groups=np.repeat(["a", "b"], N // 2)),
        "groups holds ['a', 'b']",
    ),
    "fixed: nothing": (
        lambda: fit(MODEL, DATA, SUPP, fixed=lambda m: ()),
        "fixed picks nothing",
        "The leaves of Logit: slope.",
    ),
    "fixed: a name": (
        lambda: fit(MODEL, DATA, SUPP, fixed="slope"),
        "fixed='slope': give a function of the model, such as `lambda model: model.slo",
    ),
    "fixed: misspelt": (
        lambda: fit(MODEL, DATA, SUPP, fixed=lambda m: m.slop),
        "The leaves of Logit: slope.",
        "no attribute 'slop'",
    ),
    "fixed: an entry": (
        lambda: fit(Logit(jnp.ones(2)), DATA, SUPP, fixed=lambda m: m.slope[0]),
        "make it a leaf of its own",
    ),
    "names: a number": (
        lambda: fit(MODEL, DATA, SUPP, names=3),
        "names=3: give text, such as ['union', 'experience']",
    ),
    "names: misspelt": (
        lambda: fit(MODEL, DATA, SUPP, names={"slop": "union"}),
        "the model has no parameter 'slop'. Give names by field, of slope",
    ),
    "perfect separation": (
        lambda: fit(MODEL, SEPARATED, SUPP),
        "A parameter runs off towards infinity",
        "hold it fixed",
    ),
    "a regressor of zeros": (
        lambda: fit(MODEL, but(x=np.zeros(N)), SUPP),
        "The profile Hessian is singular",
        "not identified by these data",
        "Nothing changes along slope.",
    ),
    "one observation": (
        lambda: fit(MODEL, {name: x[:1] for name, x in SEPARATED.items()}, SUPP[2:3]),
        "A parameter runs off towards infinity",
    ),
}
