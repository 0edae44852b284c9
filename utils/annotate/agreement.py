"""Labels compared: two people with each other, and a label with what a model makes of its face."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd
from scipy.sparse.csgraph import connected_components
from sklearn.metrics import cohen_kappa_score

from utils.boxes import as_boxes, box_iou
from utils.classes import CLASS_NAMES, to_class_name
from utils.labels import BOX_COLUMNS

PAIR_COLUMNS = ["first", "second", "n", "agreement", "kappa", "low", "high"]
ROUNDS = 2000  # of the bootstrap
MIN_IOU = 0.5  # two people draw the box of one face a few pixels apart


def _number_faces(labels: pd.DataFrame) -> pd.Series:
    """The number of each row's face: the same file and box, or boxes that overlap by ``MIN_IOU``, also by a third."""
    key = ["file", *BOX_COLUMNS]
    boxes = labels[key].drop_duplicates().reset_index(drop=True)
    face, xyxy = np.arange(len(boxes)), as_boxes(boxes[BOX_COLUMNS])
    for rows in boxes.groupby("file", sort=False).indices.values():
        if len(rows) > 1:
            members = connected_components(
                box_iou(xyxy[rows], xyxy[rows]) >= MIN_IOU, directed=False
            )[1]
            face[rows] = rows[members]  # numbers that no other file has
    return (
        labels[key].merge(boxes.assign(face=face), on=key, how="left").face.set_axis(labels.index)
    )


def _current_labels(hand_labels: pd.DataFrame) -> pd.DataFrame:
    """The labels that say something, the last of each face and labeller, with ``face``."""
    has_class = hand_labels.class_name.fillna("") != ""
    labels = hand_labels[has_class].astype(dict.fromkeys(BOX_COLUMNS, "float64"))
    return labels.assign(face=_number_faces(labels)).drop_duplicates(
        ["face", "labeller"], keep="last"
    )


def _measure_kappa(first: np.ndarray, second: np.ndarray) -> tuple[float, float, float]:
    """Cohen's kappa of two lists of class ids and its interval; NaN where chance alone would have everybody agree."""
    if len(np.union1d(first, second)) < 2:  # no faces, or one class in all of them
        return np.nan, np.nan, np.nan
    size, n = len(CLASS_NAMES), len(first)
    pairs = np.bincount(first * size + second, minlength=size**2) / n
    # To draw n faces with replacement is to draw n pairs of labels as often as they occur: all rounds at once.
    drawn = np.random.default_rng(0).multinomial(n, pairs, ROUNDS).reshape(-1, size, size) / n
    by_chance = (drawn.sum(axis=1) * drawn.sum(axis=2)).sum(axis=1)
    defined = by_chance < 1 - 1e-9  # a round may draw a single class
    kappas = (drawn.trace(axis1=1, axis2=2) - by_chance)[defined] / (1 - by_chance[defined])
    low, high = np.quantile(kappas, [0.025, 0.975])
    return float(cohen_kappa_score(first, second)), float(low), float(high)


def compare_annotators(hand_labels: pd.DataFrame) -> pd.DataFrame:
    """How well each two labellers agree, beyond what chance would bring (J. Cohen, 1960).

    A face is the same where its box is, or where two boxes drawn by hand overlap by half (IoU).

    Args:
        hand_labels: from ``read_hand_labels``: ``file``, a box, ``class_name`` (empty: no label), ``labeller``.

    Returns:
        A table with a row a pair: ``first, second, n`` (faces that both labelled), ``agreement`` (the share with one
        label), ``kappa`` (1: always, 0: as often as chance) and ``low, high``, its 95 % interval from a bootstrap over
        faces with a fixed seed. What is undefined is NaN: no common faces, or one class in all of them. Where two never
        disagree the interval is 1-1 however few the faces are: read it with ``n``.
    """
    labels = _current_labels(hand_labels)
    votes = labels.pivot(index="face", columns="labeller", values="class_name")
    votes = votes.reindex(columns=sorted(hand_labels.labeller.dropna().unique()))
    rows = []
    for first, second in combinations(votes.columns, 2):
        codes = (
            votes[[first, second]]
            .dropna()
            .apply(lambda names: names.map(CLASS_NAMES.index))
            .to_numpy(int)
        )
        a, b = codes[:, 0], codes[:, 1]
        rows.append(
            (first, second, len(a), (a == b).mean() if len(a) else np.nan, *_measure_kappa(a, b))
        )
    types = {"first": "str", "second": "str", "n": int} | dict.fromkeys(PAIR_COLUMNS[3:], float)
    return pd.DataFrame(rows, columns=PAIR_COLUMNS).astype(types)


def find_disputes(hand_labels: pd.DataFrame) -> pd.DataFrame:
    """The faces on which people disagree, the most divided first.

    Args:
        hand_labels: as for ``compare_annotators``.

    Returns:
        A table ``file``, the box as its first labeller had it, ``agreement`` (the share of labellers with the most
        frequent label) and ``labels``, who said what. The labelling widget takes it to mend them.
    """
    labels = _current_labels(hand_labels)
    votes = labels.groupby(["face", "class_name"]).size().groupby("face")
    said = (labels.labeller + ": " + labels.class_name).groupby(labels.face).agg(", ".join)
    table = labels.drop_duplicates("face").set_index("face")[["file", *BOX_COLUMNS]]
    table = table.assign(agreement=votes.max() / votes.sum(), labels=said).query("agreement < 1")
    return table.sort_values("agreement", kind="stable", ignore_index=True)


def rank_by_model_disagreement(table: pd.DataFrame, y_prob: np.ndarray) -> pd.DataFrame:
    """The faces of a label table, those first whose label the model believes least.

    The rank is by self-confidence, the probability of the given label (C. Northcutt, L. Jiang and I. Chuang, "Confident
    Learning: Estimating Uncertainty in Dataset Labels", 2021). A model believes what it was trained on: ask one that
    has not seen these labels.

    Args:
        table: a label table.
        y_prob: (N, C) probabilities of its faces.

    Returns:
        The table with ``probability`` (of the given label), ``suggested`` (the likeliest class),
        ``suggested_probability`` and ``position``, the row in ``table`` and ``y_prob``. Equals keep their order.

    Raises:
        ValueError: ``y_prob`` does not fit the table.
        LabelError: a class is unknown.
    """
    y_prob = np.asarray(y_prob, float)
    if y_prob.shape != (len(table), len(CLASS_NAMES)):
        raise ValueError(
            f"y_prob is {y_prob.shape} and must be {(len(table), len(CLASS_NAMES))}: a row a face."
        )
    files_of = table.drop_duplicates("class_name").set_index("class_name").file
    class_id_of = {
        name: CLASS_NAMES.index(to_class_name(str(name), file)) for name, file in files_of.items()
    }
    position = np.arange(len(table))
    ranked = table.assign(
        probability=y_prob[position, table.class_name.map(class_id_of).to_numpy(int)],
        suggested=np.array(CLASS_NAMES)[y_prob.argmax(axis=1)],
        suggested_probability=y_prob.max(axis=1),
        position=position,
    )
    return ranked.sort_values("probability", kind="stable", ignore_index=True)
