"""Where blocks run: the threads of this process, or see `experiments.compute.dask`."""

import concurrent.futures as cf
import contextlib
import dataclasses
import itertools
import os
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, runtime_checkable


@runtime_checkable
class Workers(Protocol):
    """Workers that are up."""

    def map[T, R](
        self,
        function: Callable[[T], R],
        tasks: Iterable[T],
        should_stop: Callable[[], bool],
    ) -> Iterator[tuple[T, R | Exception]]:
        """Apply a function to tasks; yield each with its result as it gets done.

        Args:
            function: Called by a worker; must not raise.
            tasks: Taken one by one, a few ahead of the workers.
            should_stop: Asked before every new task; once true, what runs is
                finished and yielded, and nothing else is started.

        Yields:
            A task, and its result or why the worker that had it was lost.
        """
        ...


@runtime_checkable
class Compute(Protocol):
    """A place where blocks can run."""

    def count_workers(self) -> int:
        """Return how many blocks run at the same time."""
        ...

    def count_threads(self) -> int:
        """Return how many of them run in the same process."""
        ...

    def start(self) -> contextlib.AbstractContextManager[Workers]:
        """Start the workers; they are ended on leaving the context."""
        ...


@dataclasses.dataclass(frozen=True)
class Local:
    """Threads of this process; they work at the same time inside compiled functions.

    Attributes:
        n_workers: Number of threads; None for one per core this process may use.
    """

    n_workers: int | None = None

    def __post_init__(self):
        """Refuse a number of workers below one."""
        check_count("n_workers", self.n_workers)

    def count_workers(self) -> int:
        """Return the number of threads."""
        return self.n_workers or count_cores()

    def count_threads(self) -> int:
        """Return the number of threads."""
        return self.count_workers()

    def start(self) -> contextlib.AbstractContextManager["Local"]:
        """Start nothing: threads start with the tasks."""
        return contextlib.nullcontext(self)

    def map[T, R](
        self,
        function: Callable[[T], R],
        tasks: Iterable[T],
        should_stop: Callable[[], bool],
    ) -> Iterator[tuple[T, R | Exception]]:
        """Apply a function to tasks in threads, as `Workers.map` says."""
        n_workers = self.count_workers()
        todo, running = iter(tasks), {}
        with cf.ThreadPoolExecutor(n_workers) as pool:
            while True:
                # One task waits beside those that run, so that no worker does.
                free = 0 if should_stop() else n_workers + 1 - len(running)
                for task in itertools.islice(todo, free):
                    running[pool.submit(function, task)] = task
                if should_stop():
                    for future in [f for f in running if f.cancel()]:
                        del running[future]
                if not running:
                    return
                # Not for ever: someone may ask to stop while all blocks are long.
                done, _ = cf.wait(running, timeout=0.5, return_when=cf.FIRST_COMPLETED)
                for future in done:
                    yield running.pop(future), future.result()


def check_count(name: str, count: int | None) -> None:
    """Refuse a number of workers, jobs or cores below one; None is for the default."""
    if count is not None and (type(count) is not int or count < 1):
        raise ValueError(
            f"{name}={count}: give 1 or more, a whole number, or null for all cores."
        )


def count_cores() -> int:
    """Return the number of cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
