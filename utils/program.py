"""What a program does about Ctrl-C, closed standard streams, and a lack of memory or file handles.

This module needs the standard library alone. So a script can import it first and call
``begin_program`` before the other modules load, which takes half a second.
"""

from __future__ import annotations

import errno
import importlib.util
import io
import os
import select
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from types import FrameType, TracebackType
from typing import NoReturn

STOPPED = "Stopped."
STOPPED_CODE = 1  # exit code after Ctrl-C
SHORTAGE_CODE = 2  # exit code if nothing could be done for a lack of memory or file handles
GRACE_S = 2.0  # seconds after Ctrl-C in which another one is ignored, so that tables are written
NO_MEMORY = "There is not enough memory: close other programs, or use smaller images."
# Bytes. One image takes 930 MB of address space if there is room, of which 140 MB are in use. With
# 800 MB eight images were always processed, with 700 MB half of the runs crashed (x86-64 Linux).
MIN_ADDRESS_SPACE = 850 * 2**20
NO_ADDRESS_SPACE = (
    "There is not enough memory: a limit leaves {} MB of address space, and "
    f"{MIN_ADDRESS_SPACE // 2**20} MB are needed; raise it (ulimit -v)."
)
NO_HANDLES = "Too many files are open: close other programs, or raise the limit (ulimit -n)."
# What the texts of errors contain, in lower case.
MEMORY_WORDS = (
    "bad allocation",
    "bad_alloc",
    "cannot allocate memory",
    "failed to allocate",
    "failed to map segment",
    "insufficient memory",
    "outofmemory",
    "resource temporarily unavailable",
    "start new thread",
    "unable to allocate",
)
HANDLE_WORDS = ("too many open files",)


def begin_program() -> None:
    """Prepare the process before the other modules load.

    Ctrl-C then ends it with one line. If a module cannot be loaded for a lack of memory or file
    handles, one sentence says so.
    """
    _open_closed_streams()
    sys.excepthook = _report_error
    signal.signal(signal.SIGINT, _exit_at_once)
    _check_address_space()


def require_packages(*names: str, extra: str = "notebooks", target: str = "lab") -> None:
    """Exit with a sentence if a package that the program imports is not installed.

    Args:
        names: the modules, such as ``pandas``.
        extra: the extra of ``pyproject.toml`` that installs them.
        target: the target of ``make`` that installs them.
    """
    missing = [name for name in names if importlib.util.find_spec(name) is None]
    if missing:
        print(
            f"This command needs {', '.join(missing)}: install it with "
            f'`pip install --constraint requirements.lock --editable ".[{extra}]"` '
            f"or `make {target}`.",
            file=sys.stderr,
        )
        sys.exit(SHORTAGE_CODE)


def count_cores() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _check_address_space() -> None:
    """Exit with a sentence if a limit leaves too little address space to load the libraries.

    They would crash with less, because not all of them check whether they get the memory.
    """
    if sys.platform == "win32":
        return
    import resource

    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit != resource.RLIM_INFINITY and limit < MIN_ADDRESS_SPACE:
        with suppress(OSError):
            os.write(2, f"{NO_ADDRESS_SPACE.format(limit // 2**20)}\n".encode())
        os._exit(SHORTAGE_CODE)


