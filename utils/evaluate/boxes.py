"""How well faces are found: found boxes matched with labelled ones, precision-recall curves and average precision."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression

from utils.boxes import Detections, as_boxes, box_iou
from utils.classes import MASK_CLASSES, decide
from utils.evaluate.scores import bootstrap_interval, wilson_interval
from utils.labels import BOX_COLUMNS

SIZES = {
    "under 16 px": (0, 16),
    "16-32 px": (16, 32),
    "32-64 px": (32, 64),
    "64 px and more": (64, np.inf),
}


def match_boxes(xyxy: np.ndarray, xyxy_true: np.ndarray, min_iou: float = 0.5) -> np.ndarray:
    """Which true box each found box takes, in the order given (most confident first): (N,) positions, -1 for none."""
    iou = box_iou(as_boxes(xyxy), as_boxes(xyxy_true))
    matched = np.full(len(iou), -1)
    for row in range(len(iou)):
        if iou.shape[1] and iou[row].max() >= min_iou:
            matched[row] = iou[row].argmax()
            iou[:, matched[row]] = -1
    return matched


def match_faces(
    found: Mapping[str, Detections], labels: pd.DataFrame, min_iou: float = 0.5
) -> pd.DataFrame:
    """Every found and every missed face of some photographs.

    Args:
        found: each file's detections.
        labels: the label table of the same files, boxes only.
        min_iou: a found box that covers no labelled one by as much is a false face.

    Returns:
        One row a found box, then one a missed face: ``file, confidence`` (NaN where missed), ``side`` (the labelled
        face's shorter side in pixels; a false face's own), ``class_true`` (None where false), ``class_found`` (None
        where missed, or where nobody judged) and the box, found or missed.
    """
    by_file = dict(tuple(labels.groupby("file")))
    tables = [
        pd.DataFrame(
            columns=["file", "confidence", "side", "class_true", "class_found", *BOX_COLUMNS]
        )
    ]
    for file, detections in found.items():
        known = by_file.get(file, labels.iloc[:0])
        boxes, names = as_boxes(known[BOX_COLUMNS]), known.class_name.to_numpy(object)
        detections = detections[np.argsort(-detections.confidence, kind="stable")]
        matched = match_boxes(detections.xyxy, boxes, min_iou)
        missed = np.setdiff1d(np.arange(len(boxes)), matched)
        judged = (
            None
            if detections.y_prob is None
            else np.array(MASK_CLASSES, object)[decide(detections.y_prob)]
        )
        side = np.min(boxes[:, 2:] - boxes[:, :2], axis=1)
        own = np.min(detections.xyxy[:, 2:] - detections.xyxy[:, :2], axis=1)
        hits = {
            "file": file,
            "confidence": detections.confidence.astype(float),
            "side": np.where(matched >= 0, np.append(side, 0)[matched], own),
            "class_true": np.where(matched >= 0, np.append(names, None)[matched], None),
            "class_found": judged,
            **dict(zip(BOX_COLUMNS, detections.xyxy.T, strict=True)),
        }
        lost = {
            "file": file,
            "confidence": np.nan,
            "side": side[missed],
            "class_true": names[missed],
        }
        lost |= {"class_found": None, **dict(zip(BOX_COLUMNS, boxes[missed].T, strict=True))}
        tables += [pd.DataFrame(part) for part in (hits, lost)]
    return pd.concat([table for table in tables if len(table)] or tables, ignore_index=True)


def precision_recall(matched: pd.DataFrame) -> pd.DataFrame:
    """The curve of a ``match_faces`` table: ``confidence, precision, recall`` after each found box, surest first."""
    boxes = matched[matched.confidence.notna()].sort_values(
        "confidence", ascending=False, kind="stable"
    )
    hits = boxes.class_true.notna().to_numpy(int).cumsum()
    faces = max(1, int(matched.class_true.notna().sum()))
    table = {
        "confidence": boxes.confidence.to_numpy(),
        "precision": hits / np.arange(1, len(hits) + 1),
    }
    return pd.DataFrame({**table, "recall": hits / faces})


def average_precision(matched: pd.DataFrame) -> float:
    """The area under the interpolated precision-recall curve (Pascal VOC 2010 on); NaN where there is no face."""
    if not matched.class_true.notna().any():
        return float("nan")
    curve = precision_recall(matched)
    precision = np.maximum.accumulate(curve.precision.to_numpy()[::-1])[::-1]
    return float(np.sum(np.diff(curve.recall.to_numpy(), prepend=0) * precision))


def select_class(found: Mapping[str, Detections], class_name: str) -> dict[str, Detections]:
    """The detections that are told to be of a class."""
    wanted = MASK_CLASSES.index(class_name)
    return {
        file: detections[decide(detections.y_prob) == wanted] for file, detections in found.items()
    }


def average_precision_table(
    found: Mapping[str, Detections], labels: pd.DataFrame, minimum: float = 0, rounds: int = 300
) -> pd.DataFrame:
    """AP at IoU 0.5 of faces and, where they were judged, of each class and their means.

    Args:
        found: each file's detections, of low confidences too.
        labels: the label table of these files.
        minimum: pixels; faces and boxes whose shorter side is under it do not count.
        rounds: of the bootstrap over photographs that gives the interval.

    Returns:
        A table ``what, n, ap, low, high``.
    """
    parts = {"face": (found, labels)}
    if all(detections.y_prob is not None for detections in found.values()):
        parts |= {
            name: (select_class(found, name), labels[labels.class_name == name])
            for name in MASK_CLASSES
        }
    rows = {}
    for name, part in parts.items():
        matched = match_faces(*part).query("side >= @minimum")
        score = lambda chosen, table=matched: average_precision(table.iloc[chosen])  # noqa: E731
        n = int(matched.class_true.notna().sum())
        low, high = (
            bootstrap_interval(score, matched.file.to_numpy(), rounds) if n else (np.nan, np.nan)
        )
        rows[name] = {"n": n, "ap": average_precision(matched), "low": low, "high": high}
    if len(rows) > 1:
        means = {
            "mean of with and without": MASK_CLASSES[:2],
            "mean of three classes": MASK_CLASSES,
        }
        for name, classes in means.items():
            part = [rows[c] for c in classes]
            rows[name] = {
                "n": sum(row["n"] for row in part),
                "ap": float(pd.Series([row["ap"] for row in part]).mean()),
            }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("what")


def count_outcomes(matched: pd.DataFrame, min_confidence: float) -> dict[str, float]:
    """``right, wrong_label, false_face, missed, precision, recall, f1`` of the boxes from a confidence on."""
    kept = matched.confidence >= min_confidence
    is_face = matched.class_true.notna()
    right = int((kept & is_face & (matched.class_true == matched.class_found)).sum())
    wrong = int((kept & is_face).sum()) - right
    false, missed = int((kept & ~is_face).sum()), int((is_face & ~kept).sum())
    counts = {"right": right, "wrong_label": wrong, "false_face": false, "missed": missed}
    precision, recall = (
        right / max(1, right + wrong + false),
        right / max(1, right + wrong + missed),
    )
    f1 = 2 * right / max(1, 2 * right + 2 * wrong + false + missed)
    return {**counts, "precision": precision, "recall": recall, "f1": f1}


def fit_confidence(matched: pd.DataFrame) -> tuple[float, float, float]:
    """Factor and offset that make of a raw confidence's logit one that means something, and the best F1.

    The factor is that of a logistic regression of hits (Platt, 1999); the offset puts the confidence of one half where
    the F1 of the boxes, whatever they were judged to be, is best. Without both hits and mistakes there is nothing to
    fit: 1 and 0.
    """
    boxes = matched[matched.confidence.notna()]
    if boxes.class_true.notna().nunique() < 2:
        return 1.0, 0.0, count_outcomes(matched.assign(class_found=matched.class_true), 0.5)["f1"]
    confidence = boxes.confidence.clip(1e-6, 1 - 1e-6)
    logit = np.log(confidence / (1 - confidence)).to_numpy(float)
    factor = LogisticRegression(C=1e3).fit(logit[:, None], boxes.class_true.notna()).coef_[0, 0]
    found = matched.assign(class_found=matched.class_true)
    grid = np.quantile(boxes.confidence, np.linspace(0, 1, 301))
    f1 = [count_outcomes(found, value)["f1"] for value in grid]
    best = float(grid[int(np.argmax(f1))])
    return float(factor), float(-factor * np.log(best / (1 - best))), max(f1)


def recall_table(matched: pd.DataFrame, min_confidence: float) -> pd.DataFrame:
    """Share of the labelled faces that were found, by size and by class: ``slice, n, recall, low, high``.

    Where there is no face, the share is unknown: NaN.
    """
    faces = matched[matched.class_true.notna()]
    hit = faces.confidence >= min_confidence
    slices = {
        name: faces.side.between(low, high, inclusive="left") for name, (low, high) in SIZES.items()
    }
    slices |= {name: faces.class_true == name for name in MASK_CLASSES}
    slices["all"] = pd.Series(True, index=faces.index)
    rows = {}
    for name, inside in slices.items():
        n, hits = int(inside.sum()), int((inside & hit).sum())
        low, high = wilson_interval(hits, n)
        rows[name] = {"n": n, "recall": hits / n if n else np.nan, "low": low, "high": high}
    return pd.DataFrame.from_dict(rows, orient="index").astype({"n": int}).rename_axis("slice")
