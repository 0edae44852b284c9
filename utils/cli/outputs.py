"""Where a run writes: tried before the work, so that nothing of the user's is replaced and nothing is lost."""

from __future__ import annotations

import errno
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

STDOUT = "-"


class RecordError(ValueError):
    """A place that cannot be written to. Its text is one sentence for a person."""


def check_targets(
    targets: Iterable[str | Path | None],
    folder: str | Path | None,
    sources: Iterable[Path],
    copies: Iterable[Path],
) -> None:
    """Try all places that a run will write to, and make their folders: better told before an hour's work than after.

    Args:
        targets: files, ``-`` for standard output; None is passed over.
        folder: of the annotated copies, or None.
        sources: what the run reads.
        copies: the annotated copies that it may write.

    Raises:
        RecordError: nothing can be written there, two of them are one file, or one is a source.
    """
    targets = [target for target in targets if target]
    taken = {}
    if targets:  # thousands of paths, which need not be looked up where nothing can clash with them
        taken |= {path.resolve(): "is an annotated copy's" for path in copies}
        taken |= {path.resolve(): f"is {path}, which is read" for path in sources}
    for target in targets:
        if str(target) == STDOUT:
            if sys.stdout is None:
                raise RecordError("Standard output is closed: name a file.")
            continue
        place = Path(target).resolve()
        if place in taken and not place.is_char_device():
            raise RecordError(
                f"{target} cannot be written (it {taken[place]}): choose another place."
            )
        taken[place] = "is another file's"
        check_writable(target)
    check_writable(folder, folder=True)


def check_writable(target: str | Path | None, folder: bool = False) -> None:
    """Make the folder of a file, or the folder itself, and try it.

    Raises:
        RecordError: nothing can be written there.
    """
    if target is None or str(target) == STDOUT:
        return
    parent = Path(target) if folder else Path(target).parent
    try:
        if Path(target).is_dir() and not folder:
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        parent.mkdir(parents=True, exist_ok=True)
        if folder or not Path(target).exists():
            tempfile.TemporaryFile(dir=parent).close()
        elif not os.access(target, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise refuse(target, error) from error


@contextmanager
def open_target(target: str | Path) -> Iterator[TextIO]:
    """A text file to write, or standard output, in UTF-8.

    Raises:
        RecordError: it cannot be written, or not to its end.
    """
    try:
        if str(target) == STDOUT:
            with speak() as file:
                yield file
        else:
            # A file's name may hold bytes that are no text; JSON reads their escapes back as they were.
            with open(target, "w", encoding="utf-8", newline="", errors="backslashreplace") as file:
                yield file
    except OSError as error:
        raise refuse(target, error) from error


@contextmanager
def speak() -> Iterator[TextIO]:
    """Standard output, for whatever is written now to arrive now.

    Raises:
        OSError: nobody listens any more, or its disk is full; nothing more is then sent there, at the end neither.
    """
    try:
        yield sys.stdout
        sys.stdout.flush()
    except OSError:
        with suppress(OSError, ValueError):  # a stand-in has no number
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise


def refuse(target: str | Path, error: OSError) -> RecordError:
    """The sentence about a place that cannot be written to."""
    name = "Standard output" if str(target) == STDOUT else target
    return RecordError(f"{name} cannot be written ({error.strerror}): choose another place.")