def _open_closed_streams() -> None:
    """Open the null device in place of standard streams that are closed.

    Otherwise the next file that is opened gets the number of the closed stream, and what libraries
    in C print is written into it.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number


def _exit_at_once(number: int, frame: FrameType | None) -> NoReturn:
    """End the process. While a module loads, an exception could be lost or wrapped."""
    with suppress(OSError):
        os.write(2, f"{STOPPED}\n".encode())
    os._exit(STOPPED_CODE)


def _report_error(
    kind: type[BaseException], error: BaseException, traceback: TracebackType | None
) -> None:
    """Print one sentence for a lack of memory or file handles, else the traceback."""
    sentence = describe_shortage(error)
    if sentence:
        with suppress(OSError):
            os.write(2, f"{sentence}\n".encode())
    else:
        sys.__excepthook__(kind, error, traceback)


def describe_shortage(error: BaseException) -> str:
    """Return a sentence if an error comes from a lack of memory or file handles, else "".

    Libraries report it with many kinds of errors. So their texts are searched, and those of the
    errors that caused them.
    """
    cause: BaseException | None = error
    while cause is not None:
        number = cause.errno if isinstance(cause, OSError) else None
        text = str(cause).lower()
        if number in (errno.EMFILE, errno.ENFILE) or _has_any(text, HANDLE_WORDS):
            return NO_HANDLES
        if isinstance(cause, MemoryError) or number == errno.ENOMEM:
            return NO_MEMORY
        if _has_any(text, MEMORY_WORDS):
            return NO_MEMORY
        cause = cause.__cause__ or cause.__context__
    return ""


def describe_failure(file: object, error: BaseException) -> str:
    """Return why a file cannot be processed, from an error that is not meant for the user."""
    reason = describe_shortage(error) or f"{type(error).__name__}: {error}. Please report it."
    return f"{file} cannot be processed: {reason}"


def _has_any(text: str, words: tuple[str, ...]) -> bool:
    return any(word in text for word in words)


def discard_output(descriptor: int) -> None:
    """Send what is written to a file descriptor from now on nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)


def run_as_program(main: Callable[[], int]) -> NoReturn:
    """Run ``main`` in the terminal, and exit with its exit code."""
    _prepare_streams()
    _handle_signals()
    try:
        code = main()
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        if not _has_closed_output():
            raise
        code = STOPPED_CODE
    except KeyboardInterrupt:
        print(STOPPED, file=sys.stderr)
        code = STOPPED_CODE
    except Exception as error:
        sentence = describe_shortage(error)
        if not sentence:
            raise
        print(sentence, file=sys.stderr)
        code = SHORTAGE_CODE
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process ends by itself from here on
    sys.exit(code)


def _has_closed_output() -> bool:
    """Return whether the reader of standard output has ended, as `head` does.

    Later output then goes nowhere, so that Python does not fail again when it flushes at exit.
    """
    if sys.stdout is None or not hasattr(select, "poll"):  # Windows reports it as another error
        return False
    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)  # errors are always reported
    if not poll.poll(0):
        return False
    discard_output(sys.stdout.fileno())
    return True


def _handle_signals() -> None:
    """Raise ``KeyboardInterrupt`` at Ctrl-C, and at the signals of a service manager or terminal.

    The files are then completed. A second signal must not cut that off, so it is ignored for
    ``GRACE_S``.
    """
    last_s = -GRACE_S

    def interrupt(number: int, frame: FrameType | None) -> None:
        nonlocal last_s
        if time.monotonic() - last_s < GRACE_S:
            return
        last_s = time.monotonic()
        raise KeyboardInterrupt

    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK"):  # SIGBREAK is Windows's
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), interrupt)


class ErrorStream(io.TextIOWrapper):
    """Standard error that drops what it cannot write. A full disk must not end a run."""

    def write(self, text: str) -> int:
        """Write text, or drop it."""
        try:
            return super().write(text)
        except OSError:
            self._drop()
            return len(text)

    def flush(self) -> None:
        """Write what is buffered, or drop it."""
        try:
            super().flush()
        except OSError:
            self._drop()

    def _drop(self) -> None:
        """Send what is buffered, and all that follows, nowhere."""
        with suppress(OSError):
            discard_output(self.fileno())


def _prepare_streams() -> None:
    """Set the encodings, and keep the messages of C libraries out of the terminal.

    libpng and libjpeg print warnings about files that they can still read. So Python gets its own
    copy of standard error, and that of the libraries goes nowhere. Standard output is UTF-8 on
    every system, as JSON must be. Any file name can be written to both. If standard error is
    closed, messages go nowhere: ``print`` and tqdm would write them to standard output.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")
    encoding = "utf-8" if sys.stderr is None else sys.stderr.encoding
    copy = os.open(os.devnull, os.O_WRONLY) if sys.stderr is None else os.dup(2)
    sys.stderr = ErrorStream(
        os.fdopen(copy, "wb"), encoding=encoding, errors="backslashreplace", line_buffering=True
    )
    discard_output(2)
