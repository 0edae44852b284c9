"""Detections as records, the form in which the script writes them as JSON and CSV."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from utils.atomic import name_part
from utils.boxes import BOX_COLUMNS, Detections, clip_boxes
from utils.classes import CLASS_NAMES, decide
from utils.cli.outputs import STDOUT, OutputError, make_output_error, open_output, open_stdout
from utils.csv_lines import make_safe

PROBABILITY_COLUMNS = tuple(f"probability_{name}" for name in CLASS_NAMES)
CSV_COLUMNS = (
    "file",
    "frame",
    "time_s",
    "width",
    "height",
    *BOX_COLUMNS,
    "confidence",
    "class_name",
    "probability",
    *PROBABILITY_COLUMNS,
    "unsure",
)
OUTPUT_FORMATS = ("csv", "parquet")  # of the table of the faces in images
MIN_FREE = 2**20  # bytes that a JSON file leaves free on the disk, so that the CSV files fit
CHECK_EVERY = 25  # records between two checks of the free space
JSON_HEAD = b'{"images": ['
JSON_TAIL = b"\n]}\n"


def make_record(
    file: str | Path,
    resolution_wh: tuple[int, int],
    detections: Detections,
    frame: int | None = None,
    time_s: float | None = None,
) -> dict:
    """Return the record of one image, or of one frame of a video.

    Args:
        file: the image or video.
        resolution_wh: width and height of the upright image, pixels.
        detections: with ``y_prob``.
        frame: number of the frame from 0; None for an image.
        time_s: time of the frame from the start, seconds.

    Returns:
        ``{"file", "width", "height", "faces": [{"box": [x_min, y_min, x_max, y_max], "confidence",
        "class_name", "probability", "probabilities": {name: p}, "unsure": bool}]}``.
        A frame also has ``frame`` and ``time_s``, and a face whose track counts has ``track_id``.
    """
    record: dict = {"file": file.as_posix() if isinstance(file, Path) else file}
    if frame is not None:
        record["frame"] = frame
        record["time_s"] = round(time_s or 0.0, 3)
    record["width"] = int(resolution_wh[0])
    record["height"] = int(resolution_wh[1])
    record["faces"] = []
    boxes = clip_boxes(detections.xyxy, resolution_wh).round().astype(int).tolist()
    y_prob = detections.y_prob
    if y_prob is None:
        y_prob = np.zeros((0, len(CLASS_NAMES)))
    class_ids = decide(y_prob).tolist()
    for index, (box, class_id) in enumerate(zip(boxes, class_ids, strict=True)):
        face: dict = {}
        if detections.track_id is not None and detections.track_id[index]:
            face["track_id"] = int(detections.track_id[index])
        row = y_prob[index]
        face["box"] = box
        face["confidence"] = round(float(detections.confidence[index]), 4)
        face["class_name"] = CLASS_NAMES[class_id]
        face["probability"] = round(float(row[class_id]), 4)
        face["probabilities"] = {
            name: round(float(p), 4) for name, p in zip(CLASS_NAMES, row, strict=True)
        }
        face["unsure"] = detections.is_unsure is not None and bool(detections.is_unsure[index])
        record["faces"].append(face)
    return record


def write_json(output: str | Path, records: Iterable[dict]) -> None:
    """Write ``{"images": [record, ...]}``, one record per line, to a file or to ``-``.

    Raises:
        OutputError: the output cannot be written.
    """
    with open_output(output) as file:
        file.write('{"images": [\n')
        separator = ""
        for record in records:
            file.write(separator + json.dumps(record, ensure_ascii=False))
            separator = ",\n"
        file.write("\n]}\n")


def write_table(output: str | Path, rows: Iterable[dict], columns: Sequence[str]) -> None:
    """Write rows as CSV to a file or to ``-``. No cell is run as a formula, see ``cells``.

    Raises:
        OutputError: the output cannot be written.
    """
    with open_output(output) as file:
        writer = csv.writer(file, lineterminator="\n")
        # Python quotes a lone carriage return from version 3.13 on, and readers take it for the end
        # of a row.
        quoting_writer = csv.writer(file, quoting=csv.QUOTE_ALL, lineterminator="\n")
        writer.writerow(columns)
        for row in rows:
            cells = [make_safe(row.get(name, "")) for name in columns]
            has_return = any(isinstance(cell, str) and "\r" in cell for cell in cells)
            (quoting_writer if has_return else writer).writerow(cells)


def write_csv(
    output: str | Path, records: Iterable[dict], output_format: str = OUTPUT_FORMATS[0]
) -> None:
    """Write one row per face, with the columns of ``CSV_COLUMNS``, to a file or to ``-``.

    ``frame`` and ``time_s`` are empty for images.

    Args:
        output: the file, or ``-``.
        records: from ``make_record``.
        output_format: one of ``OUTPUT_FORMATS``.

    Raises:
        OutputError: the output cannot be written.
    """
    if output_format == "parquet":
        # Imported here because few runs need it and PyArrow takes long to load.
        from utils.cli.parquet import write_parquet

        write_parquet(output, list_faces(records))
    else:
        write_table(output, list_faces(records), CSV_COLUMNS)


def list_faces(records: Iterable[dict]) -> Iterator[dict]:
    """Yield a row for each face of records, with at most the columns of ``CSV_COLUMNS`` filled."""
    for record in records:
        for face in record["faces"]:
            row = record | face
            row |= zip(BOX_COLUMNS, face["box"], strict=True)
            row |= zip(PROBABILITY_COLUMNS, face["probabilities"].values(), strict=True)
            yield row


class JsonStream:
    """Writes records one by one, in the form of ``write_json``.

    The file is complete after each record, whatever ends the program, and the records of a whole
    day need no memory. A full disk costs the last record only. A file that was there is replaced
    when the first record has been written.
    """

    def __init__(self, output: str | Path) -> None:
        """Begin a file, or standard output if ``output`` is ``-``.

        Raises:
            OutputError: the output cannot be written.
        """
        self._output = output
        self._count = 0  # records written
        self._is_broken = False  # whether the disk was full
        self._end = 0  # position in the file after the last record
        self._file: io.FileIO | None = None
        self._target = Path(os.path.realpath(output))
        self._part: Path | None = None  # its name until the first record has been written
        if str(output) != STDOUT:
            if not self._target.exists() or self._target.is_file():
                self._part = name_part(self._target)
            try:
                self._file = open(self._part or self._target, "wb", buffering=0)
            except OSError as error:
                raise make_output_error(output, error) from error
        try:
            self._write(JSON_HEAD)
        except OutputError:
            self.close()
            raise

    def add(self, record: dict) -> None:
        """Write one record.

        Raises:
            OutputError: the disk is full or nearly full; the file ends with the previous record.
        """
        if self._file is not None and self._count % CHECK_EVERY == 0:
            self._check_free_space()
        line = json.dumps(record, ensure_ascii=False).encode("utf-8", "backslashreplace")
        separator = b",\n" if self._count else b"\n"
        self._write(separator + line)
        self._count += 1
        if self._part is not None:
            self._publish(self._part)

    def close(self) -> None:
        """Complete the output. If nothing could be written, a file that was there stays."""
        if self._file is None:
            self._write_to_stdout(JSON_TAIL)
            return
        self._file.close()
        if self._part is not None:
            if self._is_broken:
                self._part.unlink(missing_ok=True)
            else:
                self._part.replace(self._target)

    def _publish(self, part: Path) -> None:
        """Give the file its name. It is closed meanwhile, because Windows renames no open file."""
        assert self._file is not None
        self._file.close()
        try:
            part.replace(self._target)
            self._file = open(self._target, "r+b", buffering=0)
        except OSError as error:
            raise make_output_error(self._output, error) from error
        self._part = None

    def _check_free_space(self) -> None:
        """Raise an OutputError if the disk is nearly full."""
        if shutil.disk_usage(Path(self._output).parent).free < MIN_FREE:
            self._is_broken = True
            raise OutputError(
                f"{self._output} ends after {self._count} records: the disk is full. "
                "Make room on the disk."
            )

    def _write(self, data: bytes) -> None:
        """Write data after the last record, and the end of the JSON text after it."""
        if self._file is None:
            self._write_to_stdout(data)
            return
        try:
            self._write_at_end(self._file, data + JSON_TAIL)
            self._end += len(data)
        except OSError as error:
            self._is_broken = True
            with suppress(OSError):
                self._file.truncate(self._end)  # frees the room that the tail needs
                self._write_at_end(self._file, JSON_TAIL)
            raise OutputError(
                f"{self._output} could not be written to the end ({error.strerror}): "
                "make room on the disk."
            ) from error

    def _write_to_stdout(self, data: bytes) -> None:
        """Write data to standard output."""
        try:
            with open_stdout() as file:
                file.write(data.decode("utf-8", "backslashreplace"))
        except OSError as error:
            raise OutputError(
                f"Standard output cannot be written ({error.strerror}): name a file."
            ) from error

    def _write_at_end(self, file: io.FileIO, data: bytes) -> None:
        """Write data after the last record."""
        file.seek(self._end)
        while data:
            written = file.write(data)  # a disk that is nearly full takes only a part
            data = data[written:]
