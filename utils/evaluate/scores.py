"""Scores that can be trusted: numbers in, tables out. Each with its n and an interval."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import norm
from sklearn.metrics import confusion_matrix, f1_score, precision_recall_fscore_support

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
    score: Callable[[np.ndarray], float],
    group: np.ndarray,
    rounds: int = 500,
    level: float = 0.95,
    seed: int = 0,
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


def describe_share(row: pd.Series, name: str = "accuracy") -> str:
    """A row's share, interval and n as words: ``98.1 % (95 % interval 95.2-99.3 %, n = 120)``."""
    if not row["n"]:
        return "nobody knows how many (n = 0)"
    low, high = (row.get(f"{name}_{side}", row.get(side)) for side in ("low", "high"))
    return f"{100 * row[name]:.1f} % (95 % interval {100 * low:.1f}-{100 * high:.1f} %, n = {int(row['n'])})"


def confusion_table(
    y_true: np.ndarray, y_pred: np.ndarray, class_names: tuple[str, ...] = CLASS_NAMES
) -> pd.DataFrame:
    """Counts: rows are the true classes, columns the predicted ones."""
    counts = confusion_matrix(y_true, y_pred, labels=range(len(class_names)))
    return pd.DataFrame(
        counts,
        index=pd.Index(class_names, name="true"),
        columns=pd.Index(class_names, name="predicted"),
    )


def classification_table(
    y_true: np.ndarray, y_pred: np.ndarray, class_names: tuple[str, ...] = CLASS_NAMES
) -> pd.DataFrame:
    """Per class: ``n, precision, recall, recall_low, recall_high, f1``; last their mean over classes seen."""
    labels = range(len(class_names))
    precision, recall, f1, n = precision_recall_fscore_support(
        y_true, y_pred, labels=labels, zero_division=0
    )
    table = pd.DataFrame(
        {"n": n, "precision": precision, "recall": recall, "f1": f1},
        index=pd.Index(class_names, name="class"),
    )
    hits = (np.asarray(y_true)[:, None] == labels) & (np.asarray(y_pred)[:, None] == labels)
    bounds = [
        wilson_interval(int(right), int(count))
        for right, count in zip(hits.sum(axis=0), n, strict=True)
    ]
    table[["recall_low", "recall_high"]] = bounds
    table = table[table.n > 0]
    mean = table.mean().rename("macro mean")
    mean["n"] = table.n.sum()
    mean[["recall_low", "recall_high"]] = np.nan
    table = pd.concat([table, mean.to_frame().T]).astype({"n": int}).rename_axis("class")
    return table[["n", "precision", "recall", "recall_low", "recall_high", "f1"]]


