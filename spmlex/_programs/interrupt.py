"""Ctrl-C at once: compiled code runs beside the main thread, which only waits.

Python tells its main thread of Ctrl-C between two lines of Python. A program of XLA is
one such line, and so is its compilation: a minute may pass. So both are left to another
thread. Where the user interrupts, the call ends at once; what XLA has begun goes on to
its end unheard, or until the process ends.
"""

import contextvars
import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Any

import jax

from spmlex._programs.blas import on_one_thread

_SETTINGS: Mapping[str, Callable[[Any], Any]] = {
    "jax_default_device": jax.default_device,
    "jax_default_matmul_precision": jax.default_matmul_precision,
    "jax_debug_nans": jax.debug_nans,
    "jax_debug_infs": jax.debug_infs,
    "jax_log_compiles": jax.log_compiles,
    "jax_check_tracer_leaks": jax.check_tracer_leaks,
    "jax_numpy_dtype_promotion": jax.numpy_dtype_promotion,
    "jax_numpy_rank_promotion": jax.numpy_rank_promotion,
}
"""What a user may have set in a `with` block, which holds for one thread alone."""


def read_setting(name: str) -> Any:
    """Return a setting of JAX as it holds in this thread."""
    return getattr(jax.config, name)


def run_interruptibly[**P, R](
    function: Callable[P, R], *args: P.args, **kwargs: P.kwargs
) -> R:
    """Return what a function returns, its arrays computed, unless interrupted.

    Settings of JAX that hold in a `with` block hold for one thread, and those in
    `_SETTINGS` are taken along; meshes and transfer guards are not. Without `jit` the
    function runs where it is called.

    Raises:
        KeyboardInterrupt: At once, where the user asks for it.
    """
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or read_setting("jax_disable_jit"):
        return jax.block_until_ready(function(*args, **kwargs))
    with on_one_thread():
        return run_beside(function, *args, **kwargs)()


def run_beside[**P, R](
    function: Callable[P, R], *args: P.args, **kwargs: P.kwargs
) -> Callable[[], R]:
    """Run a function in a thread; return what waits for it and returns its result.

    With the settings of JAX that hold here. What the function raises is raised there.
    """
    wanted = {name: read_setting(name) for name in _SETTINGS}
    context = contextvars.copy_context()
    ended: dict[str, Any] = {}

    def work() -> None:
        try:
            with ExitStack() as stack:
                # Only where they differ: a setting is part of what a program is
                # looked up by, and one that is set again is another program.
                for name, value in wanted.items():
                    if read_setting(name) != value:
                        stack.enter_context(_SETTINGS[name](value))
                found = context.run(function, *args, **kwargs)
                ended["value"] = jax.block_until_ready(found)
        except BaseException as error:  # raised below, in the thread that called
            ended["error"] = error

    # A daemon: a process that was interrupted can end while XLA still works.
    thread = threading.Thread(target=work, daemon=True, name="spmlex")
    thread.start()

    def wait() -> R:
        thread.join()
        if "error" in ended:
            raise ended["error"]
        return ended["value"]

    return wait
