"""Labels from a trained detector: unlabelled faces, and boxes for images that have only a class."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from utils.boxes import box_iou
from utils.detect import Detector, find_faces
from utils.evaluate import match_boxes
from utils.labels import BOX_COLUMNS

# Least IoU of a detected and a labelled box of the same face. It is low, because people and
# detectors draw the edges differently.
MATCH_IOU = 0.35


def find_unlabelled(
    labels: pd.DataFrame, root: str | Path, detector: Detector, max_iou: float = 0.2
) -> pd.DataFrame:
    """Return the confident detections that overlap no labelled face.

    Most of them are faces that people left out, which training must not treat as background. Some
    are errors.

    Args:
        labels: a label table; only files with a labelled face with a box are searched. ``no_face``
            rows are not labels.
        root: the folder that the ``file`` column is relative to.
        detector: with the minimum confidence to believe.
        max_iou: a detection with this IoU or more with a labelled face is that face.

    Returns:
        A table ``file``, the box columns in whole pixels, ``confidence``.
    """
    faces = labels[(labels.class_name != "no_face") & labels.x_min.notna()]
    faces_of_file = dict(tuple(faces.groupby("file")))
    files = [Path(root) / file for file in faces_of_file]
    tables = []
    for path, _, found in find_faces(files, detector, "looking for unlabelled faces"):
        file = path.relative_to(root).as_posix()
        labelled = faces_of_file[file][BOX_COLUMNS].to_numpy()
        largest_iou = box_iou(found.xyxy, labelled).max(axis=1, initial=0)
        new = found[largest_iou < max_iou]
        rows = pd.DataFrame(new.xyxy.round(), columns=BOX_COLUMNS)
        rows.insert(0, "file", file)
        rows["confidence"] = new.confidence.round(3)
        tables.append(rows)
    if not tables:
        return pd.DataFrame(columns=["file", *BOX_COLUMNS, "confidence"])
    return pd.concat(tables, ignore_index=True)


def keep_agreed(
    labels: pd.DataFrame, root: str | Path, detector: Detector, min_iou: float = MATCH_IOU
) -> pd.DataFrame:
    """Return the rows whose box another detector finds too.

    Args:
        labels: a label table whose boxes were drawn by a detector.
        root: the folder that the ``file`` column is relative to.
        detector: the other detector.
        min_iou: least IoU of the two boxes of a face.
    """
    agreed = pd.Series(False, index=labels.index)
    files = [Path(root) / file for file in labels.file.unique()]
    for path, _, found in find_faces(files, detector, "asking a second detector"):
        rows = labels[labels.file == path.relative_to(root).as_posix()]
        drawn = rows[BOX_COLUMNS].to_numpy(float)
        agreed[rows.index] = box_iou(drawn, found.xyxy).max(axis=1, initial=0) >= min_iou
    return labels[agreed]


def measure_offset(
    labels: pd.DataFrame, root: str | Path, detector: Detector, min_side: float = 20
) -> np.ndarray:
    """Return the typical difference between people's boxes and a detector's, (4,).

    It is the median shift of each edge from the detected to the labelled box, as a share of the
    detected box's side. Detectors that learned from different labels start a face at the hair, at
    the forehead or at the brows.

    Args:
        labels: a label table whose boxes were drawn by people.
        root: the folder that the ``file`` column is relative to.
        detector: to compare with.
        min_side: pixels; smaller detections do not count. If no detection counts, the offset is 0.
    """
    files = [Path(root) / file for file in labels.file.unique()]
    shifts = [np.zeros((0, 4))]
    for path, _, found in find_faces(files, detector, "comparing boxes"):
        file = path.relative_to(root).as_posix()
        labelled = labels[labels.file == file][BOX_COLUMNS].to_numpy(float)
        match = match_boxes(found.xyxy, labelled, MATCH_IOU)
        is_matched = match >= 0
        detected = found.xyxy[is_matched]
        sides = detected[:, 2:] - detected[:, :2]
        shift = (labelled[match[is_matched]] - detected) / np.tile(sides, 2)
        shifts.append(shift[sides.min(axis=1) >= min_side])
    all_shifts = np.concatenate(shifts)
    if len(all_shifts) == 0:
        return np.zeros(4)
    return np.median(all_shifts, axis=0)


def move_boxes(labels: pd.DataFrame, offset: np.ndarray) -> pd.DataFrame:
    """Return a label table with its boxes' edges moved by ``offset`` (4,), shares of the sides."""
    boxes = labels[BOX_COLUMNS].to_numpy(float)
    sides = boxes[:, 2:] - boxes[:, :2]
    moved = labels.copy()
    moved[BOX_COLUMNS] = boxes + np.tile(sides, 2) * offset
    return moved


def align_boxes(
    labels: pd.DataFrame, examples: pd.DataFrame, root: str | Path, detector: Detector
) -> pd.DataFrame:
    """Return a label table with detected boxes moved to where people would draw them, by class.

    Args:
        labels: a label table whose boxes were drawn by the detector.
        examples: a label table whose boxes were drawn by people, to measure the difference on.
        root: the folder that the ``file`` column is relative to.
        detector: the one that drew the boxes of ``labels``.
    """
    tables = [labels.iloc[:0]]
    for name, rows in labels.groupby("class_name"):
        offset = measure_offset(examples[examples.class_name == name], root, detector)
        tables.append(move_boxes(rows, offset))
    return pd.concat(tables)
