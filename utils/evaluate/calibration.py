"""How far a probability can be trusted.

``fit_temperature`` calibrates a classifier, and ``reliability_tables`` show how well.
``unsure_table`` compares levels of sureness under which an answer is reported as unsure, and
``choose_unsure_level`` chooses one on validation.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, logit, softmax

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
from utils.evaluate.scores import wilson_interval

LOG_TEMPERATURE_BOUNDS = (-3, 3)  # natural logarithm; temperatures from 0.05 to 20
CERTAINTY_LEVELS = (0.9, 0.99)  # probabilities at which ``certainty_table`` counts answers
UNSURE_LEVELS = np.arange(0, 1, 0.01).round(2)  # levels to compare
ERROR_SHARE = 0.5  # sure answers may be wrong at most this often, as a share of all answers' error
MIN_IOU = 0.5  # of a detection and the labelled face that it stands for
MAX_UNSURE = 0.1  # at most this share of the answers may be unsure


def apply_calibration(
    logits: np.ndarray, temperature: float, bias: np.ndarray | float = 0.0
) -> np.ndarray:
    """Compute calibrated probabilities (N, C) from logits.

    The exported classifier computes the same inside the model.

    Args:
        logits: (N, C).
        temperature: the logits are divided by it.
        bias: (C,) or a number; added after the division.
    """
    return softmax(logits / temperature + bias, axis=1)


def prior_bias(
    y_true: np.ndarray, class_id: int, share: float, class_count: int = len(CLASS_NAMES)
) -> np.ndarray:
    """Compute the bias that adapts calibrated logits to another frequency of one class.

    Example: 25 % of the boxes of validation are ``no_face``, but only 5 % of the boxes in use.

    Method: Saerens et al., "Adjusting the outputs of a classifier to new a priori probabilities"
    (2002).

    Args:
        y_true: (N,) classes of validation.
        class_id: the class whose frequency differs.
        share: its frequency in use, 0-1.
        class_count: C.

    Returns:
        (C,) bias, 0 for all other classes.
    """
    bias = np.zeros(class_count)
    bias[class_id] = logit(share) - logit(np.mean(np.asarray(y_true) == class_id))
    return bias


def fit_temperature(
    logits: np.ndarray, y_true: np.ndarray, weights: np.ndarray | None = None
) -> float:
    """Fit the temperature that minimizes the log loss on validation.

    Method: Guo et al., "On Calibration of Modern Neural Networks" (2017). A temperature changes
    the probabilities, never the predicted class.

    Args:
        logits: (N, C) of validation faces.
        y_true: (N,) their classes.
        weights: (N,) weight of each face; equal by default.

    Returns:
        The temperature to divide logits by. Above 1 it lowers the top probability.
    """
    rows = np.arange(len(logits))

    def log_loss(log_temperature: float) -> float:
        log_prob = log_softmax(logits / np.exp(log_temperature), axis=1)
        return -np.average(log_prob[rows, y_true], weights=weights)

    return float(np.exp(minimize_scalar(log_loss, bounds=LOG_TEMPERATURE_BOUNDS).x))


def reliability_table(y_true: np.ndarray, y_prob: np.ndarray, bins: int = 10) -> pd.DataFrame:
    """Compare the top probability with the accuracy, bin by bin.

    Bins hold equally many faces, because a good classifier's probabilities are nearly all high.

    Args:
        y_true: (N,) classes.
        y_prob: (N, C) probabilities.
        bins: number of bins; empty ones are left out.

    Returns:
        A table ``n, probability, accuracy, low, high``; low and high bound the accuracy.
    """
    top = y_prob.max(axis=1)
    right = y_prob.argmax(axis=1) == y_true
    rows = []
    for part in np.array_split(np.argsort(top, kind="stable"), bins):
        if len(part) == 0:
            continue
        low, high = wilson_interval(right[part].sum(), len(part))
        row = {
            "n": len(part),
            "probability": top[part].mean(),
            "accuracy": right[part].mean(),
            "low": low,
            "high": high,
        }
        rows.append(row)
    return pd.DataFrame(rows, columns=["n", "probability", "accuracy", "low", "high"])


def calibration_error(y_true: np.ndarray, y_prob: np.ndarray, bins: int = 10) -> float:
    """Compute the expected calibration error over bins of equally many faces.

    Method: Nguyen and O'Connor, "Posterior calibration and exploratory analysis" (2015).
    """
    table = reliability_table(y_true, y_prob, bins)
    return float(np.average((table.probability - table.accuracy).abs(), weights=table.n))


def reliability_tables(
    y_true: np.ndarray, outputs: dict[str, np.ndarray]
) -> dict[str, pd.DataFrame]:
    """Compute the reliability tables of several outputs.

    Args:
        y_true: (N,) classes.
        outputs: probabilities (N, C) by name.

    Returns:
        Tables by name; the calibration error is added to each name.
    """
    tables = {}
    for name, y_prob in outputs.items():
        error = calibration_error(y_true, y_prob)
        tables[f"{name}, error {error:.3f}"] = reliability_table(y_true, y_prob)
    return tables


def certainty_table(
    y_true: np.ndarray,
    y_prob: np.ndarray,
    source: np.ndarray,
    levels: tuple[float, ...] = CERTAINTY_LEVELS,
) -> pd.DataFrame:
    """Compute how often the answers above a probability are right, source by source.

    Args:
        y_true: (N,) classes.
        y_prob: (N, C) probabilities.
        source: (N,) the source of each face.
        levels: probabilities; an answer counts at a level if its probability reaches it.

    Returns:
        A table by ``source`` with ``level``, ``n`` answers, their mean ``probability``, the share
        ``right`` and its 95 % interval ``low`` and ``high``. A level that no answer reaches has no
        row.
    """
    top = y_prob.max(axis=1)
    is_right = y_prob.argmax(axis=1) == y_true
    rows = []
    for name in sorted(set(source)):
        for level in levels:
            counted = (source == name) & (top >= level)
            n = int(counted.sum())
            if n == 0:
                continue
            hits = int(is_right[counted].sum())
            low, high = wilson_interval(hits, n)
            row = {
                "source": name,
                "level": level,
                "n": n,
                "probability": top[counted].mean(),
                "right": hits / n,
                "low": low,
                "high": high,
            }
            rows.append(row)
    columns = ["source", "level", "n", "probability", "right", "low", "high"]
    return pd.DataFrame(rows, columns=columns).set_index("source")


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
