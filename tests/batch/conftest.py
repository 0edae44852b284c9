"""Shared by the tests of jobs: files with a number each, and a Dask cluster on this machine."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from utils.batch import Job
from utils.paths import ROOT

PATIENCE_S = 60


@pytest.fixture
def make_items(tmp_path: Path) -> Callable[[int], list[tuple[str]]]:
    """Return a function that writes files, each with its number, and returns the items of a job."""

    def make(count: int) -> list[tuple[str]]:
        folder = tmp_path / "numbers"
        folder.mkdir(exist_ok=True)
        items = []
        for number in range(count):
            file = folder / f"{number:04}.txt"
            file.write_text(str(number))
            items.append((str(file),))
        return items

    return make


def take_all(job: Job) -> dict[int, object]:
    """Return the value of each item that was done, or its problem, by its position."""
    answers = {}
    with job:
        while (found := job.take()) is not None:
            for position, outcome in found:
                assert position not in answers, "An item came twice."
                answers[position] = outcome.problem or outcome.value
    return answers


@contextmanager
def start_cluster(folder: Path, project: Path = ROOT) -> Iterator[str]:
    """Yield the address of a Dask scheduler with two workers, each a process of its own.

    Args:
        folder: for the files of the cluster.
        project: the folder that the workers have this project in.
    """
    folder.mkdir(exist_ok=True)
    address_file = folder / "scheduler.json"
    dask = [sys.executable, "-m", "dask"]
    quiet = {"cwd": project, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    place = ["--scheduler-file", str(address_file), "--host", "127.0.0.1", "--no-dashboard"]
    processes = [subprocess.Popen([*dask, "scheduler", *place, "--port", "0"], **quiet)]
    try:
        deadline = time.monotonic() + PATIENCE_S
        while not address_file.exists():
            assert time.monotonic() < deadline, "The scheduler does not start."
            time.sleep(0.1)
        worker = ["worker", *place, "--nthreads", "1", "--local-directory", str(folder)]
        for _ in range(2):
            processes.append(subprocess.Popen([*dask, *worker], **quiet))
        import distributed

        with distributed.Client(scheduler_file=str(address_file), set_as_default=False) as client:
            client.wait_for_workers(2, timeout=PATIENCE_S)
            address = client.scheduler.address
        yield address
    finally:
        for process in reversed(processes):
            # A worker is a child of the process that watches over it and starts it anew.
            children = psutil.Process(process.pid).children(recursive=True)
            process.kill()
            for child in children:
                with suppress(psutil.NoSuchProcess):
                    child.kill()
            process.wait(PATIENCE_S)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a Dask scheduler with two workers."""
    pytest.importorskip("distributed", reason="no Dask: install the extra cluster")
    with start_cluster(tmp_path_factory.mktemp("cluster")) as address:
        yield address
