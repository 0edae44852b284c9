"""CSV tables on disk as DataFrames: read, replaced, and locked while they change.

``csv_lines`` appends to them.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import pandas as pd
from filelock import FileLock, Timeout

from utils.atomic import write_bytes
from utils.csv_lines import TableError, make_safe, read_complete_lines, restore

WAIT_S = 10.0  # seconds to wait for another program that writes the same file
SEPARATORS = (",", ";", "\t")  # of columns
NAMED_SEPARATOR = re.compile(r'"?sep=(.)"?[\t ]*\r?\n', re.IGNORECASE)  # Excel's first line
CHECKED_BYTES = 2**12  # for the zeros that Latin letters have in UTF-16: half of the bytes
DECIMAL_COMMA = re.compile(r"(?:^|[;\t])-?\d+,\d+(?:[;\t\r\n]|$)", re.MULTILINE)


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


def read_table(
    path: str | Path, columns: Sequence[str] = (), as_text: bool = False
) -> pd.DataFrame:
    """Read a table with types, also as a spreadsheet saved it.

    Spreadsheets write semicolons, decimal commas, and the encoding of Windows. ``read_rows`` reads
    the tables that programs append to.

    Args:
        path: the table.
        columns: the columns that the table must have.
        as_text: whether every value stays a string, also digests that look like numbers.

    Raises:
        TableError: the file cannot be read, or one of the columns is missing.
    """
    path = Path(path)
    options: dict[str, Any] = {}
    if as_text:
        options = {"dtype": str, "keep_default_na": False}
    try:
        text = _decode(path.read_bytes())
        named = NAMED_SEPARATOR.match(text)
        if named:
            text = text[named.end() :]
        header = text.partition("\n")[0]
        separator = named[1] if named else max(SEPARATORS, key=header.count)
        decimal = "."
        if separator != "," and DECIMAL_COMMA.search(text):
            decimal = ","
        table = _parse(text, sep=separator, decimal=decimal, **options)
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
    start = data[:CHECKED_BYTES]
    for encoding, first in (("utf-16-le", 1), ("utf-16-be", 0)):  # without a byte order mark
        zeros = start[first::2].count(0)
        if len(start) > 1 and zeros > len(start) / 4:
            return data.decode(encoding)
    for encoding in ("utf-8-sig", "cp1252"):
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    return data.decode("latin-1")


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
    quoting: Literal[0, 2] = csv.QUOTE_MINIMAL
    for name in table:
        if not pd.api.types.is_numeric_dtype(table[name]):
            safe[name] = [make_safe(value) for value in table[name]]
            # Python quotes a lone carriage return from version 3.13 on.
            if any(isinstance(value, str) and "\r" in value for value in safe[name]):
                quoting = csv.QUOTE_NONNUMERIC
    text = table.assign(**safe).to_csv(index=False, lineterminator="\n", quoting=quoting)
    replace_text(path, text)


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
