"""Do more training faces of one kind help? Asked with folds, since one small validation set cannot tell."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from utils.classes import MASK_CLASSES
from utils.evaluate import bootstrap_interval


def measure_addition(
    table: pd.DataFrame,
    features: np.ndarray,
    added: pd.DataFrame,
    added_features: np.ndarray,
    sources: tuple[str, ...] = ("faces", "scenes"),
    folds: int = 5,
    seed: int = 0,
) -> pd.DataFrame:
    """Scores on real faces of a linear classifier on frozen features, trained without the added faces and with them.

    Every real face is judged once, by a classifier that has seen neither it, nor a near-duplicate, nor a face that was
    made of one. What the added faces do to a linear layer they may do less to a network that learns all the way down.

    Args:
        table: the label table of the features, with ``group``; its training rows.
        features: (N, F), what a frozen base sees in them.
        added: the label table of the faces to add, whose ``group`` is that of the photograph that each was made of.
        added_features: (M, F) of them.
        sources: real photographs; others, and ``no_face``, are left out.
        folds: of scikit-learn's ``StratifiedGroupKFold``.
        seed: of the folds.

    Returns:
        A row a class and training (``class_name``, ``training``): ``n``, ``recall``, and average precision ``ap`` with
        its 95 % interval ``low, high``, photographs drawn by group.
    """
    chosen = (table.source.isin(sources) & table.class_name.isin(MASK_CLASSES)).to_numpy()
    real, x = table[chosen], features[chosen]
    y = real.class_name.map(MASK_CLASSES.index).to_numpy()
    groups, more_y = real.group.to_numpy(), added.class_name.map(MASK_CLASSES.index).to_numpy()
    y_prob = {name: np.zeros((len(y), len(MASK_CLASSES))) for name in ("without", "with")}
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The least populated class")
        splits = list(splitter.split(x, real.source + " " + real.class_name, groups))
    for train, test in splits:
        allowed = ~added.group.isin(groups[test]).to_numpy()
        parts = {"without": (x[train], y[train])}
        parts["with"] = np.concatenate([x[train], added_features[allowed]]), np.concatenate([y[train], more_y[allowed]])
        for name, (seen, truth) in parts.items():
            model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, class_weight="balanced", max_iter=300))
            y_prob[name][test] = model.fit(seen, truth).predict_proba(x[test])
    rows = []
    for class_id, class_name in enumerate(MASK_CLASSES):
        is_class = y == class_id
        for name, found in y_prob.items():
            score = lambda rows, of=found[:, class_id], true=is_class: average_precision_score(true[rows], of[rows])  # noqa: E731
            low, high = bootstrap_interval(score, groups, 200)
            recall = (found.argmax(axis=1) == class_id)[is_class].mean()
            row = {"class_name": class_name, "training": name, "n": int(is_class.sum()), "recall": recall}
            rows.append({**row, "ap": score(np.arange(len(y))), "low": low, "high": high})
    return pd.DataFrame(rows).set_index(["class_name", "training"])
