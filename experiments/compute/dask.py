"""Blocks on the workers of a Dask cluster: here, started by Slurm, or at an address.

Workers get the design with every block and send its arrays back; they need no file of
the study. This process writes. A block whose worker dies is given to another one.
"""

import asyncio
import concurrent.futures as cf
import contextlib
import dataclasses
import importlib
import itertools
import logging
import math
import queue
import time
import uuid
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Any

from experiments.compute.local import check_count, count_cores
from experiments.errors import ComputeError, InputError

PRELOAD = "experiments.dask_worker"
SECONDS_TO_CONNECT = 10.0
SECONDS_BETWEEN_RENEWALS = 60.0


@dataclasses.dataclass(frozen=True)
class DaskLocal:
    """Worker processes on this machine, one thread each.

    Attributes:
        n_workers: Number of processes; None for one per core this process may use.
    """

    n_workers: int | None = None

    def __post_init__(self):
        """Refuse a number of workers below one; see that Dask is there."""
        check_count("n_workers", self.n_workers)
        _import("distributed")

    def count_workers(self) -> int:
        """Return the number of processes."""
        return self.n_workers or count_cores()

    def count_threads(self) -> int:
        """Return 1: every process has one thread."""
        return 1

    @contextlib.contextmanager
    def start(self) -> Generator["DaskWorkers"]:
        """Start the processes."""
        distributed = _import("distributed")
        with (
            distributed.LocalCluster(
                n_workers=self.count_workers(),
                threads_per_worker=1,
                dashboard_address="127.0.0.1:0",  # nobody else's, any free port
                silence_logs=logging.CRITICAL,
                preload=PRELOAD,
            ) as cluster,
            distributed.Client(cluster, set_as_default=False) as client,
        ):
            yield DaskWorkers(client)


@dataclasses.dataclass(frozen=True)
class DaskSlurm:
    """Worker processes started by Slurm, one a job, each with a thread for every core.

    None leaves a setting to Dask's own configuration, `jobqueue.yaml`.

    Attributes:
        n_workers: Number of blocks at the same time: cores of all jobs together.
        cores: Cores of a job.
        memory: Memory of a job, such as "4 GB".
        walltime: Time limit of a job, such as "04:00:00"; a job that ends is replaced.
        partition: Slurm's partition.
        account: Slurm's account.
        directives: Further options of sbatch, such as "--exclude=node7".
        prologue: Shell commands before a worker starts, such as "module load python".
        interface: Network interface between workers and this process, such as "ib0".
        log_directory: Where Slurm writes what the workers print.
    """

    n_workers: int
    cores: int
    memory: str
    walltime: str | None = None
    partition: str | None = None
    account: str | None = None
    directives: list[str] = dataclasses.field(default_factory=list)
    prologue: list[str] = dataclasses.field(default_factory=list)
    interface: str | None = None
    log_directory: str | None = None

    def __post_init__(self):
        """Refuse numbers below one; see that Dask is there."""
        check_count("n_workers", self.n_workers)
        check_count("cores", self.cores)
        _import("dask_jobqueue")

    def count_workers(self) -> int:
        """Return the number of cores of all jobs."""
        return self.n_workers

    def count_threads(self) -> int:
        """Return the number of cores of a job."""
        return self.cores

    @contextlib.contextmanager
    def start(self) -> Generator["DaskWorkers"]:
        """Submit the jobs; blocks run as soon as the first has started."""
        distributed = _import("distributed")
        n_jobs = math.ceil(self.n_workers / self.cores)
        with (
            _import("dask_jobqueue").SLURMCluster(
                cores=self.cores,
                processes=1,  # whose threads share the programs compiled
                memory=self.memory,
                walltime=self.walltime,
                queue=self.partition,
                account=self.account,
                job_extra_directives=self.directives or None,
                job_script_prologue=self.prologue or None,
                interface=self.interface,
                log_directory=self.log_directory,
                worker_extra_args=["--preload", PRELOAD],
                scheduler_options={"dashboard_address": "127.0.0.1:0"},
                silence_logs=logging.CRITICAL,
            ) as cluster,
            distributed.Client(cluster, set_as_default=False) as client,
        ):
            # Again from time to time: a job that has run and ended is replaced.
            yield DaskWorkers(client, lambda: cluster.scale(jobs=n_jobs))


