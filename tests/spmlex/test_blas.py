"""Factorisations run on one thread in a call, and as before after it."""

import threading

import pytest
from threadpoolctl import ThreadpoolController

from spmlex._programs import blas
from spmlex._programs.interrupt import run_interruptibly


def count_threads():
    """Return the threads of the BLAS that JAX uses; the one in NumPy is another."""
    blas._find_blas()
    found = ThreadpoolController().select(user_api="blas").info()
    return max(library["num_threads"] for library in found)


@pytest.fixture
def two_threads():
    """Two threads, whatever the tests were started with."""
    with blas._find_blas().limit(limits=2):
        if count_threads() != 2:
            pytest.skip("This BLAS has one thread only.")
        yield


def test_the_one_that_jax_uses_is_found():
    paths = [library["filepath"] for library in blas._find_blas().info()]
    assert any("scipy" in path for path in paths)


def test_a_call_has_one_thread_and_restores_the_others(two_threads):
    assert run_interruptibly(count_threads) == 1
    assert count_threads() == 2
    with pytest.raises(ZeroDivisionError):
        run_interruptibly(lambda: 1 / 0)
    assert count_threads() == 2


def test_calls_of_two_threads_leave_what_was_set():
    limits = blas._find_blas().limit(limits=2)
    try:
        # As after a start of the process: no thread has set anything yet.
        for library in blas._find_blas().lib_controllers:
            getattr(library, "clear_controlling_thread", lambda force: None)(force=True)
        found = count_threads()
        inside, go_on = threading.Event(), threading.Event()

        def wait():
            inside.set()
            go_on.wait(10.0)

        def call():
            run_interruptibly(wait)

        thread = threading.Thread(target=call)

        def start():
            thread.start()
            inside.wait(10.0)

        run_interruptibly(start)
        go_on.set()
        thread.join()
        assert count_threads() == found
    finally:
        limits.restore_original_limits()
