"""Write files whole or not at all.

A file is written under another name in the same folder, ``NAME.part``, and then renamed. Until then
what stood under its name stays. A run that is killed leaves at most a ``.part``, which the next run
that writes the same file replaces.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PART = ".part"  # ends the name of a file that is being written
MAX_NAME = 255  # bytes in a file name, on all usual file systems


@contextmanager
def write_atomically(path: str | Path, suffix: str = "") -> Iterator[Path]:
    """Yield a temporary path, which is renamed to the file at the end of the ``with`` block.

    If the block raises an error, the temporary file is deleted and the old file stays. A link is
    followed, and the file that it names is replaced. A device, a pipe, and a file in a folder that
    takes no other name are written directly.

    Args:
        path: the file to write; its folder must exist.
        suffix: what the temporary name must end with, for writers that look at it.

    Raises:
        OSError: the file must not be changed, or it cannot be renamed.
    """
    target = Path(os.path.realpath(path))
    if target.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if target.exists():
        if not os.access(target, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        if not target.is_file() or not os.access(target.parent, os.W_OK):
            yield target
            return
    part = name_part(target, suffix)
    try:
        yield part
        if target.exists():
            shutil.copymode(target, part)
        part.replace(target)
    except BaseException:  # Ctrl-C too
        part.unlink(missing_ok=True)
        raise


def name_part(path: Path, suffix: str = "") -> Path:
    """Return the temporary path of a file; a long name is shortened to its digest."""
    name = f"{path.name}{PART}{suffix}"
    if len(os.fsencode(name)) > MAX_NAME:
        digest = hashlib.sha256(os.fsencode(path.name)).hexdigest()
        name = f"{digest}{PART}{suffix}"
    return path.with_name(name)


def write_bytes(path: str | Path, data: bytes) -> Path:
    """Write a file of bytes whole or not at all, and return its path.

    Args:
        path: the file; its folder is created.
        data: the content.

    Raises:
        OSError: it cannot be written.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with write_atomically(path) as part:
        part.write_bytes(data)
    return path
