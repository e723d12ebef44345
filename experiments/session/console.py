"""Where a study's lines go: the terminal, and a log beside its numbers."""

import os
import sys
from pathlib import Path
from typing import Any

from rich.console import Console

from experiments.store.atomic import read_clock, write_errors

LOG = "log.txt"


class StudyConsole(Console):
    """Prints lines as they are, and keeps them once it knows the study's folder.

    Nobody has to listen: a pipe that is closed, by `| head` for one, stops no study.
    """

    def __init__(self):
        super().__init__(highlight=False, markup=False, soft_wrap=True)
        self._log: Path | None = None
        # Go on in silence; what would be printed is in the log.
        self.on_broken_pipe = lambda: silence(sys.stdout.fileno())

    def keep(self, folder: Path, command: str) -> None:
        """Append every line from here on to the log of a study."""
        self._log = folder / LOG
        self._append(command)

    def print(self, *objects: Any, **settings: Any) -> None:
        """Print, and append texts to the log."""
        super().print(*objects, **settings)
        for text in objects:
            if self._log is not None and isinstance(text, str):
                self._append(text)

    def _append(self, text: str) -> None:
        assert self._log is not None
        # Never through a link, which may lead out of the folder.
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
        with write_errors(self._log):
            with open(os.open(self._log, flags, 0o666), "a", encoding="utf-8") as file:
                file.write(f"{read_clock()} {text}\n")


def silence(descriptor: int) -> None:
    """Let what is written to a file go nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)
