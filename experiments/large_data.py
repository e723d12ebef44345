"""What a fit to a large sample takes: `python -m experiments.large_data N_OBS N_SUPP`.

Fits the linear factor model twice, compiling and compiled, and prints seconds,
processors kept busy and the peak of the memory as JSON. In a process of its own, for
that peak counts all that a process ever had; `measure_large` starts one. With `--core`
it stays on one processor; with `--devices 2` two devices of the host share the rows.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from typing import Any

from experiments.environment import read_peak


def measure_large(
    n_obs: int,
    n_supp: int,
    *,
    support: str = "grid",
    devices: int = 1,
    one_core: bool = False,
) -> dict[str, Any]:
    """Measure in a process of its own.

    Args:
        n_obs: Number of observations.
        n_supp: Number of support points.
        support: "grid", or "moving", the default of `fit`, which takes longer.
        devices: How many devices of the host share the rows.
        one_core: Keep the process on one processor.

    Returns:
        `first_s` and `fit_s`, seconds compiling and compiled; `cores` kept busy by the
        second fit; `peak_GB`, of the data too; `errors_s`, seconds of the sandwich
        standard errors; steps and the largest gap.
    """
    command = [sys.executable, "-m", "experiments.large_data", str(n_obs), str(n_supp)]
    command += ["--support", support, "--devices", str(devices)]
    command += ["--core"] * one_core
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command[1:])}: {done.stderr.strip()}")
    return json.loads(done.stdout.splitlines()[-1])


def _measure(n_obs: int, n_supp: int, support: str, devices: int) -> dict[str, Any]:
    import jax
    import numpy as np
    from jax.sharding import Mesh, NamedSharding, PartitionSpec

    import spmlex
    from experiments.benchmark_data import simulate

    model, data, supp = simulate(n_obs, n_supp)
    start = model.starting_values(data)
    if devices > 1:
        mesh = Mesh(np.array(jax.devices()), ("rows",))
        data = jax.device_put(data, NamedSharding(mesh, PartitionSpec("rows")))
    jax.block_until_ready((data, start))
    row: dict[str, Any] = {"n_obs": n_obs, "n_supp": n_supp, "support": support}
    row["devices"] = devices
    row["allowed"] = len(os.sched_getaffinity(0))
    chosen = None if support == "moving" else support
    for name in ("first_s", "fit_s"):
        before, busy = time.perf_counter(), time.process_time()
        fit = spmlex.fit(start, data, supp, starts=(), support=chosen, throw=False)
        jax.block_until_ready(fit.scores)
        row[name] = time.perf_counter() - before
        row["cores"] = (time.process_time() - busy) / row[name]
    before = time.perf_counter()
    jax.block_until_ready(fit.covariance("sandwich"))
    row["errors_s"] = time.perf_counter() - before
    row["peak_GB"] = read_peak() / 1e9
    return row | {"steps": int(fit.num_steps), "gap": max(float(fit.gap), 0.0)}


def main(arguments: list[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.large_data",
        description=(__doc__ or "").split("\n\n")[0],
    )
    parser.add_argument("n_obs", type=int, help="observations")
    parser.add_argument("n_supp", type=int, help="support points")
    parser.add_argument("--support", choices=("grid", "moving"), default="grid")
    parser.add_argument("--devices", type=int, default=1, help="that share the rows")
    parser.add_argument("--core", action="store_true", help="stay on one processor")
    chosen = parser.parse_args(arguments)
    if chosen.core:
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    # Before JAX is imported: it counts the devices and the processors once.
    if chosen.devices > 1:
        flag = f"--xla_force_host_platform_device_count={chosen.devices}"
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {flag}".strip()
    given = {name: x for name, x in vars(chosen).items() if name != "core"}
    print(json.dumps(_measure(**given)))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
