"""A job: all shards of a list of files, given to workers, and their outcomes in order."""

from __future__ import annotations

import queue
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from filelock import FileLock, Timeout

from utils.batch.shards import (
    SUBFOLDER_LETTERS,
    Item,
    JobError,
    Outcome,
    Shard,
    Task,
    choose_shard_size,
    cut_into_shards,
    list_results,
    pickle_task,
    process_items,
    process_shard,
    read_result,
    write_result,
)
from utils.batch.workers import (
    PER_THREAD,
    Cluster,
    LocalProcess,
    ThisProcess,
    Worker,
    WorkerDied,
)
from utils.paths import digest_code
from utils.program import count_cores

LOCK_NAME = ".lock"  # of the file in a job's folder that one program locks
STOP_NAME = "stop"  # of the file in a job's folder that stops its workers
POLL_S = 0.5  # Windows does not interrupt a wait without a limit
MAX_DEATHS = 2  # of workers at one item alone, before the item is left out


class Job:
    """A function applied to each of many files, in shards.

    Use it in a ``with`` block, and call ``take`` until it returns None::

        with Job(task, [(file,) for file in files], folder) as job:
            while (found := job.take()) is not None:
                for position, outcome in found:
                    ...

    Attributes:
        resumed: number of items whose outcomes an earlier run left.
        results_found: number of results of earlier runs that were in the folder at the start.
        results_fit: how many of them are of shards of this job.
    """

    def __init__(
        self,
        task: Task,
        items: Sequence[Item],
        folder: str | Path,
        *,
        workers: int | None = None,
        scheduler: str | None = None,
        key: Task | None = None,
        is_resumed: bool = False,
        is_intact: Callable[[Item, Any], bool] | None = None,
    ) -> None:
        """Begin to work.

        Args:
            task: a picklable function, such as a frozen dataclass with ``__call__``. A worker calls
                it once. It returns the function to call with the values of each item, which returns
                what JSON can hold, or an ``Outcome`` where a part failed. It raises a ``UserError``
                for a file that it cannot process.
            items: tuples of picklable values. The first value is the file that messages name.
            folder: the folder of the results, for this job alone. Cluster and client must share it.
            workers: number of local processes; 1 for this process, None for one a core.
            scheduler: the address of a Dask scheduler, such as ``tcp://10.0.0.1:8786``, instead.
            key: what the results depend on beside the items and this package; by default the task.
            is_resumed: whether to keep what an earlier run left. Items that failed, changed or are
                new are processed.
            is_intact: whether what an earlier run wrote for an item is still there, by the item
                and its value. If not, the item is processed again.

        Raises:
            JobError: the cluster or the folder cannot be used, the task cannot be pickled, or
                another program uses the folder.
        """
        self.resumed = 0
        self.results_found = 0
        self._task = pickle_task(task)
        self._folder = Path(folder).resolve()
        self._stop_file = self._folder / STOP_NAME
        self._is_resumed = is_resumed
        self._is_intact = is_intact
        self._next = 0  # the shard that ``take`` returns next
        self._ended: set[int] = set()  # shards after it that have a result
        self._begun = 0  # number of shards that were given to workers
        self._lock = threading.Lock()
        # Items that may end their worker are tried one at a time. A Dask scheduler holds the death
        # of a worker against all tasks that the worker had been given.
        self._trial = threading.Lock()
        self._is_stopped = threading.Event()
        self._news: queue.SimpleQueue[int | BaseException] = queue.SimpleQueue()

        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise self._make_folder_error(error) from error
        self._folder_lock = self._hold_folder()
        try:
            self._stop_file.unlink(missing_ok=True)
            found = {path.name for path in list_results(self._folder)}
            self.results_found = len(found)
            pickled_key = self._task if key is None else pickle_task(key)
            code = digest_code().encode()
            self._shards, self.results_fit = self._cut(pickled_key + code, items, found)
            self._taken = [0] * len(self._shards)  # outcomes that ``take`` returned
            self._cluster = Cluster(scheduler) if scheduler is not None else None
        except BaseException as error:
            # A notebook keeps the error, and with it this job and its lock.
            if self.results_found:
                self._folder_lock.release()
            else:
                self.delete()
            if isinstance(error, OSError):
                raise self._make_folder_error(error) from error
            raise
        self._threads = [
            threading.Thread(target=self._serve, args=(worker,), daemon=True)
            for worker in self._make_workers(workers)
        ]
        for thread in self._threads:
            thread.start()

    def __enter__(self) -> Job:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop and wait for the workers. After an error, another job may use the folder."""
        self.stop()
        for thread in self._threads:
            thread.join()
        if self._cluster is not None:
            self._cluster.disconnect()
        if kind is not None:
            self._folder_lock.release()

    def take(self) -> list[tuple[int, Outcome]] | None:
        """Wait for the next shard and return its outcomes, each with the position of its item.

        None follows the last shard.

        After ``stop``, the shards that were begun are returned with the items that were done.
        ``KeyboardInterrupt`` loses nothing: call again.

        Raises:
            JobError: the workers cannot go on. What they did stays for another run.
            Exception: the task could not be loaded.
        """
        while self._next < len(self._shards):
            has_ended = not any(thread.is_alive() for thread in self._threads)
            try:
                # The end is looked up first, so that no news can come after an empty queue.
                news = self._news.get(block=not has_ended, timeout=POLL_S)
            except queue.Empty:
                news = None
            if isinstance(news, BaseException):
                self.stop()
                raise news
            if news is not None:
                self._ended.add(news)
            if self._next in self._ended or has_ended:
                shard = self._shards[self._next]
                outcomes = self._read(self._next)
                if len(outcomes) < len(shard.items) and not self._is_stopped.is_set():
                    raise self._make_missing_error()
                self._ended.discard(self._next)
                self._taken[self._next] = len(outcomes)
                self._next += 1
                if outcomes:
                    return list(enumerate(outcomes, shard.first))
        return None

    def stop(self) -> None:
        """Let each worker finish its item and end. ``take`` then returns what was done."""
        self._is_stopped.set()
        with suppress(OSError):  # on a full disk, each worker ends its shard
            self._stop_file.touch()

    def read_outcomes(self) -> Iterator[Outcome]:
        """Yield the outcomes that ``take`` returned, in order, from the files.

        Raises:
            JobError: a file is missing or damaged.
        """
        for shard, count in zip(self._shards, self._taken, strict=True):
            outcomes = read_result(shard) if count else []
            if len(outcomes) < count:
                raise self._make_missing_error()
            yield from outcomes

    def has_results(self) -> bool:
        """Return whether the folder has results, of this run or of an earlier one."""
        return any(list_results(self._folder))

    def delete(self) -> None:
        """Delete all results, and the folder if nothing else is in it."""
        self._folder_lock.release()
        for subfolder in self._folder.glob("[0-9a-f]" * SUBFOLDER_LETTERS):
            shutil.rmtree(subfolder, ignore_errors=True)
        with suppress(OSError):
            self._stop_file.unlink(missing_ok=True)
            (self._folder / LOCK_NAME).unlink(missing_ok=True)
            self._folder.rmdir()

    def delete_own(self) -> None:
        """Delete the results of this job alone; the folder too if nothing else is in it."""
        for shard in self._shards:
            shard.path.unlink(missing_ok=True)
        if self.has_results():
            self._folder_lock.release()
        else:
            self.delete()

    def _cut(self, key: bytes, items: Sequence[Item], found: set[str]) -> tuple[list[Shard], int]:
        """Return the shards, and how many of them have a result in the folder.

        A job that is resumed may have been cut for half or twice as many items in a shard, if a
        file was added or removed meanwhile. The size is taken that fits most results.
        """
        size = choose_shard_size(len(items))
        sizes = [size]
        if self._is_resumed and found:
            sizes += [2 * size, max(1, size // 2)]
        cuts = []
        for wanted in sizes:
            shards = cut_into_shards(key, items, self._folder, wanted)
            fitting = [shard for shard in shards if shard.path.name in found]
            item_count = sum(len(shard.items) for shard in fitting)
            cuts.append((item_count, shards, len(fitting)))
        _, shards, fit_count = max(cuts, key=lambda cut: cut[0])  # the first of equal ones
        return shards, fit_count

    def _make_missing_error(self) -> JobError:
        return JobError(
            f"Results are missing in {self._folder}: do not delete or change them while the "
            "program runs."
        )

    def _make_folder_error(self, error: OSError) -> JobError:
        return JobError(
            f"{self._folder} cannot be used ({error.strerror}): make room on the disk, or choose "
            "another folder."
        )

    def _hold_folder(self) -> FileLock:
        """Lock the folder until ``delete``, an error, or the end of the program."""
        lock = FileLock(self._folder / LOCK_NAME, timeout=0)
        try:
            lock.acquire()
        except Timeout as error:
            raise JobError(
                f"Another program is at work in {self._folder}: wait until it is done, or choose "
                "another folder."
            ) from error
        except OSError:
            pass  # a file system without locks
        return lock

    def _make_workers(self, count: int | None) -> list[Worker]:
        """Return the workers; each gets a thread."""
        if self._cluster is not None:
            return [self._cluster] * min(len(self._shards), PER_THREAD * self._cluster.threads)
        count = min(len(self._shards), count or count_cores())
        if count == 1:
            return [ThisProcess()]
        return [LocalProcess(self._task) for _ in range(count)]

    def _read(self, number: int) -> list[Outcome]:
        """Return the outcomes of a shard; none of an earlier run that this run did not come to."""
        return read_result(self._shards[number]) if number < self._begun else []

    def _serve(self, worker: Worker) -> None:
        """Give a worker one shard after another. Runs in a thread."""
        try:
            while not self._is_stopped.is_set():
                with self._lock:
                    number = self._begun
                    if number == len(self._shards):
                        break
                    self._begun += 1
                shard = self._shards[number]
                kept = self._find_kept(shard)
                if len(kept) < len(shard.items):
                    self._run(worker, shard, kept)
                self._news.put(number)
        except BaseException as error:  # for the thread that calls ``take``
            self._news.put(error)
        finally:
            worker.close()

    def _find_kept(self, shard: Shard) -> dict[int, Outcome]:
        """Return the outcomes of an earlier run that need not be made again, by position."""
        if not self._is_resumed:
            return {}
        kept = {}
        for position, outcome in enumerate(read_result(shard)):
            is_kept = not outcome.problem
            if is_kept and self._is_intact is not None:
                is_kept = self._is_intact(shard.items[position], outcome.value)
            if is_kept:
                kept[position] = outcome
        with self._lock:
            self.resumed += len(kept)
        return kept

    def _run(self, worker: Worker, shard: Shard, kept: Mapping[int, Outcome]) -> None:
        """Run a shard; if its worker dies, run its items one by one."""
        if not kept:  # then a file after the run is of this run
            try:
                shard.path.unlink(missing_ok=True)
            except OSError as error:
                raise JobError(
                    f"{shard.path} cannot be replaced ({error.strerror}): delete it."
                ) from error
        try:
            worker.call(process_shard, self._task, shard, self._stop_file, kept)
        except WorkerDied:
            outcomes = []
            for position, item in enumerate(shard.items):
                if position in kept:
                    outcomes.append(kept[position])
                    continue
                with self._trial:
                    found = self._run_item(worker, item)
                if not found:
                    break  # after ``stop``
                outcomes += found
            write_result(shard, outcomes)
            return
        if not shard.path.is_file() and not self._is_stopped.is_set():
            raise JobError(
                f"The workers wrote no result into {self._folder}: choose a folder that this "
                "machine and the workers share."
            )

    def _run_item(self, worker: Worker, item: Item) -> list[Outcome]:
        """Return the outcome of one item; none after ``stop``."""
        for _ in range(MAX_DEATHS):
            try:
                return worker.call(process_items, self._task, [item], self._stop_file)
            except WorkerDied:
                continue
        return [
            Outcome(
                None,
                f"{item[0]} ended its worker {MAX_DEATHS} times and is left out: save it again as "
                "JPEG or PNG, or make it smaller.",
            )
        ]
