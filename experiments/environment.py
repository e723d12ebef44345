"""Settings that have to be in the environment before JAX is imported.

Each is a default: what the user has set stays.
"""

import gc
import hashlib
import os
import platform
import sys
from pathlib import Path

_DEFAULTS = {
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "0",
    # Fewer kernels: less to compile in these programs, and no slower to run.
    "XLA_FLAGS": "--xla_cpu_use_fusion_emitters=false"
    " --xla_disable_hlo_passes=tree_reduction_rewriter",
    # Replications run side by side: factorisations that share the cores as well would
    # wait for each other.
    "OPENBLAS_NUM_THREADS": "1",
    # Loading a cached program logs false alarms about processor features.
    "TF_CPP_MIN_LOG_LEVEL": "3",
}

SETTINGS = ("JAX_COMPILATION_CACHE_DIR", *_DEFAULTS)
"""What `prepare` sets."""


def prepare() -> None:
    """Keep compiled programs between runs, and the compiler's log off the terminal."""
    # Imports and traces make many objects that stay: a fifth of the start was spent
    # on looking for garbage among them.
    gc.set_threshold(100_000)
    caches = _cache_home() / "spmlex"
    folder = caches / f"xla-{_processor_key()}"
    # A worker may inherit the choice that this function made on another machine.
    if Path(os.environ.get("JAX_COMPILATION_CACHE_DIR", "")).parent == caches:
        del os.environ["JAX_COMPILATION_CACHE_DIR"]
    defaults = {"JAX_COMPILATION_CACHE_DIR": str(folder), **_DEFAULTS}
    for name, value in defaults.items():
        os.environ.setdefault(name, value)


def read_peak() -> int:
    """Return the most bytes that this process has held.

    Where Linux tells it, not by `getrusage`: that has what its parent held as well,
    from the moment between the fork and the start of this program.
    """
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return 1024 * int(line.split()[1])
    import resource  # not on Windows, where the rest of this module is needed

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak * (1 if sys.platform == "darwin" else 1024)


def _cache_home() -> Path:
    """Return the folder where this platform's programs keep caches."""
    if "XDG_CACHE_HOME" in os.environ:
        return Path(os.environ["XDG_CACHE_HOME"])
    if platform.system() == "Windows" and "LOCALAPPDATA" in os.environ:
        return Path(os.environ["LOCALAPPDATA"])
    if platform.system() == "Darwin":
        return Path.home() / "Library" / "Caches"
    return Path.home() / ".cache"


def _processor_key() -> str:
    """Identify the processor: programs compiled for another may not run on it."""
    text = f"{platform.machine()} {platform.processor()}"
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        text += "".join(
            sorted({x for x in lines if x.startswith(("model name", "flags"))})
        )
    except OSError:
        pass
    return hashlib.sha256(text.encode()).hexdigest()[:12]
