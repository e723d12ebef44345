"""What is printed while a search runs, where the user asks for it by `verbose`.

A line a step, from inside compiled code, and a line before what takes long. Whether
anything is printed is fixed when a program is compiled: one that is silent holds
nothing of this.
"""

import functools
import time
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from spmlex._arguments import check_truth

_PROGRAMS = {
    "maximise_on_grid": "the search for the maximum",
    "_search": "the search with free support",
    "_go_on": "the search with one atom more",
    "_solve": "the efficient score",
    "climb_smoothly": "the climb with F almost normal",
    "_invert": "the inversion of the score test",
    "_interval": "likelihood ratio intervals",
    "_ratio_on_grid": "the fit under the hypothesis",
    "_refit": "refits",
    "_compare": "the fits under the hypothesis and with F open",
    "_draw": "the same with data drawn under the hypothesis",
}
"""What programs do, by the function that is compiled."""

STEPS = (
    " step           value    gradient      radius   atoms   seconds",
    "{:5d} {:15.8f} {:11.2e} {:11.2e} {:7d} {seconds:9.1f}",
)
"""Head and line of a climb: step, value, gradient, radius and atoms."""

ROOT = (
    " step  to go, in std. errors   seconds",
    "{:5d} {:22.4f} {seconds:11.1f}",
)
"""Head and line of the search for the root of the efficient score."""


class _Clock:
    """When the call began, and the first of several parts ended."""

    began = time.perf_counter()
    first = began


def read_verbose(verbose: Any, default: bool = False) -> bool:
    """Return whether to print, and start the clock.

    Raises:
        ValueError: It is neither true nor false, nor `None` for the default.
    """
    if verbose is not None:
        check_truth("verbose", verbose)
    _Clock.began = time.perf_counter()
    return default if verbose is None else bool(verbose)


def say(text: str) -> None:
    """Print a line at once, whatever buffers there are."""
    print(text, flush=True)


def announce(function: str, is_new: bool) -> None:
    """Say that a program is about to run, and to be compiled where it is new."""
    what = _PROGRAMS.get(function, function.strip("_").replace("_", " "))
    if is_new:
        what = f"compiling {what} (5 to 30 s, once for these shapes)"
    say(f"{what} ...")


def report(title: str, form: tuple[str, str], *values: Any) -> None:
    """Print a line about values of compiled code, which need not be known yet.

    Args:
        title: Stands above the head.
        form: Head of the table, printed at the first step, and the form of a line.
        values: The number of the step, from one; and the others.
    """
    jax.debug.callback(functools.partial(_print_step, title, form), *values)


def report_part(parts: Sequence[str], number: Any, *values: Any) -> None:
    """Print that one of several parts is done, and how long the rest will take.

    Args:
        parts: What they are, with the form of the values.
        number: Which it is, from zero.
        values: What the line tells of it.
    """
    jax.debug.callback(functools.partial(_print_part, parts), number, *values)


def list_limits(names: Sequence[str]) -> list[str]:
    """Return the parts of a search for all lower limits, then all upper ones."""
    sides = ("lower", "upper")
    plain = [name.replace("{", "{{").replace("}", "}}") for name in names]
    return [f"{side} limit of {name}: {{:.6g}}" for side in sides for name in plain]


def _print_step(title: str, form: tuple[str, str], *values: Any) -> None:
    numbers = [np.asarray(value).item() for value in values]
    head, line = form
    if numbers[0] == 1:
        say(f"{title}\n{head}")
    say(line.format(*numbers, seconds=time.perf_counter() - _Clock.began))


def _print_part(parts: Sequence[str], *values: Any) -> None:
    number, *numbers = (np.asarray(value).item() for value in values)
    now, done = time.perf_counter(), number + 1
    left = len(parts) - done
    rest = ""
    if done == 1:
        _Clock.first = now
    elif left:
        each = (now - _Clock.first) / (done - 1)
        rest = f", about {each * left:.0f} s to go"
    passed = now - _Clock.began
    told = parts[int(number)].format(*numbers)
    say(f"{told} ({done} of {len(parts)}, {passed:.1f} s{rest})")
