"""The files that a run writes: check them before the work begins, and open them."""

from __future__ import annotations

import errno
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from utils.atomic import write_atomically
from utils.program import discard_output

STDOUT = "-"  # the name of standard output as an output
NOTHING_DONE = "Stopped before the first image was done: no table was written."
DEFAULT_OUTPUT = Path("output")  # the folder of annotated copies
JOB_FOLDER = ".job"  # in the folder of the copies; holds the results of a run over many images


class OutputError(ValueError):
    """An output that cannot be written. Its text is one sentence for the user."""


def check_outputs(
    outputs: Iterable[str | Path | None],
    folder: str | Path | None,
    sources: Iterable[Path],
    copies: Iterable[Path],
) -> None:
    """Check that all outputs of a run can be written, and create their folders.

    Call it before the work, so that no result is lost because it cannot be saved, and no file of
    the user is replaced by mistake.

    Args:
        outputs: files to write, ``-`` for standard output; None is skipped.
        folder: the folder of the annotated copies, or None.
        sources: files that the run reads.
        copies: annotated copies that it may write.

    Raises:
        OutputError: an output cannot be written, or is also a source, a copy or another output.
    """
    files: list[str | Path] = []
    wanted: dict[Path, str | Path] = {}  # as given, by the resolved path
    for output in outputs:
        if not output:
            continue
        if str(output) == STDOUT:
            if sys.stdout is None:
                raise OutputError("Standard output is closed: name a file.")
            continue
        files.append(output)
        path = Path(output).resolve()
        if path in wanted:
            raise _make_clash_error(output, "the path of another output")
        if not path.is_char_device():  # /dev/null may be several outputs
            wanted[path] = output
    if wanted:  # otherwise nothing can clash, and there may be thousands of sources
        for source in sources:
            path = source.resolve()
            if path in wanted:
                raise _make_clash_error(wanted[path], f"{source}, which is read")
        for copy in copies:
            path = copy.resolve()
            if path in wanted:
                raise _make_clash_error(wanted[path], "the path of an annotated copy")
    for output in files:
        check_writable(output)
    if folder is not None:
        check_writable(folder, is_folder=True)


def _make_clash_error(output: str | Path, taken_by: str) -> OutputError:
    return OutputError(f"{output} cannot be written (it is {taken_by}): choose another place.")


def check_writable(output: str | Path, is_folder: bool = False) -> None:
    """Check that a file, or files in a folder, can be written; create the folder.

    Raises:
        OutputError: nothing can be written there.
    """
    if str(output) == STDOUT:
        return
    path = Path(output)
    folder = path if is_folder else path.parent
    try:
        if path.is_dir() and not is_folder:
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        folder.mkdir(parents=True, exist_ok=True)
        if is_folder or not path.exists():
            tempfile.TemporaryFile(dir=folder).close()
        elif not os.access(path, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise make_output_error(output, error) from error


@contextmanager
def open_output(output: str | Path) -> Iterator[TextIO]:
    """Open a text file, or standard output, for writing in UTF-8. A file appears when it is whole.

    Raises:
        OutputError: it cannot be opened, or a write fails.
    """
    try:
        if str(output) == STDOUT:
            with open_stdout() as file:
                yield file
        else:
            # A file name may contain bytes that are not valid UTF-8. They are written as escapes,
            # which JSON reads back.
            with (
                write_atomically(output) as part,
                open(part, "w", encoding="utf-8", newline="", errors="backslashreplace") as file,
            ):
                yield file
    except OSError as error:
        raise make_output_error(output, error) from error


@contextmanager
def open_stdout() -> Iterator[TextIO]:
    """Yield standard output, and flush it at the end of the ``with`` block.

    Raises:
        OSError: its reader has closed it, or its disk is full. Later output then goes nowhere, so
            that Python does not fail again when it flushes at exit.
    """
    try:
        yield sys.stdout
        sys.stdout.flush()
    except OSError:
        with suppress(OSError, ValueError):  # sys.stdout may be an object without a file number
            discard_output(sys.stdout.fileno())
        raise


def make_output_error(output: str | Path, error: OSError) -> OutputError:
    """Return the error that says that an output cannot be written, and why."""
    name = "Standard output" if str(output) == STDOUT else output
    # PyArrow's errors have a number and a long text of their own.
    reason = os.strerror(error.errno) if error.errno else error.strerror
    return OutputError(f"{name} cannot be written ({reason}): choose another place.")
