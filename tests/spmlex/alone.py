"""Run a script of this folder in a process of its own, and read what it prints."""

import json
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def run_alone(script, config):
    """Return what a script prints as JSON; compiled code is kept between runs."""
    folder = config.cache.mkdir("jax")
    done = subprocess.run(
        [sys.executable, HERE / script],
        env=os.environ
        | {
            "PYTHONPATH": str(HERE.parents[1]),
            "JAX_COMPILATION_CACHE_DIR": str(folder),
        },
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)
