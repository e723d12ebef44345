"""Settings of every test: float64 (through spmlex) and nothing else global."""

import os

# Most of the tests' time is compilation. Without optimisation programs compile in a
# fifth of the time; they run slower, which matters to those marked slow alone, and give
# the same numbers up to rounding. Before anything is compiled; what is set stays.
QUICK_FLAGS = (
    "--xla_cpu_use_fusion_emitters=false --xla_backend_optimization_level=0"
    " --xla_disable_hlo_passes=tree_reduction_rewriter"
)


def pytest_configure(config):
    """Choose the compiler's flags before the first compilation."""
    if config.option.markexpr != "slow":
        os.environ.setdefault("XLA_FLAGS", QUICK_FLAGS)
    # As in studies: workers whose factorisations share the cores wait for each other.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

    # Modules of the tests that their studies build parts from.
    os.environ["SPMLEX_PACKAGES"] = (
        "study_helpers model_helpers mine broken needy fractions types"
        " test_efficient_estimator"
    )

    import matplotlib as mpl

    mpl.use("Agg")


import jax  # noqa: E402
import pytest  # noqa: E402

import spmlex  # noqa: E402, F401


@pytest.fixture(scope="session", autouse=True)
def _reuse_compiled_programs(request):
    """Keep XLA's programs between runs."""
    folder = request.config.cache.mkdir("jax")
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)


@pytest.fixture(scope="module", autouse=True)
def _forget_programs():
    """Drop compiled programs after each module: thousands exhaust the memory maps."""
    yield
    jax.clear_caches()
