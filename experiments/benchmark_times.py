"""What the benchmark times: a row for each size."""

import functools
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

from experiments.benchmark_data import simulate
from experiments.first_result import measure_first
from experiments.large_data import measure_large

SAMPLES = 7
"""On which inner solves are timed."""


def median_ms(
    function: Callable[..., Any], *arguments: Any, seconds: float = 1.0
) -> float:
    """Return the median time of a compiled call in milliseconds, after one warm-up."""
    import jax

    jax.block_until_ready(function(*arguments))
    times: list[float] = []
    start = time.perf_counter()
    while len(times) < 3 or (time.perf_counter() - start < seconds and len(times) < 99):
        before = time.perf_counter()
        jax.block_until_ready(function(*arguments))
        times.append(time.perf_counter() - before)
    return 1e3 * statistics.median(times)


def time_inner(n_obs: int, n_supp: int) -> dict[str, Any]:
    """Time the inner solvers on the same matrices; warm starts from a nearby theta.

    Medians over the samples: how many steps a cold start takes varies between them.
    """
    import jax
    from mixsqpx import mixsolve

    import spmlex

    def solve(
        lclk: Any, probs0: Any = None, solver: str = "active_set"
    ) -> spmlex.MixingSolution:
        return spmlex.solve_probs(lclk, probs0=probs0, solver=solver, throw=False)

    timed = {
        "mixsqpx_ms": jax.jit(lambda lclk, near, p: mixsolve(lclk, return_info=True)),
        "cold_ms": jax.jit(lambda lclk, near, p: solve(lclk)),
        "warm_ms": jax.jit(lambda lclk, near, p: solve(near, p)),
    }
    small = n_obs * n_supp <= 1_000_000
    if small:
        timed["interior_point_ms"] = jax.jit(
            lambda lclk, near, p: solve(lclk, solver="interior_point")
        )
    if n_obs * n_supp <= 30_000:
        timed["em_ms"] = jax.jit(lambda lclk, near, p: solve(lclk, solver="em"))
    samples: dict[str, list[float]] = {name: [] for name in timed}
    gaps, steps, theirs = [], [], []
    for seed in range(SAMPLES if small else 1):
        model, data, supp = simulate(n_obs, n_supp, seed)
        lclk = model.lclk(data, supp)
        near = jax.tree.map(lambda leaf: leaf + 0.01, model).lclk(data, supp)
        solution = solve(lclk)
        gaps.append(max(float(solution.gap), 0.0))
        steps.append(int(solution.num_steps))
        other = solve(lclk, solver="mixsqp")
        theirs.append((float(other.gap), float(other.residual)))
        for name, function in timed.items():
            time_ms = median_ms(function, lclk, near, solution.probs, seconds=0.5)
            samples[name].append(time_ms)
    row: dict[str, Any] = {"n_obs": n_obs, "n_supp": n_supp}
    row |= {name: statistics.median(times) for name, times in samples.items()}
    row["largest_gap"] = max(gaps)
    row["mixsqpx_gap"], row["mixsqpx_residual"] = map(max, zip(*theirs, strict=True))
    row["steps"] = statistics.median(steps)
    for kind in ("cold", "warm"):
        pairs = zip(samples["mixsqpx_ms"], samples[f"{kind}_ms"], strict=True)
        row[f"ratio_{kind}"] = statistics.median(a / b for a, b in pairs)
    return row


