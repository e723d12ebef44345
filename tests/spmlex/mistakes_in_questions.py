"""Mistakes in how it is searched for, and in what is asked of a fit that was found."""
# pyright: reportArgumentType=false

import jax
import jax.numpy as jnp
import numpy as np
from mistaken_models import Logit
from mistaken_setting import DATA, FITS, MODEL, SUPP, N, X, but

import spmlex
from spmlex import fit, solve_probs

IN_QUESTIONS = {
    # name: (what is called, what the message has to hold, one or more)
    "solver: misspelt": (
        lambda: fit(MODEL, DATA, SUPP, solver="activeset"),
        "solver='activeset' is not an inner solver. Did you mean 'active_set'?",
    ),
    "starts: a float": (
        lambda: fit(MODEL, DATA, SUPP, starts=2.5),
        "starts=2.5: give a number",
    ),
    "starts: another model": (
        lambda: fit(MODEL, DATA, SUPP, starts=[Logit(jnp.ones(2))]),
        "starts[0] is not a model like model0",
    ),
    "max_steps: zero": (
        lambda: fit(MODEL, DATA, SUPP, max_steps=0),
        "max_steps=0: give 1 or more",
    ),
    "max_steps: a float": (
        lambda: fit(MODEL, DATA, SUPP, max_steps=10.0),
        "max_steps=10.0: give a whole number, such as 100",
    ),
    "tol: text": (
        lambda: fit(MODEL, DATA, SUPP, tol="1e-6"),
        "tol='1e-6': give a positive number",
    ),
    "solver: none": (
        lambda: fit(MODEL, DATA, SUPP, solver=None),
        "solver=None is no inner solver. Choose from active_set",
    ),
    "solver: a class": (
        lambda: solve_probs(jnp.zeros((3, 2)), solver=spmlex.SOLVERS["active_set"]),
        "is no inner solver",
        "an object such as ActiveSet()",
    ),
    "tol: zero": (lambda: fit(MODEL, DATA, SUPP, tol=0), "tol=0: give a positive"),
    "support: misspelt": (
        lambda: fit(MODEL, DATA, SUPP, support="continuous"),
        "support='continuous': choose from grid, free",
    ),
    "free support: under jit": (
        lambda: jax.jit(lambda x: fit(MODEL, but(x=x), SUPP, support="free"))(X),
        "support='free': the search does not run under jit or vmap; or fit on a grid",
    ),
    "free support: no range": (
        lambda: fit(MODEL, DATA, np.zeros(1), support="free"),
        "is not a range",
    ),
    "caption: a number": (
        lambda: FITS.on_grid.to_latex(kind="sandwich", caption=1),
        "caption=1: give text, or leave it out",
    ),
    "load: no file": (
        lambda: spmlex.load("nowhere.fit", MODEL),
        "path='nowhere.fit': there is no such file",
    ),
    "compare: a number": (
        lambda: spmlex.compare_fits([1]),
        "fits[0]=1: give what `fit`",
    ),
    "compare: one fit": (
        lambda: spmlex.compare_fits(FITS.on_grid),
        "give several in a list",
    ),
    "kind: misspelt": (
        lambda: FITS.on_grid.confint(kind="sandwhich"),
        "kind='sandwhich' is not a kind of interval. Choose from efficient",
    ),
    "kind: of an interval for an error": (
        lambda: FITS.on_grid.standard_errors("jackknife"),
        "those of refits are in `jackknife`",
    ),
    "level: in percent": (
        lambda: FITS.on_grid.confint(95),
        "level=95 is not a confidence level; give one between 0 and 1, such as 0.95",
    ),
    "level: text": (lambda: FITS.on_grid.summary("95%"), "level='95%' is not"),
    "clusters: too few": (
        lambda: FITS.on_grid.standard_errors(clusters=[0, 1]),
        "clusters has shape (2,)",
    ),
    "clusters: one": (
        lambda: spmlex.jackknife(FITS.on_grid, clusters=np.zeros(N)),
        "clusters holds a single cluster",
    ),
    "clusters: nan": (
        lambda: FITS.on_grid.standard_errors(clusters=np.where(X > 0, np.nan, 1.0)),
        "clusters holds nan",
    ),
    "clusters: of independence": (
        lambda: FITS.on_grid.standard_errors("observed", clusters=np.arange(N)),
        "kind='observed' takes no clusters",
    ),
    "jackknife: half a group": (
        lambda: spmlex.jackknife(FITS.on_grid, n_groups=2.5),
        "n_groups=2.5: give a whole number, such as 10",
    ),
    "bootstrap: half a draw": (
        lambda: spmlex.bootstrap(FITS.on_grid, n_draws=10.5),
        "n_draws=10.5: give a whole number, such as 200",
    ),
    "bootstrap: a seed of its own": (
        lambda: spmlex.bootstrap(FITS.on_grid, n_draws=2, seed=0.5),
        "seed=0.5: give a whole number",
    ),
    "jackknife: too many groups": (
        lambda: spmlex.jackknife(FITS.on_grid, n_groups=21),
        "n_groups=21: give a number from 2 to the number of observations, 20",
    ),
    "bootstrap: weights misspelt": (
        lambda: spmlex.bootstrap(FITS.on_grid, weights="normal"),
        "weights='normal' is not a kind of random weights. Choose from multinomial",
    ),
    "test: no such parameter": (
        lambda: spmlex.likelihood_ratio_test(FITS.on_grid, "beta", 0.0),
        "parameter='beta': this model has slope",
    ),
    "test: a value in words": (
        lambda: spmlex.likelihood_ratio_test(FITS.on_grid, {"slope": "1"}),
        "value='1' for slope: give one number",
    ),
    "adequacy: two coordinates": (
        lambda: spmlex.adequacy(FITS.on_grid, DATA, np.zeros(2), np.ones(2)),
        "give low and high in the form of one support point",
    ),
    "primitive: a vector": (
        lambda: spmlex.profile(jnp.zeros(3)),
        "lclk has shape (3,); give a matrix",
    ),
    "primitive: a start of another length": (
        lambda: solve_probs(jnp.zeros((3, 2)), probs0=jnp.ones(3) / 3),
        "probs0 has shape (3,); give a mass for each of the 2 support points",
    ),
}
