"""Tables on disk that only grow: a row is one line, appended in one write, and an interruption spoils none of them."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd

try:
    import fcntl
except ImportError:  # on Windows
    fcntl = None
    import msvcrt

# Line breaks of every kind, and halves of characters, which titles from web pages have and UTF-8 has not.
UNWRITABLE = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029\ud800-\udfff]+")


class TableError(ValueError):
    """A table that cannot be read or written. Its text is one sentence for a person."""


def now() -> str:
    """The time as tables have it: UTC, ISO 8601, whole seconds."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def read_rows(path: str | Path, columns: Sequence[str]) -> pd.DataFrame:
    """A table, all text; empty where there is no file. A last row that was cut off is left out.

    Raises:
        TableError: the file cannot be read or lacks one of the columns.
    """
    path = Path(path)
    try:
        data = path.read_bytes() if path.exists() else b""
        whole = data[: data.rfind(b"\n") + 1].decode("utf-8-sig")
        table = (
            pd.read_csv(io.StringIO(whole), dtype=str, keep_default_na=False)
            if whole.strip()
            else None
        )
    except (OSError, ValueError) as error:  # pandas' ParserError is a ValueError
        said = " ".join(str(error).split())  # pandas ends its sentences with a line break
        raise TableError(
            f"{path} cannot be read as a table ({said}): mend it or move it away."
        ) from error
    if table is None:
        return pd.DataFrame(columns=list(columns), dtype="str")
    for name in columns:
        if name not in table:
            raise TableError(f"{path} has no column {name}: mend it or move it away.")
    return table


def append_rows(
    path: str | Path, rows: Iterable[Mapping[str, object]], columns: Sequence[str]
) -> None:
    """Append rows to a table, after its end is mended; a missing table is made, with its header.

    Args:
        path: the table.
        rows: what a row lacks stays empty.
        columns: of the table, in order.

    Raises:
        TableError: the file has other columns, or cannot be written.
    """
    path, lines = Path(path), io.StringIO()
    writer = csv.DictWriter(lines, columns, extrasaction="ignore", lineterminator="\n")
    writer.writerows(
        {name: UNWRITABLE.sub(" ", str(value)) for name, value in row.items()} for row in rows
    )
    header = ",".join(columns) + "\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "a+b", buffering=0) as file:  # no buffer: all rows go to the system at once
            end = _cut_at_last_line(file)
            file.seek(0)
            if end and file.readline().decode("utf-8-sig").strip() != header.strip():
                raise TableError(
                    f"{path} has other columns than {', '.join(columns)}: move it away."
                )
            file.write(((header if end == 0 else "") + lines.getvalue()).encode())
    except OSError as error:
        raise TableError(
            f"{path} cannot be written ({error.strerror}): free space or choose another."
        ) from error


def _cut_at_last_line(file: io.FileIO) -> int:
    """Cut off what stands behind the last line break, the rest of a write that was interrupted; the new length."""
    end = file.seek(0, io.SEEK_END)
    length = 0
    for start in range(max(0, end - 4096), -4096, -4096):
        file.seek(max(0, start))
        if (found := file.read(4096).rfind(b"\n")) >= 0:
            length = max(0, start) + found + 1
            break
    if length < end:
        file.truncate(length)
    return length


@contextmanager
def hold_folder(folder: str | Path) -> Iterator[None]:
    """Keep other programs that ask for it out of a folder whose tables are changed. However this one ends, it is free.

    Raises:
        TableError: another program has it, or it cannot be written.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = open(folder / ".lock", "a")
    except OSError as error:
        raise TableError(
            f"{folder} cannot be written ({error.strerror}): free space or choose another."
        ) from error
    with file:
        try:
            if fcntl:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            else:
                msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except (BlockingIOError, PermissionError) as error:
            raise TableError(
                f"Another program is at work in {folder}: wait until it is done, or stop it."
            ) from error
        yield


def replace_rows(path: str | Path, table: pd.DataFrame) -> None:
    """Write a table anew, whole or not at all.

    Raises:
        TableError: it cannot be written.
    """
    replace_text(path, table.to_csv(index=False, lineterminator="\n"))


def replace_text(path: str | Path, text: str) -> None:
    """Write a text file anew, whole or not at all: beside, then moved into place. Its folder is made.

    Raises:
        TableError: it cannot be written.
    """
    path = Path(path)
    part = path.with_name(f"{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(text, encoding="utf-8", newline="")
        part.replace(path)
    except OSError as error:
        raise TableError(
            f"{path} cannot be written ({error.strerror}): free space or close it elsewhere."
        ) from error