def accuracy_table(y_true: np.ndarray, y_pred: np.ndarray, slices: pd.Series) -> pd.DataFrame:
    """Accuracy by slice (face size, source, ...): ``n, accuracy, low, high``, last the row "all"; NaN of no face."""
    right = pd.Series(np.asarray(y_true) == np.asarray(y_pred), index=slices.index)
    by_slice = right.groupby(slices, observed=True, sort=True).agg(["size", "sum"])
    by_slice.loc["all"] = [len(right), right.sum()]
    rows = [
        {
            "slice": name,
            "n": int(n),
            "accuracy": hits / n if n else np.nan,
            **dict(zip(("low", "high"), wilson_interval(hits, n), strict=True)),
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


def worst_mistakes(y_true: np.ndarray, y_prob: np.ndarray, count: int = 24) -> pd.DataFrame:
    """The mistakes made with most certainty: ``position, true, predicted, probability``."""
    y_pred = y_prob.argmax(axis=1)
    wrong = np.flatnonzero(y_pred != y_true)
    wrong = wrong[np.argsort(-y_prob[wrong, y_pred[wrong]], kind="stable")][:count]
    names = np.array(CLASS_NAMES)
    table = {
        "position": wrong,
        "true": names[np.asarray(y_true)[wrong]],
        "predicted": names[y_pred[wrong]],
    }
    return pd.DataFrame({**table, "probability": y_prob[wrong, y_pred[wrong]]})


def threshold_table(
    is_no_face: np.ndarray, probability: np.ndarray, thresholds: np.ndarray
) -> pd.DataFrame:
    """What dropping boxes at each threshold of P(no_face) costs: ``threshold, faces_lost, mistakes_kept`` as shares."""
    is_no_face, probability = np.asarray(is_no_face, bool), np.asarray(probability)
    lost = [(probability[~is_no_face] >= value).mean() for value in thresholds]
    kept = [(probability[is_no_face] < value).mean() for value in thresholds]
    return pd.DataFrame({"threshold": thresholds, "faces_lost": lost, "mistakes_kept": kept})


def slice_table(
    table: pd.DataFrame, y_true: np.ndarray, answers: dict[str, np.ndarray]
) -> pd.DataFrame:
    """Accuracy of several recipes by source and, in ``scenes``, by face width, small faces being the hard ones.

    Args:
        table: a label table.
        y_true: (N,) its classes.
        answers: each recipe's (N,) predictions.

    Returns:
        A table ``slice, n, accuracy, low, high, recipe``.
    """
    source = table.source.where(table.x_min.notna(), table.source + ", whole image")
    width = (table.x_max - table.x_min).where(table.source == "scenes")
    sizes = ["scenes, under 16 px", "scenes, 16-32 px", "scenes, over 32 px"]
    parts = [source, pd.cut(width, [0, 16, 32, np.inf], right=False, labels=sizes).astype(object)]
    tables = []
    for recipe, y_pred in answers.items():
        for part in parts:
            has = part.notna().to_numpy()
            scores = accuracy_table(y_true[has], y_pred[has], part[has]).drop("all")
            tables.append(scores.assign(recipe=recipe).reset_index())
    return pd.concat(tables, ignore_index=True)


def compare_table(
    y_true: np.ndarray, answers: dict[str, np.ndarray], group: np.ndarray
) -> pd.DataFrame:
    """Accuracy and macro F1 of several trainings on the same faces, with intervals that draw whole groups."""
    scores = {"accuracy": lambda true, pred: float(np.mean(true == pred)), "macro_f1": macro_f1}
    rows = {}
    for name, y_pred in answers.items():
        rows[name] = {"n": len(y_true)}
        for figure, score in scores.items():
            low, high = bootstrap_interval(
                lambda rows, f=score, p=y_pred: f(y_true[rows], p[rows]), group
            )
            rows[name] |= {
                figure: score(y_true, y_pred),
                f"{figure}_low": low,
                f"{figure}_high": high,
            }
    return pd.DataFrame.from_dict(rows, orient="index").astype({"n": int}).rename_axis("training")


def side_by_side(by_slice: pd.DataFrame) -> pd.DataFrame:
    """A ``slice_table`` with a row a slice and a column a recipe: accuracy and its interval as text."""
    texts = [f"{row.accuracy:.3f} ({row.low:.3f}-{row.high:.3f})" for row in by_slice.itertuples()]
    return (
        by_slice.assign(text=texts)
        .pivot(index=["slice", "n"], columns="recipe", values="text")
        .reset_index("n")
    )


def fill_tables(path: str | Path, tables: dict[str, pd.DataFrame]) -> None:
    """Write tables into a Markdown file, between ``<!-- name -->`` and ``<!-- end -->``, so that no figure is typed.

    Args:
        path: the file; names that it has no place for are passed over.
        tables: by name. Shares are written to three places; what stands in the place of one without rows stays.
    """
    text = Path(path).read_text(encoding="utf-8")
    for name, table in tables.items():
        if not len(table):
            continue
        place = re.compile(rf"(<!-- {re.escape(name)} -->\n).*?(<!-- end -->)", re.DOTALL)
        whole = table.astype(object).where(
            table.notna(), None
        )  # counts stay whole numbers, gaps stay empty
        markdown = whole.to_markdown(
            floatfmt=".3f", missingval="", index=table.index.name is not None
        )
        text = place.sub(lambda found, new=markdown: f"{found[1]}{new}\n{found[2]}", text)
    Path(path).write_text(text, encoding="utf-8")
