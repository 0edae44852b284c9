"""A video's records written one by one, so that a day of them needs no memory and a crash costs nothing."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from utils.cli.outputs import STDOUT, RecordError, refuse, speak

MIN_FREE = (
    2**20
)  # bytes left on the disk at which a file is ended, so that there is room for the tables beside it
HEAD, TAIL = b'{"images": [', b"\n]}\n"


class JsonStream:
    """Writes what ``records.write_json`` writes, record by record.

    A file is whole after each record, whatever interrupts the program; a full disk costs the last record alone.
    """

    def __init__(self, target: str | Path) -> None:
        """Begin the file; the target ``-`` is standard output.

        Raises:
            RecordError: the target cannot be written.
        """
        self._target, self._count, self._end, self._file = target, 0, 0, None
        if str(target) != STDOUT:
            try:
                self._file = open(target, "wb", buffering=0)
            except OSError as error:
                raise refuse(target, error) from error
        self._write(HEAD)

    def add(self, record: dict) -> None:
        """Write one record.

        Raises:
            RecordError: the disk is full, or nearly; the file ends with the record before.
        """
        if (
            self._file
            and self._count % 25 == 0
            and shutil.disk_usage(Path(self._target).parent).free < MIN_FREE
        ):
            raise RecordError(f"{self._target} ends after {self._count} records: the disk is full.")
        line = json.dumps(record, ensure_ascii=False).encode("utf-8", "backslashreplace")
        self._write((b",\n" if self._count else b"\n") + line)
        self._count += 1

    def close(self) -> None:
        """End the file."""
        if self._file is None:
            self._write_out(TAIL)
        else:
            self._file.close()

    def _write(self, data: bytes) -> None:
        if self._file is None:
            self._write_out(data)
            return
        try:
            self._write_at_end(data + TAIL)
            self._end += len(data)
        except OSError as error:
            self._file.truncate(self._end)  # which frees the room that the tail needs
            self._write_at_end(TAIL)
            raise RecordError(
                f"{self._target} cannot be written on ({error.strerror}): make room on the disk."
            ) from error

    def _write_out(self, data: bytes) -> None:
        try:
            with speak() as file:
                file.write(data.decode("utf-8", "backslashreplace"))
        except OSError as error:
            raise RecordError(
                f"Standard output cannot be written on ({error.strerror}): name a file."
            ) from error

    def _write_at_end(self, data: bytes) -> None:
        self._file.seek(self._end)
        while data:  # a disk that is nearly full takes a part
            data = data[self._file.write(data) :]
