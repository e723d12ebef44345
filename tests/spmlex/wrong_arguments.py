"""Every public function and method, called with each argument wrong, one at a time.

Generated from the signatures. Run as a program it makes the calls and prints what came
of each as JSON: in a process of its own, without the checks of shapes that the tests
install, as users do.
"""
# pyright: reportArgumentType=false

import inspect
import json
import os
import sys
import tempfile
import warnings

import jax
import jax.numpy as jnp
import numpy as np
from mistaken_models import Logit
from mistaken_setting import DATA, MODEL, SUPP

import spmlex
from spmlex._programs import kept_programs as _kept_programs


class Able(Logit):
    """The same model, which lists its outcomes."""

    def outcomes(self, data):
        signs = jnp.array([-1.0, 1.0])[:, None] * jnp.ones(data["x"].shape)
        return {"x": jnp.broadcast_to(data["x"], signs.shape), "sign": signs}

    def simulate(self, data, *, rng):
        return {"sign": jnp.ones(data["x"].shape)}


def predicted(model, data, supp):
    return data["x"][:, None] * model.slope + supp


LCLK = jnp.asarray(MODEL.lclk(DATA, SUPP))
PROBS = np.full(5, 0.2)
FIT = spmlex.fit(MODEL, DATA, SUPP, support="grid")
FOUND = spmlex.efficient_estimate(Able(MODEL.slope), DATA, SUPP, throw=False)
DRAWN = spmlex.fit(Able(MODEL.slope), DATA, SUPP, support="grid", throw=False)
RESAMPLES = spmlex.jackknife(FIT, n_groups=4)

WRONG = {
    "text": "wrong",
    "none": None,
    "nan": float("nan"),
    "negative": -1,
    "half": 2.5,
    "a truth value": True,
    "an object": object(),
    "an empty list": [],
    "a list of text": ["a", "b"],
    "complex": 1j,
    "of another length": np.ones(3),
    "a matrix": np.ones((2, 3)),
    "empty": np.zeros(0),
    "text in an array": np.array(["a", "b"]),
    "objects in an array": np.array([None, 1.0], dtype=object),
    "structured": np.zeros(3, [("a", float), ("b", int)]),
    "a dictionary": {"x": 1},
    "a class": dict,
}

GIVEN = {"model0": MODEL, "model": MODEL, "data": DATA, "supp": SUPP}
"""What the arguments without a default are called with, by name."""


def keep_and_forget(folder):
    """Have programs kept, in a folder that goes, and no longer."""
    try:
        return spmlex.keep_programs(folder)
    finally:
        _kept_programs._Folder.path = None


