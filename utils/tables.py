"""CSV tables on disk. Each row is one line, so that a crash costs at most the last row.

No cell is run as a formula by a spreadsheet, see ``cells``.
"""

from __future__ import annotations

import codecs
import csv
import errno
import io
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
from filelock import FileLock, Timeout

from utils.atomic import write_bytes
from utils.cells import make_safe, restore
from utils.errors import UserError

# Control characters, line breaks of every kind, and lone surrogates. Titles of web pages contain
# them; a one-line row cannot hold the first two, and UTF-8 cannot encode the last.
UNWRITABLE = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029\ud800-\udfff]+")
WAIT_S = 10.0  # seconds to wait for another program that writes the same file
SEPARATORS = (",", ";", "\t")  # of columns
DECIMAL_COMMA = re.compile(r"(?:^|[;\t])-?\d+,\d+(?:[;\t\r\n]|$)", re.MULTILINE)
CHUNK = 4096  # bytes read at a time when looking for the last line break


class TableError(UserError, ValueError):
    """A table that cannot be read or written. The message is one sentence for the user."""


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


def read_rows(path: str | Path, columns: Sequence[str]) -> pd.DataFrame:
    """Read a table as text. A last row without a line break was cut off by a crash and is ignored.

    Args:
        path: the table; it need not exist.
        columns: the columns that the table must have.

    Returns:
        The table with all its columns, every value a string. Empty if there is no file.

    Raises:
        TableError: the file cannot be read, or one of the columns is missing.
    """
    path = Path(path)
    try:
        text = read_complete_lines(path)
        if not text.strip():
            return pd.DataFrame(columns=list(columns), dtype="str")
        table = _parse(text, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:  # pandas' ParserError is a ValueError
        reason = " ".join(str(error).split())  # messages of pandas end with a line break
        raise TableError(
            f"{path} cannot be read as a table ({reason}): correct it or move it away."
        ) from error
    for name in columns:
        if name not in table:
            raise TableError(f"{path} has no column {name}: correct it or move it away.")
    return _restore_cells(table)


def _parse(text: str, **options: Any) -> pd.DataFrame:
    """Return the table of a CSV text; the options are those of ``pandas.read_csv``.

    Raises:
        ValueError: it is not CSV, or its rows have more cells than its header.
    """
    table = pd.read_csv(io.StringIO(text), **options)
    if not isinstance(table.index, pd.RangeIndex):  # pandas took the first cells for an index
        raise ValueError("its rows have more cells than its header")
    return table


def _restore_cells(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table whose texts are as they were before ``make_safe``."""
    for name in table:
        column = table[name]
        is_text = column.dtype == object or pd.api.types.is_string_dtype(column)
        if is_text and column.astype(str).str.startswith("'").any():
            table[name] = pd.Series([restore(value) for value in column], column.index, dtype="str")
    return table


def read_table(path: str | Path, columns: Sequence[str] = ()) -> pd.DataFrame:
    """Read a table with types, also as a spreadsheet saved it.

    Spreadsheets write semicolons, decimal commas, and the encoding of Windows. ``read_rows`` reads
    the tables that programs append to.

    Args:
        path: the table.
        columns: the columns that the table must have.

    Raises:
        TableError: the file cannot be read, or one of the columns is missing.
    """
    path = Path(path)
    try:
        text = _decode(path.read_bytes())
        header = text.partition("\n")[0]
        separator = max(SEPARATORS, key=header.count)
        decimal = "."
        if separator != "," and DECIMAL_COMMA.search(text):
            decimal = ","
        table = _parse(text, sep=separator, decimal=decimal)
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise TableError(
            f"{path} cannot be read as a table ({reason}): save it as CSV in UTF-8, or make it "
            "again."
        ) from error
    for name in columns:
        if name not in table:
            raise TableError(
                f"{path} has no column {name}: save it as CSV with commas, or make it again."
            )
    return _restore_cells(table)


def _decode(data: bytes) -> str:
    """Return the text of a table of a person: UTF-8, UTF-16, or else the encoding of Windows."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16")
    for encoding in ("utf-8-sig", "cp1252"):
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    return data.decode("latin-1")


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


@contextmanager
def hold_folder(folder: str | Path) -> Iterator[None]:
    """Lock a folder while its tables change. The lock ends with the process, however that ends.

    Args:
        folder: the folder; it is created.

    Raises:
        TableError: another program holds the lock, or the folder cannot be written.
    """
    folder = Path(folder)
    lock = FileLock(folder / ".lock", timeout=0)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout as error:
        raise TableError(
            f"Another program is at work in {folder}: wait until it is done, or stop it."
        ) from error
    except OSError as error:
        raise TableError(
            f"{folder} cannot be written ({error.strerror}): free space or choose another folder."
        ) from error
    try:
        yield
    finally:
        lock.release()


@contextmanager
def hold_file(path: str | Path) -> Iterator[None]:
    """Lock a file that several programs append to, and wait while another one holds the lock.

    The lock is the file ``.NAME.lock`` beside it. It ends with the process, however that ends.

    Args:
        path: the file; its folder is created.

    Raises:
        TableError: another program holds the lock for ``WAIT_S``, or the folder cannot be written.
    """
    path = Path(path)
    lock = FileLock(path.with_name(f".{path.name}.lock"), timeout=WAIT_S, poll_interval=0.005)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout as error:
        raise TableError(
            f"Another program has been writing {path} for {WAIT_S:.0f} s: try again."
        ) from error
    except OSError as error:
        raise TableError(
            f"{path} cannot be written ({error.strerror}): free space or choose another file."
        ) from error
    try:
        yield
    finally:
        lock.release()


def replace_rows(path: str | Path, table: pd.DataFrame) -> None:
    """Write a table anew, whole or not at all.

    Raises:
        TableError: it cannot be written.
    """
    safe = {}
    for name in table:
        if not pd.api.types.is_numeric_dtype(table[name]):
            safe[name] = [make_safe(value) for value in table[name]]
    replace_text(path, table.assign(**safe).to_csv(index=False, lineterminator="\n"))


def replace_text(path: str | Path, text: str) -> None:
    """Write a text file anew, whole or not at all.

    Args:
        path: the file; its folder is created.
        text: the new content.

    Raises:
        TableError: it cannot be written.
    """
    try:
        write_bytes(path, text.encode("utf-8"))
    except OSError as error:
        raise TableError(
            f"{path} cannot be written ({error.strerror}): free space or close it elsewhere."
        ) from error
