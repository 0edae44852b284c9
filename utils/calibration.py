"""Probabilities that mean what they say: a temperature, and how far from honest it leaves them."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

from utils.evaluate import wilson_interval


def apply_temperature(logits: np.ndarray, temperature: float) -> np.ndarray:
    """Probabilities (N, C) from logits, as ``classifier.add_calibration`` computes them inside the model."""
    return softmax(logits / temperature, axis=1)


def fit_temperature(logits: np.ndarray, y_true: np.ndarray, weights: np.ndarray | None = None) -> float:
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
