"""Scores of the answers of any program: AP by class and size, F1 and counts, with intervals.

AP is COCO's, the mean precision at 101 recalls (T.-Y. Lin et al., "Microsoft COCO", 2014). The
tables of the model cards give the exact area under the same curve, which differs by a few
thousandths.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial

import numpy as np
import pandas as pd

from utils.boxes import Detections
from utils.classes import MASK_CLASSES
from utils.evaluate.scorecard.comparison import ANY_SIZE, FACE, FACE_SIZES, Comparison
from utils.evaluate.scores import wilson_interval

MEAN = "mean of three classes"
BOXES = "boxes"
BOXES_AND_LABELS = "boxes and labels"
LEVEL = 0.95  # of the intervals
COLUMNS = ["score", "what", "size", "iou", "n", "value", "low", "high"]


def score_answers(
    found: Mapping[str, Detections],
    labels: pd.DataFrame,
    *,
    min_confidence: float = 0.5,
    min_ious: Sequence[float] = (0.3, 0.5),
    sizes: Iterable[str] = FACE_SIZES,
    ignored: pd.DataFrame | None = None,
    group: Mapping[str, object] | None = None,
    rounds: int = 300,
) -> pd.DataFrame:
    """Score the answers of a detector, or of a detector with a classifier.

    Args:
        found: detections of each photograph, also those of low confidence. Photographs without a
            detection and without a face are listed too.
        labels: the label table of these photographs, boxes only.
        min_confidence: confidence at which boxes are counted.
        min_ious: least IoUs of a found and a labelled box that match.
        sizes: ranges of ``FACE_SIZES``.
        ignored: regions that are ignored, see ``Comparison``.
        group: the near-duplicate group of each photograph, which the bootstrap resamples as a
            whole; each photograph is one by default.
        rounds: bootstrap samples for the 95 % intervals.

    Returns:
        A table ``score, what, size, iou, n, value, low, high`` with a row per figure:

        - ``ap`` of faces, of each class and the mean of the classes that have faces, by size;
        - ``precision``, ``recall`` and ``f1`` of ``boxes`` and of ``boxes and labels``;
        - ``right``, ``wrong_label``, ``false_face`` and ``missed``, which are counts. A face is
          right if it is found and its class is right;
        - on pictures without faces, ``false faces per 1,000``, and the share of pictures that have
          one, whose interval is Wilson's.

        ``n`` is the number of faces, or of pictures without faces.
    """
    comparison = Comparison(found, labels, ignored, min(min_ious))
    files = comparison.files
    groups = np.array([file if group is None else group[file] for file in files], object)
    weights = draw_weights(groups, rounds)
    rows: list[dict] = []
    for min_iou in min_ious:
        for size in sizes:
            rows += _score_ap(comparison, size, min_iou, weights)
        rows += _score_counts(comparison, min_iou, min_confidence, weights)
    rows += _score_empty(comparison, min_confidence, min(min_ious), weights)
    return pd.DataFrame(rows, columns=COLUMNS)


def draw_weights(group: np.ndarray, rounds: int, seed: int = 0) -> np.ndarray:
    """Draw bootstrap samples of whole groups.

    Args:
        group: (N,) group of each photograph.
        rounds: number of samples.
        seed: of the random draws.

    Returns:
        (rounds, N) how often each photograph is in each sample.
    """
    names, number = np.unique(np.asarray(group).astype(str), return_inverse=True)
    if len(names) == 0:
        return np.zeros((rounds, 0), int)
    rng = np.random.default_rng(seed)
    shares = np.full(len(names), 1 / len(names))
    return rng.multinomial(len(names), shares, size=rounds)[:, number]


def _estimate(score: Callable[[np.ndarray], float], weights: np.ndarray) -> dict[str, float]:
    """Return a score as ``value``, and its bootstrap interval as ``low`` and ``high``.

    Args:
        score: computes the score from how often each photograph counts.
        weights: from ``draw_weights``. Samples for which the score is NaN are ignored.
    """
    value = score(np.ones(weights.shape[1], int))
    values = np.array([score(weight) for weight in weights])
    values = values[np.isfinite(values)]
    if len(values) == 0:
        return {"value": value, "low": np.nan, "high": np.nan}
    low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return {"value": value, "low": low, "high": high}


def _estimate_ratio(
    numerator: np.ndarray, denominator: np.ndarray, weights: np.ndarray
) -> dict[str, float]:
    """Return the ratio of two sums over the photographs as ``_estimate`` does."""

    def compute_ratio(weight: np.ndarray) -> float:
        total = weight @ denominator
        return float(weight @ numerator / total) if total else float("nan")

    return _estimate(compute_ratio, weights)


def _score_ap(comparison: Comparison, size: str, min_iou: float, weights: np.ndarray) -> list[dict]:
    """Return the rows ``ap`` of one range of sizes and one IoU."""
    names = (FACE, *MASK_CLASSES) if comparison.is_classified else (FACE,)
    matches = {name: comparison.match(name, size, min_iou) for name in names}
    common = {"score": "ap", "size": size, "iou": min_iou}
    rows: list[dict] = []
    for name in names:
        n = int(matches[name].is_wanted.sum())
        score = partial(comparison.average_precision, matches[name])
        rows.append({**common, "what": name, "n": n, **_estimate(score, weights)})
    if comparison.is_classified:

        def score_mean(weight: np.ndarray) -> float:
            ap = [comparison.average_precision(matches[name], weight) for name in MASK_CLASSES]
            ap = [value for value in ap if np.isfinite(value)]
            return float(np.mean(ap)) if ap else float("nan")

        n = rows[0]["n"]
        rows.append({**common, "what": MEAN, "n": n, **_estimate(score_mean, weights)})
    return rows


def _score_counts(
    comparison: Comparison, min_iou: float, min_confidence: float, weights: np.ndarray
) -> list[dict]:
    """Return the rows of precision, recall, F1 and the counts at a confidence."""
    matches = comparison.match(FACE, ANY_SIZE, min_iou)
    counts = comparison.count(matches, min_confidence)
    right, wrong, false, missed = counts.to_numpy().T
    faces = right + wrong + missed
    boxes = right + wrong + false
    common = {"size": ANY_SIZE, "iou": min_iou, "n": int(faces.sum())}
    hits_of = {BOXES: right + wrong}
    if comparison.is_classified:
        hits_of[BOXES_AND_LABELS] = right
    rows: list[dict] = []
    for what, hits in hits_of.items():
        scores = {
            "precision": _estimate_ratio(hits, boxes, weights),
            "recall": _estimate_ratio(hits, faces, weights),
            "f1": _estimate_ratio(2 * hits, boxes + faces, weights),
        }
        for name, score in scores.items():
            rows.append({**common, "score": name, "what": what, **score})
    what = BOXES_AND_LABELS if comparison.is_classified else BOXES
    for name in counts.columns:
        if name == "wrong_label" and not comparison.is_classified:
            continue
        count = float(counts[name].sum())
        rows.append({**common, "score": name, "what": what, "value": count})
    return rows


def _score_empty(
    comparison: Comparison, min_confidence: float, min_iou: float, weights: np.ndarray
) -> list[dict]:
    """Return the rows about pictures without faces, if there are any."""
    is_empty = np.ones(len(comparison.files), bool)
    is_empty[comparison.faces.photograph] = False
    n = int(is_empty.sum())
    if n == 0:
        return []
    matches = comparison.match(FACE, ANY_SIZE, min_iou)
    false = comparison.count(matches, min_confidence).false_face.to_numpy()
    per_1000 = _estimate_ratio(1000 * is_empty * false, is_empty, weights)
    hits = int((false[is_empty] > 0).sum())
    low, high = wilson_interval(hits, n)
    share = {"value": hits / n, "low": low, "high": high}
    common = {"what": "pictures without faces", "size": ANY_SIZE, "iou": np.nan, "n": n}
    return [
        {**common, "score": "false faces per 1,000", **per_1000},
        {**common, "score": "share with a false face", **share},
    ]
