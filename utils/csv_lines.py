"""CSV tables as lines, which are appended. Each row is one line: a crash costs at most the last.

No cell is run as a formula by a spreadsheet.

Names of files come from strangers. A cell that begins with ``=``, ``+``, ``-`` or ``@`` is run by
spreadsheets, so an apostrophe is written before it, and removed when the project reads the cell.
Numbers stay as they are.
"""

from __future__ import annotations

import csv
import errno
import io
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from utils.messages import UserError

# Apostrophes are part of the pattern, so that a cell that has one already is read back unchanged.
FORMULA = re.compile(r"'*[=+\-@\t\r]")
# Control characters, line breaks of every kind, and lone surrogates. Titles of web pages contain
# them; a one-line row cannot hold the first two, and UTF-8 cannot encode the last.
UNWRITABLE = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029\ud800-\udfff]+")
CHUNK = 4096  # bytes read at a time when looking for the last line break


class TableError(UserError, ValueError):
    """A table that cannot be read or written. The message is one sentence for the user."""


def make_safe(value: Any) -> Any:
    """Return a value as it is written to a CSV file. Only texts change."""
    if isinstance(value, str) and FORMULA.match(value) and not _is_number(value):
        return f"'{value}"
    return value


def restore(value: Any) -> Any:
    """Return the value that ``make_safe`` made a cell of."""
    if isinstance(value, str) and value.startswith("'") and FORMULA.match(value):
        return value[1:]
    return value


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def now() -> str:
    """Return the time as tables store it: UTC, ISO 8601, whole seconds."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def read_complete_lines(path: str | Path, is_row: Callable[[str], bool] | None = None) -> str:
    """Return the text of a table, without a last line that a crash cut off.

    Args:
        path: the table.
        is_row: whether a last line without a line break is a whole row. By default none is.

    Returns:
        The whole lines; empty if there is no file.

    Raises:
        OSError: the file cannot be read.
        UnicodeDecodeError: the file is not UTF-8.
    """
    try:
        data = Path(path).read_bytes()
    except FileNotFoundError:
        return ""
    end = data.rfind(b"\n") + 1
    if is_row is not None and is_row(data[end:].decode("utf-8", "replace")):
        end = len(data)
    return data[:end].decode("utf-8-sig")


def append_rows(
    path: str | Path, rows: Iterable[Mapping[str, object]], columns: Sequence[str]
) -> None:
    """Append rows to a table.

    A missing table is created, and a last row that a crash cut off is removed.

    Args:
        path: the table.
        rows: one mapping for each row. A missing value is written as empty, and keys that are not
            columns are ignored. Line breaks in values become spaces.
        columns: the columns of the table, in order.

    Raises:
        TableError: the file has other columns, or it cannot be written.
    """
    lines = io.StringIO()
    writer = csv.DictWriter(lines, columns, extrasaction="ignore", lineterminator="\n")
    for row in rows:
        texts = {name: UNWRITABLE.sub(" ", str(value)) for name, value in row.items()}
        writer.writerow({name: make_safe(text) for name, text in texts.items()})
    append_lines(path, lines.getvalue(), columns)


def append_lines(
    path: str | Path,
    lines: str,
    columns: Sequence[str],
    is_row: Callable[[str], bool] | None = None,
    sync: bool = False,
) -> None:
    """Append whole lines to a table in one write.

    The end of the table is repaired first: a last line without a line break was cut off by a crash
    and is removed.

    Args:
        path: the table; it and its folder are created.
        lines: text that is empty or ends with a line break.
        columns: the columns of the table, in order.
        is_row: whether a last line without a line break is a whole row. It is then kept and gets
            its line break, because not every editor ends a file with one. By default none is.
        sync: whether the lines must be on the disk when this returns, to survive a power cut.

    Raises:
        TableError: the file has other columns (it is left as it is), or it cannot be written.
    """
    path = Path(path)
    header = ",".join(columns)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "a+b", buffering=0) as file:  # no buffer, so that one call is one write
            if not _has_header(file, header):
                raise TableError(
                    f"{path} has other columns than {', '.join(columns)}: move it away."
                )
            start = _repair_end(file, header, is_row)
            _write_once(file, start + lines)
            if sync:
                os.fsync(file.fileno())
    except OSError as error:
        raise TableError(
            f"{path} cannot be written ({error.strerror}): free space or choose another file."
        ) from error


def _has_header(file: io.FileIO, header: str) -> bool:
    """Return whether a file begins with a header, or with the part that a crash left of it."""
    file.seek(0)
    first = file.readline(len(header.encode()) + 8)  # 8: a byte order mark and the line break
    text = first.decode("utf-8-sig", "replace")
    if text.endswith("\n"):
        return text.strip() == header
    return header.startswith(text)


def _repair_end(file: io.FileIO, header: str, is_row: Callable[[str], bool] | None) -> str:
    """Remove a last line that a crash cut off, and return the text to write before new lines.

    Returns:
        A line break if ``is_row`` says that the last line is a whole row; the header if the file is
        empty, also after the removal; else nothing.
    """
    end = file.seek(0, io.SEEK_END)
    length = _find_last_line(file)
    if length < end:
        file.seek(length)
        last = file.read().decode("utf-8", "replace")
        if is_row is not None and is_row(last):
            return "\n"
        file.truncate(length)
    return "" if length > 0 else f"{header}\n"


def _write_once(file: io.FileIO, text: str) -> None:
    """Write a text to the end of a file in one call; raise OSError if the disk is full."""
    file.seek(0, io.SEEK_END)
    data = text.encode()
    if file.write(data) < len(data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _find_last_line(file: io.FileIO) -> int:
    """Return the position after the last line break; 0 if there is none."""
    position = file.seek(0, io.SEEK_END)
    while position > 0:
        start = max(0, position - CHUNK)
        file.seek(start)
        found = file.read(position - start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        position = start
    return 0
