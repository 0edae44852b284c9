"""The level under which an answer is told as unsure, chosen on validation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from utils.boxes import BOX_COLUMNS, box_iou
from utils.classes import CLASS_NAMES, MASK_CLASSES, NO_FACE, decide
from utils.detect import (
    DETECTOR_SHARE,
    Classifier,
    Detector,
    blend_probabilities,
    classify_faces,
    crop_faces,
    find_faces,
    measure_sureness,
)

UNSURE_LEVELS = np.arange(0, 1, 0.01).round(2)  # levels to compare
ERROR_SHARE = 0.5  # sure answers may be wrong at most this often, as a share of all answers' error
MIN_IOU = 0.5  # of a detection and the labelled face that it stands for
MAX_UNSURE = 0.1  # at most this share of the answers may be unsure


def collect_opinions(
    detector: Detector, classifier: Classifier, labels: pd.DataFrame, root: str | Path
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Collect the opinions about the labelled faces that a detector finds.

    Args:
        detector: finds the faces.
        classifier: from ``load_classifier``. Boxes that it takes for no face are left out.
        labels: the label table of photographs of validation, boxes only.
        root: the data root.

    Returns:
        ``y_true`` (N,), the classifier's ``y_prob`` (N, C), and the detector's, or None if it has
        none: the arguments of ``unsure_table``.
    """
    labels = labels[labels.class_name.isin(MASK_CLASSES) & labels.x_min.notna()]
    by_file = {Path(root) / file: rows for file, rows in labels.groupby("file")}
    y_true = [np.zeros(0, int)]
    of_classifier = [np.zeros((0, len(CLASS_NAMES)))]
    of_detector = []
    for file, image, found in find_faces(by_file, detector, name="collecting opinions"):
        rows = by_file[file]
        y_prob = classify_faces(classifier, crop_faces(image, found.xyxy))
        iou = box_iou(found.xyxy, rows[BOX_COLUMNS].to_numpy(float))
        is_used = (iou.max(axis=1) >= MIN_IOU) & (y_prob[:, NO_FACE] < classifier.threshold)
        class_ids = rows.class_name.map(CLASS_NAMES.index).to_numpy(int)
        y_true.append(class_ids[iou.argmax(axis=1)][is_used])
        of_classifier.append(y_prob[is_used])
        if found.y_prob is not None:
            of_detector.append(found.y_prob[is_used])
    opinions = np.concatenate(of_detector) if of_detector else None
    return np.concatenate(y_true), np.concatenate(of_classifier), opinions


def unsure_table(
    y_true: np.ndarray,
    y_prob_classifier: np.ndarray,
    y_prob_detector: np.ndarray | None = None,
    levels: np.ndarray = UNSURE_LEVELS,
    detector_share: float = DETECTOR_SHARE,
) -> pd.DataFrame:
    """Compute what each level of sureness marks as unsure, and the errors that remain.

    Args:
        y_true: (N,) classes of faces of validation.
        y_prob_classifier: (N, C), the classifier's probabilities.
        y_prob_detector: (N, C), the detector's, or None.
        levels: to compare; an answer is unsure if its sureness is lower.
        detector_share: as in ``detect.detect_masks``.

    Returns:
        A table ``level, unsure, error, caught``: the share of unsure answers, the share of wrong
        answers among the sure ones, and the share of all wrong answers that are unsure. ``error``
        is 0 if no answer is sure, and ``caught`` is 0 if none is wrong.
    """
    y_prob = y_prob_classifier
    if y_prob_detector is not None:
        y_prob = blend_probabilities(y_prob_classifier, y_prob_detector, detector_share)
    sureness = measure_sureness(y_prob, y_prob_classifier, y_prob_detector)
    is_wrong = decide(y_prob) != np.asarray(y_true)
    rows = []
    for level in levels:
        is_unsure = sureness < level
        wrong_and_sure = int((is_wrong & ~is_unsure).sum())
        wrong_and_unsure = int((is_wrong & is_unsure).sum())
        row = {
            "level": float(level),
            "unsure": int(is_unsure.sum()) / max(1, len(is_unsure)),
            "error": wrong_and_sure / max(1, int((~is_unsure).sum())),
            "caught": wrong_and_unsure / max(1, int(is_wrong.sum())),
        }
        rows.append(row)
    return pd.DataFrame(rows, columns=["level", "unsure", "error", "caught"])


def choose_unsure_level(
    table: pd.DataFrame, error_share: float = ERROR_SHARE, max_unsure: float = MAX_UNSURE
) -> float:
    """Choose the lowest level at which sure answers are wrong rarely enough.

    If that level would mark too many answers as unsure, the highest level that does not is chosen.

    Args:
        table: from ``unsure_table``, with the level 0 in it.
        error_share: greatest error among sure answers, as a share of the error at level 0.
        max_unsure: greatest share of unsure answers.
    """
    table = table.sort_values("level")
    allowed = table[table.unsure <= max_unsure]
    enough = allowed[allowed.error <= error_share * table.error.iloc[0]]
    if len(enough):
        return float(enough.level.iloc[0])
    return float(allowed.level.iloc[-1])
