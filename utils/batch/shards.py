"""Shards of a job: how files are cut into shards, what a worker does, and the result on disk."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple

from utils.atomic import write_atomically
from utils.messages import UserError
from utils.program import describe_shortage

# A worker calls the task once, and calls the function that it returns with the values of each item.
Task = Callable[[], Callable[..., Any]]
Item = tuple[Any, ...]

SHARDS = 64  # wanted at least, so that all workers are busy to the end
MAX_SHARD = 64  # items, which is what an interruption costs a worker
MAX_SHARDS = 10_000  # from 640,000 items, shards grow instead
SHARDS_PER_FOLDER = 1000  # because file systems are slow with a million files in one folder

_load_lock = Lock()  # a Dask worker may have several threads


class JobError(UserError, RuntimeError):
    """A job that cannot be run. The message is one sentence for the user."""


class Outcome(NamedTuple):
    """What comes of an item.

    Attributes:
        value: what the task's function returned, read back from JSON; None if it failed.
        problem: why it failed, as a sentence, or "".
    """

    value: Any
    problem: str = ""


class Shard(NamedTuple):
    """Some items that one worker processes.

    Attributes:
        items: tuples of values; the first value is the file that messages name.
        path: the file of the result.
        digest: of the items and the task. A result with another one belongs to another job.
    """

    items: Sequence[Item]
    path: Path
    digest: str


def choose_shard_size(count: int) -> int:
    """Return the number of items in a shard. It does not depend on the number of workers."""
    return max(1, min(MAX_SHARD, count // SHARDS), count // MAX_SHARDS)


def make_shard(task: bytes, items: Sequence[Item], size: int, number: int, folder: Path) -> Shard:
    """Return one shard of a job.

    Args:
        task: pickled.
        items: all items of the job.
        size: number of items in a shard.
        number: of the shard, from 0.
        folder: the folder of the job.
    """
    part = items[number * size : (number + 1) * size]
    subfolder, name = divmod(number, SHARDS_PER_FOLDER)
    path = folder / f"{subfolder:04}" / f"{name:03}.jsonl"
    text = repr(list(part)).encode("utf-8", "surrogatepass")
    return Shard(part, path, hashlib.sha256(task + text).hexdigest())


def write_result(path: Path, digest: str, outcomes: Sequence[Outcome]) -> None:
    """Write the outcomes of a shard as JSON Lines, whole or not at all.

    The first line has the digest of the shard, and each other line an outcome.

    Raises:
        JobError: it cannot be written.
    """
    lines = [json.dumps({"digest": digest}), *(json.dumps(outcome) for outcome in outcomes), ""]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # The process is in the name, because a worker of a run that was killed may still write.
        with write_atomically(path, suffix=f".{os.getpid()}") as part:
            part.write_text("\n".join(lines), encoding="ascii")
    except OSError as error:
        raise JobError(
            f"{path} cannot be written ({error.strerror}): make room on the disk, or choose "
            "another place."
        ) from error


def is_done(shard: Shard) -> bool:
    """Return whether the result of a shard is there, with all items."""
    return len(read_result(shard)) == len(shard.items)


def read_result(shard: Shard) -> list[Outcome]:
    """Return the outcomes of the items of a shard that were done, maybe none."""
    outcomes = []
    try:
        with open(shard.path, encoding="ascii") as file:
            header = json.loads(file.readline())
            if header["digest"] == shard.digest:
                outcomes = [Outcome(*json.loads(line)) for line in file]
    except (FileNotFoundError, ValueError, LookupError, TypeError):
        return []  # not there, or damaged
    return outcomes


def pickle_task(task: Task) -> bytes:
    """Return a task as bytes for the workers.

    Raises:
        JobError: it cannot be pickled.
    """
    try:
        return pickle.dumps(task)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise JobError(
            f"A part of the work cannot be sent to another process ({error}): use the project's "
            "own detector, and functions of a module."
        ) from error


@lru_cache(maxsize=1)
def _load(task: bytes) -> Callable[..., Any]:
    return pickle.loads(task)()


def load_task(task: bytes) -> Callable[..., Any]:
    """Return the function of a pickled task, which is loaded once in a process."""
    with _load_lock:
        return _load(task)


def prepare_task(task: bytes) -> None:
    """Load a pickled task before its first items come. Workers run this."""
    load_task(task)


def process_items(task: bytes, items: Sequence[Item], stop_file: Path) -> list[Outcome]:
    """Process items in this process, until a stop file appears. Workers run this.

    Args:
        task: pickled.
        items: to process.
        stop_file: if it exists, the items that are left are not processed.

    Returns:
        The outcomes of the items that were processed, in their order.
    """
    function = load_task(task)
    outcomes = []
    for item in items:
        if stop_file.exists():
            break
        try:
            outcome = Outcome(function(*item))
        except UserError as error:
            outcome = Outcome(None, str(error))
        except Exception as error:  # one item must not cost the others
            reason = (
                describe_shortage(error) or f"{type(error).__name__}: {error}. Please report it."
            )
            outcome = Outcome(None, f"{item[0]} cannot be processed: {reason}")
        outcomes.append(outcome)
    return outcomes


def process_shard(task: bytes, shard: Shard, stop_file: Path) -> None:
    """Process a shard in this process and write its result. Workers run this."""
    outcomes = process_items(task, shard.items, stop_file)
    if outcomes:
        write_result(shard.path, shard.digest, outcomes)
