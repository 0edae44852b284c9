"""Scores that can be trusted: numbers in, tables out. Each with its n and an interval."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax
from scipy.stats import norm
from sklearn.metrics import confusion_matrix, f1_score, precision_recall_fscore_support

from utils.boxes import as_boxes, box_iou
from utils.classes import CLASS_NAMES


def wilson_interval(right: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """Wilson's interval of a share (E. B. Wilson, 1927), which stays honest near 0 and 1 and for small n."""
    if n == 0:
        return (0.0, 1.0)
    z = norm.ppf(0.5 + level / 2)
    middle = (right + z * z / 2) / (n + z * z)
    half = z / (n + z * z) * np.sqrt(right * (n - right) / n + z * z / 4)
    return max(0.0, float(middle - half)), min(1.0, float(middle + half))


def bootstrap_interval(
    score: Callable[[np.ndarray], float], group: np.ndarray, rounds: int = 500, level: float = 0.95, seed: int = 0
) -> tuple[float, float]:
    """Percentile bootstrap that draws whole groups: faces of one photograph are not independent.

    Args:
        score: a figure of the rows at these positions.
        group: (N,) which photograph, or near-duplicate group, each row belongs to.
    """
    members = [np.flatnonzero(group == name) for name in np.unique(group)]
    rng = np.random.default_rng(seed)
    draws = rng.integers(0, len(members), (rounds, len(members)))
    values = [score(np.concatenate([members[number] for number in draw])) for draw in draws]
    low, high = np.nanquantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def confusion_table(y_true: np.ndarray, y_pred: np.ndarray, class_names: tuple[str, ...] = CLASS_NAMES) -> pd.DataFrame:
    """Counts: rows are the true classes, columns the predicted ones."""
    counts = confusion_matrix(y_true, y_pred, labels=range(len(class_names)))
    return pd.DataFrame(
        counts, index=pd.Index(class_names, name="true"), columns=pd.Index(class_names, name="predicted")
    )


def classification_table(
    y_true: np.ndarray, y_pred: np.ndarray, class_names: tuple[str, ...] = CLASS_NAMES
) -> pd.DataFrame:
    """Per class: ``n, precision, recall, recall_low, recall_high, f1``; the last row is their mean over classes seen."""
    labels = range(len(class_names))
    precision, recall, f1, n = precision_recall_fscore_support(y_true, y_pred, labels=labels, zero_division=0)
    table = pd.DataFrame(
        {"n": n, "precision": precision, "recall": recall, "f1": f1}, index=pd.Index(class_names, name="class")
    )
    hits = (np.asarray(y_true)[:, None] == labels) & (np.asarray(y_pred)[:, None] == labels)
    bounds = [wilson_interval(int(right), int(count)) for right, count in zip(hits.sum(axis=0), n, strict=True)]
    table[["recall_low", "recall_high"]] = bounds
    table = table[table.n > 0]
    mean = table.mean().rename("macro mean")
    mean["n"] = table.n.sum()
    mean[["recall_low", "recall_high"]] = np.nan
    table = pd.concat([table, mean.to_frame().T]).astype({"n": int}).rename_axis("class")
    return table[["n", "precision", "recall", "recall_low", "recall_high", "f1"]]


def accuracy_table(y_true: np.ndarray, y_pred: np.ndarray, slices: pd.Series) -> pd.DataFrame:
    """Accuracy by slice (face size, source, ...): ``n, accuracy, low, high``, the last row for all together."""
    right = pd.Series(np.asarray(y_true) == np.asarray(y_pred), index=slices.index)
    by_slice = right.groupby(slices, observed=True, sort=True).agg(["size", "sum"])
    by_slice.loc["all"] = [len(right), right.sum()]
    rows = [
        {
            "slice": name,
            "n": int(n),
            "accuracy": hits / max(1, n),
            **dict(zip(("low", "high"), wilson_interval(hits, n))),
        }
        for name, n, hits in by_slice.itertuples()
    ]
    return pd.DataFrame(rows).set_index("slice")


