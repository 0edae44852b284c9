"""Decode images in processes of their own, so that the crash of a decoder costs one file.

Decoders are written in C, and a damaged file may crash them. With many files of unknown origin,
such as a folder or a crawl, each file is therefore decoded in a child process. If the child dies,
the file is reported like any other that cannot be read, and the next file gets a new child.

A child starts when it is first needed (0.13 s), is used again, and ends with the program. Threads
that read at once have a child each. The children are plain processes instead of a
``ProcessPoolExecutor``, whose workers would load the whole script again and need its
``if __name__ == "__main__"``. Where no process can be started, images are decoded in this one.
"""

from __future__ import annotations

import atexit
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from utils.images.formats import ImageError, count_pages
from utils.images.read import decode_image, read_bytes

# What a child runs. Its argument is the folder that holds ``utils``.
CODE = (
    "import sys; sys.path.insert(0, sys.argv[1]); "
    "from utils.images.reader_process import serve; serve()"
)
READY = b"ready\n"  # a child's first line
TRIES = 2  # a child may have been ended while it waited for work
END_S = 5.0  # seconds to wait for a process to end
PIPE_BYTES = 2**20  # Linux's largest pipe for all users; its default needs 16 times as many reads
MOST_EXPENDABLE = "1000"  # of processes, when Linux is out of memory


class _Died(Exception):
    """The child died: before it took the file, or while it decoded it."""

    def __init__(self, took_file: bool, exit_code: int | None) -> None:
        super().__init__()
        self.took_file = took_file
        self.exit_code = exit_code


class _Child:
    """A process that decodes one image after another."""

    def __init__(self) -> None:
        """Start it, without waiting.

        Raises:
            OSError: no process can be started.
        """
        options: dict[str, Any] = {}
        if os.name == "nt":
            flags = ("CREATE_NEW_PROCESS_GROUP", "CREATE_NO_WINDOW")
            options["creationflags"] = sum(getattr(subprocess, flag) for flag in flags)
        else:
            options["process_group"] = 0  # Ctrl-C goes to the program, which ends its children
        # NumPy would otherwise start a thread for each core.
        threads = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            [sys.executable, "-c", CODE, str(Path(__file__).parents[2])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **threads},
            **options,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._to_child = self._process.stdin
        self._from_child: Any = self._process.stdout
        _widen(self._from_child)
        self._is_ready = False

    def wait_until_ready(self) -> bool:
        """Return whether the child has started well."""
        if not self._is_ready:
            self._is_ready = self._from_child.readline() == READY
        return self._is_ready

    def ask(self, data: bytes, name: str, wants_pixels: bool) -> tuple[dict, np.ndarray | None]:
        """Return the child's answer, and the image if it is wanted and could be decoded.

        Raises:
            _Died: the child died.
        """
        question = {"name": name, "bytes": len(data), "wants_pixels": wants_pixels}
        try:
            _write_line(self._to_child, question)
            self._to_child.write(data)
            self._to_child.flush()
        except OSError as error:
            raise _Died(took_file=False, exit_code=self._wait()) from error
        line = self._from_child.readline()
        if not line.endswith(b"\n"):
            raise _Died(took_file=True, exit_code=self._wait())
        answer = json.loads(line)
        image = None
        if wants_pixels and "shape" in answer:
            image = np.empty(answer["shape"], np.uint8)
            if self._from_child.readinto(image.reshape(-1).data) < image.nbytes:
                raise _Died(took_file=True, exit_code=self._wait())
        return answer, image

    def end(self) -> None:
        """End the process."""
        self._process.kill()
        self._wait()
        with suppress(OSError):
            self._to_child.close()  # flushes what the child did not take
        self._from_child.close()

    def _wait(self) -> int | None:
        """Return the exit code of a process that is ending."""
        with suppress(subprocess.TimeoutExpired):
            return self._process.wait(END_S)
        return None


class _Children:
    """The children of this process. Any number of threads may use them at once."""

    def __init__(self) -> None:
        self._idle: list[_Child] = []
        self._is_possible = True  # whether children can be started

    def start(self) -> None:
        """Start a child before it is needed, without waiting."""
        child = self._make()
        if child is not None:
            self._idle.append(child)

    def ask(
        self, data: bytes, name: str, wants_pixels: bool
    ) -> tuple[dict, np.ndarray | None] | None:
        """Return a child's answer, see ``_Child.ask``; None if no child can be started.

        Raises:
            ImageError: the decoder crashed.
        """
        for _ in range(TRIES):
            child = self._take()
            if child is None:
                return None
            try:
                answer = child.ask(data, name, wants_pixels)
            except _Died as death:
                child.end()
                if death.took_file:
                    raise ImageError(_describe_death(name, death.exit_code)) from death
                continue
            except BaseException:  # Ctrl-C: the rest of the answer is still to come
                child.end()
                raise
            self._idle.append(child)
            return answer
        return None

    def end(self) -> None:
        """End all children that are not at work."""
        while self._idle:
            self._idle.pop().end()

    def _take(self) -> _Child | None:
        """Return a child that is ready, or None if none can be started."""
        try:
            child = self._idle.pop()
        except IndexError:
            new = self._make()
            if new is None:
                return None
            child = new
        try:
            is_ready = child.wait_until_ready()
        except BaseException:
            child.end()
            raise
        if is_ready:
            return child
        child.end()
        self._is_possible = False
        return None

    def _make(self) -> _Child | None:
        """Start a child, or return None if that is not possible."""
        if not self._is_possible:
            return None
        try:
            return _Child()
        except (OSError, ValueError, MemoryError):  # no room, or no Python program of its own
            self._is_possible = False
            return None


