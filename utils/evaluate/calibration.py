"""Probabilities that mean what they say: a temperature, and how far from honest it leaves them."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, logit, softmax

from utils.classes import CLASS_NAMES
from utils.evaluate.scores import wilson_interval


def apply_calibration(
    logits: np.ndarray, temperature: float, bias: np.ndarray | float = 0.0
) -> np.ndarray:
    """Probabilities (N, C) from logits, as ``classifier.add_calibration`` computes them inside the model."""
    return softmax(logits / temperature + bias, axis=1)


def prior_bias(
    y_true: np.ndarray, class_id: int, share: float, class_count: int = len(CLASS_NAMES)
) -> np.ndarray:
    """What to add to calibrated logits where one class is rarer in use than in validation (Saerens et al., 2002).

    Args:
        y_true: (N,) the classes of validation.
        class_id: the class that is rarer.
        share: its part in use.

    Returns:
        (C,) bias, 0 but for that class.
    """
    bias = np.zeros(class_count)
    bias[class_id] = logit(share) - logit(np.mean(np.asarray(y_true) == class_id))
    return bias


def fit_temperature(
    logits: np.ndarray, y_true: np.ndarray, weights: np.ndarray | None = None
) -> float:
    """The temperature that makes probabilities honest on validation (Guo et al., "On Calibration", 2017).

    It changes how sure the answers are, never which they are.

    Args:
        logits: (N, C) of validation faces.
        y_true: (N,) their classes.
        weights: (N,) how much each face counts; all alike by default.

    Returns:
        The temperature to divide logits by: below 1 makes answers surer, above 1 less sure.
    """
    rows = np.arange(len(logits))

    def loss(log_temperature: float) -> float:
        log_prob = log_softmax(logits / np.exp(log_temperature), axis=1)
        return -np.average(log_prob[rows, y_true], weights=weights)

    return float(np.exp(minimize_scalar(loss, bounds=(-3, 3)).x))


def reliability_table(y_true: np.ndarray, y_prob: np.ndarray, bins: int = 10) -> pd.DataFrame:
    """Is its certainty earned? Per bin of top probability: ``n, probability, accuracy, low, high``; no empty bins.

    Bins hold equally many faces, since a good classifier is nearly always sure.
    """
    top, right = y_prob.max(axis=1), y_prob.argmax(axis=1) == y_true
    rows = []
    for part in np.array_split(np.argsort(top, kind="stable"), bins):
        if len(part):
            low, high = wilson_interval(int(right[part].sum()), len(part))
            means = {"probability": top[part].mean(), "accuracy": right[part].mean()}
            rows.append({"n": len(part), **means, "low": low, "high": high})
    return pd.DataFrame(rows, columns=["n", "probability", "accuracy", "low", "high"])


def calibration_error(y_true: np.ndarray, y_prob: np.ndarray, bins: int = 10) -> float:
    """Expected calibration error over bins of equally many faces (Nguyen & O'Connor, 2015)."""
    table = reliability_table(y_true, y_prob, bins)
    return float(np.average((table.probability - table.accuracy).abs(), weights=table.n))


def reliability_tables(
    y_true: np.ndarray, outputs: dict[str, np.ndarray]
) -> dict[str, pd.DataFrame]:
    """``reliability_table`` of several outputs (N, C), each name with its calibration error behind it."""
    errors = {name: calibration_error(y_true, y_prob) for name, y_prob in outputs.items()}
    return {
        f"{name}, error {errors[name]:.3f}": reliability_table(y_true, outputs[name])
        for name in outputs
    }
