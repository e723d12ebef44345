"""Loaded by every Dask worker before its first block: `dask worker --preload ...`."""

import signal
import threading

from experiments.environment import prepare

prepare()
# Ctrl-C reaches all processes of a terminal; the one that hands out blocks ends them.
if threading.current_thread() is threading.main_thread():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
