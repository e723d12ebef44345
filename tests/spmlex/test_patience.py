"""What takes long says so where it is asked to, and can be interrupted."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest
from problems import approx
from small_fits import NAMES, SUPP, AbleLogit, data, named

import spmlex
from spmlex._climb.newton import climb
from spmlex._profile.problem import pose_problem
from spmlex._programs.interrupt import read_setting, run_interruptibly
from spmlex._words.progress import STEPS, announce, list_limits, report, report_part

SCRIPT = Path(__file__).parent / "interrupted.py"


def test_a_climb_without_watch_holds_no_callback():
    def trace(watch):
        start = AbleLogit(jnp.zeros(2))
        problem = pose_problem(start, data(), SUPP, None, None, None, "active_set")
        weights = jnp.full(60, 1 / 60)

        def search(theta):
            def at(theta, probs):
                return problem.evaluate(theta, probs, weights)

            probs = problem.uniform_probs()
            return climb(at, 60, theta, probs, 1e-7, 100, watch=watch)

        return str(jax.make_jaxpr(search)(jnp.zeros(2)))

    assert "debug_callback" not in trace("")
    assert "debug_callback" in trace("on the grid")


@pytest.mark.thorough
def test_a_fit_prints_a_line_a_step(capfd):
    start = AbleLogit(jnp.zeros(2))
    fit = spmlex.fit(start, data(), SUPP, support="grid", names=NAMES, verbose=True)
    lines = capfd.readouterr().out.splitlines()
    assert lines[0].startswith("compiling the search for the maximum (once for")
    assert lines[2].split() == "step value gradient radius atoms seconds".split()
    steps = [line.split() for line in lines[3:]]
    assert [int(step[0]) for step in steps] == [*range(1, int(fit.num_steps) + 1)]
    value = -float(fit.log_likelihood) / 60
    assert float(steps[-1][1]) == pytest.approx(value, abs=1e-8)
    assert int(steps[-1][4]) == int(fit.num_atoms)
    assert max(map(len, lines)) <= 80

    test = spmlex.likelihood_ratio_test(fit, "union", 0.5)
    lines = capfd.readouterr().out.splitlines()
    assert lines[0].startswith("compiling the fit under the hypothesis (once for")
    assert lines[1:3] == ["under the hypothesis", STEPS[0]]
    ratio = 2 * (60 * float(lines[-1].split()[1]) + float(fit.log_likelihood))
    assert ratio == pytest.approx(float(test.statistic), abs=1e-5)
    spmlex.likelihood_ratio_test(fit, "union", 0.5, verbose=False)
    assert capfd.readouterr().out == ""

    spmlex.bootstrap(fit, n_draws=3)
    lines = capfd.readouterr().out.splitlines()
    assert re.match(r"refit \(3 of 3, \d+\.\d s\)", lines[-1])
    assert re.match(r"refit \(2 of 3, .*, about \d+ s to go\)", lines[-2])
    lower, upper = fit.confint(kind="likelihood_ratio")
    lines = capfd.readouterr().out.splitlines()
    assert lines[1].startswith(f"lower limit of union: {float(lower[0]):.6g} (1 of 4")
    assert lines[4].startswith(f"upper limit of a_b & c: {float(upper[1]):.6g} (4 of")

    lower, _ = fit.confint()
    lines = capfd.readouterr().out.splitlines()
    assert "root of the efficient score" in lines
    assert any(f"lower limit of union: {float(lower[0]):.6g}" in x for x in lines)
    spmlex.jackknife(fit, n_groups=3, verbose=False)
    assert capfd.readouterr().out == ""


def test_the_next_compilation_says_how_long_the_last_one_took(capfd):
    for number in (0, 1):
        announce("_of_a_test", is_new=True)
        jax.jit(lambda x: x + number)(1.0)  # noqa: B023
        report("a search", STEPS, 1, 0.5, 0.1, 1.0, 3)
        jax.effects_barrier()
    lines = capfd.readouterr().out.splitlines()
    assert lines[0] == "compiling of a test (once for these shapes) ..."
    assert re.match(r"compiling .*, about \d+ s as the last time\) \.\.\.", lines[4])


def test_parts_say_how_long_the_rest_takes(capfd):
    parts = list_limits(["a{b}"])
    report_part(parts, jnp.array(0), jnp.array(0.5))
    report_part(parts, jnp.array(1), jnp.array(1.5))
    jax.effects_barrier()
    first, second = capfd.readouterr().out.splitlines()
    assert first.startswith("lower limit of a{b}: 0.5 (1 of 2, ")
    assert second.startswith("upper limit of a{b}: 1.5 (2 of 2, ")


def test_compiled_code_runs_beside_the_main_thread_and_errors_come_back():
    seen = []

    def work(x):
        seen.append(threading.current_thread())
        if x is None:
            raise ValueError("no number")
        return jnp.asarray(x) + 1.0

    assert run_interruptibly(work, 1.0) == 2.0
    assert seen[0] is not threading.main_thread()
    with pytest.raises(ValueError, match="no number"):
        run_interruptibly(work, None)
    with jax.disable_jit():
        run_interruptibly(work, 1.0)
    assert seen[-1] is threading.main_thread()


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("default_device", jax.devices()[0]),
        ("default_matmul_precision", "float32"),
        ("debug_nans", True),
        ("debug_infs", True),
        ("log_compiles", True),
        ("numpy_rank_promotion", "warn"),
    ],
)
def test_settings_in_a_with_block_hold_beside_the_main_thread(setting, value):
    name = f"jax_{setting}"
    before = read_setting(name)
    assert before != value
    with getattr(jax, setting)(value):
        assert run_interruptibly(read_setting, name) == value
    assert run_interruptibly(read_setting, name) == before


@pytest.mark.thorough
def test_debug_nans_reaches_a_fit():
    class Broken(AbleLogit):
        def lclk(self, data, supp):
            return AbleLogit.lclk(self, data, supp) + jnp.log(self.coef[0])

    start = Broken(jnp.array([-1.0, 0.0]))
    with jax.debug_nans(True), pytest.raises(FloatingPointError):
        spmlex.fit(start, data(), SUPP, support="grid", throw=False)


@pytest.fixture
def control_c():
    """Let Ctrl-C interrupt this process: as a worker of the tests it takes no heed."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield lambda: os.kill(os.getpid(), signal.SIGINT)
    signal.signal(signal.SIGINT, before)


def test_a_fit_after_control_c_is_like_any_other(control_c):
    """What was interrupted runs on beside it."""
    busy = jax.jit(lambda n: jax.lax.fori_loop(0, n, lambda _, x: 0.9 * x + 1.0, 0.0))
    released = threading.Event()

    def work():
        threading.Timer(0.1, control_c).start()
        while not released.is_set():
            busy(1_000_000).block_until_ready()

    with pytest.raises(KeyboardInterrupt):
        run_interruptibly(work)
    start = AbleLogit(jnp.zeros(2))
    fit = spmlex.fit(start, data(), SUPP, support="grid")
    released.set()
    assert fit.theta == approx(named().theta, 1e-8)


@pytest.mark.thorough
def test_control_c_ends_a_call_at_once():
    """The likelihood alone takes minutes; the compiler may still be at work too."""
    process = subprocess.Popen(
        [sys.executable, SCRIPT],
        env=os.environ | {"PYTHONPATH": str(SCRIPT.parents[2])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("compiling")
        time.sleep(2.0)
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=20.0)
    finally:
        process.kill()
    assert "KeyboardInterrupt" in errors
    assert process.returncode not in (0, -signal.SIGKILL)