def macro_f1(y_true: np.ndarray, y_pred: np.ndarray, labels: tuple[int, ...] = (0, 1, 2)) -> float:
    """Mean F1 over the classes that a person is told."""
    return float(f1_score(y_true, y_pred, labels=labels, average="macro", zero_division=0))


def majority_baseline(y_train: np.ndarray, y_true: np.ndarray) -> np.ndarray:
    """What one learns without looking: always the larger class of train, as predictions for ``y_true``."""
    return np.full(len(y_true), np.bincount(y_train).argmax())


def fit_calibration(
    logits: np.ndarray, y_true: np.ndarray, weights: np.ndarray | None = None, ridge: float = 0.02
) -> tuple[float, np.ndarray]:
    """A temperature and a bias a class that make probabilities honest on validation.

    Temperature scaling (Guo et al., 2017); the bias undoes the balanced sampling of training, which makes the rare
    class too likely where it is rare.

    Args:
        logits: (N, C) of validation faces.
        y_true: (N,).
        weights: (N,) how much each face counts; all alike by default.
        ridge: pulls the bias to 0, for classes with few validation faces.

    Returns:
        (temperature, bias (C,)) for softmax(logits / temperature + bias).
    """
    weights = np.ones(len(logits)) if weights is None else np.asarray(weights, float)
    rows = np.arange(len(logits))

    def loss(parameters: np.ndarray) -> float:
        log_prob = log_softmax(logits / np.exp(parameters[0]) + parameters[1:], axis=1)[rows, y_true]
        return -np.average(log_prob, weights=weights) + ridge * np.square(parameters[1:]).mean()

    found = minimize(loss, np.zeros(1 + logits.shape[1])).x
    return float(np.exp(found[0])), found[1:] - found[1:].mean()


def calibrate(logits: np.ndarray, temperature: float, bias: np.ndarray) -> np.ndarray:
    """Calibrated probabilities (N, C), as ``classifier.add_calibration`` computes them inside the model."""
    return softmax(logits / temperature + bias, axis=1)


def reliability_table(y_true: np.ndarray, y_prob: np.ndarray, bins: int = 10) -> pd.DataFrame:
    """Is its certainty earned? Per bin of top probability: ``n, probability, accuracy, low, high``, empty bins left out.

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


def worst_mistakes(y_true: np.ndarray, y_prob: np.ndarray, count: int = 24) -> pd.DataFrame:
    """The mistakes made with most certainty: ``position, true, predicted, probability``."""
    y_pred = y_prob.argmax(axis=1)
    wrong = np.flatnonzero(y_pred != y_true)
    wrong = wrong[np.argsort(-y_prob[wrong, y_pred[wrong]], kind="stable")][:count]
    names = np.array(CLASS_NAMES)
    table = {"position": wrong, "true": names[np.asarray(y_true)[wrong]], "predicted": names[y_pred[wrong]]}
    return pd.DataFrame({**table, "probability": y_prob[wrong, y_pred[wrong]]})


def threshold_table(is_no_face: np.ndarray, probability: np.ndarray, thresholds: np.ndarray) -> pd.DataFrame:
    """What dropping boxes at each threshold of P(no_face) costs: ``threshold, faces_lost, mistakes_kept`` as shares."""
    is_no_face, probability = np.asarray(is_no_face, bool), np.asarray(probability)
    lost = [(probability[~is_no_face] >= value).mean() for value in thresholds]
    kept = [(probability[is_no_face] < value).mean() for value in thresholds]
    return pd.DataFrame({"threshold": thresholds, "faces_lost": lost, "mistakes_kept": kept})


def match_boxes(xyxy: np.ndarray, xyxy_true: np.ndarray, min_iou: float = 0.5) -> np.ndarray:
    """Which true box each found box takes, in the order given (the most confident first): (N,) positions, -1 for none."""
    iou = box_iou(as_boxes(xyxy), as_boxes(xyxy_true))
    matched = np.full(len(iou), -1)
    for row in range(len(iou)):
        if iou.shape[1] and iou[row].max() >= min_iou:
            matched[row] = iou[row].argmax()
            iou[:, matched[row]] = -1
    return matched
