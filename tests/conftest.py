"""Settings of every test: float64 (through spmlex) and nothing else global."""

import jax
import matplotlib as mpl
import pytest

import spmlex  # noqa: F401

mpl.use("Agg")


@pytest.fixture(scope="session", autouse=True)
def _reuse_compiled_programs(request):
    """Keep XLA's programs between runs: most of the tests' time is compilation."""
    folder = request.config.cache.mkdir("jax")
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)


@pytest.fixture(scope="module", autouse=True)
def _forget_programs():
    """Drop compiled programs after each module: thousands exhaust the memory maps."""
    yield
    jax.clear_caches()
