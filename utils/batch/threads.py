"""Call a function with many items in threads, for work that releases the GIL."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from utils.program import count_cores

AHEAD = 2  # calls submitted for each core at one time, to bound the memory

T = TypeVar("T")
Result = TypeVar("Result")


def map_in_threads(function: Callable[[T], Result], items: Iterable[T]) -> Iterator[Result]:
    """Call a function with each item, on all cores, and yield the results in order.

    OpenCV, NumPy, ONNX Runtime and the decoders in child processes release the GIL while they
    work, so threads are enough for functions that spend their time there. A ``Job`` also resumes.

    Args:
        function: called by several threads at once.
        items: its arguments.

    Raises:
        Exception: what a call raised, when its turn comes.
    """
    cores = count_cores()
    running: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(cores) as executor:
        for item in items:
            running.append(executor.submit(function, item))
            if len(running) >= AHEAD * cores:
                yield running.popleft().result()
        while running:
            yield running.popleft().result()
