"""Claims: how processes that work on one study at once share out its blocks.

A claim is a file beside the block's, created only if there is none, and removed once
the block is written. Without it two processes would run the same blocks side by side;
as a block's numbers depend on its address only, that costs time but no correctness. So
nothing here has to be perfect, on a network file system for example: the study is right
with any number of claims lost.
"""

import contextlib
import os
import platform
import re
import threading
import time
import uuid
from pathlib import Path

from experiments.store.atomic import write_errors
from experiments.store.blocks import Store
from experiments.study import Block

SECONDS_BETWEEN_RENEWALS = 10.0
SECONDS_OF_SILENCE = 90.0
"""A claim that nobody renews while we look at it for so long is abandoned."""

MOST_BYTES = 1000  # of a claim that one of us wrote


class Claims:
    """The blocks that this process has claimed; a context manager.

    A claim counts as abandoned when its holder was a process of this machine that is
    gone, or when its time hasn't changed for `SECONDS_OF_SILENCE` by our own clock: the
    clocks of two machines are never compared.

    Args:
        files: The study's folder.
    """

    def __init__(self, files: Store):
        self._files = files
        self._me = f"{platform.node()} {os.getpid()} {uuid.uuid4().hex}"
        self._held: set[Path] = set()
        self._seen: dict[Path, tuple[int, float]] = {}
        self._ended = threading.Event()
        self._renewing = threading.Thread(target=self._renew, daemon=True)

    def __enter__(self) -> "Claims":
        """Remove the claims of blocks that are done; begin to renew our own."""
        for path in self._files.blocks.glob("*/*.claim"):
            if path.with_suffix(".nc").exists():
                _remove(path)
        self._renewing.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Give up all claims."""
        self._ended.set()
        self._renewing.join()
        for path in self._held:
            _remove(path)

    def take(self, block: Block) -> bool:
        """Claim a block; return whether it is ours now.

        Raises:
            StoreError: The folder can't be written to.
        """
        path = self._path(block)
        if not self._create(path):
            if not self._is_abandoned(path):
                return False
            _remove(path)
            # What can't be removed, such as a folder, is no claim.
            return self._create(path) or path.is_dir()
        return True

    def release(self, block: Block) -> None:
        """Give up the claim of a block that is written or of no use any more."""
        path = self._path(block)
        self._held.discard(path)
        _remove(path)

    def _path(self, block: Block) -> Path:
        return self._files.path(block).with_suffix(".claim")

    def _create(self, path: Path) -> bool:
        with write_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                with path.open("x") as file:
                    # First: one that a full disk leaves empty is given up too.
                    self._held.add(path)
                    file.write(self._me)
            except FileExistsError:
                return False
        return True

    def _is_abandoned(self, path: Path) -> bool:
        try:
            holder = path.read_bytes()[:MOST_BYTES].decode(errors="replace")
            stamp = path.stat().st_mtime_ns
        except FileNotFoundError:
            return True  # given up this moment
        except IsADirectoryError:
            return True
        except OSError:
            return False
        if self._is_dead(holder):
            return True
        now = time.monotonic()
        seen, since = self._seen.setdefault(path, (stamp, now))
        if seen != stamp:
            self._seen[path] = stamp, now
            return False
        return now - since > SECONDS_OF_SILENCE

    def _is_dead(self, holder: str) -> bool:
        """Return whether a claim was made by a process of this machine that is gone."""
        words = holder.split()
        # On Windows `os.kill` is no question: 0 is Ctrl-C there.
        if len(words) != 3 or words[0] != platform.node() or os.name != "posix":
            return False  # another machine's, or being written, or no claim of ours
        # `os.kill` takes 0 for our own group, and raises on what is no C integer.
        if not re.fullmatch("[1-9][0-9]{0,8}", words[1]):
            return False
        pid = int(words[1])
        if pid == os.getpid():  # our number, but not us
            return holder != self._me
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            # It is there, and another user's.
            pass
        return False

    def _renew(self) -> None:
        while not self._ended.wait(SECONDS_BETWEEN_RENEWALS):
            # A copy: the main thread claims and releases meanwhile.
            for path in list(self._held):
                with contextlib.suppress(OSError):
                    os.utime(path)


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)
