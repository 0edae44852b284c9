"""Detections as the JSON and CSV records that the script writes, with the standard library alone."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from utils.boxes import Detections, clip_boxes
from utils.classes import CLASS_NAMES, decide
from utils.cli.outputs import open_target

CSV_COLUMNS = (
    *("file", "frame", "time_s", "width", "height", "x_min", "y_min", "x_max", "y_max"),
    *("confidence", "class_name", "probability"),
    *(f"probability_{name}" for name in CLASS_NAMES),
)


def make_record(
    file: str | Path,
    resolution_wh: tuple[int, int],
    detections: Detections,
    frame: int | None = None,
    time_s: float | None = None,
) -> dict:
    """One image, or one frame of a video, and its faces.

    Args:
        file: the image or video.
        resolution_wh: width and height of the upright image, pixels.
        detections: with ``y_prob``.
        frame: number of a video's frame from 0, None for an image.
        time_s: the frame's moment in seconds from the start.

    Returns:
        ``{"file", "width", "height", "faces": [{"box": [x_min, y_min, x_max, y_max], "confidence", "class_name",
        "probability", "probabilities": {name: p}}]}``, for a frame also ``frame`` and ``time_s``, and of each face
        ``track_id`` where faces are followed.
    """
    record: dict = {"file": file.as_posix() if isinstance(file, Path) else file}
    if frame is not None:
        record |= {"frame": frame, "time_s": round(time_s or 0.0, 3)}
    record |= dict(zip(("width", "height"), map(int, resolution_wh), strict=True))
    boxes = clip_boxes(detections.xyxy, resolution_wh).round().astype(int).tolist()
    y_prob = np.zeros((0, len(CLASS_NAMES))) if detections.y_prob is None else detections.y_prob
    ids = [None] * len(boxes) if detections.track_id is None else detections.track_id.tolist()
    record["faces"] = [
        {
            **({"track_id": track_id} if track_id else {}),
            "box": box,
            "confidence": round(float(confidence), 4),
            "class_name": CLASS_NAMES[class_id],
            "probability": round(float(row[class_id]), 4),
            "probabilities": {
                name: round(float(p), 4) for name, p in zip(CLASS_NAMES, row, strict=True)
            },
        }
        for box, confidence, class_id, row, track_id in zip(
            boxes, detections.confidence, decide(y_prob), y_prob, ids, strict=True
        )
    ]
    return record


def write_json(target: str | Path, records: Iterable[dict]) -> None:
    """Write ``{"images": [record, ...]}``, one line a record; the target ``-`` is standard output.

    Raises:
        RecordError: the target cannot be written.
    """
    lines = ",\n".join(json.dumps(record, ensure_ascii=False) for record in records)
    with open_target(target) as file:
        file.write(f'{{"images": [\n{lines}\n]}}\n')


def write_table(target: str | Path, rows: Iterable[dict], columns: Sequence[str]) -> None:
    """Write rows as CSV; the target ``-`` is standard output.

    Raises:
        RecordError: the target cannot be written.
    """
    with open_target(target) as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def write_csv(target: str | Path, records: Iterable[dict]) -> None:
    """Write one row a face, columns as ``CSV_COLUMNS``; ``frame`` and ``time_s`` are empty for images.

    Raises:
        RecordError: the target cannot be written.
    """
    rows = (
        record
        | face
        | dict(zip(("x_min", "y_min", "x_max", "y_max"), face["box"], strict=True))
        | {f"probability_{name}": p for name, p in face["probabilities"].items()}
        for record in records
        for face in record["faces"]
    )
    write_table(target, rows, CSV_COLUMNS)
