"""Call a function with each of many files: in threads, in local processes, or on a cluster."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from utils.batch.job import Job
from utils.batch.shards import Item, Outcome, pickle_task
from utils.batch.threads import map_in_threads
from utils.messages import UserError
from utils.paths import get_version


@dataclass(frozen=True)
class Batch:
    """Local processes or a Dask cluster, for functions with an argument ``batch``.

    After an interruption, call such a function with the same arguments: it goes on where it ended.
    A program that uses local processes needs ``if __name__ == "__main__"``; a notebook does not.

    Attributes:
        folder: keeps the results of a job until it is complete. A cluster must share it, and the
            files.
        workers: number of local processes; None for one a core.
        scheduler: the address of a Dask scheduler, such as ``tcp://10.0.0.1:8786``, instead.
    """

    folder: str | Path
    workers: int | None = None
    scheduler: str | None = None


def map_files(
    function: Callable[..., Any],
    items: Sequence[Item],
    batch: Batch | None = None,
    is_intact: Callable[[Item, Any], bool] | None = None,
) -> Generator[Outcome, None, None]:
    """Call a function with the values of each item, and yield the outcomes in order.

    Use it in ``with closing(...)``: then its job ends with the block, also after an error.

    Args:
        function: raises a ``UserError`` for a file that it cannot process. With a batch it must be
            picklable and return what JSON can hold. Without one, several threads call it at once.
        items: tuples of values. The first value is the file that messages name.
        batch: where to work; None for threads of this process.
        is_intact: whether what an interrupted call wrote for an item is still there, by the item
            and the value of the function. If not, the item is processed again.

    Raises:
        JobError: the workers of the batch cannot be used, or cannot go on.
        Exception: without a batch, any other error of the function.
    """
    if batch is None:
        yield from map_in_threads(partial(_call_here, function), items)
        return
    task = _Task(function)
    # Workers may have another working directory.
    versioned = [(os.path.abspath(file), get_version(file), *values) for file, *values in items]

    def is_still_there(item: Item, value: Any) -> bool:
        file, _, *values = item
        return is_intact is None or is_intact((file, *values), value)

    name = hashlib.sha256(pickle_task(task)).hexdigest()[:12]
    job = Job(
        task,
        versioned,
        Path(batch.folder) / f"job-{name}",
        workers=batch.workers,
        scheduler=batch.scheduler,
        is_resumed=True,
        is_intact=is_still_there,
    )
    with job:
        while (found := job.take()) is not None:
            for _, outcome in found:
                yield outcome
    job.delete()


def _call_here(function: Callable[..., Any], item: Item) -> Outcome:
    """Return the outcome of an item."""
    try:
        return Outcome(function(*item))
    except UserError as error:
        return Outcome(None, str(error))


@dataclass(frozen=True)
class _Task:
    """Calls a function with the file and the values of an item."""

    function: Callable[..., Any]

    def __call__(self) -> Callable[..., Any]:
        return self._call

    def _call(self, file: str, version: tuple[int, int], *values: Any) -> Any:
        """Call the function. The version is part of the item, so that a changed file is new."""
        return self.function(file, *values)
