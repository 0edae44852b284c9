"""Scores of a classifier: tables of accuracy, precision, recall and F1 with intervals."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
from scipy.stats import binomtest
from sklearn.metrics import confusion_matrix, f1_score, precision_recall_fscore_support

from utils.classes import CLASS_NAMES, MASK_CLASSES

MASK_LABELS = tuple(range(len(MASK_CLASSES)))
BARE = CLASS_NAMES.index("without_mask")
# Labels and limits of ``slice_table``: widths of faces, pixels.
WIDTH_LIMITS = (0, 16, 32, np.inf)
WIDTH_LABELS = ("scenes, under 16 px", "scenes, 16-32 px", "scenes, over 32 px")


def wilson_interval(hits: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """Compute Wilson's score interval of a proportion (E. B. Wilson, 1927).

    Its coverage is close to nominal also for small n and for proportions near 0 and 1.

    Args:
        hits: number of successes.
        n: number of trials.
        level: confidence level.

    Returns:
        Lower and upper bound; (0, 1) for n = 0.
    """
    if n == 0:
        return 0.0, 1.0
    interval = binomtest(int(hits), int(n)).proportion_ci(level, method="wilson")
    return float(interval.low), float(interval.high)


def bootstrap_interval(
    score: Callable[[np.ndarray], float],
    group: np.ndarray,
    rounds: int = 500,
    level: float = 0.95,
    seed: int = 0,
) -> tuple[float, float]:
    """Compute a percentile bootstrap interval that resamples whole groups.

    Groups are resampled because faces of one photograph are not independent.

    Args:
        score: computes the figure from row positions.
        group: (N,) photograph or near-duplicate group of each row.
        rounds: number of bootstrap samples.
        level: confidence level.
        seed: of the random draws.

    Returns:
        Lower and upper bound. Samples for which the score is NaN are ignored.
    """
    members = [np.flatnonzero(group == name) for name in np.unique(group)]
    rng = np.random.default_rng(seed)
    draws = rng.integers(0, len(members), (rounds, len(members)))
    values = []
    for draw in draws:
        rows = np.concatenate([members[number] for number in draw])
        values.append(score(rows))
    low, high = np.nanquantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def confusion_table(
    y_true: np.ndarray, y_pred: np.ndarray, class_names: tuple[str, ...] = CLASS_NAMES
) -> pd.DataFrame:
    """Count faces by true class (rows) and predicted class (columns)."""
    counts = confusion_matrix(y_true, y_pred, labels=range(len(class_names)))
    return pd.DataFrame(
        counts,
        index=pd.Index(class_names, name="true"),
        columns=pd.Index(class_names, name="predicted"),
    )


def classification_table(
    y_true: np.ndarray, y_pred: np.ndarray, class_names: tuple[str, ...] = CLASS_NAMES
) -> pd.DataFrame:
    """Compute precision, recall and F1 of each class.

    Returns:
        A table ``n, precision, recall, recall_low, recall_high, f1`` with a row per class that
        occurs in ``y_true``, and their mean as the last row.
    """
    labels = range(len(class_names))
    precision, recall, f1, n = precision_recall_fscore_support(
        y_true, y_pred, labels=labels, zero_division=0
    )
    table = pd.DataFrame(
        {"n": n, "precision": precision, "recall": recall, "f1": f1},
        index=pd.Index(class_names, name="class"),
    )
    y_true = np.asarray(y_true)
    y_pred = np.asarray(y_pred)
    bounds = []
    for label in labels:
        hits = int(np.count_nonzero((y_true == label) & (y_pred == label)))
        bounds.append(wilson_interval(hits, int(n[label])))
    table[["recall_low", "recall_high"]] = bounds

    table = table[table.n > 0]
    mean = table.mean().rename("macro mean")
    mean["n"] = table.n.sum()
    mean[["recall_low", "recall_high"]] = np.nan
    table = pd.concat([table, mean.to_frame().T]).astype({"n": int}).rename_axis("class")
    return table[["n", "precision", "recall", "recall_low", "recall_high", "f1"]]


def accuracy_table(y_true: np.ndarray, y_pred: np.ndarray, slices: pd.Series) -> pd.DataFrame:
    """Compute the accuracy of each slice, such as a face size or a source.

    Args:
        y_true: (N,) classes.
        y_pred: (N,) predictions.
        slices: (N,) slice of each face.

    Returns:
        A table ``slice, n, accuracy, low, high``; the last row is "all". Accuracy is NaN for n = 0.
    """
    right = pd.Series(np.asarray(y_true) == np.asarray(y_pred), index=slices.index)
    by_slice = right.groupby(slices, observed=True, sort=True).agg(["size", "sum"])
    by_slice.index = by_slice.index.astype(object)  # categories have no "all"
    by_slice.loc["all"] = [len(right), right.sum()]
    rows = []
    for name, n, hits in by_slice.itertuples():
        low, high = wilson_interval(hits, n)
        accuracy = hits / n if n else np.nan
        rows.append({"slice": name, "n": int(n), "accuracy": accuracy, "low": low, "high": high})
    return pd.DataFrame(rows).set_index("slice")


def macro_f1(y_true: np.ndarray, y_pred: np.ndarray, labels: tuple[int, ...] = (0, 1, 2)) -> float:
    """Compute the mean F1 over classes; by default over the three mask classes."""
    return float(f1_score(y_true, y_pred, labels=labels, average="macro", zero_division=0))


def majority_baseline(y_train: np.ndarray, y_true: np.ndarray) -> np.ndarray:
    """Predict the most frequent class of ``y_train`` for each face of ``y_true``."""
    return np.full(len(y_true), np.bincount(y_train).argmax())


def worst_mistakes(y_true: np.ndarray, y_prob: np.ndarray, count: int = 24) -> pd.DataFrame:
    """List the mistakes with the highest probability.

    Args:
        y_true: (N,) classes.
        y_prob: (N, C) probabilities.
        count: greatest number of mistakes.

    Returns:
        A table ``position, true, predicted, probability``.
    """
    y_true = np.asarray(y_true)
    y_pred = y_prob.argmax(axis=1)
    wrong = np.flatnonzero(y_pred != y_true)
    order = np.argsort(-y_prob[wrong, y_pred[wrong]], kind="stable")
    wrong = wrong[order][:count]
    names = np.array(CLASS_NAMES)
    return pd.DataFrame(
        {
            "position": wrong,
            "true": names[y_true[wrong]],
            "predicted": names[y_pred[wrong]],
            "probability": y_prob[wrong, y_pred[wrong]],
        }
    )


def threshold_table(
    is_no_face: np.ndarray, probability: np.ndarray, thresholds: np.ndarray
) -> pd.DataFrame:
    """Compute the faces lost and the mistakes kept at each ``no_face`` threshold.

    Args:
        is_no_face: (N,) whether each box is a mistake of the detector.
        probability: (N,) ``no_face`` probability; boxes that reach the threshold are dropped.
        thresholds: to compare.

    Returns:
        A table ``threshold, faces_lost, mistakes_kept``: shares of the faces and of the mistakes.
    """
    is_no_face = np.asarray(is_no_face, bool)
    probability = np.asarray(probability)
    probability_of_faces = probability[~is_no_face]
    probability_of_mistakes = probability[is_no_face]
    return pd.DataFrame(
        {
            "threshold": thresholds,
            "faces_lost": [(probability_of_faces >= value).mean() for value in thresholds],
            "mistakes_kept": [(probability_of_mistakes < value).mean() for value in thresholds],
        }
    )


def slice_table(
    table: pd.DataFrame, y_true: np.ndarray, answers: dict[str, np.ndarray]
) -> pd.DataFrame:
    """Compute the accuracy of several recipes by source and, for ``scenes``, by face width.

    Args:
        table: a label table.
        y_true: (N,) its classes.
        answers: predictions (N,) of each recipe.

    Returns:
        A table ``slice, n, accuracy, low, high, recipe``; widths are in order of size.
    """
    source = table.source.where(table.x_min.notna(), table.source + ", whole image")
    width = (table.x_max - table.x_min).where(table.source == "scenes")
    by_width = pd.cut(width, WIDTH_LIMITS, right=False, labels=WIDTH_LABELS)
    tables = []
    for recipe, y_pred in answers.items():
        for slices in (source, by_width):
            is_in = slices.notna().to_numpy()
            scores = accuracy_table(y_true[is_in], y_pred[is_in], slices[is_in]).drop("all")
            tables.append(scores.assign(recipe=recipe).reset_index())
    return pd.concat(tables, ignore_index=True)


def compare_table(
    y_true: np.ndarray, answers: dict[str, np.ndarray], group: np.ndarray
) -> pd.DataFrame:
    """Compute accuracy and macro F1 of several trainings on the same faces.

    Args:
        y_true: (N,) classes.
        answers: predictions (N,) of each training.
        group: (N,) near-duplicate groups, which the bootstrap resamples.

    Returns:
        A table ``training, n, accuracy, accuracy_low, accuracy_high, macro_f1, macro_f1_low,
        macro_f1_high``.
    """
    rows = {}
    for name, y_pred in answers.items():
        accuracy = _score_with_interval("accuracy", _accuracy, y_true, y_pred, group)
        f1 = _score_with_interval("macro_f1", macro_f1, y_true, y_pred, group)
        rows[name] = {"n": len(y_true), **accuracy, **f1}
    return pd.DataFrame.from_dict(rows, orient="index").astype({"n": int}).rename_axis("training")


def compare_sources(
    y_true: np.ndarray, answers: dict[str, np.ndarray], group: np.ndarray, source: np.ndarray
) -> pd.DataFrame:
    """Compute accuracy, macro F1 and recall of bare faces of several trainings, by source.

    Args:
        y_true: (N,) classes.
        answers: predictions (N,) of each training.
        group: (N,) near-duplicate groups, which the bootstrap resamples.
        source: (N,) the source of each face.

    Returns:
        A table by ``training`` with ``source`` and ``n``, and for each score the score and the
        bounds of its interval, such as ``accuracy, accuracy_low, accuracy_high``. ``macro_f1`` is
        the mean over the mask classes that occur in the source, ``bare_recall`` the recall of the
        class ``without_mask``, NaN if no face has it.
    """
    rows = []
    for training, y_pred in answers.items():
        for name in sorted(set(source)):
            chosen = source == name
            scores = _score_source(y_true[chosen], y_pred[chosen], group[chosen])
            row = {"training": training, "source": name, "n": int(chosen.sum()), **scores}
            rows.append(row)
    return pd.DataFrame(rows).set_index("training")


def _score_source(y_true: np.ndarray, y_pred: np.ndarray, group: np.ndarray) -> dict[str, float]:
    """Return the scores of ``compare_sources`` and their intervals for the faces of one source."""
    labels = tuple(label for label in MASK_LABELS if (y_true == label).any())

    def score_f1(true: np.ndarray, predicted: np.ndarray) -> float:
        return macro_f1(true, predicted, labels)

    scores: dict[str, float] = {}
    for name, score in (
        ("accuracy", _accuracy),
        ("macro_f1", score_f1),
        ("bare_recall", _bare_recall),
    ):
        scores |= _score_with_interval(name, score, y_true, y_pred, group)
    return scores


def _bare_recall(y_true: np.ndarray, y_pred: np.ndarray) -> float:
    """Return the recall of ``without_mask``; NaN if no face has that class."""
    is_bare = y_true == BARE
    return float(np.mean(y_pred[is_bare] == BARE)) if is_bare.any() else float("nan")


def _accuracy(y_true: np.ndarray, y_pred: np.ndarray) -> float:
    return float(np.mean(y_true == y_pred))


def _score_with_interval(
    name: str,
    score: Callable[[np.ndarray, np.ndarray], float],
    y_true: np.ndarray,
    y_pred: np.ndarray,
    group: np.ndarray,
) -> dict[str, float]:
    """Return a score and its bootstrap interval as ``name``, ``name_low`` and ``name_high``."""

    def score_rows(rows: np.ndarray) -> float:
        return score(y_true[rows], y_pred[rows])

    value = score(y_true, y_pred)
    if np.isnan(value):
        return {name: value, f"{name}_low": np.nan, f"{name}_high": np.nan}
    low, high = bootstrap_interval(score_rows, group)
    return {name: value, f"{name}_low": low, f"{name}_high": high}
