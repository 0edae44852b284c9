"""Calibration of probabilities: temperature scaling, reliability tables and calibration error."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, logit, softmax

from utils.classes import CLASS_NAMES
from utils.evaluate.scores import wilson_interval

LOG_TEMPERATURE_BOUNDS = (-3, 3)  # natural logarithm; temperatures from 0.05 to 20
CERTAINTY_LEVELS = (0.9, 0.99)  # probabilities at which ``certainty_table`` counts answers


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
