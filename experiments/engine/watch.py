"""Ends a process whose blocks stand still: XLA's threads can wait for each other.

XLA hands a batch of matrices that LAPACK works on to the pool of threads that the
program itself runs on, and waits. Where programs that run at the same time fill the
pool, all of them wait, for ever. Such a process uses no processor at all, which the
slowest block does not do; nothing but its end helps, and what is done is in files.
"""

import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable, Generator

import jax

SECONDS_BETWEEN_LOOKS = 10.0

SECONDS_STILL = 300.0
"""How long blocks may use no processor before they count as waiting for ever."""

_SHARE = 0.001
"""Of one core: what uses less stands still."""


class Watch:
    """Looks from time to time whether the blocks of this process use the processor.

    Args:
        end: Called with the names of the blocks that stand still.

    Attributes:
        tell: Prints a line, to where the lines of a study go.
    """

    def __init__(self, end: Callable[[list[str]], None]):
        self.tell: Callable[[str], None] = _print_error
        self._end = end
        self._lock = threading.Lock()
        self._running: dict[int, str] = {}
        self._still = 0.0
        self._thread: threading.Thread | None = None

    @contextlib.contextmanager
    def over(self, name: str) -> Generator[None]:
        """Watch the thread that asks for it, while it runs the block of this name."""
        # The processor rests while an accelerator works.
        if jax.default_backend() != "cpu":
            yield
            return
        this = threading.get_ident()
        with self._lock:
            self._running[this], self._still = name, 0.0
            if self._thread is None:
                self._thread = threading.Thread(target=self._look_on, daemon=True)
                self._thread.start()
        try:
            yield
        finally:
            with self._lock:
                del self._running[this]
                self._still = 0.0

    def look(self, passed: float, used: float) -> None:
        """Take in how many seconds went by, and how many of the processor were used."""
        with self._lock:
            rests = bool(self._running) and used < _SHARE * passed
            # Not all of it: a process that was suspended did not stand still.
            passed = min(passed, 2 * SECONDS_BETWEEN_LOOKS)
            self._still = self._still + passed if rests else 0.0
            names = sorted(self._running.values())
            ends = self._still >= SECONDS_STILL
        if ends:
            self._end(names)

    def _look_on(self) -> None:
        then, before = time.monotonic(), self._read_processor()
        while True:
            time.sleep(SECONDS_BETWEEN_LOOKS)
            now, used = time.monotonic(), self._read_processor()
            self.look(now - then, used - before)
            then, before = now, used

    def _read_processor(self) -> float:
        """Return the processor's seconds, without those of threads that run no block.

        They show a bar, look at files and look on: that goes on while blocks wait.
        """
        used = time.process_time()
        if sys.platform != "linux":
            return used
        for thread in threading.enumerate():
            if thread.native_id and thread.ident not in self._running:
                # The kernel's number for the clock of a thread; by number it is an
                # error and no more if the thread has ended since.
                clock = (~thread.native_id << 3) | 6
                with contextlib.suppress(OSError):
                    used -= time.clock_gettime(clock)
        return used


def _print_error(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def end_process(names: list[str]) -> None:
    """Say which blocks stand still, and end at once: nothing ends a thread."""
    WATCH.tell(
        f"No block uses the processor any more, for {SECONDS_STILL / 60:g} minutes: "
        f"{', '.join(names)}. Programs of XLA that run at the same time wait for each "
        "other. What is done is kept; the same command goes on from there, and "
        "compute.n_workers=1 runs one program at a time."
    )
    os._exit(1)  # block files are written whole or not at all


WATCH = Watch(end_process)
"""Of this process."""
