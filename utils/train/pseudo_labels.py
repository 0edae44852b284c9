"""What a trained detector adds to the labels: faces nobody labelled, and boxes where the whole image is one face."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from utils.boxes import box_iou
from utils.detect import Detector, find_faces
from utils.evaluate import match_boxes
from utils.labels import BOX_COLUMNS


def find_unlabelled(
    labels: pd.DataFrame, root: str | Path, detector: Detector, max_iou: float = 0.2
) -> pd.DataFrame:
    """Boxes that a detector is sure of and that cover no labelled face, in photographs whose faces have boxes.

    Most are faces that the labellers left out, so that training must not call them background; some are mistakes.

    Args:
        labels: a label table; its ``no_face`` rows count as unlabelled.
        root: the data root.
        detector: with the confidence from which it is believed.
        max_iou: of a found box with any labelled face.

    Returns:
        A table ``file``, the box in whole pixels, ``confidence``.
    """
    faces = labels[(labels.class_name != "no_face") & labels.x_min.notna()]
    known = dict(tuple(faces.groupby("file")))
    rows = [pd.DataFrame(columns=["file", *BOX_COLUMNS, "confidence"])]
    for path, _, found in find_faces([Path(root) / file for file in known], detector):
        file = path.relative_to(root).as_posix()
        new = found[box_iou(found.xyxy, known[file][BOX_COLUMNS]).max(axis=1, initial=0) < max_iou]
        boxes = dict(zip(BOX_COLUMNS, new.xyxy.round().T, strict=True))
        rows.append(pd.DataFrame({"file": file, **boxes, "confidence": new.confidence.round(3)}))
    return pd.concat(rows[1:] or rows, ignore_index=True)


def measure_offset(
    labels: pd.DataFrame, root: str | Path, detector: Detector, min_side: float = 20
) -> np.ndarray:
    """How a person's boxes lie to a detector's, (4,): the median shift of each edge, as a share of the box's side.

    Detectors learned from different labels begin a face at the hair, at the forehead or at the brows. Zeros where no
    face of ``min_side`` pixels was found.
    """
    shifts = [np.zeros((0, 4))]
    for path, _, found in find_faces(
        [Path(root) / file for file in labels.file.unique()], detector
    ):
        known = labels[labels.file == path.relative_to(root).as_posix()][BOX_COLUMNS].to_numpy(
            float
        )
        matched = match_boxes(found.xyxy, known, 0.35)
        true, box = known[matched[matched >= 0]], found.xyxy[matched >= 0]
        sides = np.tile(box[:, 2:] - box[:, :2], 2)
        shifts.append(((true - box) / sides)[sides.min(axis=1) >= min_side])
    matched = np.concatenate(shifts)
    return np.median(matched, axis=0) if len(matched) else np.zeros(4)


def move_boxes(labels: pd.DataFrame, offset: np.ndarray) -> pd.DataFrame:
    """The label table with every box's edges moved by ``offset`` (4,), shares of the box's sides."""
    boxes = labels[BOX_COLUMNS].to_numpy(float)
    moved = boxes + np.tile(boxes[:, 2:] - boxes[:, :2], 2) * offset
    return labels.assign(**dict(zip(BOX_COLUMNS, moved.T, strict=True)))


def align_boxes(
    labels: pd.DataFrame, examples: pd.DataFrame, root: str | Path, detector: Detector
) -> pd.DataFrame:
    """Boxes that a detector drew, moved to where people would have drawn them, class by class.

    Args:
        labels: a label table whose boxes are the detector's.
        examples: a label table whose boxes are people's, to learn the difference from.
        root: the data root.
        detector: the one that drew.
    """
    tables = [labels.iloc[:0]]
    for name, rows in labels.groupby("class_name"):
        tables.append(
            move_boxes(rows, measure_offset(examples[examples.class_name == name], root, detector))
        )
    return pd.concat(tables)