def time_fit(n_obs: int, n_supp: int, *, bfgs: bool) -> dict[str, Any]:
    """Time gradient, Hessian and fit from the moment start, against plain BFGS."""
    import jax
    import jax.numpy as jnp
    import jaxopt
    from jax.flatten_util import ravel_pytree

    import spmlex

    model, data, supp = simulate(n_obs, n_supp)
    start = model.starting_values(data)
    theta, build = ravel_pytree(start)

    def value(theta: Any, solver: str = "active_set") -> Any:
        return spmlex.profile_ll(build(theta), data, supp, solver=solver)[0]

    def fit(start: Any) -> tuple[Any, Any, Any]:
        estimate = spmlex.fit(start, data, supp, throw=False)
        return estimate.theta, estimate.num_steps, estimate.covariance("sandwich")

    row: dict[str, Any] = {"n_obs": n_obs, "n_supp": n_supp}
    row["gradient_ms"] = median_ms(jax.jit(jax.grad(value)), theta)
    row["hessian_ms"] = median_ms(jax.jit(jax.hessian(value)), theta)
    compiled = jax.jit(fit)
    before = time.perf_counter()
    compiled = compiled.lower(start).compile()
    row["fit_compile_s"] = time.perf_counter() - before
    estimate, steps, _ = compiled(start)
    row["fit_with_errors_ms"] = median_ms(compiled, start)
    row["fit_steps"] = int(steps)
    if bfgs:
        solver = jaxopt.BFGS(
            fun=lambda theta: value(theta, "mixsqp"),
            maxiter=100,
            tol=1e-6,
            linesearch="zoom",
        )
        run = jax.jit(lambda theta: solver.run(theta).params)
        row["bfgs_mixsqpx_ms"] = median_ms(run, theta, seconds=3.0)
        row["ratio_bfgs"] = row["bfgs_mixsqpx_ms"] / row["fit_with_errors_ms"]
        row["largest_difference"] = float(jnp.max(jnp.abs(run(theta) - estimate)))
    return row


def time_efficient(n_obs: int, n_supp: int) -> list[dict[str, Any]]:
    """Time the efficient score from the moment start, in fits with standard errors.

    A fit is the default one, the atoms of F moved off the grid; the one that leaves
    them there is given beside it.
    """
    import jax

    import spmlex

    supp = simulate(n_obs, n_supp)[2]

    def fit(start: Any, data: Any, support: Any = None) -> tuple[Any, Any]:
        found = spmlex.fit(start, data, supp, support=support, throw=False)
        return found.theta, found.covariance("sandwich")

    def solve(start: Any, data: Any) -> spmlex.EfficientEstimate:
        return spmlex.efficient_estimate(start, data, supp, throw=False)

    kinds = {
        "fit_ms": jax.jit(fit),
        "grid_fit_ms": jax.jit(functools.partial(fit, support="grid")),
        "wald": jax.jit(lambda start, data: solve(start, data).wald_limits(0.95)),
        "inverted": jax.jit(lambda start, data: solve(start, data).score_limits(0.95)),
    }
    rows = []
    for normal in (False, True):
        truth, data, _ = simulate(n_obs, n_supp, normal=normal)
        start = truth.starting_values(data)
        row: dict[str, Any] = {"F": "normal" if normal else "discrete"}
        row |= {"n_obs": n_obs, "n_supp": n_supp}
        row |= {name: median_ms(kind, start, data) for name, kind in kinds.items()}
        for name in ("wald", "inverted"):
            row[name] /= row["fit_ms"]
        rows.append(row)
    return rows


def time_first(works: Sequence[str]) -> list[dict[str, Any]]:
    """Measure what a user waits for at first, and again with programs that were kept.

    Args:
        works: Names of what is fitted; the first also by BFGS with `mixsqpx`.
    """
    rows: list[dict[str, Any]] = []
    for work in works:
        rows.append(measure_first(work, rival=work == works[0]))
        rows.append(measure_first(work, kept=True))
    return rows


def time_dimensions(works: Sequence[str]) -> list[dict[str, Any]]:
    """Measure the same with several random coefficients, in new processes."""
    return [measure_first(work) for work in works]


def time_large(n_obs: int, n_supp: int, *, shared: bool) -> list[dict[str, Any]]:
    """Measure fits to a large sample, each in a process of its own.

    Args:
        n_obs: Number of observations.
        n_supp: Number of support points.
        shared: Also with support points that move; on one processor alone; and on two
            devices that share the rows, one a processor: `ratio_one` is how many times
            faster these are.
    """
    rows = [measure_large(n_obs, n_supp)]
    if shared:
        one = measure_large(n_obs, n_supp, one_core=True)
        two = measure_large(n_obs, n_supp, devices=2)
        rows.append(measure_large(n_obs, n_supp, support="moving"))
        rows += [one, two | {"ratio_one": one["fit_s"] / two["fit_s"]}]
    return rows