CALLS = {
    "keep_programs": (keep_and_forget, {"folder": "programs"}),
    "average_partial_effects": (
        spmlex.average_partial_effects,
        {"estimate": FIT, "variable": "x", "function": predicted},
    ),
    "adequacy": (spmlex.adequacy, {"fit": FIT, "low": -3.0, "high": 3.0}),
    "bootstrap": (spmlex.bootstrap, {"estimate": FIT, "n_draws": 2}),
    "compare_fits": (
        spmlex.compare_fits,
        {"fits": [FIT, FIT], "kind": "sandwich"},
    ),
    "count_points": (spmlex.count_points, {"estimate": FIT, "most": 1}),
    "data_range": (spmlex.data_range, {"low": -3.0, "high": 3.0, "n_trial": 9}),
    "delta_method": (
        spmlex.delta_method,
        {"estimate": FIT, "function": lambda model, supp, probs: probs @ supp},
    ),
    "efficient_estimate": (
        spmlex.efficient_estimate,
        {"model0": Able(MODEL.slope), "throw": False},
    ),
    "fit": (spmlex.fit, {"support": "grid"}),
    "gradient_on": (spmlex.gradient_on, {"probs": PROBS, "points": SUPP}),
    "halton_grid": (
        spmlex.halton_grid,
        {"low": np.zeros(2), "high": np.ones(2), "n": 5},
    ),
    "jackknife": (spmlex.jackknife, {"estimate": FIT, "n_groups": 4}),
    "likelihood_ratio_interval": (
        spmlex.likelihood_ratio_interval,
        {"estimate": FIT, "level": 0.9},
    ),
    "likelihood_ratio_test": (
        spmlex.likelihood_ratio_test,
        {"estimate": FIT, "parameter": "slope", "value": 0.5},
    ),
    "load": (spmlex.load, {"path": "nowhere.fit", "model0": MODEL}),
    "log_likelihoods": (spmlex.log_likelihoods, {"estimate": FIT, "data": None}),
    "mixing_test": (
        spmlex.mixing_test,
        {"estimate": DRAWN, "hypothesis": "one_point", "n_draws": 2},
    ),
    "most_likely_points": (spmlex.most_likely_points, {}),
    "parameter_names": (spmlex.parameter_names, {}),
    "plot_mixing": (spmlex.plot_mixing, {"estimate": FIT}),
    "posterior": (spmlex.posterior, {"probs": PROBS}),
    "predict": (
        spmlex.predict,
        {"estimate": FIT, "function": predicted, "data": None},
    ),
    "product_grid": (lambda axes: spmlex.product_grid(axes, axes), {"axes": SUPP}),
    "profile": (spmlex.profile, {"lclk": LCLK}),
    "profile_ll": (spmlex.profile_ll, {}),
    "quantile_grid": (spmlex.quantile_grid, {"values": SUPP, "n": 4}),
    "result_code": (spmlex.result_code, {"result": FIT.result}),
    "save": (spmlex.save, {"estimate": FIT, "path": os.devnull}),
    "simulate": (
        spmlex.simulate,
        {"estimate": DRAWN, "key": jax.random.key(0), "data": None},
    ),
    "solve_probs": (spmlex.solve_probs, {"lclk": LCLK}),
    "uniform_grid": (spmlex.uniform_grid, {"low": -1.0, "high": 1.0, "n": 4}),
    "wald_test": (
        spmlex.wald_test,
        {"estimate": FIT, "parameter": "slope", "value": 0.5, "kind": "sandwich"},
    ),
    "Fit.confint": (FIT.confint, {"kind": "sandwich"}),
    "Fit.covariance": (FIT.covariance, {"kind": "sandwich"}),
    "Fit.intervals": (FIT.intervals, {"kind": "jackknife", "resamples": RESAMPLES}),
    "Fit.efficient": (DRAWN.efficient, {}),
    "Fit.posterior": (FIT.posterior, {}),
    "Fit.standard_errors": (FIT.standard_errors, {"kind": "sandwich"}),
    "Fit.summary": (FIT.summary, {"kind": "sandwich"}),
    "Fit.to_frame": (FIT.to_frame, {"kind": "sandwich"}),
    "Fit.to_latex": (FIT.to_latex, {"kind": "sandwich"}),
    "Fit.to_markdown": (FIT.to_markdown, {"kind": "sandwich"}),
    "EfficientEstimate.covariance": (FOUND.covariance, {}),
    "EfficientEstimate.intervals": (FOUND.intervals, {"kind": "efficient_wald"}),
    "EfficientEstimate.score_limits": (FOUND.score_limits, {"level": 0.9}),
    "EfficientEstimate.standard_errors": (FOUND.standard_errors, {}),
    "EfficientEstimate.sum_scores": (FOUND.sum_scores, {"scores": FOUND.scores}),
    "EfficientEstimate.to_frame": (FOUND.to_frame, {"kind": "efficient_wald"}),
    "EfficientEstimate.to_latex": (FOUND.to_latex, {"kind": "efficient_wald"}),
    "EfficientEstimate.to_markdown": (FOUND.to_markdown, {"kind": "efficient_wald"}),
    "EfficientEstimate.wald_limits": (FOUND.wald_limits, {"level": 0.9}),
}


ANSWERS = ("ValueError", "RuntimeError", "FileNotFoundError")


def list_cases() -> list[tuple[str, str, str]]:
    """Return every call, argument and wrong value."""
    cases = []
    for name, (function, _) in CALLS.items():
        for argument in inspect.signature(function).parameters:
            # Printing is nothing wrong, and needs programs of its own.
            skipped = "a truth value" if argument == "verbose" else ""
            cases += [(name, argument, x) for x in WRONG if x != skipped]
    return cases


def try_out(name: str, argument: str, wrong: str) -> str:
    """Return "result", or the error in words."""
    function, good = CALLS[name]
    parameters = inspect.signature(function).parameters
    needed = {
        key: GIVEN[key]
        for key, one in parameters.items()
        if one.default is inspect.Parameter.empty and key not in good
    }
    try:
        with warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)  # for what is saved
            warnings.simplefilter("ignore")
            function(**(needed | good | {argument: WRONG[wrong]}))
    except Exception as error:  # noqa: BLE001 - any error is the finding
        notes = " ".join(getattr(error, "__notes__", []))
        return f"{type(error).__name__}: {error} {notes}"
    return "result"


def is_answered(argument: str, said: str) -> bool:
    """Tell whether what came of a call is a result or names the argument."""
    if said == "result":
        return True
    kind, _, sentence = said.partition(": ")
    # A coded result, raised because `throw` asks for it.
    coded = spmlex.RESULTS[spmlex.RESULTS.max_steps_reached]
    if sentence.startswith((coded, "The search for the root of the efficient score")):
        return True
    # A model is called `model` everywhere.
    named = argument.removesuffix("0") in sentence
    # What is in data only the model knows: its own error, with the call's shapes.
    in_model = "Raised by" in sentence
    return named and (in_model or kind in ANSWERS)


if __name__ == "__main__":
    chosen = [case for case in list_cases() if case[0] in (sys.argv[1:] or CALLS)]
    print(json.dumps([[*case, try_out(*case)] for case in chosen], indent=1))
