"""Ctrl-C at once: compiled code runs beside the main thread, which only waits.

Python tells its main thread of Ctrl-C between two lines of Python. A program of XLA is
one such line, and so is its compilation: a minute may pass. So both are left to another
thread. Where the user interrupts, the call ends at once; what XLA has begun goes on to
its end unheard, or until the process ends.
"""

import contextlib
import contextvars
import threading
from collections.abc import Callable
from typing import Any

import jax


def _setting(name: str) -> Any:
    """Return a setting of JAX as it holds in this thread."""
    return getattr(jax.config, name)


def run_interruptibly[**P, R](
    function: Callable[P, R], *args: P.args, **kwargs: P.kwargs
) -> R:
    """Return what a function returns, its arrays computed, unless interrupted.

    Settings of JAX that hold in a `with` block hold for one thread: the device is taken
    along, and without `jit` the function runs where it is called.

    Raises:
        KeyboardInterrupt: At once, where the user asks for it.
    """
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or _setting("jax_disable_jit"):
        return jax.block_until_ready(function(*args, **kwargs))
    device = _setting("jax_default_device")
    here = contextlib.nullcontext() if device is None else jax.default_device(device)
    context = contextvars.copy_context()
    ended: dict[str, Any] = {}

    def work() -> None:
        try:
            with here:
                found = context.run(function, *args, **kwargs)
                ended["value"] = jax.block_until_ready(found)
        except BaseException as error:  # raised below, in the thread that called
            ended["error"] = error

    thread = threading.Thread(target=work, daemon=True, name="spmlex")
    thread.start()
    thread.join()
    if "error" in ended:
        raise ended["error"]
    return ended["value"]
