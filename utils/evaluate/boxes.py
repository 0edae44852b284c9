"""Scores of a detector's boxes.

``match_faces`` matches found boxes with labelled faces. The scores are computed from its table:
average precision, precision, recall, and the calibration of the confidence.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression

from utils.boxes import Detections, as_boxes, box_iou
from utils.classes import MASK_CLASSES, decide
from utils.evaluate.scores import bootstrap_interval, wilson_interval
from utils.labels import BOX_COLUMNS

MATCH_COLUMNS = ["file", "confidence", "side", "class_true", "class_found", *BOX_COLUMNS]
# Least and greatest shorter side of a face, pixels; the greatest is excluded.
SIZES: dict[str, tuple[float, float]] = {
    "under 16 px": (0, 16),
    "16-32 px": (16, 32),
    "32-64 px": (32, 64),
    "64 px and more": (64, np.inf),
}


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


def precision_recall(matched: pd.DataFrame) -> pd.DataFrame:
    """Compute the precision-recall curve of a ``match_faces`` table.

    Returns:
        A table ``confidence, precision, recall``, a row per found box, the most confident first.
    """
    boxes = matched[matched.confidence.notna()]
    boxes = boxes.sort_values("confidence", ascending=False, kind="stable")
    hits = boxes.class_true.notna().to_numpy(int).cumsum()
    face_count = max(1, int(matched.class_true.notna().sum()))
    return pd.DataFrame(
        {
            "confidence": boxes.confidence.to_numpy(),
            "precision": hits / np.arange(1, len(hits) + 1),
            "recall": hits / face_count,
        }
    )


def average_precision(matched: pd.DataFrame) -> float:
    """Compute the average precision of a ``match_faces`` table.

    It is the area under the interpolated precision-recall curve (Pascal VOC since 2010), and NaN
    if there are no labelled faces.
    """
    if not matched.class_true.notna().any():
        return float("nan")
    curve = precision_recall(matched)
    # Interpolation: the highest precision at this recall or more.
    precision = np.maximum.accumulate(curve.precision.to_numpy()[::-1])[::-1]
    steps = np.diff(curve.recall.to_numpy(), prepend=0)
    return float(np.sum(steps * precision))


def select_class(found: Mapping[str, Detections], class_name: str) -> dict[str, Detections]:
    """Return the detections that are classified as a class, by file.

    Raises:
        ValueError: detections have no ``y_prob``.
    """
    selected = {}
    for file, detections in found.items():
        names = name_classes(detections)
        if names is None:
            raise ValueError(f"{file}: its detections have no class; run a classifier on them.")
        selected[file] = detections[names == class_name]
    return selected


def average_precision_table(
    found: Mapping[str, Detections], labels: pd.DataFrame, minimum: float = 0, rounds: int = 300
) -> pd.DataFrame:
    """Compute the AP at IoU 0.5 of faces and, if they are classified, of each class.

    Args:
        found: detections of each file, also those of low confidence.
        labels: the label table of these files.
        minimum: pixels; faces and boxes with a shorter side below it are ignored.
        rounds: bootstrap samples for the interval; whole photographs are resampled.

    Returns:
        A table ``what, n, ap, low, high``. Means over classes have no interval.
    """
    rows = {"face": _average_precision_row(found, labels, minimum, rounds)}
    if any(detections.y_prob is None for detections in found.values()):
        return _as_ap_table(rows)
    for name in MASK_CLASSES:
        found_of_class = select_class(found, name)
        labels_of_class = labels[labels.class_name == name]
        rows[name] = _average_precision_row(found_of_class, labels_of_class, minimum, rounds)
    rows["mean of with and without"] = _mean_row([rows[name] for name in MASK_CLASSES[:2]])
    rows["mean of three classes"] = _mean_row([rows[name] for name in MASK_CLASSES])
    return _as_ap_table(rows)


def _average_precision_row(
    found: Mapping[str, Detections], labels: pd.DataFrame, minimum: float, rounds: int
) -> dict[str, float]:
    """Return n, AP and its bootstrap interval."""
    matched = match_faces(found, labels)
    matched = matched[matched.side >= minimum]
    n = int(matched.class_true.notna().sum())
    if n == 0:
        return {"n": n, "ap": np.nan, "low": np.nan, "high": np.nan}

    def score_rows(rows: np.ndarray) -> float:
        return average_precision(matched.iloc[rows])

    low, high = bootstrap_interval(score_rows, matched.file.to_numpy(), rounds)
    return {"n": n, "ap": average_precision(matched), "low": low, "high": high}


def _mean_row(rows: list[dict[str, float]]) -> dict[str, float]:
    """Return the mean AP of several classes, without those that have no face."""
    ap = pd.Series([row["ap"] for row in rows]).mean()
    return {"n": sum(row["n"] for row in rows), "ap": float(ap)}


def _as_ap_table(rows: dict[str, dict[str, float]]) -> pd.DataFrame:
    """Return the table of ``average_precision_table`` from its rows by name."""
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("what")


def count_outcomes(matched: pd.DataFrame, min_confidence: float) -> dict[str, float]:
    """Count the outcomes of a ``match_faces`` table.

    Args:
        matched: the table.
        min_confidence: found boxes below it are ignored.

    Returns:
        ``right, wrong_label, false_face, missed, precision, recall, f1``. A face counts as right if
        it is found and its class is right.
    """
    is_kept = matched.confidence >= min_confidence
    is_face = matched.class_true.notna()
    is_found = is_kept & is_face
    is_right = is_found & (matched.class_true == matched.class_found)
    right = int(is_right.sum())
    wrong_label = int(is_found.sum()) - right
    false_face = int((is_kept & ~is_face).sum())
    missed = int((is_face & ~is_kept).sum())
    return {
        "right": right,
        "wrong_label": wrong_label,
        "false_face": false_face,
        "missed": missed,
        "precision": right / max(1, right + wrong_label + false_face),
        "recall": right / max(1, right + wrong_label + missed),
        "f1": 2 * right / max(1, 2 * right + 2 * wrong_label + false_face + missed),
    }


def fit_confidence(matched: pd.DataFrame) -> tuple[float, float, float]:
    """Fit the calibration of a detector's confidence.

    The factor is the slope of a logistic regression of hits on the confidence's logit (Platt
    scaling, 1999). The offset moves the confidence at which the F1 of the boxes is best to 0.5.

    Args:
        matched: a ``match_faces`` table; classes are ignored.

    Returns:
        Factor and offset of the confidence's logit, and the best F1. Factor 1 and offset 0 if there
        are only hits or only false boxes.
    """
    matched = matched.assign(class_found=matched.class_true)  # only the boxes count
    boxes = matched[matched.confidence.notna()]
    is_hit = boxes.class_true.notna()
    if is_hit.nunique() < 2:
        return 1.0, 0.0, count_outcomes(matched, 0.5)["f1"]

    confidence = boxes.confidence.clip(1e-6, 1 - 1e-6)
    logit = np.log(confidence / (1 - confidence)).to_numpy(float)
    regression = LogisticRegression(C=1e3).fit(logit[:, None], is_hit)
    factor = float(regression.coef_[0, 0])

    candidates = np.quantile(boxes.confidence, np.linspace(0, 1, 301))
    f1 = [count_outcomes(matched, candidate)["f1"] for candidate in candidates]
    best = float(candidates[int(np.argmax(f1))])
    offset = float(-factor * np.log(best / (1 - best)))
    return factor, offset, max(f1)


def recall_table(matched: pd.DataFrame, min_confidence: float) -> pd.DataFrame:
    """Compute the share of the labelled faces that are found, by size and by class.

    Args:
        matched: a ``match_faces`` table.
        min_confidence: least confidence of a found face.

    Returns:
        A table ``slice, n, recall, low, high``; the last row is "all". Recall is NaN for n = 0.
    """
    faces = matched[matched.class_true.notna()]
    is_found = faces.confidence >= min_confidence
    slices = {}
    for name, (low, high) in SIZES.items():
        slices[name] = faces.side.between(low, high, inclusive="left")
    for name in MASK_CLASSES:
        slices[name] = faces.class_true == name
    slices["all"] = pd.Series(True, index=faces.index)

    rows: dict[str, dict[str, Any]] = {}
    for name, is_in in slices.items():
        n = int(is_in.sum())
        hits = int((is_in & is_found).sum())
        low, high = wilson_interval(hits, n)
        rows[name] = {"n": n, "recall": hits / n if n else np.nan, "low": low, "high": high}
    return pd.DataFrame.from_dict(rows, orient="index").astype({"n": int}).rename_axis("slice")
