"""What is printed while a search runs, where the user asks for it by `verbose`.

A line a step, from inside compiled code, and a line before what takes long. Whether
anything is printed is fixed when a program is compiled: one that is silent holds
nothing of this.
"""

import functools
import time
from collections.abc import Sequence
from typing import Any, ClassVar

import jax
import jax.monitoring
import numpy as np

from spmlex._words.arguments import check_truth

_PROGRAMS = {
    "search_grid": "the search for the maximum",
    "_search": "the search with free support",
    "_go_on": "the search with one atom more",
    "search_score": "the efficient score",
    "climb_smoothly": "the climb with F almost normal",
    "_interval": "likelihood ratio intervals",
    "_ratio_on_grid": "the fit under the hypothesis",
    "_refit": "refits",
    "expand_on_grid": "the delta method, support points held",
    "expand_with_atoms": "the delta method, support points free",
    "expand_under_model": "the delta method at the efficient score",
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


_COMPILED = "/jax/core/compile/backend_compile_duration"
"""What JAX tells its listeners when a program has been compiled."""


class _Clock:
    """When the call began and the first of several parts ended; how long programs take.

    Attributes:
        began: When the call began.
        first: When the first of several parts ended.
        announced: When the last program was said to be compiled.
        program: Which that was; empty once it runs.
        compiled: Seconds that programs took to be compiled in this process, by name.
        listens: Whether JAX was asked to tell.
    """

    began = time.perf_counter()
    first = began
    announced = began
    program = ""
    compiled: ClassVar[dict[str, float]] = {}
    listens = False


def read_verbose(verbose: Any, default: bool = False) -> bool:
    """Return whether to print, and start the clock.

    Raises:
        ValueError: It is neither true nor false, nor `None` for the default.
    """
    if verbose is not None:
        check_truth("verbose", verbose)
    _Clock.program = ""
    _Clock.began = time.perf_counter()
    return default if verbose is None else bool(verbose)


def say(text: str) -> None:
    """Print a line at once, whatever buffers there are."""
    print(text, flush=True)


def announce(function: str, is_new: bool) -> None:
    """Say that a program is about to run, and to be compiled where it is new.

    How long that takes depends on the user's model, and nothing is known of it until a
    program of this kind has been compiled: then the line says how long that took.
    """
    what = _PROGRAMS.get(function, function.strip("_").replace("_", " "))
    _Clock.program = function if is_new else ""
    if is_new:
        _listen()
        _Clock.announced = time.perf_counter()
        before = _Clock.compiled.get(function)
        known = "" if before is None else f", about {before:.0f} s as the last time"
        what = f"compiling {what} (once for these shapes{known})"
    say(f"{what} ...")


def _listen() -> None:
    """Have JAX tell when programs are compiled; once, and where someone asks for it."""
    if not _Clock.listens:
        jax.monitoring.register_event_duration_secs_listener(_note)
        _Clock.listens = True


def _note(event: str, duration_secs: float, **_: Any) -> None:
    """Note how long the program that was announced has taken so far.

    Tracing included, so by the clock and not by what JAX says of the compiler alone.
    """
    del duration_secs
    if event == _COMPILED and _Clock.program:
        _Clock.compiled[_Clock.program] = time.perf_counter() - _Clock.announced


def report(title: str, form: tuple[str, str], *values: Any) -> None:
    """Print a line about values of compiled code, which need not be known yet.

    Args:
        title: Stands above the head.
        form: Head of the table, printed at the first step, and the form of a line.
        values: The number of the step, from one; and the others.
    """
    # Of JAX's callbacks the one that does not order what runs: it costs next to
    # nothing.
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
    _Clock.program = ""
    if numbers[0] == 1:
        say(f"{title}\n{head}")
    say(line.format(*numbers, seconds=time.perf_counter() - _Clock.began))


def _print_part(parts: Sequence[str], *values: Any) -> None:
    number, *numbers = (np.asarray(value).item() for value in values)
    _Clock.program = ""
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
