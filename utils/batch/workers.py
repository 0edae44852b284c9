"""Workers of a job: this process, a local process, or a place in a Dask cluster.

Each has ``call``, which runs a function and raises ``WorkerDied`` if the worker died meanwhile, and
``close``. A local process has an executor of its own, so that its death concerns its shard alone.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any, Protocol

from utils.batch.shards import JobError, prepare_task
from utils.paths import digest_code

START_TRIES = 3  # of a worker process, which may be killed while it starts
CONNECT_S = 10  # seconds to wait for the scheduler
POLL_S = 2.0  # seconds between two looks for workers of a cluster
MAX_WITHOUT_WORKER_S = 10.0  # until the job ends; a worker may be starting again
PER_THREAD = 2  # shards sent to a cluster for each of its threads, so that none waits for the next
ADDRESS = re.compile(r"(tcp|tls|ucx|ws|wss)://.+:\d+")
MOST_EXPENDABLE = "1000"  # of processes, when Linux is out of memory


class WorkerDied(Exception):
    """A worker died while it ran a function."""


class Worker(Protocol):
    """Runs functions, one at a time."""

    def call(self, function: Callable[..., Any], *args: Any) -> Any:
        """Return what the function returns.

        Raises:
            WorkerDied: the worker died meanwhile; the next call has a new one.
            JobError: there is no worker any more.
        """

    def close(self) -> None:
        """End the worker."""


class ThisProcess:
    """Runs functions in this process."""

    def call(self, function: Callable[..., Any], *args: Any) -> Any:
        """Return what the function returns."""
        return function(*args)

    def close(self) -> None:
        """Do nothing."""


class LocalProcess:
    """Runs functions in a process that starts at the first call, and anew after it died."""

    def __init__(self, task: bytes) -> None:
        self._task = task
        self._pool: ProcessPoolExecutor | None = None

    def call(self, function: Callable[..., Any], *args: Any) -> Any:
        """Return what the function returns, see ``Worker``."""
        if self._pool is None:
            self._pool = self._start()
        try:
            return self._pool.submit(function, *args).result()
        except BrokenProcessPool as error:
            self.close()
            raise WorkerDied from error

    def close(self) -> None:
        """End the process."""
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None

    def _start(self) -> ProcessPoolExecutor:
        """Return the executor of a new process that has loaded the task."""
        for _ in range(START_TRIES):
            # A fork would copy the threads' locks of the libraries in this process.
            context = multiprocessing.get_context("spawn")
            pool = ProcessPoolExecutor(1, mp_context=context, initializer=_begin_process)
            try:
                pool.submit(prepare_task, self._task).result()
            except BrokenProcessPool:
                pool.shutdown()
            except BaseException:
                pool.shutdown()
                raise
            else:
                return pool
        raise JobError(
            f"A worker process ended {START_TRIES} times while it started: put what a program of "
            'your own does under `if __name__ == "__main__":`, use one worker, or close other '
            "programs if memory is short."
        )


def _begin_process() -> None:
    """Prepare a worker process."""
    for name in ("SIGINT", "SIGHUP"):  # they go to all processes of a terminal; the program acts
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if sys.platform == "linux":  # rather than the program, where memory runs out
        with suppress(OSError):
            Path("/proc/self/oom_score_adj").write_text(MOST_EXPENDABLE)
    import cv2

    cv2.setNumThreads(1)  # there is a process for each core


def _end_with_parent() -> None:
    """End this process when the program is killed; it would wait for work forever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


class Cluster:
    """Runs functions on a Dask cluster. Several threads may call it at once."""

    def __init__(self, address: str) -> None:
        """Connect to a scheduler.

        Raises:
            JobError: the address is none, Dask is not installed, there is no scheduler, or it has
                no workers.
        """
        if not ADDRESS.fullmatch(address):
            raise JobError(
                f"'{address}' is no address of a Dask scheduler: name it as in tcp://10.0.0.1:8786."
            )
        try:
            import distributed
        except ModuleNotFoundError as error:
            raise JobError(
                "A cluster needs Dask: install it with "
                '`pip install --constraint requirements.lock --editable ".[cluster]"`.'
            ) from error
        try:
            self._client = distributed.Client(address, timeout=CONNECT_S, set_as_default=False)
        except (OSError, ValueError) as error:
            raise JobError(
                f"No Dask scheduler answers at {address}: start one with `dask scheduler`, and "
                "name the address that it prints."
            ) from error
        self._address = address
        self._death_error = distributed.KilledWorker
        self._lost_errors = (
            distributed.client.FutureCancelledError,
            distributed.comm.CommClosedError,
        )
        # Its tracebacks about a lost connection; the JobError says it in a sentence.
        logging.getLogger("distributed.client").setLevel(logging.CRITICAL)
        try:
            self._client.wait_for_workers(1, timeout=CONNECT_S)  # they may just be starting again
        except TimeoutError as error:
            self._client.close()
            raise JobError(
                f"The Dask scheduler at {address} has no workers: start some with "
                f"`dask worker {address} --nthreads 1`."
            ) from error
        self.threads = sum(self._client.nthreads().values())
        self._check_versions()

    def _check_versions(self) -> None:
        """Raise a ``JobError`` if a worker has another version of this package."""
        try:
            digests = set(self._client.run(digest_code).values())
        except Exception as error:  # what is missing there, as the worker raises it
            self._client.close()
            raise self._make_version_error(error) from error
        if digests != {digest_code()}:
            self._client.close()
            raise self._make_version_error()

    def _make_version_error(self, error: Exception | None = None) -> JobError:
        """Return the error about a worker that cannot run what this program sends."""
        reason = f" ({type(error).__name__}: {error})" if error else ""
        return JobError(
            f"A worker of the Dask scheduler at {self._address} has another version of this "
            f"project{reason}: give it the same version, and start it again."
        )

    def call(self, function: Callable[..., Any], *args: Any) -> Any:
        """Return what the function returns, see ``Worker``."""
        last_seen_s = time.monotonic()  # when there was a worker
        try:
            future = self._client.submit(function, *args, pure=False)
            while True:
                try:
                    return future.result(timeout=POLL_S)
                except TimeoutError:
                    if self._client.nthreads():
                        last_seen_s = time.monotonic()
                    elif time.monotonic() - last_seen_s > MAX_WITHOUT_WORKER_S:
                        raise JobError(
                            f"The Dask scheduler at {self._address} has no workers any more: start "
                            f"some with `dask worker {self._address} --nthreads 1`."
                        ) from None
        except (ImportError, AttributeError, TypeError) as error:  # of a worker that came later
            raise self._make_version_error(error) from error
        except self._death_error as error:
            raise WorkerDied from error
        except self._lost_errors as error:
            raise JobError(
                f"The connection to the Dask scheduler at {self._address} was lost: start it and "
                "its workers again."
            ) from error

    def close(self) -> None:
        """Do nothing: the other threads still use the connection."""

    def disconnect(self) -> None:
        """Leave the cluster. It goes on without this client."""
        self._client.close()