_children = _Children()
atexit.register(_children.end)


def start_reader() -> None:
    """Start a child that decodes, so that it is ready when the first image is read."""
    _children.start()


def end_readers() -> None:
    """End the children. The next image starts a new one."""
    _children.end()


def read_image_apart(path: str | Path, on_pages: Callable[[int], None] | None = None) -> np.ndarray:
    """Read an image file like ``images.read_image``, decoded in a process that may die.

    Args:
        path: the image file.
        on_pages: callback for the number of pictures in the file, if there are several.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        ImageError: the file is missing, is not an image, is truncated, or crashes its decoder.
    """
    image, pages = decode_image_apart(read_bytes(path), path)
    if on_pages is not None and pages > 1:
        on_pages(pages)
    return image


def decode_image_apart(data: bytes, path: object) -> tuple[np.ndarray, int]:
    """Decode the bytes of an image file like ``images.decode_image``, in a process that may die.

    Args:
        data: content of the file.
        path: what error messages name as the file.

    Returns:
        (H, W, 3) uint8 RGB, and the number of pictures in the file.

    Raises:
        ImageError: as in ``read_image_apart``.
    """
    answer = _children.ask(data, str(path), wants_pixels=True)
    if answer is None:
        return decode_image(data, path), count_pages(data)
    facts, image = answer
    _raise_problem(facts, path)
    assert image is not None
    return image, facts["pages"]


def measure_image_apart(path: str | Path) -> tuple[int, int]:
    """Decode an image file in a process that may die, and return its width and height.

    No pixels are handed over, so this is the cheapest way to find broken files.

    Raises:
        ImageError: as in ``read_image_apart``.
    """
    data = read_bytes(path)
    answer = _children.ask(data, str(path), wants_pixels=False)
    if answer is None:
        height, width = decode_image(data, path).shape[:2]
        return width, height
    facts, _ = answer
    _raise_problem(facts, path)
    height, width = facts["shape"][:2]
    return width, height


def _raise_problem(facts: dict, path: object) -> None:
    """Raise the error that a child had."""
    if "problem" in facts:
        raise ImageError(facts["problem"])
    if "error" in facts:
        raise RuntimeError(f"{path}: {facts['error']}")


def _describe_death(name: str, exit_code: int | None) -> str:
    """Return a sentence about a file whose child died."""
    if os.name != "nt" and exit_code == -signal.SIGKILL:
        return (
            f"{name} cannot be read: the system ended its decoder, mostly for a lack of memory. "
            "Close other programs, or make the image smaller."
        )
    return f"{name} cannot be read: its decoder crashed. Save it again as JPEG or PNG."


def _write_line(file: BinaryIO | Any, content: dict) -> None:
    file.write(json.dumps(content).encode() + b"\n")


def _widen(pipe: Any) -> None:
    """Let a pipe hold more, where the system can."""
    if sys.platform == "linux":
        import fcntl

        with suppress(OSError):
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, PIPE_BYTES)


def serve() -> None:
    """Decode the images that arrive on standard input, until it ends. A child runs this."""
    import cv2

    cv2.setNumThreads(1)  # there is a child for each thread that reads
    if sys.platform == "linux":  # rather than the program, where memory runs out
        with suppress(OSError):
            Path("/proc/self/oom_score_adj").write_text(MOST_EXPENDABLE)
    questions = sys.stdin.buffer
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # of libraries that print
    with suppress(OSError):  # the program has ended
        answers.write(READY)
        answers.flush()
        for line in questions:
            question = json.loads(line)
            data = questions.read(question["bytes"])
            facts, image = _answer(data, question["name"])
            _write_line(answers, facts)
            if image is not None and question["wants_pixels"]:
                answers.write(np.ascontiguousarray(image).reshape(-1).data)
            answers.flush()


def _answer(data: bytes, name: str) -> tuple[dict, np.ndarray | None]:
    """Return the facts about an image, and the image, or its problem and None."""
    try:
        image = decode_image(data, name)
        return {"shape": image.shape, "pages": count_pages(data)}, image
    except ImageError as error:
        return {"problem": str(error)}, None
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"}, None
