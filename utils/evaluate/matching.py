"""Match the boxes that a detector found with the labelled faces."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from utils.boxes import Detections, as_boxes, box_iou
from utils.classes import MASK_CLASSES, decide
from utils.labels import BOX_COLUMNS

MATCH_COLUMNS = ["file", "confidence", "side", "class_true", "class_found", *BOX_COLUMNS]


def match_boxes(xyxy: np.ndarray, xyxy_true: np.ndarray, min_iou: float = 0.5) -> np.ndarray:
    """Match found boxes greedily with labelled boxes.

    Args:
        xyxy: (N, 4) found boxes, the most confident first.
        xyxy_true: (M, 4) labelled boxes. Each is matched at most once.
        min_iou: least IoU of a match.

    Returns:
        (N,) position of the labelled box that each found box matches, or -1.
    """
    iou = box_iou(as_boxes(xyxy), as_boxes(xyxy_true))
    matched = np.full(len(iou), -1)
    if iou.shape[1] == 0:
        return matched
    for row in range(len(iou)):
        best = iou[row].argmax()
        if iou[row, best] >= min_iou:
            matched[row] = best
            iou[:, best] = -1
    return matched


def match_faces(
    found: Mapping[str, Detections], labels: pd.DataFrame, min_iou: float = 0.5
) -> pd.DataFrame:
    """Match the detections of photographs with their labels.

    Args:
        found: detections of each file.
        labels: the label table of the same files, boxes only.
        min_iou: least IoU of a found and a labelled box that match.

    Returns:
        A table with a row per found box and a row per missed face: ``file``; ``confidence``, NaN
        for a missed face; ``side``, the shorter side of the labelled face, or of the found box if
        it matches none, pixels; ``class_true``, None for a false box; ``class_found``, None for a
        missed face and for detections without ``y_prob``; and the box, found or missed.
    """
    labels_of_file = dict(tuple(labels.groupby("file")))
    no_labels = labels.iloc[:0]
    tables = []
    for file, detections in found.items():
        labels_here = labels_of_file.get(file, no_labels)
        tables += _match_photograph(file, detections, labels_here, min_iou)
    tables = [table for table in tables if len(table)]
    if not tables:
        return pd.DataFrame(columns=MATCH_COLUMNS)
    return pd.concat(tables, ignore_index=True)


def _match_photograph(
    file: str, detections: Detections, labels: pd.DataFrame, min_iou: float
) -> list[pd.DataFrame]:
    """Return the rows of ``match_faces`` for one photograph: its found boxes, its missed faces."""
    xyxy_true = as_boxes(labels[BOX_COLUMNS])
    side_true = _short_sides(xyxy_true)
    class_true = labels.class_name.to_numpy(object)
    detections = detections[np.argsort(-detections.confidence, kind="stable")]
    matched = match_boxes(detections.xyxy, xyxy_true, min_iou)
    is_hit = matched >= 0

    side = _short_sides(detections.xyxy)
    side[is_hit] = side_true[matched[is_hit]]
    class_of_box = np.full(len(matched), None, object)
    class_of_box[is_hit] = class_true[matched[is_hit]]
    boxes = pd.DataFrame(detections.xyxy, columns=BOX_COLUMNS)
    boxes["file"] = file
    boxes["confidence"] = detections.confidence.astype(float)
    boxes["side"] = side
    boxes["class_true"] = class_of_box
    boxes["class_found"] = name_classes(detections)

    is_missed = np.ones(len(xyxy_true), bool)
    is_missed[matched[is_hit]] = False
    faces = pd.DataFrame(xyxy_true[is_missed], columns=BOX_COLUMNS)
    faces["file"] = file
    faces["confidence"] = np.nan
    faces["side"] = side_true[is_missed]
    faces["class_true"] = class_true[is_missed]
    faces["class_found"] = None
    return [boxes[MATCH_COLUMNS], faces[MATCH_COLUMNS]]


def _short_sides(xyxy: np.ndarray) -> np.ndarray:
    """Return the shorter side of each box, (N,) float64, pixels."""
    return np.min(xyxy[:, 2:] - xyxy[:, :2], axis=1).astype(float)


def name_classes(detections: Detections) -> np.ndarray | None:
    """Return the class name of each detection, (N,), or None without ``y_prob``."""
    if detections.y_prob is None:
        return None
    return np.array(MASK_CLASSES, object)[decide(detections.y_prob)]
