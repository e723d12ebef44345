"""What a result depends on besides its design: code, packages, flags, machine, time."""

import functools
import importlib.metadata
import math
import os
import platform
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax

import spmlex

PACKAGES = ("jax", "jaxlib", "numpy", "equinox", "mixsqpx", "hydra-core", "xarray")
INSTRUCTIONS = ("sve", "asimd", "avx512f", "avx2", "fma", "avx", "sse4_2")

CODE = (".py", ".yaml", ".toml", ".lock")
"""Endings of files that numbers may depend on."""

REPOSITORY = Path(__file__).resolve().parents[1]


@functools.cache
def describe_code() -> dict[str, Any]:
    """Return version and commit of the code, and whether files differ from it.

    Code that git does not know counts; results that are kept under git don't: a study
    writes them anew.
    """
    status = _git(
        "status", "--porcelain", "--untracked-files=all", "--", ":(top,exclude)results"
    )
    changes = [
        line
        for line in status.splitlines()
        if not line.startswith("??") or line.strip('"').endswith(CODE)
    ]
    return {
        "spmlex_version": spmlex.__version__,
        "git_commit": _git("rev-parse", "HEAD") or "unknown",
        "git_dirty": int(bool(changes)),
    }


@functools.cache
def describe_software() -> dict[str, str]:
    """Return the versions of Python and of the packages that numbers depend on."""
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        versions[package] = importlib.metadata.version(package)
    return versions


def name_code(attrs: Mapping[str, Any]) -> str:
    """Name the code that attributes such as those of `describe_code` tell of."""
    return attrs["git_commit"] + "+changes" * attrs["git_dirty"]


@functools.cache
def describe_instructions() -> str:
    """Return the vector instructions of the processor, the widest that it has.

    Compilers use them, and sum in another order with wider ones: a machine that has
    others may draw other bits.
    """
    try:
        words = set(Path("/proc/cpuinfo").read_text().split())
    except OSError:
        words = set()
    found = [x for x in INSTRUCTIONS if words & {x, x.replace("asimd", "neon")}]
    return f"{platform.machine()} {' '.join(found)}".strip()


@functools.cache
def describe_machine() -> str:
    """Return processor, cores and operating system on one line."""
    system = f"{platform.system()} {platform.machine()}"
    return f"{_processor()}, {os.cpu_count()} cores, {system}"


def describe_jax() -> dict[str, Any]:
    """Return the flags of JAX that could change a number."""
    return {
        "backend": jax.default_backend(),
        "enable_x64": bool(jax.config.read("jax_enable_x64")),
        "random_bits": "threefry2x32, partitionable",
        "xla_flags": os.environ.get("XLA_FLAGS", ""),
    }


def read_peak_memory() -> float:
    """Return the most bytes that this process held so far; NaN if not known."""
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return float(line.split()[1]) * 1024
    except OSError:
        pass
    try:
        import resource
    except ImportError:  # Windows
        return math.nan
    # In bytes on macOS, where there is no /proc.
    return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or "unknown processor"


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(
            ["git", *arguments],
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()
