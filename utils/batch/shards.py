"""Shards of a job: how files are cut into shards, what a worker does, and the result on disk.

The result of a shard is a file of JSON Lines, one line for each item that was processed. The name
of the file is a digest of the task and the items, so a result is found again by what it is of,
whatever else the list holds.
"""

from __future__ import annotations

import hashlib
import json
import pickle
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple

from utils.atomic import write_atomically
from utils.messages import UserError
from utils.program import describe_failure

# A worker calls the task once, and calls the function that it returns with the values of each item.
Task = Callable[[], Callable[..., Any]]
Item = tuple[Any, ...]

SHARDS = 64  # wanted at least, so that all workers are busy to the end
MAX_SIZE = 64  # items of a shard on average, which is what an interruption costs a worker
MAX_GROWTH = 4  # times the size, after which a shard ends in any case
MAX_SHARDS = 10_000  # from 640,000 items, shards grow instead
SUBFOLDER_LETTERS = 2  # of a digest; file systems are slow with a million files in one folder

_load_lock = Lock()  # a Dask worker may have several threads


class JobError(UserError, RuntimeError):
    """A job that cannot be run. The message is one sentence for the user."""


class Outcome(NamedTuple):
    """What comes of an item.

    Attributes:
        value: what the task's function returned, read back from JSON; None if it failed.
        problem: what failed, as a sentence, or "". With a problem, the item is processed again by
            the next run that resumes.
    """

    value: Any
    problem: str = ""


class Shard(NamedTuple):
    """Some items that one worker processes.

    Attributes:
        first: position of the first item in the job.
        items: tuples of values; the first value is the file that messages name.
        path: the file of the result.
    """

    first: int
    items: Sequence[Item]
    path: Path


def choose_shard_size(count: int) -> int:
    """Return the number of items that shards are cut for, a power of two.

    It does not depend on the number of workers, and changes only where the number of items doubles.
    """
    size = max(1, min(MAX_SIZE, count // SHARDS), count // MAX_SHARDS)
    return 2 ** (size.bit_length() - 1)


def cut_into_shards(
    key: bytes, items: Sequence[Item], folder: Path, size: int | None = None
) -> list[Shard]:
    """Return the shards of a job.

    A shard begins at an item whose digest is a multiple of the size, or else after ``MAX_GROWTH``
    times the size. So an item that is added or removed changes the shard that it is in, and seldom
    another one. This is content-defined chunking, as in Muthitacharoen et al., "A Low-Bandwidth
    Network File System", SOSP 2001.

    Args:
        key: of the task. Results with another one belong to another job.
        items: all items of the job.
        folder: the folder of the job.
        size: wanted number of items in a shard; by default from ``choose_shard_size``.
    """
    if size is None:
        size = choose_shard_size(len(items))
    starts: list[int] = []
    for position, item in enumerate(items):
        name = str(item[0]).encode("utf-8", "surrogatepass")
        name_digest = hashlib.blake2b(name, digest_size=8).digest()
        is_boundary = int.from_bytes(name_digest, "big") % size == 0
        if not starts or is_boundary or position - starts[-1] >= MAX_GROWTH * size:
            starts.append(position)
    shards = []
    seen: Counter[str] = Counter()
    for start, end in pairwise([*starts, len(items)]):
        part = items[start:end]
        content = key + repr(part).encode("utf-8", "surrogatepass")
        digest = hashlib.sha256(content).hexdigest()
        seen[digest] += 1
        # The same items may be in the list twice, and two workers must not write one file.
        path = folder / digest[:SUBFOLDER_LETTERS] / f"{digest}-{seen[digest]}.jsonl"
        shards.append(Shard(start, part, path))
    return shards


def write_result(shard: Shard, outcomes: Sequence[Outcome]) -> None:
    """Write the outcomes of the items of a shard, whole or not at all.

    Raises:
        JobError: they cannot be written.
    """
    try:
        text = "".join(f"{json.dumps(outcome)}\n" for outcome in outcomes)
    except (TypeError, ValueError) as error:
        raise JobError(
            f"A function of a job returned what JSON cannot hold ({error}): let it return lists, "
            "dicts, texts and numbers."
        ) from error
    try:
        shard.path.parent.mkdir(parents=True, exist_ok=True)
        # A worker of a run that was killed may still write the same file.
        with write_atomically(shard.path, suffix=f".{uuid.uuid4().hex}") as part:
            part.write_text(text, encoding="ascii")
    except OSError as error:
        raise JobError(
            f"{shard.path} cannot be written ({error.strerror}): make room on the disk, or choose "
            "another place."
        ) from error


def list_results(folder: Path) -> Iterator[Path]:
    """Yield the files of the results in the folder of a job."""
    return folder.glob("*/*.jsonl")


def read_result(shard: Shard) -> list[Outcome]:
    """Return the outcomes of a shard: of its first items if the run was stopped, maybe none."""
    try:
        with open(shard.path, encoding="ascii") as file:
            outcomes = [_read_outcome(line) for line in file]
    except (OSError, ValueError):
        return []  # not there, or damaged
    return outcomes if len(outcomes) <= len(shard.items) else []


def _read_outcome(line: str) -> Outcome:
    """Return the outcome in a line of a result.

    Raises:
        ValueError: the line is damaged.
    """
    pair = json.loads(line)
    if not (isinstance(pair, list) and len(pair) == 2 and isinstance(pair[1], str)):
        raise ValueError(f"no outcome: {line}")
    return Outcome(pair[0], pair[1])


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


def process_items(
    task: bytes, items: Sequence[Item], stop_file: Path, kept: Mapping[int, Outcome] | None = None
) -> list[Outcome]:
    """Process items in this process, until a stop file appears. Workers run this.

    Args:
        task: pickled.
        items: to process.
        stop_file: if it exists, the items that are left are not processed.
        kept: outcomes of an earlier run, by the position of the item.

    Returns:
        The outcomes of the items up to the first that was not processed, in their order.
    """
    function = load_task(task)
    outcomes = []
    for position, item in enumerate(items):
        if kept and position in kept:
            outcomes.append(kept[position])
            continue
        if stop_file.exists():
            break
        outcomes.append(_process_item(function, item))
    return outcomes


def _process_item(function: Callable[..., Any], item: Item) -> Outcome:
    """Return the outcome of an item."""
    try:
        answer = function(*item)
    except UserError as error:
        return Outcome(None, str(error))
    except Exception as error:  # one item must not cost the others
        return Outcome(None, describe_failure(item[0], error))
    return answer if isinstance(answer, Outcome) else Outcome(answer)


def process_shard(task: bytes, shard: Shard, stop_file: Path, kept: Mapping[int, Outcome]) -> None:
    """Process a shard in this process and write its result. Workers run this."""
    outcomes = process_items(task, shard.items, stop_file, kept)
    if outcomes:
        write_result(shard, outcomes)
