"""What a user waits for: `python -m experiments.first_result WORK`.

Fits a model and asks for its summary, in a process of its own that has compiled nothing
yet, then once more, and prints the seconds of each as JSON. With `--programs FOLDER`
compiled programs are kept there, as `spmlex.keep_programs` does: the second process
finds them. `measure_first` starts such processes.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from typing import Any, NamedTuple

from experiments.environment import SETTINGS, read_peak


class Work(NamedTuple):
    """What is waited for.

    Attributes:
        n_obs: Number of observations.
        sizes: Points of the grid in each dimension.
        kind: Kind of interval in the summary.
    """

    n_obs: int
    sizes: tuple[int, ...]
    kind: str = "efficient"


WORKS = {
    "readme": Work(2000, (75,)),
    "panel": Work(1000, (50,)),
    "two slopes": Work(1000, (20, 20)),
    "two slopes, fine": Work(2000, (40, 40), "sandwich"),
    "three slopes": Work(2000, (12, 12, 12), "sandwich"),
    "three slopes, fine": Work(2000, (15, 15, 15), "sandwich"),
}
"""The README's example, and panels of choices in eight periods."""


def measure_first(
    work: str, *, kept: bool = False, rival: bool = False
) -> dict[str, Any]:
    """Measure in processes of its own.

    Args:
        work: Its name.
        kept: Keep the programs of one process, and measure a second one.
        rival: Also the seconds of a bare estimate by `jaxopt.BFGS` with `mixsqpx` in
            the inner problem, and all that is waited for over these.

    Returns:
        `import_s`; `first_fit_s` and `first_summary_s`, compiling; their sum `all_s`;
        `fit_s` and `summary_s`, compiled; `peak_GB`.
    """
    with tempfile.TemporaryDirectory() as folder:
        options = ["--programs", folder] * kept
        row = _call([work, *options])
        if kept:
            row = _call([work, *options])
    row |= {"kept": kept}
    if rival:
        row["rival_s"] = _call([work, "--rival"])["all_s"]
        row["ratio_rival"] = row["all_s"] / row["rival_s"]
    return row


def _call(arguments: list[str]) -> dict[str, Any]:
    command = [sys.executable, "-m", "experiments.first_result", *arguments]
    # As a user's script finds it: without what `prepare` sets for studies, above all
    # their cache of compiled programs.
    clean = {name: x for name, x in os.environ.items() if name not in SETTINGS}
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env=clean
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(command[1:])}: {done.stderr.strip()}")
    return json.loads(done.stdout.splitlines()[-1])


def _measure(name: str, programs: str | None, *, rival: bool) -> dict[str, Any]:
    row: dict[str, Any] = {"work": name, "n_obs": WORKS[name].n_obs}
    row["n_supp"] = "x".join(map(str, WORKS[name].sizes))
    clock = _Clock(row)
    import spmlex

    if programs is not None:
        spmlex.keep_programs(programs)
    clock.lap("import_s")
    model, data, supp = _pose(name)
    clock.lap("data_s")
    if rival:
        _solve_by_rival(model, data, supp)
        clock.lap("first_fit_s")
        return row | {"all_s": row["import_s"] + row["first_fit_s"]}
    for first in ("first_", ""):
        found = spmlex.fit(model, data, supp)
        clock.lap(f"{first}fit_s")
        found.summary(kind=WORKS[name].kind)
        clock.lap(f"{first}summary_s")
    row["all_s"] = row["import_s"] + row["first_fit_s"] + row["first_summary_s"]
    row["peak_GB"] = read_peak() / 1e9
    return row | {"steps": int(found.num_steps), "gap": max(float(found.gap), 0.0)}


class _Clock:
    """Writes the seconds of each part into a row."""

    def __init__(self, row: dict[str, Any]) -> None:
        self.row, self.last = row, time.perf_counter()

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.row[name], self.last = now - self.last, now


def _pose(name: str) -> tuple[Any, Any, Any]:
    """Return start, data and grid; drawn by NumPy, which compiles nothing."""
    import jax.numpy as jnp
    import numpy as np

    from experiments.models.linear_factor import LinearFactor
    from experiments.models.panel_binary import PanelBinary
    from spmlex import product_grid

    work, rng = WORKS[name], np.random.default_rng(0)
    if name == "readme":
        latent = rng.choice([-3.0, 0.0, 5.0], work.n_obs, p=[0.3, 0.5, 0.2])
        noise = rng.normal(size=(work.n_obs, 3)) * np.exp([0.0, 0.2, -0.3])
        outcomes = latent[:, None] * np.array([1.0, 1.5, 0.3]) + noise
        start = LinearFactor(coef=jnp.array([1.0, 0.5]), log_std_e=jnp.zeros(3))
        return start, {"outcomes": outcomes}, jnp.linspace(-6.0, 6.0, work.sizes[0])
    n_random = len(work.sizes)
    covariates = rng.normal(size=(work.n_obs, 8, n_random))
    random = rng.normal(size=(work.n_obs, n_random)) * 0.7 + 0.5
    moved = np.concatenate([np.ones((work.n_obs, 8, 1)), covariates], axis=2)
    slopes = np.concatenate([random, np.full((work.n_obs, 1), -0.5)], axis=1)
    index = np.einsum("itk,ik->it", moved, slopes)
    chosen = index + rng.logistic(size=index.shape) > 0
    start = PanelBinary(coef=jnp.zeros(1), n_random=n_random)
    grid = product_grid(*(jnp.linspace(-3.0, 4.0, size) for size in work.sizes))
    supp = grid[:, 0] if n_random == 1 else grid
    return start, {"outcomes": chosen, "covariates": covariates}, supp


def _solve_by_rival(model: Any, data: Any, supp: Any) -> None:
    """Estimate theta as the published package does, without standard errors."""
    import functools

    import jax
    import jaxopt

    import spmlex

    value = functools.partial(spmlex.profile_ll, solver="mixsqp")
    solver = jaxopt.BFGS(fun=value, has_aux=True, linesearch="zoom", tol=1e-6)
    jax.block_until_ready(solver.run(model, data, supp))


def main(arguments: list[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.first_result",
        description=(__doc__ or "").split("\n\n")[0],
    )
    parser.add_argument("work", choices=list(WORKS), metavar="WORK")
    parser.add_argument("--programs", metavar="FOLDER", help="keep programs there")
    parser.add_argument("--rival", action="store_true", help="a bare estimate by BFGS")
    chosen = parser.parse_args(arguments)
    print(json.dumps(_measure(chosen.work, chosen.programs, rival=chosen.rival)))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