@dataclasses.dataclass(frozen=True)
class DaskAddress:
    """Workers of a Dask cluster that runs already.

    They need this code and its packages, and are best started with
    `dask worker ADDRESS --preload experiments.dask_worker`.

    Attributes:
        address: Address of its scheduler, such as "tcp://node1:8786".
        n_workers: Its number of threads, only to foresee how long a study takes.
        tls_ca_file: Of a scheduler at tls://...: the authority's certificate.
        tls_cert: This process's certificate; that of the workers does.
        tls_key: Its key. Without these Dask's own configuration decides.
    """

    address: str
    n_workers: int | None = None
    tls_ca_file: str | None = None
    tls_cert: str | None = None
    tls_key: str | None = None

    def __post_init__(self):
        """Refuse a number of workers below one; see that Dask is there."""
        check_count("n_workers", self.n_workers)
        _import("distributed")
        tls = (self.tls_ca_file, self.tls_cert, self.tls_key)
        if any(tls) and not (all(tls) and self.address.startswith("tls://")):
            raise ValueError(
                "for an encrypted connection give tls_ca_file, tls_cert and tls_key, "
                "and an address that begins with tls://."
            )

    def count_workers(self) -> int:
        """Return the number of threads, 1 if not given."""
        return self.n_workers or 1

    def count_threads(self) -> int:
        """Return 1: how many threads a worker has is not known here."""
        return 1

    @contextlib.contextmanager
    def start(self) -> Generator["DaskWorkers"]:
        """Connect to the scheduler."""
        distributed = _import("distributed")
        security = None
        if self.tls_ca_file:
            security = distributed.Security(
                tls_ca_file=self.tls_ca_file,
                tls_client_cert=self.tls_cert,
                tls_client_key=self.tls_key,
                require_encryption=True,
            )
        try:
            client = distributed.Client(
                self.address,
                set_as_default=False,
                timeout=SECONDS_TO_CONNECT,
                security=security,
            )
        except (OSError, TimeoutError, ValueError) as error:
            raise InputError(
                f"compute.address={self.address}: no Dask scheduler answers there. "
                "Start one with `dask scheduler`; it prints its address."
            ) from error
        with client:
            yield DaskWorkers(client)


class DaskWorkers:
    """The workers of a Dask cluster.

    Args:
        client: Connected to the cluster.
        renew: Asks for the workers that are missing.
    """

    def __init__(self, client: Any, renew: Callable[[], None] = lambda: None):
        self._client = client
        self._renew = renew

    def map[T, R](
        self,
        function: Callable[[T], R],
        tasks: Iterable[T],
        should_stop: Callable[[], bool],
    ) -> Iterator[tuple[T, R | Exception]]:
        """Apply a function to tasks on the cluster, as `Workers.map` says."""
        todo, running = iter(tasks), {}
        done: queue.SimpleQueue[Any] = queue.SimpleQueue()
        renewed = -math.inf
        while True:
            if time.monotonic() - renewed > SECONDS_BETWEEN_RENEWALS:
                self._renew()
                renewed = time.monotonic()
            with _lost_scheduler():
                free = 0 if should_stop() else self._count_places() - len(running)
            for task in itertools.islice(todo, max(free, 0)):
                key = f"block-{uuid.uuid4().hex}"
                future = self._client.submit(function, task, key=key, pure=False)
                running[future] = task
                future.add_done_callback(done.put)
            if should_stop():
                with _lost_scheduler():
                    self._cancel_waiting(running)
            if not running:
                return
            for future in _take_all(done):
                if future in running:  # else cancelled
                    yield running.pop(future), _result_of(future)

    def _count_places(self) -> int:
        """Return how many tasks to hand out: a few wait, so that no worker does."""
        n_threads = sum(self._client.nthreads().values())
        return n_threads + n_threads // 4 + 1

    def _cancel_waiting(self, running: dict[Any, Any]) -> None:
        """Take back the tasks that no worker has begun.

        One that begins in that moment is taken back too: it has to be run again.
        """
        stacks = self._client.call_stack(list(running)) if running else {}
        begun = {key for stack in stacks.values() for key in stack}
        waiting = [future for future in running if future.key not in begun]
        waiting = [future for future in waiting if not future.done()]
        self._client.cancel(waiting)
        for future in waiting:
            del running[future]


def _take_all(done: "queue.SimpleQueue[Any]") -> Iterator[Any]:
    """Take what is in a queue, after waiting half a second for the first."""
    with contextlib.suppress(queue.Empty):
        yield done.get(timeout=0.5)  # not for ever: someone may ask to stop
        while True:
            yield done.get_nowait()


def _result_of(future: Any) -> Any:
    with _lost_scheduler():
        return future.exception() if future.status == "error" else future.result()


@contextlib.contextmanager
def _lost_scheduler() -> Generator[None]:
    try:
        yield
    except (OSError, asyncio.CancelledError, cf.CancelledError) as error:
        raise ComputeError(
            "The Dask scheduler can't be reached any more. What is done is kept; the "
            "same command goes on from there."
        ) from error


def _import(package: str) -> Any:
    try:
        return importlib.import_module(package)
    except ModuleNotFoundError as error:
        raise ValueError(
            f"this needs the package {error.name}, of the extra dask: "
            "`uv sync --extra dask` or `pip install -e .[dask]`."
        ) from error
